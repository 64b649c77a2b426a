import json
import subprocess
import sys
import tempfile

import pytest

from mien.core.pipeline import Pipeline
from mien.methods.expllm.small.generate import Explainer, explain
from mien.methods.expllm.tested import tested as with_effects
from mien.report import html
from tests.helpers import ASTRONAUT, encoded, noise
from tests.methods.facescan.stub import found

pytest.importorskip("fastapi")
pytest.importorskip("multipart")
testclient = pytest.importorskip("starlette.testclient")

from mien.serve import models  # noqa: E402 - needs pydantic
from mien.serve.app import create_app  # noqa: E402

PICTURE = encoded(noise(100, 200, 3))
PHOTO = ASTRONAUT.read_bytes()


def served(pipeline, **options):
    return testclient.TestClient(create_app(pipeline, **options), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def client():
    return served(found(20, 120))


@pytest.fixture(scope="module")
def real():
    return served(Pipeline())


def test_the_answer_is_byte_for_byte_the_line_of_mien_analyze(real):
    line = subprocess.run(
        [sys.executable, "-m", "mien", "analyze", ASTRONAUT.name],
        cwd=ASTRONAUT.parent, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    body = real.post("/v1/analyze", params={"name": ASTRONAUT.name}, content=PHOTO)
    form = real.post("/v1/analyze", files=[("a", (ASTRONAUT.name, PHOTO))])
    assert body.text == line.strip()
    assert form.json() == {"results": [json.loads(line)]}


def test_of_a_form_every_file_gets_its_answer_in_order_and_a_bad_one_does_not_cost_the_others(client):
    names = ["a.png", "b.txt", "c.png"]
    files = [("pictures", (name, b"hello" if name == "b.txt" else PICTURE)) for name in names]
    answer = client.post("/v1/analyze", files=files)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [(r["input"], r["status"], len(r["faces"])) for r in results] == [
        ("a.png", "ok", 2), ("b.txt", "unreadable", 0), ("c.png", "ok", 2)
    ]  # fmt: skip
    models.PicturesAnswer.model_validate(answer.json())


def test_a_body_that_is_no_picture_is_answered_400_with_its_object(client):
    answer = client.post("/v1/analyze", content=b"hello")
    assert (answer.status_code, answer.json()["status"]) == (400, "unreadable")
    models.PictureAnswer.model_validate(answer.json())


def test_every_answer_fits_its_published_type_exactly(real):
    models.PictureAnswer.model_validate(real.post("/v1/analyze", content=PHOTO).json())
    models.PictureAnswer.model_validate(real.post("/analyze", content=encoded(noise(50, 50, 3))).json())
    models.PictureAnswer.model_validate(models.example())
    described = real.get("/openapi.json").json()
    properties = described["components"]["schemas"]["FaceAnswer"]["properties"]
    (face,) = real.post("/v1/analyze", content=PHOTO).json()["faces"]
    assert properties.keys() == face.keys()
    assert described["components"]["schemas"]["PictureAnswer"]["example"]["input"] == models.example()["input"]


def test_several_pictures_make_one_page(client):
    one = client.post("/v1/report", content=PICTURE).text
    two = client.post("/v1/report", files=[("a", ("a.png", PICTURE)), ("a", ("b.png", PICTURE))]).text
    assert (one.count('<article class="card'), two.count('<article class="card')) == (2, 4)


def events(text):
    parts = [part.split("\n") for part in text.split("\n\n") if part]
    return [(kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for kind, data in parts]


def test_an_explanation_comes_as_it_is_written_and_ends_with_the_line_of_mien_explain(real):
    answer = real.post("/v1/explain", params={"name": "me.png", "mode": "label-first"}, content=PHOTO)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer.text)
    kinds = [kind for kind, _ in told]
    assert (kinds[0], kinds[-2:], kinds.count("text") > 20) == ("picture", ["face", "done"], True)
    report = Pipeline()(ASTRONAUT)
    from mien.core.images import read_image

    image = read_image(ASTRONAUT)
    face = with_effects(Pipeline(), image, explain(Explainer(), image, report.faces[0], "label-first"))
    assert told[-1][1]["faces"] == json.loads(json.dumps([face.to_dict()]))
    assert told[-1][1]["input"] == "me.png"
    written = "".join(data["text"] for kind, data in told if kind == "text")
    assert face.explanation.parts[-1].text in written.replace("\n", " ")
    models.PictureAnswer.model_validate(told[-1][1])


def test_nothing_is_explained_of_what_is_no_picture_or_in_a_mode_that_is_not_there(client):
    answer = client.post("/v1/explain", content=b"hello")
    assert "the bytes given" not in answer.text
    assert (answer.status_code, answer.json()["status"]) == (400, "unreadable")
    assert client.post("/v1/explain", params={"mode": "x"}, content=PICTURE).status_code == 422


def test_a_picture_without_faces_is_explained_at_once():
    told = events(served(Pipeline(detect=lambda image: [])).post("/v1/explain", content=PICTURE).text)
    assert [(kind, data["status"]) for kind, data in told] == [("picture", "no_face"), ("done", "no_face")]


def test_the_numbers_say_what_was_read():
    pytest.importorskip("prometheus_client")
    client = served(found(20))
    for content in (PICTURE, PICTURE, b"hello"):
        client.post("/v1/analyze", content=content)
    text = client.get("/metrics").text
    for line in (
        'mien_answers_total{status="200"} 2.0',
        'mien_answers_total{status="400"} 1.0',
        'mien_pictures_total{status="ok"} 2.0',
        'mien_pictures_total{status="unreadable"} 1.0',
        "mien_reading_seconds_count 3.0",
        "mien_requests_in_flight 0.0",
        "mien_bytes_in_flight 0.0",
    ):
        assert line in text.splitlines()


def test_an_old_route_and_its_new_one_give_the_same_object(client):
    sent = {"content": PICTURE}
    assert client.post("/analyze", **sent).json() == client.post("/v1/analyze", **sent).json()


def test_no_page_goes_through_a_temporary_file(client, monkeypatch):
    monkeypatch.setattr(html, "IN_MEMORY", 1000)
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", lambda file: pytest.fail("written to a disk"))
    for files in ([PICTURE], [PICTURE] * 3):
        form = [("f", (f"{i}.png", data)) for i, data in enumerate(files)]
        assert client.post("/v1/report", files=form).status_code == 200
