// What the three views share.
export const EXPRESSIONS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];
export const UNITS = {
  AU01: "inner brow raiser", AU02: "outer brow raiser", AU04: "brow lowerer", AU05: "upper lid raiser",
  AU06: "cheek raiser", AU07: "lid tightener", AU09: "nose wrinkler", AU10: "upper lip raiser",
  AU12: "lip corner puller", AU14: "dimpler", AU15: "lip corner depressor", AU16: "lower lip depressor",
  AU17: "chin raiser", AU18: "lip pucker", AU20: "lip stretcher", AU22: "lip funneler", AU24: "lip pressor",
  AU25: "lips part", AU26: "jaw drop", AU28: "lip suck", AU43: "eyes closed",
};
export const find = (id) => document.getElementById(id);
export const percent = (share) => (share > 0 && share < 0.005 ? "<1 %" : `${Math.round(100 * share)} %`);
// Whether fewer than half of the people could read a face, as mien.facs.observation.is_unclear has it.
export const isUnclear = (face) => face.readability !== null && face.readability < 0.5;
export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
export const model = () => find("model").value;
const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// The expressions of a face, the most probable first.
export function ranked(face) {
  return Object.entries(face.expression.probabilities).sort((a, b) => b[1] - a[1]);
}

// Post a body; a busy server is asked again. An answer that is no success becomes an error in words.
export async function post(path, asked, body) {
  const address = `${path}?${new URLSearchParams(asked)}`;
  for (let left = 30; ; left -= 1) {
    let answer;
    try {
      answer = await fetch(address, { method: "POST", body });
    } catch {
      throw new Error("The server cannot be reached.");
    }
    if (answer.ok) return answer;
    if (answer.status !== 503 || !left) throw new Error(await reason(answer));
    await wait(Number(answer.headers.get("retry-after")) || 5);
  }
}

export async function reason(answer) {
  try {
    const said = await answer.json();
    return said.detail || said.error || `The server answered ${answer.status}.`;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

export function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// Save answers as the table that `mien analyze` writes; attention is no column, and large.
export async function saveTable(records, format, name) {
  const bare = (face) => (format === "csv" || format === "parquet" ? { ...face, attention: null } : face);
  const lines = records.map((record) => `${JSON.stringify({ ...record, faces: record.faces.map(bare) })}\n`);
  const answer = await post("v1/table", { format }, new Blob(lines));
  save(await answer.blob(), `${name}.${format}`);
}

// Words about a picture, written into an element as they come.
export async function explain(picture, name, into) {
  into.replaceChildren(element("p", { class: "soft" }, "Writing …"));
  const answer = await post("v1/explain", { name, model: model() }, picture);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const faces = new Map();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const events = (rest + part.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const [kind, data] = event.split("\n").map((line) => line.slice(line.indexOf(":") + 2));
      heard(kind, JSON.parse(data), faces, into);
    }
  }
}

function heard(kind, data, faces, into) {
  if (kind === "error") throw new Error(data.detail);
  if (kind === "picture") {
    into.replaceChildren();
    if (!data.faces.length) into.append(element("p", {}, "No face was found."));
  } else if (kind === "text") {
    if (!faces.has(data.face)) {
      faces.set(data.face, element("p"));
      if (data.face) into.append(element("h4", {}, `Face ${data.face + 1}`));
      into.append(faces.get(data.face));
    }
    faces.get(data.face).append(data.text);
  }
}

// Let files be dropped on a view, or pasted into it.
export function takeFiles(view, drop, take) {
  const here = () => !view.hidden;
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      if (here()) drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (here()) take([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => {
    if (here() && event.clipboardData.files.length) take([...event.clipboardData.files]);
  });
}
