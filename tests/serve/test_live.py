import base64
import itertools
import json
import threading

import pytest

from mien.core.pipeline import Pipeline
from tests.helpers import ASTRONAUT, encoded, noise
from tests.methods.facescan.stub import found

pytest.importorskip("fastapi")
pytest.importorskip("multipart")
testclient = pytest.importorskip("starlette.testclient")

from starlette.websockets import WebSocketDisconnect  # noqa: E402

from mien.serve import models  # noqa: E402 - needs pydantic
from mien.serve.app import create_app  # noqa: E402
from mien.serve.limits import ServerLimits  # noqa: E402

FRAME = encoded(noise(100, 200, 3), "JPEG")


@pytest.fixture
def steps(monkeypatch):
    """A frame comes every tenth of a second, however slow the machine."""
    count = itertools.count()
    monkeypatch.setattr("mien.serve.live.monotonic", lambda: next(count) / 10)


def served(pipeline=None, **options):
    return testclient.TestClient(create_app(pipeline or found(20, 120), **options), base_url="http://127.0.0.1")


def live(client, query="", **options):
    return client.websocket_connect(f"ws://127.0.0.1/v1/live{query}", **options)


def answered(socket, *frames):
    for frame in frames:
        socket.send_bytes(frame)
        yield json.loads(socket.receive_text())


def test_each_frame_is_answered_by_the_record_of_a_frame_of_a_clip(steps):
    with live(served(), "?name=me") as socket:
        records = list(answered(socket, FRAME, FRAME, FRAME))
    assert [(r["input"], r["status"], r["frame"]) for r in records] == [("me", "ok", i) for i in range(3)]
    assert [[face["track"] for face in r["faces"]] for r in records] == [[0, 1]] * 3
    times = [r["timestamp"] for r in records]
    assert times == sorted(times)
    for record in records:
        models.FrameAnswer.model_validate(record)


def test_a_photograph_is_read_as_in_a_clip_with_the_model_that_is_asked_for():
    client = served(Pipeline())
    for query, model in (("", "reader"), ("?model=vtff", "vtff")):
        with live(client, query) as socket:
            (record,) = answered(socket, ASTRONAUT.read_bytes())
        assert (record["model"], record["faces"][0]["expression"]["top"]) == (model, "happiness")


def test_the_newest_frame_wins_and_nothing_queues_up():
    go, started = threading.Event(), threading.Event()
    read = []

    def slow(image):
        read.append(image.shape[1])
        started.set()
        assert go.wait(20)
        return []

    with live(served(Pipeline(detect=slow))) as socket:
        socket.send_bytes(encoded(noise(40, 50, 3), "JPEG"))
        assert started.wait(20)
        for width in (60, 70, 80):
            socket.send_bytes(encoded(noise(40, width, 3), "JPEG"))
        # What is sent arrives in order: this one is answered at once, after the others came.
        go.set()
        first, last = json.loads(socket.receive_text()), json.loads(socket.receive_text())
    assert (first["frame"], first["width"]) == (0, 50)
    assert (last["frame"], last["width"]) == (3, 80)
    assert read == [50, 80]


def test_a_frame_that_is_no_picture_costs_no_other():
    with live(served()) as socket:
        bad, good = answered(socket, b"hello", FRAME)
    assert (bad["status"], bad["faces"], good["status"], good["frame"]) == ("unreadable", [], "ok", 1)
    assert "not a picture" in bad["error"]
    models.FrameAnswer.model_validate(bad)


def test_smoothing_lets_an_expression_come_slowly(steps):
    values = iter([0.0, 1.0])

    def read(crops):
        from mien.facs.vocabulary import Expression
        from mien.results.face import Reading
        from tests.helpers import scores

        happy = next(values)
        return [Reading(scores({Expression.HAPPINESS: happy, Expression.NEUTRAL: 1 - happy})) for _ in crops]

    pipeline = Pipeline(detect=found(20).detect, read=read)
    with live(served(pipeline), "?smooth=5") as socket:
        first, second = answered(socket, FRAME, FRAME)
    assert first["faces"][0]["expression"]["probabilities"]["happiness"] == 0
    assert second["faces"][0]["expression"]["probabilities"]["happiness"] < 0.9


@pytest.mark.parametrize(
    ("query", "why"),
    [("model=x", "no model 'x'"), ("smooth=a", "smooth"), ("smooth=nan", "smooth"), ("smooth=9", "smooth")],
)
def test_what_cannot_be_asked_is_refused_before_the_socket_opens(query, why):
    with pytest.raises(testclient.WebSocketDenialResponse) as refused, live(served(), f"?{query}"):
        pass
    assert refused.value.status_code == 422
    assert why in refused.value.json()["detail"]
    assert refused.value.headers["x-content-type-options"] == "nosniff"


def test_more_sockets_than_allowed_are_told_to_come_again():
    client = served(limits=ServerLimits(live=1))
    with live(client) as socket:
        with pytest.raises(testclient.WebSocketDenialResponse) as refused, live(client):
            pass
        assert refused.value.status_code == 503
        assert next(answered(socket, FRAME))["status"] == "ok"
    with live(client) as again:
        assert next(answered(again, FRAME))["status"] == "ok"


def test_text_and_silence_end_the_talk_with_a_reason():
    with live(served()) as socket:
        socket.send_text("hello")
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_text()
    assert "binary" in ended.value.reason
    with live(served(limits=ServerLimits(live_seconds=0.1))) as socket, pytest.raises(WebSocketDisconnect) as ended:
        socket.receive_text()
    assert "no frame" in ended.value.reason


def token(text):
    return "mien.token." + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def refusal(client, **options):
    try:
        with live(client, **options) as socket:
            return socket.accepted_subprotocol
    except testclient.WebSocketDenialResponse as refused:
        return refused.status_code


def test_a_socket_passes_the_same_door_as_a_request():
    client = served(token="secret")
    assert refusal(client) == 401
    assert refusal(client, subprotocols=["mien.live", token("wrong")]) == 401
    assert refusal(client, subprotocols=["mien.live", "mien.token.???"]) == 401
    assert refusal(client, subprotocols=["mien.live", token("secret")]) == "mien.live"
    assert refusal(client, headers={"authorization": "Bearer secret"}) is None
    assert refusal(served(), headers={"origin": "https://evil.example"}) == 403
    assert refusal(served(), headers={"host": "evil.example"}) == 421
    assert refusal(served(), headers={"origin": "http://127.0.0.1", "host": "127.0.0.1"}) is None
    assert refusal(served(origins=["https://good.example"]), headers={"origin": "https://good.example"}) is None
