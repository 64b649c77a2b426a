import base64
import json

import anyio
import pytest

from tests.helpers import encoded, noise
from tests.methods.facescan.stub import found

pytest.importorskip("fastapi")
pytest.importorskip("multipart")
testclient = pytest.importorskip("starlette.testclient")

from mien.serve.app import create_app  # noqa: E402 - needs fastapi
from mien.serve.door import Door  # noqa: E402
from mien.serve.limits import Deadlines, ServerLimits  # noqa: E402
from mien.serve.traffic import Traffic  # noqa: E402

PICTURE = encoded(noise(100, 200, 3))


def served(**options):
    return testclient.TestClient(create_app(found(20), openai=True, **options), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def client():
    return served()


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_this_machine_s_own_names_are_answered(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "192.168.1.2", ""])
def test_another_name_is_refused_so_that_no_page_reaches_the_server_under_its_own(client, host):
    answer = client.post("/analyze", content=PICTURE, headers={"host": host})
    assert answer.status_code == 421
    assert "--allow-host" in answer.json()["detail"]


def test_a_name_that_was_allowed_is_answered():
    assert served(hosts=["faces.example"]).get("/", headers={"host": "faces.example:80"}).status_code == 200
    assert served(hosts=["*"]).get("/", headers={"host": "any.example"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/app.js", "/healthz", "/openapi.json", "/gone", "/v1/models", "/analyze"])
def test_every_answer_says_what_browsers_may_do_with_it(client, path):
    for answer in (client.get(path), client.post(path, content=PICTURE), client.head(path)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"  # or the page's own form had no origin
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors" in policy


def test_refusals_and_failures_carry_these_headers_too():
    def broken(image):
        raise RuntimeError("a fault")

    from mien.core.pipeline import Pipeline

    client = testclient.TestClient(
        create_app(Pipeline(detect=broken)), base_url="http://127.0.0.1", raise_server_exceptions=False
    )
    answers = [client.get("/", headers={"host": "evil.example"}), client.post("/analyze", content=PICTURE)]
    assert [answer.status_code for answer in answers] == [421, 500]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors" in answer.headers["content-security-policy"]
    assert "fault" not in answers[1].text


def test_the_report_may_stand_in_the_page_s_own_frame_alone(client):
    policy = client.post("/report", content=PICTURE).headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy
    assert "frame-ancestors 'none'" in client.get("/").headers["content-security-policy"]


def test_head_is_get_without_a_body(client):
    for path in ("/", "/healthz", "/app.js"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
    assert client.head("/analyze").status_code == 405


def test_health_is_said_to_whoever_asks():
    client = served(token="secret")
    answer = client.get("/healthz", headers={"host": "10.0.0.7:8000"})
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_with_a_token_only_who_knows_it_is_answered():
    client = served(token="säcret")
    basic = base64.b64encode("anna:säcret".encode()).decode()
    known = ["Bearer säcret".encode(), f"Basic {basic}".encode()]
    for authorization in known:
        answer = client.post("/analyze", content=PICTURE, headers={b"authorization": authorization})
        assert answer.status_code == 200, authorization
    for authorization in (b"", b"Bearer", b"Bearer secret", b"Basic c2VjcmV0", b"Basic \xff", b"Digest x"):
        for path in ("/", "/analyze", "/v1/models", "/openapi.json"):
            answer = client.get(path, headers={b"authorization": authorization})
            assert answer.status_code == 401
            assert "Basic" in answer.headers["www-authenticate"]


def test_a_page_elsewhere_may_not_ask_unless_it_is_allowed():
    origin = {"origin": "https://pages.example"}
    refused = served().post("/analyze", content=PICTURE, headers=origin)
    assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (403, False)
    assert served().post("/analyze", content=PICTURE, headers={"origin": "null"}).status_code == 403
    own = served().post("/analyze", content=PICTURE, headers={"origin": "http://127.0.0.1"})
    assert own.status_code == 200
    client = served(origins=["https://pages.example"], token="secret")
    asked = client.options("/analyze", headers={**origin, "access-control-request-method": "POST"})
    assert asked.status_code == 204
    assert "authorization" in asked.headers["access-control-allow-headers"]
    sent = client.post("/analyze", content=PICTURE, headers={**origin, "authorization": "Bearer secret"})
    for answer in (asked, sent):
        assert answer.headers["access-control-allow-origin"] == "https://pages.example"


@pytest.mark.parametrize("limits", [ServerLimits(requests=0), ServerLimits(bytes_in_flight=1000)])
@pytest.mark.parametrize("declared", [True, False])
def test_a_server_that_is_full_says_so_at_once_and_when_to_come_again(limits, declared):
    content = PICTURE if declared else iter([PICTURE])
    for path in ("/analyze", "/report", "/v1/chat/completions"):
        answer = served(limits=limits).post(path, content=content if declared else iter([PICTURE]))
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"


def test_what_a_request_took_is_given_back_whatever_became_of_it():
    client = served(limits=ServerLimits(requests=1, bytes_in_flight=2 * len(PICTURE), request_bytes=2 * len(PICTURE)))
    for content in (PICTURE, b"hello", b"", bytes(3 * len(PICTURE)), iter([PICTURE] * 3), iter([PICTURE])) * 2:
        client.post("/analyze", content=content)
    assert client.post("/analyze", content=PICTURE).status_code == 200


def test_many_small_values_of_json_are_refused_before_they_are_decoded(monkeypatch):
    client = served(limits=ServerLimits(json_nodes=1000))
    monkeypatch.setattr(json, "loads", lambda text: pytest.fail("decoded"))
    answer = client.post("/v1/chat/completions", content=b'{"model":"mien","messages":[' + b"[]," * 1000 + b"[]]}")
    assert answer.status_code == 413
    monkeypatch.undo()
    assert "1000 values" in answer.json()["error"]["message"]


class Answering:
    """A Door whose route answers so many bytes, to a connection that takes them when `taken` is set."""

    def __init__(self, length, **limits):
        self.limits, self.taken, self.sent = ServerLimits(**limits), anyio.Event(), []
        self.traffic, self.length = Traffic(self.limits), length
        self._door = Door(self._app, self.limits, Deadlines(), self.traffic)

    async def _app(self, scope, receive, send):
        headers = [(b"content-length", str(self.length).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.length)})

    async def get(self):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
        await self._door(scope, None, self._send)

    async def _send(self, message):
        if any(each.get("body") for each in self.sent):  # as uvicorn waits before it sends more
            await self.taken.wait()
        self.sent.append(message)

    @property
    def status(self):
        return self.sent[0]["status"]


def test_an_answer_counts_until_the_connection_has_taken_it():
    async def main():
        answering = Answering(200_000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answering.get)
            await anyio.wait_all_tasks_blocked()
            assert answering.traffic.bytes.used == 400_000
            answering.taken.set()
        assert answering.traffic.bytes.used == 0
        assert answering.status == 200
        assert b"".join(message.get("body", b"") for message in answering.sent) == bytes(200_000)
        assert [message.get("more_body", False) for message in answering.sent[1:]] == [True, False]

    anyio.run(main)


@pytest.mark.parametrize(("most", "status"), [(1_000_000, 503), (300_000, 413)])
def test_an_answer_without_room_is_refused(most, status):
    async def main():
        answering = Answering(200_000, bytes_in_flight=most)
        if status == 503:
            answering.traffic.bytes.take(700_000)
        before = answering.traffic.bytes.used
        await answering.get()
        assert answering.status == status
        assert answering.traffic.answers == {status: 1}
        assert len(answering.sent[1]["body"]) < 1000
        assert answering.traffic.bytes.used == before

    anyio.run(main)
