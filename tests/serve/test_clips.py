import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from mien.core.pipeline import Pipeline
from mien.errors import InputError
from tests.methods.facescan.stub import found
from tests.video.clips import scene, write_clip

pytest.importorskip("fastapi")
pytest.importorskip("multipart")
testclient = pytest.importorskip("starlette.testclient")

from mien.serve import models  # noqa: E402 - needs pydantic
from mien.serve.app import create_app  # noqa: E402
from mien.serve.limits import ServerLimits  # noqa: E402

LIMITS = ServerLimits()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Twelve frames of a face that moves, of half a second."""
    folder = tmp_path_factory.mktemp("clip")
    return write_clip(folder / "me.avi", [scene([(200 + 4 * i, 180, 150)]) for i in range(12)])


@contextmanager
def served(folder, limits=LIMITS):
    app = create_app(Pipeline(), limits=limits, clips=folder)
    with testclient.TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def sent(client, data, name="me.avi", **asked):
    answer = client.post("/v1/clips", params={"name": name, **asked}, content=data)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/clips/{answer.json()['id']}"
    return answer.json()["id"]


def finished(client, id):
    """The job when nothing happens to it any more."""
    for _ in range(3000):
        job = client.get(f"/v1/clips/{id}").json()
        models.JobAnswer.model_validate(job)
        if job["status"] in ("done", "failed"):
            return job
        time.sleep(0.1)
    raise AssertionError(job)


def test_a_clip_becomes_the_files_that_mien_analyze_and_mien_timeline_write(clip, tmp_path):
    outputs = ["-ot.csv", "-ot.jsonl"]
    subprocess.run([sys.executable, "-m", "mien", "analyze", clip.name, *(f"-o{tmp_path / o[2:]}" for o in outputs)],
                   cwd=clip.parent, capture_output=True, check=True)  # fmt: skip
    with served(tmp_path / "clips") as client:
        id = sent(client, clip.read_bytes())
        job = finished(client, id)
        assert (job["status"], job["frames"], job["tracks"], job["error"]) == ("done", 12, 1, None)
        table, events, page = (client.get(job["results"][part]) for part in ("table", "events", "page"))
        assert table.content == (tmp_path / "t.csv").read_bytes()
        lines = client.get(f"/v1/clips/{id}/table?format=jsonl").text
        assert lines == (tmp_path / "t.jsonl").read_text()
        models.FrameAnswer.model_validate_json(lines.splitlines()[0])
        models.EventsAnswer.model_validate(events.json())
        assert client.get(f"/v1/clips/{id}/events?format=csv").text.startswith("input,track,name,onset")
        assert "me-table.csv" in table.headers["content-disposition"]
        assert "Track 0" in page.text
        # The page runs its own script, which the answer's policy has to let it.
        assert "script-src 'unsafe-inline'" in page.headers["content-security-policy"]
        assert sorted(p.name for p in (tmp_path / "clips" / id).iterdir()) == ["job.json", "results"]
        assert client.delete(f"/v1/clips/{id}").status_code == 204
        assert not (tmp_path / "clips" / id).exists()
        assert client.get(f"/v1/clips/{id}").status_code == 404


def test_what_is_no_clip_fails_in_words_and_shows_no_path_of_the_server(tmp_path):
    with served(tmp_path) as client:
        id = sent(client, b"hello", name="holiday.mp4")
        job = finished(client, id)
        assert job["status"] == "failed"
        assert job["error"].startswith("holiday.mp4: no video")
        assert str(tmp_path) not in job["error"]
        answer = client.get(f"/v1/clips/{id}/table")
        assert answer.status_code == 409
        assert "holiday.mp4" in answer.json()["detail"]


def test_a_clip_that_is_too_long_or_too_large_fails(clip, tmp_path):
    for name, limit, why in (("a", {"clip_seconds": 0.2}, "up to 0.2 s"), ("b", {"clip_pixels": 100}, "pixels")):
        with served(tmp_path / name, replace(LIMITS, **limit)) as client:
            job = finished(client, sent(client, clip.read_bytes()))
            assert job["status"] == "failed"
            assert why in job["error"]
    with served(tmp_path / "c", replace(LIMITS, clip_bytes=1000)) as client:
        answer = client.post("/v1/clips", content=clip.read_bytes())
        assert answer.status_code == 413
        assert [path.name for path in (tmp_path / "c").iterdir()] == [".mien-serve.lock"]


def test_the_queue_has_an_end_and_a_clip_that_is_read_can_be_ended(clip, tmp_path):
    with served(tmp_path, replace(LIMITS, clips_waiting=1)) as client:
        first = sent(client, clip.read_bytes())
        while client.get(f"/v1/clips/{first}").json()["status"] == "waiting":
            time.sleep(0.02)
        second = sent(client, clip.read_bytes())
        full = client.post("/v1/clips", content=clip.read_bytes())
        assert (full.status_code, "retry-after" in full.headers) == (503, True)
        assert client.get(f"/v1/clips/{second}").json()["ahead"] == 1
        assert client.delete(f"/v1/clips/{first}").status_code == 204
        assert finished(client, second)["status"] == "done"
        assert {path.name for path in tmp_path.iterdir()} == {second, ".mien-serve.lock"}


def test_a_clip_expires(clip, tmp_path):
    with served(tmp_path, replace(LIMITS, clip_keep_seconds=0.5)) as client:
        id = sent(client, b"hello")
        for _ in range(600):
            if client.get(f"/v1/clips/{id}").status_code == 404:
                break
            time.sleep(0.1)
        assert not (tmp_path / id).exists()


@pytest.mark.parametrize(
    ("params", "options", "status", "why"),
    [
        ({"model": "x"}, {"content": b"a"}, 422, "no model 'x'"),
        ({"smooth": -1}, {"content": b"a"}, 422, "smooth"),
        ({}, {"content": b""}, 400, "empty"),
        ({}, {"files": {"a": b"a"}}, 415, "not in a form"),
    ],
)
def test_what_cannot_be_taken_is_refused_and_leaves_nothing(tmp_path, params, options, status, why):
    with served(tmp_path) as client:
        answer = client.post("/v1/clips", params=params, **options)
        assert answer.status_code == status
        assert why in answer.json()["detail"]
        assert [path.name for path in tmp_path.iterdir()] == [".mien-serve.lock"]


def test_a_job_is_known_by_its_id_alone(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "table.csv").write_text("secret")
    with served(tmp_path) as client:
        for id in ("x", "..", "%2e%2e", "a" * 22, "results"):
            assert client.get(f"/v1/clips/{id}/table").status_code in (404, 405)
        assert client.get("/v1/clips").status_code == 405


def test_two_servers_do_not_share_a_folder_and_own_functions_cannot_read_clips(tmp_path):
    with served(tmp_path), pytest.raises(InputError, match="another server"):
        create_app(Pipeline(), clips=tmp_path)
    with pytest.raises(InputError, match="processes of their own"):
        create_app(found(20), clips=tmp_path / "other")


def test_without_a_folder_there_are_no_clips():
    client = testclient.TestClient(create_app(found(20)), base_url="http://127.0.0.1")
    assert client.get("/v1/about").json()["clips"] is None
    assert client.post("/v1/clips", content=b"a").status_code == 404


def test_a_clip_that_was_being_read_at_a_stop_is_read_by_the_next_server(clip, tmp_path):
    with served(tmp_path) as client:
        id = sent(client, clip.read_bytes())
        while client.get(f"/v1/clips/{id}").json()["status"] != "running":
            time.sleep(0.02)
    assert json.loads((tmp_path / id / "job.json").read_text())["status"] == "waiting"
    with served(tmp_path) as client:
        assert finished(client, id)["status"] == "done"


# Reads a clip of which every frame takes for ever, as a server that is killed would leave it.
KILLED = """
import sys, time, threading
from pathlib import Path
from starlette.testclient import TestClient
from mien.serve.app import create_app
from mien.serve.jobs import Jobs
clip, folder = map(Path, sys.argv[1:])
with TestClient(create_app(clips=folder), base_url="http://127.0.0.1") as client:
    data = clip.read_bytes()
    id = client.post("/v1/clips", params={"name": "me.avi"}, content=data).json()["id"]
    waiting = client.post("/v1/clips", params={"name": "me.avi"}, content=data).json()["id"]
    while not (folder / id / "reading" / "table.part.csv").exists():
        time.sleep(0.005)
    print(id, waiting, flush=True)
    time.sleep(1000)
