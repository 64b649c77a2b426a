// Without this script the page still works: a file, a button, and the report below.
const [form, file, drop, state, report] = ["form", "file", "drop", "state", "report"].map((id) => document.getElementById(id));

function send(files) {
  const picture = [...files].find((each) => each.type.startsWith("image/") || !each.type);
  if (!picture) {
    state.textContent = "That is not a picture.";
    return;
  }
  const one = new DataTransfer();
  one.items.add(picture);
  file.files = one.files;
  read();
}

function read() {
  state.textContent = `Reading ${file.files[0].name} …`;
  document.title = `${file.files[0].name} – mien`;
  form.requestSubmit();
}

report.addEventListener("load", () => {
  if (!file.files.length) return; // the empty page that every frame begins with
  state.textContent = "";
  form.classList.add("reading");
});
file.addEventListener("change", () => file.files.length && read());
document.addEventListener("paste", (event) => event.clipboardData.files.length && send(event.clipboardData.files));
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  send(event.dataTransfer.files);
});
