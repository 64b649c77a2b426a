"""The page in a real browser: a camera that shows a drawn clip, pictures, and a clip that is sent."""

import base64
import csv
import io
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.core.pipeline import Pipeline
from mien.report.clips import CLIP_COLUMNS
from mien.report.tables import COLUMNS
from tests.helpers import ASTRONAUT
from tests.serve.test_server import running
from tests.video.clips import scene, write_clip

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
# Patient: the machine may have other work. What is waited for is that something happens, not how fast.
PATIENCE = 180_000


def write_y4m(path: Path, frames, rate=30) -> Path:
    """What Chromium shows as a camera."""
    height, width = frames[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            file.write(b"FRAME\n" + cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; apt-get install chromium")
    frames = [scene([(320 + 40 * np.sin(i / 10), 240, 260)], (480, 640)) for i in range(63)]
    clip = write_y4m(tmp_path_factory.mktemp("camera") / "camera.y4m", frames)
    flags = [
        "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={clip}",
    ]  # fmt: skip
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with running(Pipeline(), clips=tmp_path_factory.mktemp("clips")) as (port, _):
        yield port


@contextmanager
def opened(browser, port, view, **options):
    """A view of the page. At the end, no request may have left the server, and no error may have been logged."""
    origin = f"http://127.0.0.1:{port}"
    context = browser.new_context(accept_downloads=True, permissions=["camera"], **options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("websocket", lambda socket: requests.append(socket.url.replace("ws:", "http:")))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{origin}/#{view}")
    page.wait_for_selector("#model option", state="attached")
    yield page
    context.close()
    assert [url for url in requests if not url.startswith((origin, "data:", "blob:"))] == []
    assert errors == []


def saved(page, press):
    """The name and bytes of what a press of a button saves."""
    with page.expect_download(timeout=PATIENCE) as download:
        press()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def shows(page, where, pattern):
    """Wait until an element's text is so."""
    playwright.expect(page.locator(where)).to_have_text(re.compile(pattern, re.S), timeout=PATIENCE)


def rows(data):
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_the_camera_is_read_shown_recorded_and_switched_off(browser, port):
    with opened(browser, port, "camera") as page:
        page.click("#camera-start")
        shows(page, "#camera-top", r"^happiness \d+ %$")
        page.check("#camera-landmarks")
        assert "AU12" in page.text_content("#camera-units")
        widths = page.evaluate("[...document.querySelectorAll('#camera-units i')].map((bar) => bar.clientWidth)")
        assert widths[0] > widths[-1] > 0
        shows(page, "#camera-state", "[1-9].* frames a second.* ms old")
        page.click("#camera-record")
        shows(page, "#camera-record", r"\(([3-9]|\d\d+) frames")
        name, data = saved(page, lambda: page.click("#camera-record"))
        table = rows(data)
        assert name == "recording.csv"
        assert list(table[0]) == list(CLIP_COLUMNS)
        assert len(table) >= 3
        assert {row["expression"] for row in table} == {"happiness"}
        name, still = saved(page, lambda: page.click("#camera-still"))
        assert name == "still.html"
        assert b'<article class="card' in still
        page.click("#camera-explain")
        shows(page, "#camera-words", ".{80}")
        page.click("#camera-pause")
        assert page.get_attribute("#camera-pause", "aria-pressed") == "true"
        page.click("#camera-pause")
        assert page.evaluate(PAINTED, "timeline")
        assert page.evaluate(PAINTED, "overlay")
        page.evaluate("window.track = document.getElementById('video').srcObject.getTracks()[0]")
        page.click("#tab-pictures")
        assert page.evaluate("[window.track.readyState, document.getElementById('video').srcObject]") == ["ended", None]


PAINTED = """(id) => {
  const canvas = document.getElementById(id);
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Uint32Array(pixels.data.buffer).some(Boolean);
}"""
DROP = """(files) => {
  const data = new DataTransfer();
  for (const [name, type, text] of files) {
    data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type }));
  }
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def test_twelve_pictures_dropped_are_twelve_rows_each_with_its_report(browser, port):
    photo = base64.b64encode(ASTRONAUT.read_bytes()).decode()
    with opened(browser, port, "pictures") as page:
        page.evaluate(DROP, [[f"{i}.png", "image/png", photo] for i in range(12)])
        assert page.locator("#grid > li").count() == 12
        shows(page, "#picture-state", "^12 pictures read$")
        assert page.locator("#grid .faces li.happiness").count() == 12
        name, data = saved(page, lambda: page.click("#picture-table"))
        assert name == "faces.csv"
        table = rows(data)
        assert list(table[0]) == list(COLUMNS)
        assert [row["input"] for row in table] == [f"{i}.png" for i in range(12)]
        page.click("text=Explain in words >> nth=0")
        shows(page, "#grid li:first-child .words", ".{80}")
        page.click("[aria-label='Report of 3.png']")
        report = page.frame_locator("#report")
        report.locator("article.card").wait_for()
        assert "happiness" in report.locator("article.card").inner_text()
        page.keyboard.press("Escape")
        assert not page.is_visible("#dialog")


def test_what_is_no_picture_is_said_on_its_own_card(browser, port):
    text = base64.b64encode(b"hello").decode()
    with opened(browser, port, "pictures") as page:
        page.select_option("#model", "vtff")
        page.evaluate(
            DROP,
            [["a.txt", "text/plain", text], ["b.png", "image/png", base64.b64encode(ASTRONAUT.read_bytes()).decode()]],
        )
        shows(page, "#picture-state", "^2 pictures read$")
        assert "not a picture" in page.locator("#grid > li").nth(0).inner_text()
        _, data = saved(page, lambda: page.click("#picture-table"))
        assert [(row["status"], row["model"]) for row in rows(data)] == [("unreadable", ""), ("ok", "vtff")]


def test_a_clip_is_sent_read_shown_and_deleted(browser, port, tmp_path):
    clip = write_clip(tmp_path / "me.avi", [scene([(200 + 4 * i, 180, 150)]) for i in range(25)])
    with opened(browser, port, "clips") as page:
        page.set_input_files("#clip", clip)
        page.wait_for_selector("#jobs iframe")
        timeline = page.frame_locator("#jobs iframe")
        timeline.locator(".chart canvas").wait_for()
        assert "Track 0" in timeline.locator("body").inner_text()
        # Its own script runs under its own policy: the cursor says where it is.
        timeline.locator(".at:not(:empty)").wait_for()
        _, data = saved(page, lambda: page.click("text=Table (csv)"))
        assert len(rows(data)) == 25
        page.reload()
        page.wait_for_selector("#jobs iframe")
        page.click("[aria-label='Delete me.avi']")
        page.wait_for_selector("#jobs > li", state="detached")
        page.reload()
        page.wait_for_selector("#clips-on", state="visible")
        assert page.locator("#jobs > li").count() == 0
        page.set_input_files("#clip", {"name": "no.mp4", "mimeType": "video/mp4", "buffer": b"hello"})
        page.wait_for_selector("#jobs .trouble")
        assert re.search("no.mp4: no video", page.text_content("#jobs .trouble"))


def test_the_ways_are_walked_by_keyboard_and_every_control_has_a_name(browser, port):
    with opened(browser, port, "pictures") as page:
        page.focus("#tab-pictures")
        page.keyboard.press("ArrowRight")
        assert page.is_visible("#camera")
        assert page.evaluate("document.activeElement.id") == "tab-camera"
        page.keyboard.press("ArrowLeft")
        assert page.is_visible("#pictures")
        unnamed = """() => [...document.querySelectorAll("button, select, input, iframe, canvas, video")].filter(
          (e) => !(e.textContent.trim() || e.labels?.length || e.title || e.ariaLabel || e.ariaHidden === "true"
                   || e.getAttribute("aria-labelledby"))).map((e) => e.outerHTML)"""
        assert page.evaluate(unnamed) == []


@pytest.mark.parametrize("view", ["pictures", "camera", "clips"])
def test_nothing_is_wider_than_a_phone(browser, port, view):
    with opened(browser, port, view, viewport={"width": 360, "height": 740}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