"""


def test_a_job_that_is_killed_with_its_server_shows_as_failed_and_nothing_half_written_is_served(tmp_path):
    long = write_clip(tmp_path / "me.avi", [scene([(200 + i, 180, 150)]) for i in range(200)])
    folder = tmp_path / "clips"
    with subprocess.Popen([sys.executable, "-c", KILLED, long, folder], stdout=subprocess.PIPE, text=True) as server:
        id, waiting = server.stdout.readline().split()
        os.kill(server.pid, signal.SIGKILL)
    # A killed server leaves what it was receiving, too.
    (folder / ("u" * 22)).mkdir()
    (folder / ("u" * 22) / "job.json").write_text(
        json.dumps({"id": "u" * 22, "name": "a", "created": 0, "expires": 1e12, "asked": {}, "status": "uploading"})
    )
    with served(folder) as client:
        job = client.get(f"/v1/clips/{id}").json()
        assert (job["status"], job["results"]) == ("failed", None)
        assert "send it again" in job["error"]
        for part in ("table", "page", "events"):
            assert client.get(f"/v1/clips/{id}/{part}").status_code == 409
        assert [path.name for path in (folder / id).iterdir()] == ["job.json"]
        assert not (folder / ("u" * 22)).exists()
        assert client.get(f"/v1/clips/{waiting}").json()["status"] in ("waiting", "running")
