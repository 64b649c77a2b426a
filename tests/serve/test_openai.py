import base64
import json
import threading
import time

import pytest

from mien.facs.vocabulary import Attribute, Expression
from mien.methods.facescan import FaceScanner
from mien.providers.embedded import Embedded
from mien.providers.openai import OpenAICompatible
from tests.helpers import ASTRONAUT, encoded, noise
from tests.methods.facescan.stub import found

pytest.importorskip("fastapi")
testclient = pytest.importorskip("starlette.testclient")

from mien.serve.app import create_app  # noqa: E402 - needs fastapi
from mien.serve.openai import MODEL  # noqa: E402


def url(picture):
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


PICTURE = url(encoded(noise(100, 200, 3)))


def body(*urls, **other):
    parts = [{"type": "image_url", "image_url": {"url": each}} for each in urls]
    return {"model": MODEL, "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, *parts]}], **other}


def schema(given):
    return {"type": "json_schema", "json_schema": {"name": "faces", "schema": given}}


@pytest.fixture(scope="module")
def client():
    return testclient.TestClient(create_app(found(20, 120), openai=True), base_url="http://127.0.0.1")


def said(client, *urls, **other):
    answer = client.post("/v1/chat/completions", json=body(*urls, **other))
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def test_without_a_form_of_answer_it_speaks_and_with_json_object_it_lists_people(client):
    assert said(client, PICTURE).startswith("2 faces, from left to right:")
    people = json.loads(said(client, PICTURE, response_format={"type": "json_object"}))["people"]
    assert [(p["expression"], p["confidence"], p["index"]) for p in people] == [("happiness", 0.75, i) for i in (0, 1)]


def test_the_last_picture_of_a_conversation_counts():
    client = testclient.TestClient(create_app(openai=True), base_url="http://127.0.0.1")
    messages = body(PICTURE)["messages"] + body(url(ASTRONAUT.read_bytes()))["messages"]
    answer = client.post("/v1/chat/completions", json={"model": MODEL, "messages": messages}).json()
    assert "happiness" in answer["choices"][0]["message"]["content"]


def test_of_a_message_with_several_pictures_each_is_answered_or_refused_by_its_number(client):
    bad = url(b"hello")
    spoken = said(client, PICTURE, bad, PICTURE).split("\n\n")
    assert [part[:12] for part in spoken] == ["Picture 1: 2", "Picture 2: c", "Picture 3: 2"]
    assert "not a picture" in spoken[1]
    listed = json.loads(said(client, PICTURE, bad, response_format={"type": "json_object"}))["pictures"]
    assert [(p["picture"], len(p.get("people", ()))) for p in listed] == [(1, 2), (2, 0)]
    assert "not a picture" in listed[1]["error"]
    for urls, other, why in (
        ((bad, bad), {}, "picture 1: "),
        ((PICTURE, PICTURE, PICTURE), {"response_format": schema({"properties": {}})}, "picture 2 and picture 3"),
    ):
        answer = client.post("/v1/chat/completions", json=body(*urls, **other))
        assert answer.status_code == 400
        assert why in answer.json()["error"]["message"]


def test_a_stream_has_the_answer_and_an_end(client):
    answer = client.post("/v1/chat/completions", json=body(PICTURE, stream=True))
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert "".join(chunk["delta"].get("content", "") for chunk in chunks) == said(client, PICTURE)
    assert chunks[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "list of messages"),
        (body(PICTURE) | {"messages": "hi"}, 400, "list of messages"),
        (body(PICTURE) | {"model": "gpt"}, 404, "no model 'gpt'"),
        (body(), 400, "no picture"),
        (body("https://example.com/a.jpg"), 400, "fetches nothing"),
        (body("data:image/png;base64,@@@"), 400, "base64 is damaged"),
        (body("data:image/png;base64,é"), 400, "base64 is damaged"),
        (body(url(b"hello")), 400, "not a picture"),
        (body(PICTURE, response_format=schema({"properties": []})), 400, "JSON schema cannot be used"),
        (
            body(PICTURE, response_format=schema({"properties": {"a": {"enum": None}}})),
            400,
            "JSON schema cannot be used",
        ),
        (body(PICTURE, response_format={"type": "json_schema"}), 400, "json_schema.schema"),
        (body(PICTURE, response_format={"type": "xml"}), 400, "json_object"),
        ({"model": MODEL, "messages": [None, {"content": 3}, {"content": [{"image_url": 5}, 1]}]}, 400, "no picture"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_an_error_as_openai_s(client, sent, status, message):
    given = {"content": sent} if isinstance(sent, bytes) else {"json": sent}
    answer = client.post("/v1/chat/completions", **given)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_there_is_one_model(client):
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == [MODEL]


@pytest.fixture(scope="module")
def address():
    """A server that really listens, on this machine."""
    uvicorn = pytest.importorskip("uvicorn")
    server = uvicorn.Server(uvicorn.Config(create_app(openai=True), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(500):
        if server.started:
            break
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    server.should_exit = True
    thread.join(5)


def test_the_official_client_gets_a_valid_structured_answer_about_a_photograph(address):
    openai, pydantic = pytest.importorskip("openai"), pytest.importorskip("pydantic")
    from typing import Literal

    class Face(pydantic.BaseModel):  # type: ignore[name-defined]
        emotion: Literal["happy", "sad", "angry", "neutral"]
        confidence: float
        box: list[float]
        description: str | None

    class Faces(pydantic.BaseModel):  # type: ignore[name-defined]
        faces: list[Face]

    client = openai.OpenAI(base_url=address, api_key="none")
    assert [model.id for model in client.models.list()] == [MODEL]
    answer = client.chat.completions.parse(
        model=MODEL, messages=body(url(ASTRONAUT.read_bytes()))["messages"], response_format=Faces
    )
    (face,) = answer.choices[0].message.parsed.faces
    assert (face.emotion, face.confidence > 0.9) == ("happy", True)
    assert face.box == pytest.approx([178 / 512, 63 / 512, 268 / 512, 176 / 512], abs=0.01)
    assert "AU12" in face.description
    streamed = client.chat.completions.create(
        model=MODEL, messages=body(url(ASTRONAUT.read_bytes()))["messages"], stream=True
    )
    assert "happiness" in "".join(chunk.choices[0].delta.content or "" for chunk in streamed)


@pytest.mark.parametrize("together", [False, True])
def test_facescan_s_own_client_gets_what_the_embedded_models_say(address, together):
    pytest.importorskip("openai")
    over_http = FaceScanner(OpenAICompatible(address, MODEL, timeout=20), together=together)(ASTRONAUT)
    at_home = FaceScanner(Embedded(), together=together)(ASTRONAUT)
    for report in (over_http, at_home):
        answer = report.faces[0].attributes.answers[Attribute.EXPRESSION]
        assert (answer.value, answer.status) == (Expression.HAPPINESS.label, "ok")
        assert answer.confidence > 0.95
    assert "AU12" in over_http.faces[0].attributes.rationale
