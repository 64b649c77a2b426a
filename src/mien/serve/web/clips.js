// Clips: sent with progress, read by the server, and shown as their timeline.
import { element, find, model, reason, takeFiles } from "./common.js";

const KEY = "mien-clips";
const POLL = 700;
let formats = [];

export function setUpClips(about) {
  find("clips-off").hidden = Boolean(about.clips);
  find("clips-on").hidden = find("clips-kept").hidden = !about.clips;
  if (!about.clips) return;
  formats = about.tables.filter((format) => format !== "json");
  const { bytes, seconds } = about.clips;
  const size = bytes >= 1e9 ? `${bytes / 1e9} GB` : `${bytes / 1e6} MB`;
  find("clips-limits").textContent = `MP4, MOV, WebM, AVI or MKV, up to ${size} and ${Math.round(seconds / 60)} minutes`;
  find("clip").addEventListener("change", () => {
    [...find("clip").files].forEach(send);
    find("clip").value = "";
  });
  takeFiles(find("clips"), find("clips").querySelector(".drop"), (files) => files.forEach(send));
  for (const { id, name } of kept()) follow(newCard(name), id);
}

// The clips of this tab, so that they are there again when it is loaded anew.
const kept = () => JSON.parse(sessionStorage.getItem(KEY) || "[]");
const keep = (jobs) => sessionStorage.setItem(KEY, JSON.stringify(jobs));

function newCard(name) {
  const state = element("p", { class: "soft", role: "status" });
  const progress = element("progress", { max: 1, "aria-label": `Progress of ${name}` });
  const cancel = element("button", { type: "button", "aria-label": `Cancel ${name}` }, "Cancel");
  const results = element("div", { class: "results" });
  const row = element("div", { class: "bar" }, state, progress, cancel);
  const item = element("li", { class: "card" }, element("h3", {}, name), row, results);
  find("jobs").prepend(item);
  return { name, item, state, progress, cancel, results, over: false };
}

function send(file) {
  const card = newCard(file.name);
  const request = new XMLHttpRequest();
  request.open("POST", `v1/clips?${new URLSearchParams({ name: file.name, model: model() })}`);
  card.state.textContent = "Sending …";
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) card.progress.value = event.loaded / event.total;
  });
  request.addEventListener("load", async () => {
    if (request.status !== 202) {
      trouble(card, await reason(new Response(request.responseText, { status: request.status })));
      return;
    }
    const { id } = JSON.parse(request.responseText);
    keep([...kept(), { id, name: file.name }]);
    follow(card, id);
  });
  request.addEventListener("error", () => trouble(card, "The server broke off the upload."));
  card.cancel.onclick = () => {
    request.abort();
    card.item.remove();
  };
  request.send(file);
}

async function follow(card, id) {
  card.progress.removeAttribute("value");
  card.cancel.onclick = () => remove(card, id);
  while (!card.over) {
    let answer;
    try {
      answer = await fetch(`v1/clips/${id}`);
    } catch {
      trouble(card, "The server cannot be reached.");
      return;
    }
    if (card.over) return;
    if (!answer.ok) {
      forget(id);
      trouble(card, await reason(answer));
      return;
    }
    if (tell(card, await answer.json())) return;
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

// Show how far a job is; whether it is over.
function tell(card, job) {
  if (job.status === "failed") {
    trouble(card, job.error);
    return true;
  }
  if (job.status === "waiting") {
    card.state.textContent = job.ahead ? `Waiting behind ${job.ahead} other${job.ahead > 1 ? "s" : ""} …` : "Waiting …";
  } else if (job.status === "running") {
    card.state.textContent = job.of ? `Reading frame ${job.read} of about ${job.of} …` : "Reading …";
    if (job.of) card.progress.value = job.read / job.of;
  } else {
    done(card, job);
    return true;
  }
  return false;
}

function done(card, job) {
  const tracks = job.tracks === 1 ? "1 face" : `${job.tracks} faces`;
  card.state.textContent = `${job.frames} frames, ${tracks}${job.error ? `; ${job.error}` : ""}`;
  card.progress.remove();
  card.cancel.textContent = "Delete";
  card.cancel.setAttribute("aria-label", `Delete ${card.name}`);
  const link = (text, href) => element("a", { href, download: "" }, text);
  const page = element("a", { href: job.results.page, target: "_blank", rel: "noopener" }, "Open the timeline in a tab");
  const tables = formats.map((format) => link(`Table (${format})`, `${job.results.table}?format=${format}`));
  const events = link("Events (csv)", `${job.results.events}?format=csv`);
  card.results.append(
    element("p", { class: "links" }, page, ...tables, events),
    element("iframe", { src: job.results.page, title: `Timeline of ${card.name}` }),
  );
}

async function remove(card, id) {
  card.over = true;
  forget(id);
  card.item.remove();
  await fetch(`v1/clips/${id}`, { method: "DELETE" });
}

function forget(id) {
  keep(kept().filter((job) => job.id !== id));
}

function trouble(card, why) {
  card.state.textContent = why;
  card.state.className = "trouble";
  card.progress.remove();
  card.cancel.textContent = "Remove";
  card.cancel.setAttribute("aria-label", `Remove ${card.name}`);
  const before = card.cancel.onclick;
  card.cancel.onclick = () => (before && !card.over ? before() : card.item.remove());
}
