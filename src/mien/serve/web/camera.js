// The camera: the newest frame goes over a WebSocket, and what was read of it is drawn over the picture.
import { element, explain, find, model, percent, post, save, saveTable } from "./common.js";
import { draw, drawTimeline, showFace } from "./drawing.js";

const LONGEST = 640; // pixels of a frame's longer side
const UNANSWERED = 2; // one is read and one is on its way
const LARGEST = 28e6; // bytes of a recording, below what one request may have
const video = find("video");
const canvas = document.createElement("canvas");
let about, stream, socket, timer;
let sent, answered, encoding, paused, times, ages, history, records, bytes, latest;

export function setUpCamera(given) {
  about = given;
  find("camera-start").addEventListener("click", () => (stream ? leaveCamera() : start()));
  find("camera-pause").addEventListener("click", pause);
  find("camera-record").addEventListener("click", record);
  find("camera-still").addEventListener("click", still);
  find("camera-explain").addEventListener("click", words);
  find("camera-smooth").addEventListener("change", () => stream && connect());
  find("model").addEventListener("change", () => stream && connect());
  document.addEventListener("visibilitychange", () => document.hidden && leaveCamera());
  addEventListener("pagehide", leaveCamera);
}

async function start() {
  trouble("");
  if (!navigator.mediaDevices) {
    trouble("Browsers give the camera to pages of this computer or over https alone.");
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, facingMode: "user" } });
  } catch (error) {
    const why = { NotAllowedError: "The camera was not allowed.", NotFoundError: "There is no camera." };
    trouble(why[error.name] || `The camera cannot be opened: ${error.message}`);
    return;
  }
  history = [];
  setPaused(false);
  video.srcObject = stream;
  await video.play();
  enable(true);
  connect();
  next();
}

// Let go of the camera, so that its light goes out.
export function leaveCamera() {
  if (!stream) return;
  for (const track of stream.getTracks()) track.stop();
  stream = undefined;
  video.srcObject = null;
  hangUp();
  clearTimeout(timer);
  if (records) record();
  enable(false);
  find("camera-state").textContent = "";
  find("overlay").getContext("2d").clearRect(0, 0, find("overlay").width, find("overlay").height);
}

function enable(on) {
  find("camera-start").textContent = on ? "Stop the camera" : "Start the camera";
  find("camera-empty").hidden = on;
  for (const name of ["pause", "still", "record", "explain"]) find(`camera-${name}`).disabled = !on;
}

function trouble(text) {
  find("camera-trouble").textContent = text;
  find("camera-trouble").hidden = !text;
}

function hangUp() {
  const old = socket;
  socket = undefined;
  if (old) old.close();
}

function connect() {
  hangUp();
  [sent, answered, encoding, times, ages] = [0, -1, false, new Map(), []];
  const address = new URL("v1/live", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.search = new URLSearchParams({ model: model(), smooth: find("camera-smooth").value });
  const mine = new WebSocket(address);
  socket = mine;
  mine.addEventListener("message", (event) => socket === mine && answer(event.data));
  mine.addEventListener("close", (event) => {
    if (socket !== mine) return;
    socket = undefined;
    if (!paused) trouble(`The server hung up${event.reason ? `: ${event.reason}` : ""}. Start the camera again.`);
    if (!paused) leaveCamera();
  });
}

// Look for something to send at every frame of the camera.
function next() {
  if (!stream) return;
  send();
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(next);
  else timer = setTimeout(next, 30);
}

function send() {
  const open = socket && socket.readyState === WebSocket.OPEN && !socket.bufferedAmount;
  if (!open || paused || encoding || sent - 1 - answered >= UNANSWERED || !video.videoWidth) return;
  const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(scale * video.videoWidth);
  canvas.height = Math.round(scale * video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  const [taken, to] = [performance.now(), socket];
  encoding = true;
  canvas.toBlob((blob) => {
    encoding = false;
    if (!blob || socket !== to) return;
    times.set(sent, taken);
    sent += 1;
    to.send(blob);
  }, "image/jpeg", 0.85);
}

function answer(text) {
  latest = JSON.parse(text);
  const now = performance.now();
  const taken = times.get(latest.frame) ?? now;
  for (const number of times.keys()) if (number <= latest.frame) times.delete(number);
  answered = latest.frame;
  ages.push([now, now - taken]);
  while (ages[0][0] < now - 2000) ages.shift();
  if (latest.error) trouble(latest.error);
  if (records) keep(text);
  const face = showFace(latest);
  history.push([now, face && face.expression.probabilities]);
  while (history[0][0] < now - 30000) history.shift();
  draw(find("overlay"), latest, find("camera-landmarks").checked);
  drawTimeline(find("timeline"), history, now);
  state(now);
}

function state(now) {
  const span = Math.max(now - ages[0][0], 1) / 1000;
  const rate = ages.length > 1 ? (ages.length - 1) / span : 0;
  const sorted = ages.map(([, age]) => age).sort((a, b) => a - b);
  const age = sorted[sorted.length >> 1];
  find("camera-state").textContent = `${rate.toFixed(1)} frames a second are read; the shown answer is ${Math.round(age)} ms old`;
}

function setPaused(on) {
  paused = on;
  find("camera-pause").setAttribute("aria-pressed", String(on));
  find("camera-pause").textContent = on ? "Go on" : "Pause";
}

function pause() {
  setPaused(!paused);
  if (paused) {
    video.pause();
    hangUp();
  } else {
    video.play();
    connect();
  }
}

async function still(event) {
  await during(event.target, async () => {
    const answer = await post("v1/report", { name: "still.jpg", model: model() }, await picture());
    save(await answer.blob(), "still.html");
  });
}

async function words(event) {
  await during(event.target, async () => explain(await picture(), "still.jpg", find("camera-words")));
}

async function during(button, work) {
  button.disabled = true;
  trouble("");
  try {
    await work();
  } catch (error) {
    trouble(error.message);
  }
  button.disabled = !stream;
}

// What the camera shows now, in its full size.
function picture() {
  const full = element("canvas", { width: video.videoWidth, height: video.videoHeight });
  full.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => full.toBlob(resolve, "image/jpeg", 0.92));
}

function keep(text) {
  const record = JSON.parse(text);
  for (const face of record.faces) face.attention = null;
  records.push(record);
  bytes += text.length;
  find("camera-record").textContent = `Stop and save (${records.length} frames)`;
  if (bytes > Math.min(LARGEST, 0.9 * about.request_bytes)) full();
}

function full() {
  trouble("The recording is as long as a table from here may be, and was saved.");
  record();
}

async function record() {
  const done = records;
  records = done ? undefined : [];
  bytes = 0;
  find("camera-record").setAttribute("aria-pressed", String(!done));
  find("camera-record").textContent = done ? "Record a table" : "Stop and save";
  if (!done || !done.length) return;
  try {
    await saveTable(numbered(done), find("camera-format").value, "recording");
  } catch (error) {
    trouble(error.message);
  }
}

// Frame and time go on where the socket was opened anew, after a pause or a change of the model.
function numbered(done) {
  let [frame, time, before] = [0, 0, null];
  return done.map((record) => {
    if (before && record.frame <= before.frame) {
      [frame, time] = [frame + before.frame + 1, time + before.timestamp + 0.04];
    }
    before = record;
    return { ...record, frame: frame + record.frame, timestamp: Math.round(1e4 * (time + record.timestamp)) / 1e4 };
  });
}
