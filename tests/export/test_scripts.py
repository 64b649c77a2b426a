"""The scripts that write a model file anew, as they are called."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mien.core.contract import Classifier
from mien.datasets.ferplus import VOTE_COLUMNS
from mien.evaluation.protocols import CLASSES
from mien.export import readable, recalibrate
from tests.helpers import drawn_face, write_csv, write_fer2013

COUNT = 24


@pytest.fixture
def ferplus(tmp_path: Path) -> Path:
    """A folder with drawn faces, most of which people could read."""
    faces = [drawn_face(i % 2 == 0, i) for i in range(COUNT)]
    votes = np.random.default_rng(0).multinomial(10, [0.5, 0.3, *[0.0] * (CLASSES - 2), 0.2, 0.0], COUNT)
    write_fer2013(tmp_path, [(0, face, "Training") for face in faces])
    write_csv(tmp_path / "fer2013new.csv", ("Usage", *VOTE_COLUMNS), [("Training", *row) for row in votes])
    return tmp_path


def test_a_calibration_is_fitted_anew_from_the_command_on(ferplus, monkeypatch, capsys):
    file = ferplus / "again.onnx"
    monkeypatch.setattr(sys, "argv", ["recalibrate", "vtff", "--data", f"ferplus:{ferplus}", "-o", str(file)])
    recalibrate.main()
    meta = Classifier(file.read_bytes()).contract.meta
    assert meta["probabilities"] == "vote shares"
    assert f"temperature {float(meta['temperature']):.3f}" in capsys.readouterr().out


def test_a_head_for_readability_is_fitted_from_the_command_on(ferplus, monkeypatch, capsys):
    file = ferplus / "with.onnx"
    words = ["readable", "vtff", "--data", f"ferplus:{ferplus}", "--hold-out", "0.25", "-o", str(file)]
    monkeypatch.setattr(sys, "argv", words)
    readable.main()
    answers = Classifier(file.read_bytes()).answers(np.stack([drawn_face(True, 1)]))
    assert answers.readability is not None
    assert 0 <= answers.readability[0] <= 1
    fitted = int(capsys.readouterr().out.split()[2])
    assert 0 < fitted < 2 * COUNT, "each face as it is and worn, without those held out"
