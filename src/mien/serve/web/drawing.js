// What was read of a frame, drawn over the picture, beside it, and over time.
import { EXPRESSIONS, UNITS, color, element, find, isUnclear, percent, ranked } from "./common.js";

const SHOWN = 6; // action units
const SPAN = 30000; // milliseconds of the timeline
const ROW = 24;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let drawn = 0;
let said = "";

const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);

// Boxes with the expression and its runner-up; a canvas in the frame's pixels, over the video.
export function draw(overlay, record, landmarks) {
  overlay.width = record.width || overlay.width;
  overlay.height = record.height || overlay.height;
  const pen = overlay.getContext("2d");
  pen.clearRect(0, 0, overlay.width, overlay.height);
  const size = (14 * overlay.width) / (overlay.clientWidth || overlay.width); // as large as other text, however the frame is shown
  pen.font = `600 ${size}px system-ui, sans-serif`;
  for (const face of record.faces) {
    const [[first, most], [second, less]] = ranked(face);
    const [x1, y1, x2, y2] = face.box;
    pen.lineWidth = 2;
    pen.strokeStyle = color(first);
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const lines = isUnclear(face) ? ["unclear"] : [`${first} ${percent(most)}`, `${second} ${percent(less)}`];
    plate(pen, lines, x1, y1, size, overlay.width);
    if (!landmarks || !face.landmarks) continue;
    pen.fillStyle = "#ffffff";
    for (const [x, y] of face.landmarks) pen.fillRect(x - 1, y - 1, 2, 2);
  }
}

function plate(pen, lines, x, y, size, width) {
  const wide = Math.max(...lines.map((line) => pen.measureText(line).width)) + size;
  const high = lines.length * 1.25 * size + 0.4 * size;
  const [left, top] = [Math.max(0, Math.min(x, width - wide)), Math.max(0, y - high)];
  pen.fillStyle = "rgb(16 18 22 / 84%)";
  pen.fillRect(left, top, wide, high);
  lines.forEach((line, i) => {
    pen.fillStyle = i ? "#c8c8c8" : "#ffffff";
    pen.fillText(line, left + size / 2, top + size * (1.15 + 1.25 * i));
  });
}

// The largest face in words and bars; undefined when there is none.
export function showFace(record) {
  const face = [...record.faces].sort((a, b) => area(b) - area(a))[0];
  if (!face) {
    find("camera-top").textContent = "No face in sight";
    find("camera-next").textContent = "";
    find("camera-units").replaceChildren();
    return undefined;
  }
  const [[first, most], [second, less]] = ranked(face);
  find("camera-top").textContent = isUnclear(face) ? `unclear (${first} if anything)` : `${first} ${percent(most)}`;
  find("camera-next").textContent = `then ${second} ${percent(less)}`;
  const strongest = Object.entries(face.action_units || {}).sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
  find("camera-units").replaceChildren(...strongest.map(bar));
  if (first !== said) find("camera-said").textContent = first; // for who listens: changes alone
  said = first;
  return face;
}

function bar([unit, value]) {
  const fill = element("i");
  fill.style.width = `${100 * value}%`;
  const name = element("span", {}, `${unit} ${UNITS[unit] || ""}`);
  return element("li", {}, name, element("span", { class: "meter", "aria-hidden": "true" }, fill), element("b", {}, value.toFixed(2)));
}

// A row for each expression, its probability as height. With less motion it moves once a second.
export function drawTimeline(canvas, history, now) {
  if (calm.matches && now - drawn < 1000) return;
  drawn = now;
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, ROW * EXPRESSIONS.length];
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const left = 92;
  const at = (time) => left + (width - left) * (1 - (now - time) / SPAN);
  pen.font = "13px system-ui, sans-serif";
  pen.textBaseline = "middle";
  EXPRESSIONS.forEach((name, row) => {
    const floor = (row + 1) * ROW - 2;
    pen.fillStyle = color("soft");
    pen.fillText(name, 0, floor - ROW / 2 + 1);
    pen.fillStyle = color("track");
    pen.fillRect(left, floor, width - left, 1);
    pen.fillStyle = color(name);
    history.forEach(([time, probabilities], i) => {
      if (!probabilities) return;
      const end = i + 1 < history.length ? Math.min(history[i + 1][0], time + 1000) : now;
      const high = probabilities[name] * (ROW - 4);
      pen.fillRect(at(time), floor - high, Math.max(1, at(end) - at(time) + 0.5), high);
    });
  });
}
