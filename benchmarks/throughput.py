"""Pictures a second of two versions of mien, through `mien analyze` and through the server, in turn.

python benchmarks/throughput.py KIND:PATH --before OTHER/src --after src [--pictures 200] [--rounds 5]
    [-o benchmarks/results/throughput.json]

OTHER is a worktree of the other version: `git worktree add OTHER COMMIT`. The pictures are faces of a data set pasted
into 640x480 JPEG files, as in photo_path.py. Every round runs each way with both versions, in an order that alternates.
Both have the libraries of this interpreter, and need the extras `parquet` and `serve`.

`processor` is pictures a second of processor time, of all processes; other work on the machine changes it little.
`clock` is pictures a second by the clock; it is worth something on idle cores alone. Runs of `mien analyze` include
their start, those of the server do not. A way that a version does not have is left out.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from attacks import served
from mien import datasets
from mien.facs.vocabulary import Expression
from photo_path import matched, pasted
from publish import publish

# Ways through the command line: options, and the ending of the output.
WAYS = {"analyze": ((), ".csv"), "analyze --jobs 2": (("--jobs", "2"), ".csv"), "analyze -o out/ --workers 2": (
    ("--workers", "2"), "/")}  # fmt: skip
SERVER, CLIENTS = "server", 4
Speed = dict[str, float]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data")
    arguments.add_argument("--before", type=Path, required=True)
    arguments.add_argument("--after", type=Path, required=True)
    arguments.add_argument("--pictures", type=int, default=200)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    versions = {"before": given.before.resolve(), "after": given.after.resolve()}
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        drawn(pictures, given.data, given.pictures, given.seed)
        rounds = [measured(versions, pictures, Path(folder), backwards=bool(i % 2)) for i in range(given.rounds)]
        answers = {name: read_rows(Path(folder) / f"{name}.csv") for name in versions}
    result = {
        "measure": "pictures a second: of the processor's time, and by the clock",
        "data": Path(given.data).name,
        "pictures": given.pictures,
        "rounds": given.rounds,
        "seed": given.seed,
        "cores": os.cpu_count(),
        "commits": {name: commit(tree) for name, tree in versions.items()},
        "load_before": round(os.getloadavg()[0], 2),
        "ways": summary(rounds),
        "changed": changed(answers["before"], answers["after"]),
    }
    publish(result, given.output)


def drawn(folder: Path, data: str, count: int, seed: int) -> None:
    """Write pictures with one face each."""
    folder.mkdir()
    dataset, rng = datasets.open(data), np.random.default_rng(seed)
    for row in rng.permutation(len(dataset))[:count]:
        picture = pasted(dataset[int(row)].image, rng)
        cv2.imwrite(str(folder / f"{row:06d}.jpg"), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])


def measured(
    versions: Mapping[str, Path], pictures: Path, folder: Path, backwards: bool
) -> dict[str, dict[str, Speed]]:
    """One round: {way: {version: speeds}}."""
    found: dict[str, dict[str, Speed]] = {}
    for way in (*WAYS, SERVER):
        for name in sorted(versions, reverse=not backwards):
            if way == SERVER:
                found.setdefault(way, {})[name] = by_server(versions[name], pictures)
            elif all(option in help_text(versions[name]) for option in WAYS[way][0][:1]):
                found.setdefault(way, {})[name] = by_command(versions[name], name, way, pictures, folder)
    return found


def by_command(tree: Path, name: str, way: str, pictures: Path, folder: Path) -> Speed:
    """Run `mien analyze` of the folder; the table of the plainest way stays as NAME.csv."""
    options, ending = WAYS[way]
    with tempfile.TemporaryDirectory(dir=folder) as outputs:
        output = folder / f"{name}.csv" if not options else f"{outputs}/out{ending}"
        command = [sys.executable, "-m", "mien", "analyze", str(pictures), "-o", str(output), *options]
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment(tree), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{way} of {name} ended with exit code {process.returncode}")
    return speeds(len(list(pictures.iterdir())), used.ru_utime + used.ru_stime, seconds)


def by_server(tree: Path, pictures: Path) -> Speed:
    """Upload every picture to `mien serve`, several clients at a time; the first upload warms up."""
    bodies = [path.read_bytes() for path in sorted(pictures.iterdir())]
    with served(source=tree) as (process, port):
        upload(port, bodies[0])
        before, began = processor_seconds(process.pid), time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(partial(upload, port), bodies))
        return speeds(len(bodies), processor_seconds(process.pid) - before, time.perf_counter() - began)


def upload(port: int, body: bytes) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        for route in ("/v1/analyze", "/analyze"):
            connection.request("POST", route, body, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status == 200:
                return
        raise SystemExit(f"the server answered {answer.status}: {text[:200]!r}")
    finally:
        connection.close()


def processor_seconds(pid: int) -> float:
    """User and system time of a process and of those that it started and that ended."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, values[11:15])) / os.sysconf("SC_CLK_TCK")


def speeds(count: int, processor: float, clock: float) -> Speed:
    return {"processor": count / processor, "clock": count / clock}


def help_text(tree: Path) -> str:
    command = [sys.executable, "-m", "mien", "analyze", "--help"]
    return subprocess.check_output(command, env=environment(tree), text=True)


def environment(tree: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(tree)}


def commit(tree: Path) -> str:
    command = ["git", "-C", str(tree), "rev-parse", "--short=9", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def summary(rounds: Sequence[Mapping[str, Mapping[str, Speed]]]) -> dict[str, Any]:
    """Medians over the rounds of each way and version, and of the ratios within a round, with least and most."""
    result: dict[str, Any] = {}
    for way in dict.fromkeys(way for one in rounds for way in one):
        entry: dict[str, Any] = {}
        for kind in ("processor", "clock"):
            for name in rounds[0][way]:
                entry.setdefault(name, {})[kind] = round(statistics.median(one[way][name][kind] for one in rounds), 2)
            if len(rounds[0][way]) == 2:
                ratios = [one[way]["after"][kind] / one[way]["before"][kind] for one in rounds]
                entry.setdefault("after / before", {})[kind] = {
                    "value": round(statistics.median(ratios), 3),
                    "low": round(min(ratios), 3),
                    "high": round(max(ratios), 3),
                }
        result[way] = entry
    return result


def read_rows(table: Path) -> dict[str, list[dict[str, Any]]]:
    """A table of `mien analyze`: the faces of each picture."""
    result: dict[str, list[dict[str, Any]]] = {}
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            result.setdefault(Path(row["input"]).name, []).extend(_faces(row))
    return result


def _faces(row: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    if row["status"] != "ok":
        return
    x, y, width, height = (float(row[f"FaceRect{key}"]) for key in ("X", "Y", "Width", "Height"))
    shares = [float(row[e.label]) for e in Expression]
    word = Expression(int(np.argmax(shares))).label
    yield {"box": [x, y, x + width, y + height], "word": word, "probabilities": shares, "hidden": []}


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Share of pictures with other faces or another word for one of them."""
    same = other = words = faces = 0
    for name, first in before.items():
        pairs = matched(first, after[name])
        whole = len(pairs) == len(first) == len(after[name])
        different = sum(a["word"] != b["word"] for a, b in pairs)
        faces, words, same = faces + len(pairs), words + different, same + whole
        other += bool(different) or not whole
    return {
        "pictures": len(before),
        "with_the_same_faces": same,
        "faces": faces,
        "other_words": words,
        "share_of_pictures": round(other / len(before), 4),
    }


if __name__ == "__main__":
    main()
