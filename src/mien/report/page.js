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

for (const [i, box] of boxes.entries()) {
  const card = cardOf(box);
  const open = (event) => {
    event.preventDefault();
    select(box);
    card.scrollIntoView({ block: "nearest" });
  };
  const moves = { ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1, Home: 0, End: boxes.length - 1 };
  box.setAttribute("role", "button");
  box.setAttribute("aria-pressed", "false");
  box.addEventListener("click", open);
  box.addEventListener("focus", () => select(box));
  box.addEventListener("keydown", (event) => {
    if (event.key === " " || event.key === "Enter") {
      open(event);
    } else if (event.key in moves) {
      event.preventDefault();
      boxes.at(moves[event.key] % boxes.length).focus();
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
