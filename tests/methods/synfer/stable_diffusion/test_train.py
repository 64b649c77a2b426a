import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.stable_diffusion import generator as sd
from mien.methods.synfer.stable_diffusion import train as full
from tests.methods.synfer import runs
from tests.methods.synfer.tiny import SIDE, Interrupted, write_checkpoint, write_pairs

pytest.importorskip("diffusers")
pytest.importorskip("peft")

QUICK = sd.Sampling(steps=3)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """One step of each stage."""
    checkpoint = str(write_checkpoint(tmp_path_factory.mktemp("checkpoint")))
    return full.Settings(
        epochs=1, text_epochs=1, batch_size=4, text_batch_size=4, precision="32-true", checkpoint=checkpoint, rank=2
    )


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    full.train(write_pairs(folder / "faces", 4, expression="happy"), settings, folder / "run")
    return folder / "run"


def ask(expression=None, units=None, identity=0):
    return sd.Request(expression, sd.unit_vector(units), identity=identity)


def test_a_run_holds_both_stages_and_draws_with_both(run, settings):
    assert {min(value.shape) for value in load_file(run / "text" / "model.safetensors").values()} == {2}
    assert json.loads((run / "settings.json").read_text())["lora"] == "text"
    requests = [ask(Expression.FEAR), ask(Expression.HAPPINESS, {"AU12": 1.0}, identity=1)]
    faces = full.Painter(run, QUICK, device="cpu").draw(requests)
    assert faces.shape == (2, SIDE, SIDE, 3)
    options = {"lora": run / "text", "adapter": run, "device": "cpu"}
    np.testing.assert_allclose(faces.astype(int), list(sd.generate(settings.checkpoint, requests, QUICK, **options)))


def test_a_run_can_begin_with_the_first_stage_of_another_or_without_one(run, settings, tmp_path):
    pairs = write_pairs(tmp_path / "faces", 4)
    full.train(pairs, replace(settings, lora=str(run / "text")), tmp_path / "again")
    full.train(pairs, replace(settings, text_epochs=0), tmp_path / "without")
    for name in ("again", "without"):
        assert not (tmp_path / name / "text").exists()
    kept = [json.loads((tmp_path / name / "settings.json").read_text())["lora"] for name in ("again", "without")]
    assert (tmp_path / "again" / kept[0]).resolve() == (run / "text").resolve()
    assert kept[1] == ""


def test_a_run_that_was_killed_between_its_stages_goes_on(run, settings, tmp_path):
    pairs = write_pairs(tmp_path / "faces", 4, expression="happy")
    first_stage = tmp_path / "run" / "text" / "model.safetensors"
    with pytest.raises(KeyboardInterrupt):
        full.train(Interrupted(tmp_path / "faces", first_stage.is_file), settings, tmp_path / "run")
    with pytest.raises(InputError, match="holds a run already"):
        full.train(pairs, settings, tmp_path / "run")
    resumed = full.train(pairs, settings, tmp_path / "run", resume=True)
    for name, value in load_file(run / "model.safetensors").items():
        torch.testing.assert_close(resumed.state_dict()[name], value)


def test_faces_of_a_data_set_are_learned_with_a_teachers_action_units(settings, tmp_path):
    full.train(runs.faces(4), settings, tmp_path / "run", labels=runs.labels(4))
    about = full.Painter(tmp_path / "run", QUICK, device="cpu").about
    np.testing.assert_allclose(about.bank[runs.HAPPY], runs.labels(4).action_units[::2], atol=0.005)
    assert about.bank[Expression.FEAR].shape == (0, VECTOR)
    assert about.shares[[runs.HAPPY, runs.SAD]].tolist() == [0.5, 0.5]


def test_without_expressions_all_occur_alike(settings, tmp_path):
    pairs = write_pairs(tmp_path / "faces", 4)
    full.train(pairs, replace(settings, text_epochs=0, size=8), tmp_path / "run")
    painter = full.Painter(tmp_path / "run", QUICK, device="cpu")
    assert painter.about.shares.tolist() == [1 / 8] * 8
    assert painter.about.size == 8, "faces are drawn as large as those that were learned"
    assert painter.draw([ask(units={"AU12": 1.0})]).shape == (1, 8, 8, 3)


def test_what_cannot_be_learned_is_refused(settings, tmp_path):
    with pytest.raises(InputError, match="--data captions:FOLDER, or --pseudo-labels"):
        full.train(runs.faces(2), settings, tmp_path / "run")
    with pytest.raises(InputError, match="leave --valid out"):
        full.train(runs.faces(2), settings, tmp_path / "run", valid=runs.faces(2), labels=runs.labels(2))


def test_the_papers_preset_has_one_token_that_is_always_told_as_measured():
    paper = full.PRESETS["paper"]
    assert (paper.tokens, paper.no_units, paper.no_condition, paper.jitter) == ("one", 0, 0, 0)
