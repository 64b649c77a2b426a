// Many pictures at once: a card for each, filled as it is read.
import { element, explain, find, isUnclear, model, percent, post, ranked, saveTable, takeFiles } from "./common.js";

const AT_A_TIME = 3;
const waiting = [];
const cards = [];
let running = 0;

export function setUpPictures() {
  find("file").addEventListener("change", () => {
    take([...find("file").files]);
    find("file").value = "";
  });
  takeFiles(find("pictures"), find("pictures").querySelector(".drop"), take);
  find("picture-table").addEventListener("click", table);
  find("picture-clear").addEventListener("click", clear);
}

function take(files) {
  for (const file of files) {
    const card = newCard(file);
    cards.push(card);
    find("grid").append(card.item);
    waiting.push(card);
  }
  say();
  while (running < AT_A_TIME && waiting.length) work();
}

async function work() {
  running += 1;
  while (waiting.length) await read(waiting.shift());
  running -= 1;
  say();
}

function newCard(file) {
  const image = element("img", { alt: "", src: URL.createObjectURL(file) });
  const state = element("p", { class: "soft", role: "status" }, "Waiting …");
  const faces = element("ol", { class: "faces" });
  const words = element("div", { class: "words", "aria-live": "polite" });
  const picture = element("div", { class: "picture" }, image);
  const buttons = element("div", { class: "buttons" });
  image.addEventListener("error", () => image.remove()); // a kind that browsers do not show
  const item = element("li", { class: "card" }, picture, element("h3", {}, file.name), state, faces, buttons, words);
  return { file, item, picture, image, state, faces, buttons, words, record: null };
}

async function read(card) {
  card.state.textContent = "Reading …";
  try {
    const form = new FormData();
    form.append("picture", card.file);
    const answer = await post("v1/analyze", { model: model() }, form);
    [card.record] = (await answer.json()).results;
    fill(card);
  } catch (error) {
    card.record = null;
    trouble(card, error.message);
  }
  say();
}

function trouble(card, why) {
  card.state.textContent = why;
  card.state.className = "trouble";
}

function fill(card) {
  const { record, file } = card;
  if (record.error) {
    trouble(card, record.error);
    return;
  }
  card.state.textContent = record.faces.length ? "" : "No face was found.";
  record.faces.forEach((face, i) => {
    const [[first, most], [second, less]] = ranked(face);
    card.faces.append(
      isUnclear(face)
        ? element("li", {}, element("b", {}, "unclear"), ` ${first} if anything`)
        : element("li", { class: first }, element("b", {}, `${first} ${percent(most)}`), ` then ${second} ${percent(less)}`),
    );
    card.picture.append(mark(face.box, record, String(i + 1)));
  });
  const open = element("button", { type: "button", "aria-label": `Report of ${file.name}` }, "Report");
  open.addEventListener("click", () => report(file));
  card.buttons.append(open);
  if (record.faces.length) card.buttons.append(explainer(card));
}

function explainer(card) {
  const button = element("button", { type: "button", "aria-label": `Explain ${card.file.name}` }, "Explain in words");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await explain(card.file, card.file.name, card.words);
    } catch (error) {
      card.words.replaceChildren(element("p", { class: "trouble" }, error.message));
    }
    button.disabled = false;
  });
  return button;
}

function mark([x1, y1, x2, y2], { width, height }, number) {
  const box = element("span", { class: "box", "aria-hidden": "true" }, element("i", {}, number));
  box.style.left = `${(100 * x1) / width}%`;
  box.style.top = `${(100 * y1) / height}%`;
  box.style.width = `${(100 * (x2 - x1)) / width}%`;
  box.style.height = `${(100 * (y2 - y1)) / height}%`;
  return box;
}

// The report is posted into the frame, so that it comes with its own policy.
function report(file) {
  const one = new DataTransfer();
  one.items.add(file);
  find("file").files = one.files;
  find("form").action = `report?${new URLSearchParams({ model: model() })}`;
  find("dialog").showModal();
  find("form").requestSubmit();
  find("file").value = "";
}

async function table() {
  const records = cards.map((card) => card.record).filter(Boolean);
  try {
    await saveTable(records, find("picture-format").value, "faces");
  } catch (error) {
    find("picture-state").textContent = error.message;
  }
}

function clear() {
  waiting.length = 0;
  for (const card of cards.splice(0)) {
    URL.revokeObjectURL(card.image.src);
    card.item.remove();
  }
  say();
}

function say() {
  const left = cards.filter((card) => !card.record && card.state.className !== "trouble").length;
  const count = cards.length === 1 ? "1 picture" : `${cards.length} pictures`;
  find("picture-bar").hidden = !cards.length;
  find("picture-table").disabled = left > 0;
  find("picture-state").textContent = left ? `${cards.length - left} of ${count} read` : `${count} read`;
}
