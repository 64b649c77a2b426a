// The frame around the three views: which is shown, which model reads, and what the server can do.
import { element, find } from "./common.js";
import { leaveCamera, setUpCamera } from "./camera.js";
import { setUpClips } from "./clips.js";
import { setUpPictures } from "./pictures.js";

const VIEWS = ["pictures", "camera", "clips"];

function show(view) {
  if (view !== "camera") leaveCamera();
  for (const each of VIEWS) {
    const chosen = each === view;
    find(each).hidden = !chosen;
    find(`tab-${each}`).setAttribute("aria-selected", String(chosen));
    find(`tab-${each}`).tabIndex = chosen ? 0 : -1;
  }
}

// To follow a hash would take the focus away from the tab.
function go(view) {
  history.pushState(null, "", `#${view}`);
  show(view);
}

function byHash() {
  const view = location.hash.slice(1);
  show(VIEWS.includes(view) ? view : VIEWS[0]);
}

const tabs = VIEWS.map((view) => find(`tab-${view}`));
tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => go(VIEWS[i]));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (i + step + tabs.length) % tabs.length;
    go(VIEWS[next]);
    tabs[next].focus();
  });
});

async function begin() {
  document.documentElement.classList.add("js");
  addEventListener("hashchange", byHash);
  addEventListener("popstate", byHash);
  byHash();
  const about = await (await fetch("v1/about")).json();
  for (const { name, purpose } of about.models) {
    find("model").append(element("option", { value: name, title: purpose }, name));
  }
  for (const id of ["picture-format", "camera-format"]) {
    find(id).append(...about.tables.map((format) => element("option", { value: format }, format)));
  }
  setUpPictures();
  setUpCamera(about);
  setUpClips(about);
}

begin();
