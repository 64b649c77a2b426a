"use strict";
const root = document.documentElement;
const button = document.getElementById("theme");
const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
const named = () => { button.textContent = dark() ? "Light" : "Dark"; };
button.hidden = false;
button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; named(); });
named();

// Say a slider's value, in its output and to screen readers.
function tell(slider) {
  const value = slider.dataset.values.split(" ")[slider.value];
  slider.setAttribute("aria-valuetext", value);
  slider.previousElementSibling.textContent = value;
}

// Show the one face of a dial at its sliders' values; the last slider changes fastest.
function show(dial) {
  let place = 0;
  for (const slider of dial.querySelectorAll("input")) {
    tell(slider);
    place = place * (Number(slider.max) + 1) + Number(slider.value);
  }
  dial.querySelectorAll("img").forEach((face, i) => face.classList.toggle("shown", i === place));
}

for (const dial of document.querySelectorAll(".dial")) {
  dial.classList.add("live");
  for (const line of dial.querySelectorAll(".slide")) line.hidden = false;
  dial.addEventListener("input", () => show(dial));
  show(dial);
}

const all = document.querySelector(".all");
if (all) {
  const master = all.querySelector("input");
  all.hidden = all.querySelector(".slide").hidden = false;
  tell(master);
  all.addEventListener("input", () => {
    tell(master);
    for (const dial of document.querySelectorAll(".dial")) {
      for (const slider of dial.querySelectorAll("input")) slider.value = master.value;
      show(dial);
    }
  });
}
