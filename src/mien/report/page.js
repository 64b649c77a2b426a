"use strict";

// Faces: a box in the picture and a card belong together; choosing one shows the other. Without this script both are
// plain links to each other.
const boxes = [...document.querySelectorAll(".box")];
const cardOf = (box) => document.getElementById(box.getAttribute("href").slice(1));

function select(chosen) {
  for (const box of boxes) {
    const on = box === chosen;
    box.classList.toggle("selected", on);
    box.setAttribute("aria-pressed", String(on));
    cardOf(box).classList.toggle("selected", on);
  }
}

for (const box of boxes) {
  const card = cardOf(box);
  const siblings = [...box.closest("svg").querySelectorAll(".box")];  // of one picture
  const i = siblings.indexOf(box);
  const open = (event) => {
    event.preventDefault();
    select(box);
    card.scrollIntoView({ block: "nearest" });
  };
  const moves = { ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1, Home: 0, End: siblings.length - 1 };
  box.setAttribute("role", "button");
  box.setAttribute("aria-pressed", "false");
  box.addEventListener("click", open);
  box.addEventListener("focus", () => select(box));
  box.addEventListener("keydown", (event) => {
    if (event.key === " " || event.key === "Enter") {
      open(event);
    } else if (event.key in moves) {
      event.preventDefault();
      siblings.at(moves[event.key] % siblings.length).focus();
    }
  });
  card.addEventListener("click", (event) => {
    if (event.target.closest(".number")) {
      event.preventDefault();
      box.closest(".stage").scrollIntoView({ block: "nearest" });
      box.focus({ preventScroll: true });
    }
    select(box);
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") select(null);
});

// A phrase of the explanation leads to its action unit, whose table may be folded away.
for (const link of document.querySelectorAll(".supported, .unsupported")) {
  link.addEventListener("click", () => { document.querySelector(link.hash).closest("details").open = true; });
}

// Of several pictures the index alone is shown, to be sorted and filtered; each opens its entry. Without this script all
// entries stand below it.
const index = document.getElementById("index");
if (index) {
  const main = document.querySelector("main");
  const items = [...index.children];
  const entryOf = (item) => document.getElementById(item.querySelector("a").hash.slice(1));
  const [show, sort, count] = ["show", "sort", "count"].map((id) => document.getElementById(id));
  const orders = {
    "": () => 0,
    name: (a, b) => nameOf(a).localeCompare(nameOf(b), undefined, { numeric: true }),
    first: (a, b) => a.dataset.first - b.dataset.first || b.dataset.sure - a.dataset.sure,
    sure: (a, b) => a.dataset.sure - b.dataset.sure,
  };
  const nameOf = (item) => item.querySelector("b").textContent;
  const turn = document.createElement("nav");
  turn.className = "turn";
  turn.setAttribute("aria-label", "Pictures");

  function sift() {
    items.forEach((item) => { item.hidden = show.value !== "" && !item.dataset.kinds.split(" ").includes(show.value); });
    index.append(...[...items].sort(orders[sort.value]));
    const shown = items.filter((item) => !item.hidden).length;
    count.textContent = shown === items.length ? "" : `${shown} of ${items.length}`;
  }

  const link = (hash, text) => {
    const a = document.createElement("a");
    a.href = hash;
    a.textContent = text;
    return a;
  };

  // The entry that the address names, or that holds what it names, with the way to its neighbours in the index.
  function open() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const entry = target && target.closest(".entry");
    document.querySelector(".entry.open")?.classList.remove("open");
    main.classList.toggle("one", Boolean(entry));
    if (!entry) {
      turn.remove();
      return;
    }
    const shown = [...index.children].filter((item) => !item.hidden);
    const at = shown.findIndex((item) => entryOf(item) === entry);
    const links = [link("#index", "All pictures")];
    if (at > 0) links.push(link(shown[at - 1].querySelector("a").hash, "Previous"));
    if (at >= 0 && at < shown.length - 1) links.push(link(shown[at + 1].querySelector("a").hash, "Next"));
    turn.replaceChildren(...links);
    entry.prepend(turn);
    entry.classList.add("open");
    if (target === entry) scrollTo({ top: 0, behavior: "instant" });
    else target.scrollIntoView({ block: "nearest" });
  }

  main.classList.add("indexed");
  document.getElementById("sift").hidden = false;
  for (const field of [show, sort]) field.addEventListener("change", sift);
  document.getElementById("sift").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", open);
  sift();
  open();
}

// The numbers on the picture keep their size on the screen, however large the picture is shown.
function fitTags(svg) {
  const scale = svg.viewBox.baseVal.width / svg.clientWidth;
  if (!Number.isFinite(scale)) return;
  for (const tag of svg.querySelectorAll(".tag")) tag.setAttribute("transform", `scale(${scale.toFixed(4)})`);
}
const observer = new ResizeObserver((entries) => entries.forEach((entry) => fitTags(entry.target)));
document.querySelectorAll(".stage svg").forEach((svg) => observer.observe(svg));

// Heat maps: as strong as their slider says. Without this script they keep the strength of the style sheet.
for (const fade of document.querySelectorAll(".fade")) {
  const slider = fade.querySelector("input");
  const show = () => {
    fade.closest(".look").querySelector(".heat").style.opacity = slider.value / 100;
    fade.querySelector("output").textContent = `${slider.value} %`;
    slider.setAttribute("aria-valuetext", `${slider.value} %`);
  };
  slider.addEventListener("input", show);
  show();
  fade.hidden = false;
}

// Light and dark: as the system says until the button is used.
const theme = document.getElementById("theme");
const root = document.documentElement;
const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
theme.setAttribute("aria-label", "Switch between light and dark");
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);
nameTheme();
theme.hidden = false;

// Copy JSON: by the clipboard, else by the old command, else the text is shown, ready to be copied by hand.
const copy = document.getElementById("copy");
const copied = document.getElementById("copied");

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.querySelector("footer textarea") || document.createElement("textarea");
    area.value = text;
    area.readOnly = true;
    area.setAttribute("aria-label", "The reports as JSON");
    document.querySelector("footer").append(area);
    area.select();
    const done = document.execCommand("copy");
    if (done) area.remove();
    return done;
  }
}

copy.addEventListener("click", async () => {
  const reports = JSON.parse(document.getElementById("reports").textContent);
  const done = await copyText(JSON.stringify(reports, null, 2));
  copied.textContent = done ? "Copied" : "Press Ctrl+C or ⌘C to copy";
});
copy.hidden = false;
