import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.datasets.pseudo_labels import PseudoLabels, write
from mien.facs.blendshapes import BLENDSHAPES, ShapeCalibration
from mien.facs.units import VECTOR
from mien.methods.au_cues.settings import Settings as Reader
from mien.methods.au_cues.train import build as build_reader
from mien.training.run import Identity, Run
from tests.helpers import drawn_face
from tests.methods.synfer.runs import finished

KINDS = ("happiness", "sadness")
READER = Reader(size=24, widths=(4, 8), blocks=(1, 1), strides=(2, 2), heads=True, attention_stages=(1,), seed=5)


def run(*arguments):
    return CliRunner().invoke(commands, list(map(str, arguments)))


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Judges, photographs with a teacher's labels, and a folder of generated faces of which one copies a photograph."""
    root = tmp_path_factory.mktemp("judge")
    torch.manual_seed(0)
    judge = finished(root / "judge", build_reader(READER), READER, "half-b")
    wide = replace(READER, widths=(4, 12))
    units = finished(root / "units", build_reader(wide), wide, "half-b")
    for kind in ("seen", "unseen"):
        for i in range(8):
            folder = root / kind / KINDS[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn_face(i % 2 == 0, i + 50 * (kind == "unseen"))).save(folder / f"{i}.png")
    sources = [f"unseen/{kind}/{file.name}" for kind in KINDS for file in sorted((root / "unseen" / kind).iterdir())]
    rng, rest, count = np.random.default_rng(0), np.zeros(len(BLENDSHAPES)), len(sources)
    labels = PseudoLabels(
        np.ones(count, bool),
        np.zeros((count, 68, 2), np.float32),
        np.zeros((count, len(BLENDSHAPES)), np.float32),
        np.zeros((count, 3), np.float32),
        rng.random((count, VECTOR)).astype(np.float32),
        sources,
        ShapeCalibration(rest, rest + 1),
        {},
    )
    write(labels, root / "unseen.parquet")
    return root, judge, units


def album(folder, copied, guidance=None):
    """Six generated faces with a rising AU12; the first is this picture."""
    (folder / "faces").mkdir(parents=True)
    rows = []
    for i in range(6):
        face = Image.open(copied) if i == 0 else Image.fromarray(drawn_face(i % 2 == 0, 200 + i))
        face.save(folder / "faces" / f"{i}.png")
        wanted = ("happiness", "sadness")[i % 2]
        made = {"requested": wanted, "au_requested": {"AU12": i / 5}, "guidance": guidance}
        rows.append({"file": f"faces/{i}.png"} | made)
    (folder / "meta.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def judged(given, folder, *options):
    root, judge, units = given
    return run(
        "judge", folder, "--judge", f"au-cues:{judge}", "--au-judge", f"au-cues:{units}", "--train",
        f"folder:{root / 'seen'}", "--real", f"folder:{root / 'unseen'}", "--real-labels", root / "unseen.parquet",
        "--size", 24, *options,
    )  # fmt: skip


def test_a_folder_is_measured_with_and_without_the_labels_of_the_vote(given, tmp_path):
    folder = album(tmp_path / "made", given[0] / "seen" / "happiness" / "0.png")
    votes = [
        {"file": f"faces/{i}.png", "requested": KINDS[i % 2], "decision": "drop" if i == 5 else "keep"}
        for i in range(6)
    ]
    soft = {"label_soft": np.eye(8)[1].tolist()}
    (folder / "labels.jsonl").write_text("".join(json.dumps(vote | soft) + "\n" for vote in votes))
    result = judged(given, folder, "-o", tmp_path / "result.json")
    assert result.exit_code == 0, result.output + str(result.exception)
    found = json.loads((tmp_path / "result.json").read_text())
    asked, labelled = found["rows"]
    assert (asked["n"], labelled["n"]) == (6, 5)
    assert labelled["accuracy"]["per_class"].keys() == {"happiness"}
    assert labelled["decisions"]["all"] == {"keep": 5, "relabel": 0, "label": 0, "drop": 1}
    assert asked["control"]["AU12"]["n"] == 6
    assert asked["memorised"]["value"] >= 1 / 6
    assert asked["distance_ratio"] == pytest.approx(asked["distance"] / asked["real_distance"])
    assert found["judges"]["expression"]["half"] == "half-b"
    assert [(row["folder"], row["over"]) for row in found["steps"]] == [(f"{folder}, labelled", str(folder))]
    gained = labelled["accuracy"]["value"] - asked["accuracy"]["value"]
    assert found["steps"][0]["accuracy"]["value"] == pytest.approx(gained)
    assert "judge %" in result.stderr
    assert "gain" in result.stderr


def test_a_judge_of_the_kind_of_a_voter_is_refused(given, tmp_path):
    folder = album(tmp_path / "made", given[0] / "seen" / "happiness" / "0.png")
    said = {"file": "faces/0.png", "requested": "happiness", "decision": "keep", "label_soft": np.eye(8)[1].tolist()}
    (folder / "labels.jsonl").write_text(json.dumps(said | {"answers": {"reader": "happiness"}}) + "\n")
    result = judged(given, folder)
    assert result.exit_code == 1
    assert "reader voted on the labels" in str(result.exception)


def test_a_judge_that_shares_something_with_the_guide_is_refused(given, tmp_path):
    root, judge, _ = given
    own = Run(judge).identity("au-cues")
    other = Identity("vtff", "f" * 64, "shapes", 0, "half-a")
    for number, (guide, shared) in enumerate(
        [(own, "weights, architecture, seed, training faces"), (replace(other, half="half-b"), "training faces")]
    ):
        guidance = {"mode": "tokens", "guides": {"expression": asdict(guide)}}
        folder = album(tmp_path / str(number), root / "seen" / "happiness" / "0.png", guidance)
        result = judged(given, folder)
        assert result.exit_code == 1
        assert f"shares {shared} with a guide" in str(result.exception)
    folder = album(tmp_path / "fine", root / "seen" / "happiness" / "0.png", {"guides": {"expression": asdict(other)}})
    assert judged(given, folder).exit_code == 0


def test_the_guide_may_be_asked_what_it_thinks(given, tmp_path):
    folder = album(tmp_path / "made", given[0] / "seen" / "happiness" / "0.png")
    result = judged(given, folder, "--guide", f"au-cues:{given[2]}", "-o", tmp_path / "result.json")
    assert result.exit_code == 0, result.output + str(result.exception)
    (row,) = json.loads((tmp_path / "result.json").read_text())["rows"]
    assert row["guide_accuracy"]["n"] == 6
    assert not row["over_guided"]


@pytest.mark.parametrize("text", ["au-cues", "unknown:run"])
def test_what_names_no_network_is_wrong_usage(given, tmp_path, text):
    folder = album(tmp_path / "made", given[0] / "seen" / "happiness" / "0.png")
    result = run(
        "judge", folder, "--judge", text, "--au-judge", text, "--train", "x", "--real", "y", "--real-labels", "z"
    )
    assert result.exit_code == 2
    assert "METHOD:RUN" in result.stderr
