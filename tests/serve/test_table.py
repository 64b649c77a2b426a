import json
import subprocess
import sys
import tracemalloc

import pytest

from mien.report.clips import CLIP_COLUMNS
from tests.helpers import ASTRONAUT, encoded, noise
from tests.methods.facescan.stub import found

pytest.importorskip("fastapi")
pytest.importorskip("multipart")
testclient = pytest.importorskip("starlette.testclient")

from mien.serve.app import create_app  # noqa: E402
from mien.serve.limits import ServerLimits  # noqa: E402
from mien.serve.table import _encoded, table_formats  # noqa: E402


@pytest.fixture(scope="module")
def client():
    return testclient.TestClient(create_app(), base_url="http://127.0.0.1")


def posted(client, records, format):
    lines = "".join(f"{json.dumps(record)}\n" for record in records)
    return client.post("/v1/table", params={"format": format}, content=lines)


def test_answers_become_the_files_that_mien_analyze_writes(client, tmp_path):
    (tmp_path / "noise.png").write_bytes(encoded(noise(60, 60, 3)))
    (tmp_path / "text.png").write_bytes(b"hello")
    (tmp_path / "me.png").write_bytes(ASTRONAUT.read_bytes())
    names = ["me.png", "noise.png", "text.png"]
    outputs = [f"-ot.{format}" for format in ("csv", "json", "jsonl")]
    subprocess.run(
        [sys.executable, "-m", "mien", "analyze", *names, *outputs], cwd=tmp_path, capture_output=True, check=False
    )
    records = [
        client.post("/v1/analyze", params={"name": name}, content=(tmp_path / name).read_bytes()).json()
        for name in names
    ]
    # Only the reason of the unreadable one names the file differently: its sender gave a picture, not a path.
    for record in records:
        record["error"] = record["error"] and f"text.png: {record['error']}"
    for format in ("csv", "json", "jsonl"):
        answer = posted(client, records, format)
        assert answer.content == (tmp_path / f"t.{format}").read_bytes(), format
        assert f"faces.{format}" in answer.headers["content-disposition"]


def test_frames_become_the_table_of_a_clip():
    client = testclient.TestClient(create_app(found(20, 120)), base_url="http://127.0.0.1")
    frame = encoded(noise(100, 200, 3), "JPEG")
    with client.websocket_connect("ws://127.0.0.1/v1/live?name=camera") as socket:
        records = []
        for _ in range(2):
            socket.send_bytes(frame)
            records.append(json.loads(socket.receive_text()))
    head, *rows = posted(client, records, "csv").text.splitlines()
    assert head.split(",") == list(CLIP_COLUMNS)
    assert [row.split(",")[:2] for row in rows] == [["camera", "0"], ["camera", "1"]] * 2


def test_parquet_where_it_is_installed(client):
    parquet = pytest.importorskip("pyarrow.parquet")
    import io

    assert "parquet" in table_formats()
    record = client.post("/v1/analyze", params={"name": "a.png"}, content=ASTRONAUT.read_bytes()).json()
    table = parquet.read_table(io.BytesIO(posted(client, [record], "parquet").content))
    assert table.column("expression").to_pylist() == ["happiness"]


@pytest.mark.parametrize(
    ("content", "format", "why"),
    [(b"hello", "csv", "line 1"), (b'\n{"input": 3}', "csv", "line 2"), (b"", "xml", "format")],
)
def test_what_is_no_answer_of_mien_s_is_refused_with_its_line(client, content, format, why):
    answer = client.post("/v1/table", params={"format": format}, content=content)
    assert answer.status_code == 422
    assert why in answer.json()["detail"]


def test_a_table_of_too_many_lines_is_refused_before_they_are_split():
    client = testclient.TestClient(
        create_app(found(20), limits=ServerLimits(table_lines=1000)), base_url="http://127.0.0.1"
    )
    answer = client.post("/v1/table", content=b"\n" * 1001)
    assert answer.status_code == 413
    assert "1000 records" in answer.json()["detail"]


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_a_table_takes_little_more_than_itself(format):
    """As objects, the records take ten times their bytes, and rows with all their columns a hundred times."""
    if format == "parquet":
        pytest.importorskip("pyarrow.parquet")
    record = b'{"input":"","status":"ok","error":null,"faces":[]}\n'
    _encoded(bytearray(record), format)  # what is imported then stays
    tracemalloc.start()
    try:
        table = _encoded(bytearray(record * 20_000), format)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Of Parquet, ten thousand rows are there at a time.
    assert peak < (200_000_000 if format == "parquet" else 20_000 * 200 + 4 * len(table)), (peak, len(table))
