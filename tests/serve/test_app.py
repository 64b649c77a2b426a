import json
import re
from importlib.resources import files

import pytest

from mien.core.images import read_image
from mien.core.pipeline import Pipeline
from mien.facs.vocabulary import ActionUnit, Expression
from mien.report.draw import COLORS
from tests.helpers import ASTRONAUT, encoded, noise
from tests.methods.facescan.stub import found

pytest.importorskip("fastapi")
pytest.importorskip("multipart")
testclient = pytest.importorskip("starlette.testclient")

from mien.serve import app as serving  # noqa: E402 - needs fastapi
from mien.serve.limits import ServerLimits  # noqa: E402

KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
PICTURE = encoded(noise(100, 200, 3))


def served(pipeline=None, **options):
    """A client of a server that finds two faces in every picture."""
    app = serving.create_app(pipeline or found(20, 120), **options)
    return testclient.TestClient(app, base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def client():
    return served()


def test_a_picture_sent_as_a_form_or_as_the_body_gets_the_report_of_mien_analyze():
    client = served(Pipeline())
    wanted = Pipeline()(read_image(ASTRONAUT)).to_dict()
    form = client.post("/analyze", files={"picture": ("me.png", ASTRONAUT.read_bytes())}).json()
    body = client.post("/analyze", content=ASTRONAUT.read_bytes()).json()
    assert (form["input"], body["input"], form["error"]) == ("me.png", "picture", None)
    for answer in (form, body):
        assert {name: answer[name] for name in wanted} == json.loads(json.dumps(wanted))


@pytest.mark.parametrize("route", ["/analyze", "/report"])
def test_what_is_no_picture_is_answered_with_the_reason(client, route):
    answer = client.post(route, files={"picture": ("<b>.txt", b"hello")})
    assert "not a picture" in answer.text
    assert "the bytes given" not in answer.text
    assert answer.status_code == 400
    if route == "/analyze":
        assert (answer.json()["status"], answer.json()["faces"]) == ("unreadable", [])
    else:
        assert "<b>" not in answer.text


def test_the_report_is_the_same_page_as_of_the_command_line(client):
    answer = client.post("/report", files={"picture": ("a.png", PICTURE)})
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.count('<article class="card') == 2
    assert "Content-Security-Policy" in answer.text


def test_a_form_without_a_file_and_a_request_that_is_too_large_are_refused(client):
    assert client.post("/analyze", data={"a": "b"}, files=None).status_code in (400,)
    assert client.post("/analyze", files={"other": ("", b"")}).status_code == 400
    small = served(limits=ServerLimits(request_bytes=1000))
    for sent in ({"content": PICTURE}, {"files": {"picture": ("a.png", PICTURE)}}, {"content": iter([PICTURE])}):
        answer = small.post("/analyze", **sent)
        assert answer.status_code == 413
        assert "0.001 MB" in answer.json()["detail"]


def test_a_form_with_two_files_is_refused_by_the_routes_for_one(client):
    files = [("picture", ("a.png", PICTURE)), ("picture", ("b.png", PICTURE))]
    for route in ("/analyze", "/report"):
        answer = client.post(route, files=files)
        assert answer.status_code == 400
        assert "2 files" in answer.json()["detail"]


def test_nothing_is_fetched_from_elsewhere_by_the_page(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    linked = re.findall(r'(?:src|href|action)="([^"]+)"', page.text)
    assert set(linked) == {"data:,", "style.css", "app.js", "report"}
    for file in (files("mien.serve") / "web").iterdir():
        answer = client.get("/" if file.name == "index.html" else f"/{file.name}")
        assert answer.headers["content-type"].startswith(KINDS[file.suffix])  # type: ignore[attr-defined]
        assert "//" not in re.sub(r"// .*", "", answer.text)
        assert "@import" not in answer.text


def test_the_page_has_the_words_and_colors_of_the_reports(client):
    style, script = client.get("/style.css").text, client.get("/common.js").text
    for expression, color in COLORS.items():
        assert f"--{expression.label}: {color};" in style
    assert re.search(r"EXPRESSIONS = \[(.*)\]", script)[1].replace('"', "").split(", ") == [e.label for e in Expression]
    known = dict(re.findall(r'(AU\d\d): "([^"]+)"', script))
    assert known == {unit.column: unit.label for unit in ActionUnit}


def test_the_page_sends_its_form_to_the_report_inside_it(client):
    page = client.get("/").text
    assert re.search(r'<form [^>]*action="report" method="post" enctype="multipart/form-data" target="report"', page)
    assert re.search(r'<iframe [^>]*name="report"', page)
    assert re.search(r'<input [^>]*name="picture" type="file"', page)


def test_the_openai_routes_are_there_only_when_asked_for(client):
    assert client.get("/v1/models").status_code == 404
    assert client.get("/docs").status_code == 404
    paths = {"/analyze", "/report", "/v1/analyze", "/v1/report", "/v1/explain", "/v1/table", "/v1/about"}
    paths |= {"/healthz", "/metrics"}
    assert paths == set(client.get("/openapi.json").json()["paths"])
