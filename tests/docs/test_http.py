"""The examples of docs/http.md, each run against a server: curl, Python, and JavaScript where node is installed."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.attacks import served
from PIL import Image

from tests.helpers import ASTRONAUT
from tests.video.clips import scene, write_clip

pytest.importorskip("fastapi")
pytest.importorskip("multipart")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
SERVER = "127.0.0.1:8000"
# What a page of the server's own has: addresses without a server, the files that its user chose, and places to show.
PRELUDE = """
import { openAsBlob } from "node:fs";
const plain = fetch;
globalThis.fetch = (path, options) => plain(new URL(path, "http://SERVER"), options);
const named = async (name) => new File([await openAsBlob(name)], name);
globalThis.file = await named("FILE");
globalThis.input = { files: [await named("one.jpg"), await named("two.jpg")] };
globalThis.frame = {};
globalThis.output = { append: (text) => console.log(text) };
globalThis.results = [await (await fetch("/v1/analyze", { method: "POST", body: await named("one.jpg") })).json()];
"""


def examples():
    """Section, language and code."""
    for section in re.split(r"^##+ ", PAGE, flags=re.M)[1:]:
        title = section.splitlines()[0]
        for language, code in re.findall(r"^```(\w+)\n(.*?)^```", section, flags=re.M | re.S):
            if title.startswith("/") or (title, language) == ("Chat completions", "python"):
                yield pytest.param(title, language, code, id=f"{title}-{language}")


@pytest.fixture(scope="module")
def served_folder(tmp_path_factory):
    """A folder with the files that the examples name, and the address of a server."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("photo.jpg", "one.jpg", "two.jpg"):
        Image.open(ASTRONAUT).convert("RGB").save(folder / name)
    write_clip(folder / "interview.avi", [scene([(150 + n, 180, 160)]) for n in range(5)]).rename(
        folder / "interview.mp4"
    )
    with served("--openai", "--clips", str(tmp_path_factory.mktemp("clips"))) as (_, port):
        yield folder, f"127.0.0.1:{port}"


@pytest.mark.parametrize(("title", "language", "code"), list(examples()))
def test_an_example_does_what_it_says(served_folder, title, language, code):
    folder, server = served_folder
    code = code.replace(SERVER, server)
    said = {"sh": _curl, "python": _python, "js": _node}[language](folder, server, title, code)
    if title in ("/v1/analyze", "/v1/live") and language != "sh":
        assert "happiness" in said
    if title == "/v1/report" and language != "js":
        assert (folder / "report.html").read_bytes().lower().startswith(b"<!doctype html>")
        (folder / "report.html").unlink()
    if title == "/v1/table" and language != "js":
        assert (folder / "faces.csv").read_text().count("happiness,") >= 3
        (folder / "faces.csv").unlink()
    if title == "/v1/clips" and language == "python":
        assert (folder / "interview.csv").read_text().count("interview.mp4") == 5


def test_every_route_has_an_example_in_each_language():
    found = [parameters.values[:2] for parameters in examples()]
    titles = {title for title, _ in found if title.startswith("/")}
    assert len(titles) >= 8
    assert {(title, language) for title in titles for language in ("sh", "python", "js")} <= set(found)


def _curl(folder, server, title, code):
    for tool in ("curl", "websocat"):
        if re.search(rf"^ *{tool} ", code, flags=re.M) and not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    if "/ID" in code:  # of the job that the first line makes
        first, rest = code.split("\n", 1)
        job = json.loads(_done(["bash", "-ec", first], folder))
        while job["status"] in ("waiting", "running"):
            time.sleep(0.5)
            job = json.loads(_done(["curl", "-s", f"http://{server}/v1/clips/{job['id']}"], folder))
        assert job["status"] == "done"
        code = rest.replace("/ID", f"/{job['id']}")
    script = code.replace("curl ", "curl --fail -sS ")
    return _done(["bash", "-eo", "pipefail", "-c", script], folder)


def _python(folder, server, title, code):
    for library in re.findall(r"^(?:import|from) (\w+)", code, flags=re.M):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    return _done([sys.executable, "-c", code], folder)


def _node(folder, server, title, code):
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if title == "/v1/live":
        pytest.skip("needs a browser's canvas; tests/serve/test_page.py runs the page's own camera")
    file = "interview.mp4" if title == "/v1/clips" else "photo.jpg"
    program = folder / "example.mjs"
    inner = "".join(f"  {line}\n" for line in code.splitlines())
    prelude = PRELUDE.replace("SERVER", server).replace("FILE", file)
    program.write_text(f"{prelude}await (async () => {{\n{inner}}})();\n")
    return _done(["node", str(program)], folder)


def _done(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"detail"' not in done.stdout
    return done.stdout
