"use strict";

// One chart a track, drawn from the numbers in the page; a cursor that moves through all tracks of a clip at once.
const data = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const GUTTER = 62, BAND = 22, LINES = 132, ROW = 11, MARK = 11, GAP = 8, AXIS = 20;
// Lines differ in more than colour.
const DASHES = [[], [], [6, 3], [], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3]];
const charts = [];

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const percent = (p) => (p > 0 && p < 0.005 ? "<1 %" : `${Math.round(100 * p)} %`);
const seconds = (t) => `${t.toFixed(2)} s`;
const clockTime = (t) => {
  const whole = Math.floor(t);
  const s = String(whole % 60).padStart(2, "0"), m = Math.floor(whole / 60);
  return m >= 60 ? `${Math.floor(m / 60)}:${String(m % 60).padStart(2, "0")}:${s}` : `${m}:${s}`;
};

class Chart {
  constructor(element, clip, track) {
    Object.assign(this, { element, clip, track });
    this.values = bytes(track.values);
    this.count = track.times.length;
    this.canvas = element.querySelector("canvas");
    this.cursor = element.querySelector(".cursor");
    this.now = element.closest(".track").querySelector(".now");
    this.marks = [...new Set(track.events.map((event) => event.name))];
    this.most = Array.from({ length: data.expressions }, (_, e) => {
      let most = 0;
      for (let i = 0; i < this.count; i += 1) most = Math.max(most, this.value(i, e));
      return most;
    });
    this.index = 0;
    element.addEventListener("pointermove", (event) => this.point(event));
    element.addEventListener("pointerdown", (event) => this.point(event));
    element.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(element);
  }

  value(i, column) { return this.values[i * data.names.length + column] / 255; }
  x(t) { return GUTTER + ((t - this.clip.start) / (this.clip.end - this.clip.start)) * (this.width - GUTTER - 1); }
  top(i) {
    let best = 0;
    for (let e = 1; e < data.expressions; e += 1) if (this.value(i, e) > this.value(i, best)) best = e;
    return best;
  }

  draw() {
    this.width = this.element.clientWidth;
    const units = data.names.length - data.expressions;
    const height = BAND + GAP + LINES + GAP + units * ROW + GAP + this.marks.length * MARK + AXIS;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.height = `${height}px`;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(root);
    this.ink = style.getPropertyValue("--ink").trim();
    this.soft = style.getPropertyValue("--soft").trim();
    this.line = style.getPropertyValue("--line").trim();
    this.empty = style.getPropertyValue("--track").trim();
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    let y = this.drawBand(pen, 0);
    y = this.drawLines(pen, y + GAP);
    y = this.drawUnits(pen, y + GAP);
    y = this.drawMarks(pen, y + GAP);
    this.drawAxis(pen, y);
    this.show(this.index);
  }

  label(pen, text, y) {
    pen.fillStyle = this.soft;
    pen.textAlign = "right";
    pen.fillText(text, GUTTER - 6, y);
  }

  // Stretches of frames, without a gap, of which a function says the same.
  * runs(of) {
    const { times, ends } = this.track;
    for (let i = 0, first = 0; i < this.count; i += 1) {
      if (i + 1 === this.count || of(i + 1) !== of(first) || times[i + 1] - ends[i] > 0.001) {
        yield [first, i];
        first = i + 1;
      }
    }
  }

  drawBand(pen, y) {
    pen.fillStyle = this.empty;
    pen.fillRect(GUTTER, y, this.width - GUTTER, BAND);
    const { times, ends } = this.track;
    pen.textAlign = "left";
    for (const [a, b] of this.runs((i) => this.top(i))) {
      const e = this.top(a), x = this.x(times[a]), wide = this.x(ends[b]) - x;
      pen.fillStyle = data.colors[e];
      pen.fillRect(x, y, Math.max(wide, 1), BAND);
      if (wide > pen.measureText(data.names[e]).width + 8) {
        pen.fillStyle = data.inks[e];
        pen.fillText(data.names[e], x + 4, y + BAND / 2 + 1);
      }
    }
    this.label(pen, "shows", y + BAND / 2);
    return y + BAND;
  }

  drawLines(pen, y) {
    pen.strokeStyle = this.line;
    pen.lineWidth = 1;
    for (const p of [0, 0.5, 1]) {
      const at = Math.round(y + LINES * (1 - p)) + 0.5;
      pen.beginPath();
      pen.moveTo(GUTTER, at);
      pen.lineTo(this.width, at);
      pen.stroke();
      this.label(pen, `${100 * p} %`, Math.min(Math.max(at, y + 6), y + LINES - 5));
    }
    const { times, ends } = this.track;
    for (const [a, b] of this.runs(() => 0)) {
      for (let e = 0; e < data.expressions; e += 1) {
        if (this.most[e] < 0.02) continue;
        for (const over of [true, false]) {
          pen.setLineDash(over ? [] : DASHES[e]);
          pen.strokeStyle = over ? "rgb(0 0 0 / 45%)" : data.colors[e];
          pen.lineWidth = over ? 2.6 : 1.8;
          pen.beginPath();
          for (let i = a; i <= b; i += 1) {
            const x = this.x((times[i] + ends[i]) / 2), at = y + LINES * (1 - this.value(i, e));
            if (i === a) pen.moveTo(x, at); else pen.lineTo(x, at);
          }
          pen.stroke();
        }
      }
    }
    pen.setLineDash([]);
    return y + LINES;
  }

  drawUnits(pen, y) {
    const { times, ends } = this.track;
    for (let column = data.expressions; column < data.names.length; column += 1, y += ROW) {
      pen.fillStyle = this.empty;
      pen.fillRect(GUTTER, y, this.width - GUTTER, ROW - 1);
      for (let i = 0; i < this.count; i += 1) {
        const x = this.x(times[i]);
        pen.fillStyle = data.ramp[Math.round(this.value(i, column) * (data.ramp.length - 1))];
        pen.fillRect(x, y, Math.max(this.x(ends[i]) - x + 0.3, 0.6), ROW - 1);
      }
      this.label(pen, data.names[column], y + ROW / 2);
    }
    return y;
  }

  drawMarks(pen, y) {
    for (const name of this.marks) {
      const e = data.names.indexOf(name);
      for (const event of this.track.events) {
        if (event.name !== name) continue;
        const x = this.x(event.onset), apex = this.x(event.apex);
        pen.fillStyle = e >= 0 && e < data.expressions ? data.colors[e] : this.soft;
        pen.fillRect(x, y + 3, Math.max(this.x(event.offset) - x, 2), 4);
        pen.fillStyle = this.ink;
        pen.fillRect(apex - 0.75, y + 1, 1.5, 8);
      }
      this.label(pen, name, y + 5);
      y += MARK;
    }
    return y;
  }

  drawAxis(pen, y) {
    const span = this.clip.end - this.clip.start;
    const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
    const step = steps.find((s) => ((this.width - GUTTER) * s) / span > 52) || 7200;
    pen.fillStyle = this.soft;
    pen.textAlign = "center";
    for (let t = Math.ceil(this.clip.start / step) * step; t < this.clip.end; t += step) {
      const x = this.x(t);
      pen.fillRect(x - 0.5, y + 2, 1, 4);
      const text = step < 1 ? t.toFixed(1) : clockTime(t);
      pen.fillText(text, Math.min(Math.max(x, GUTTER + 8), this.width - 14), y + 13);
    }
  }

  point(event) {
    const x = event.clientX - this.element.getBoundingClientRect().left;
    const share = (x - GUTTER) / (this.width - GUTTER - 1);
    this.move(this.clip.start + Math.min(Math.max(share, 0), 1) * (this.clip.end - this.clip.start));
  }

  key(event) {
    const { times } = this.track, here = times[this.index], back = event.key === "ArrowLeft";
    let t;
    if (event.key === "Home") [t] = times;
    else if (event.key === "End") t = times[this.count - 1];
    else if (event.key !== "ArrowRight" && !back) return;
    else if (event.shiftKey) t = here + (back ? -1 : 1);
    else t = times[Math.min(Math.max(this.index + (back ? -1 : 1), 0), this.count - 1)];
    event.preventDefault();
    this.move(t);
  }

  move(t) {
    for (const chart of charts) if (chart.clip === this.clip) chart.at(t);
  }

  // The last frame that begins by then.
  at(t) {
    const { times } = this.track;
    let low = 0, high = this.count - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (times[middle] <= t + 1e-6) low = middle; else high = middle - 1;
    }
    this.show(low, t);
  }

  show(i, t = this.track.times[i]) {
    this.index = i;
    const { times, ends, thumbnails } = this.track;
    this.cursor.style.left = `${this.x(t)}px`;
    const seen = t >= times[i] - 1e-6 && t <= ends[i] + 1e-6, e = this.top(i);
    this.now.querySelector(".at").textContent = seconds(t);
    this.now.querySelector(".seen").textContent = seen ? `frame ${this.track.frames[i]}` : "not in sight";
    for (const [column, row] of [...this.now.querySelectorAll("tr")].entries()) {
      const p = seen ? this.value(i, column) : 0;
      row.querySelector("i").style.width = `${100 * p}%`;
      row.lastElementChild.textContent = seen ? percent(p) : "–";
      row.classList.toggle("top-row", seen && column === e);
    }
    const strongest = [];
    for (let c = data.expressions; c < data.names.length; c += 1) strongest.push([this.value(i, c), data.names[c]]);
    strongest.sort((a, b) => b[0] - a[0]);
    this.now.querySelector(".units").textContent = seen
      ? strongest.slice(0, 6).map(([v, name]) => `${name} ${v.toFixed(2)}`).join(", ") : "";
    let nearest = null;
    for (const thumbnail of thumbnails) {
      if (!nearest || Math.abs(thumbnail.time - t) < Math.abs(nearest.time - t)) nearest = thumbnail;
    }
    const picture = this.now.querySelector("img");
    if (nearest && picture.getAttribute("src") !== nearest.url) {
      picture.src = nearest.url;
      picture.title = `at ${seconds(nearest.time)}`;
    }
    this.element.setAttribute("aria-valuenow", t.toFixed(3));
    this.element.setAttribute(
      "aria-valuetext", seen ? `${seconds(t)}: ${data.names[e]}, ${percent(this.value(i, e))}` : `${seconds(t)}: not in sight`,
    );
  }
}

for (const element of document.querySelectorAll(".chart")) {
  const clip = data.clips[element.dataset.clip];
  charts.push(new Chart(element, clip, clip.tracks[element.dataset.track]));
}
document.getElementById("how").hidden = false;

// Light and dark: as the system says until the button is used; paper is light.
const theme = document.getElementById("theme");
const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const redraw = () => {
  theme.textContent = isDark() ? "Light" : "Dark";
  charts.forEach((chart) => chart.draw());
};
theme.setAttribute("aria-label", "Switch between light and dark");
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
matchMedia("print").addEventListener("change", redraw);
theme.textContent = isDark() ? "Light" : "Dark";
theme.hidden = false;
