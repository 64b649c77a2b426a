import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mien.datasets import Sample
from mien.errors import InputError
from mien.facs.vocabulary import ActionUnit, Expression
from mien.methods.synfer.flow import captions
from mien.methods.synfer.flow.export import about_of, export, load
from mien.methods.synfer.flow.guidance import Guidance, Guided
from mien.methods.synfer.flow.model import is_adapter
from mien.methods.synfer.flow.requests import UNITS, Wish, conditions, requests
from mien.methods.synfer.flow.sample import Plan, Sampler, draw, noise
from mien.methods.synfer.flow.train import (
    Settings,
    Shown,
    build,
    conditions_shown,
    flow_loss,
    moved,
    path,
    prepared,
    stages,
    taken,
    train,
    unit_weights,
    untaught,
)
from tests.methods.synfer.runs import HAPPY, SAD, TINY, faces, labels

FLIP = torch.from_numpy(captions.mirrored(("brows", "left", "right")))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(faces(24), TINY, folder, valid=faces(4), labels=labels(24, missed=(3,)))
    return folder


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    file = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    return file, export(run, file)


def shown(count: int = 400) -> Shown:
    """Faces with everything known of them."""
    draw = torch.Generator().manual_seed(0)
    words = torch.zeros(count, 2, captions.LONGEST, dtype=torch.int16)
    words[..., 0], words[:, 1, 1] = 2, 1
    pictures = torch.randint(0, 256, (count, 1, 8, 8), generator=draw, dtype=torch.uint8)
    units = torch.rand(count, 24, generator=draw)
    return Shown(pictures, torch.eye(8)[[1] * count], words, units, torch.ones(count, dtype=torch.bool))


def test_faces_with_rare_action_units_are_drawn_more_often():
    # Nine faces in ten show AU12, one AU20; the others are at rest or unmeasured.
    smile, stretch = list(ActionUnit).index(ActionUnit(12)), list(ActionUnit).index(ActionUnit(20))
    units, known = torch.full((120, 24), 0.01), torch.ones(120, dtype=torch.bool)
    units[:90, smile], units[90:100, stretch], known[110:] = 0.9, 0.9, False
    some = shown(120)._replace(units=units, known=known)
    weights = unit_weights(some, 1.0)
    assert weights.mean() == pytest.approx(1)
    rarer = float(units[:110, smile].mean() / units[:110, stretch].mean())
    assert weights[90] / weights[0] == pytest.approx(rarer, rel=0.1)
    assert weights[105] == weights[115] == weights.min()
    half = unit_weights(some, 0.5)
    assert half[90] / half[0] == pytest.approx(np.sqrt(weights[90] / weights[0]), rel=0.05)
    assert unit_weights(some, 0.0).tolist() == [1] * 120


def test_rare_action_units_reach_the_batches_of_training(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("mien.methods.synfer.flow.train.weighted", lambda rows, weights, size: drawn.append(weights))
    monkeypatch.setattr("mien.methods.synfer.flow.train.fit", lambda network, *arguments, **options: network)
    teacher = labels(24)
    teacher.action_units[5, 14] = 0.9  # one face in 24 stretches its lips
    train(faces(24), replace(TINY, unit_rebalance=1.0), tmp_path, labels=teacher)
    assert drawn[0].argmax() == 5


def test_a_face_goes_straight_to_noise():
    face, noise_, t = torch.full((2, 1, 2, 2), 3.0), torch.full((2, 1, 2, 2), -1.0), torch.tensor([0.0, 0.25])
    x, target = path(face, noise_, t)
    assert x[:, 0, 0, 0].tolist() == [3.0, 2.0]
    assert (target == -4).all()
    torch.testing.assert_close(x - t[:, None, None, None] * target, face)


def test_the_loss_is_the_squared_error_of_the_velocity():
    class Known(torch.nn.Module):
        def forward(self, x, t):
            return type("Flow", (), {"velocity": x / t[:, None, None, None]})

    # Of a face that is 0 everywhere, x is t times the noise, and the velocity is the noise.
    assert flow_loss(Known(), torch.zeros(3, 1, 4, 4), torch.tensor([0.2, 0.5, 0.9])).item() == pytest.approx(0)
    assert flow_loss(Known(), torch.ones(3, 1, 4, 4), torch.full((3,), 0.5)).item() == pytest.approx(4)


def test_a_flip_swaps_sides_in_words_and_asymmetries_and_nothing_else():
    torch.manual_seed(0)
    before = shown()
    after = moved(before, FLIP, 0)
    same = (after.faces == before.faces).flatten(1).all(dim=1)
    mirror = (after.faces == before.faces.flip(3)).flatten(1).all(dim=1)
    assert (same ^ mirror).all()
    assert 0.4 < mirror.float().mean() < 0.6
    assert set(after.words[mirror][:, 0, 0].tolist()) == {3}
    assert set(after.words[same][:, 0, 0].tolist()) == {2}
    assert torch.equal(after.words[:, 1, 1], before.words[:, 1, 1].long())
    torch.testing.assert_close(after.units[mirror][:, -3:], -before.units[mirror][:, -3:])
    assert torch.equal(after.units[:, :-3], before.units[:, :-3])


def test_a_face_moves_by_whole_pixels_and_repeats_its_border():
    torch.manual_seed(0)
    ramp = torch.arange(8).expand(1, 1, 8, 8).repeat(200, 1, 1, 1).to(torch.uint8)
    faces_ = moved(shown(200)._replace(faces=ramp), FLIP, 2).faces[:, 0]
    rows = faces_[:, 0]
    rows = torch.where(rows[:, :1] > rows[:, -1:], rows.flip(1), rows)
    starts = {tuple(row.int().tolist()) for row in rows}
    assert starts == {tuple(int(np.clip(i + d, 0, 7)) for i in range(8)) for d in range(-2, 3)}
    assert torch.equal(faces_[:, 0], faces_[:, 7])


def test_faces_are_told_less_as_often_as_the_settings_say():
    torch.manual_seed(0)
    settings = Settings()
    label, words, units, known = conditions_shown(moved(shown(20_000), FLIP, 0), settings, with_units=True)
    no_label, no_words, no_units = label.sum(1) == 0, words.sum(1) == 0, known.sum(1) == 0
    both = no_label & no_words
    assert both.float().mean() == pytest.approx(settings.untold + settings.neither, abs=0.01)
    assert (both & no_units).float().mean() == pytest.approx(settings.neither, abs=0.01)
    assert no_units.float().mean() == pytest.approx(settings.unmeasured + settings.neither, abs=0.02)
    of_told = ~both
    assert no_words[of_told].float().mean() == pytest.approx(settings.uncaptioned, abs=0.02)
    assert no_label[of_told & ~no_words].float().mean() == pytest.approx(settings.unlabelled, abs=0.02)
    partly = (known.sum(1) > 0) & (known.sum(1) < 24)
    assert partly[~no_units].float().mean() == pytest.approx(settings.partly, abs=0.03)
    assert units.shape == (20_000, 24)


def test_no_action_unit_is_told_in_the_stage_of_the_text_nor_of_a_face_that_the_teacher_missed():
    torch.manual_seed(0)
    given = shown(100)
    assert conditions_shown(given, Settings(), with_units=False)[3].sum() == 0
    assert (
        conditions_shown(given._replace(known=torch.zeros(100, dtype=torch.bool)), Settings(), with_units=True)[3].sum()
        == 0
    )


def test_each_stage_trains_its_own_parameters():
    names = [name for name, _ in build(TINY, 5).named_parameters()]
    text, adapter, whole = stages(TINY)
    assert [text.units, adapter.units, whole.units] == [False, True, True]
    assert {name for name in names if text.trains(name)} == {name for name in names if not is_adapter(name)}
    assert {name for name in names if adapter.trains(name)} == {name for name in names if is_adapter(name)}
    assert all(map(whole.trains, names))
    assert [stage.folder for stage in stages(replace(TINY, text_epochs=0))] == ["adapter", ""]


def test_captions_and_units_are_those_of_the_face_and_missed_faces_have_none():
    seen, about = prepared(taken(faces(6), 24), labels(6, missed=(2,)), TINY)
    assert seen.known.tolist() == [True, True, False, True, True, True]
    assert not seen.words[2].any()
    texts = [" ".join(about.words[i - 1] for i in row if i) for row in seen.words[1].tolist()]
    assert all("brow" in text or "mouth" in text or "lip" in text for text in texts)
    assert seen.units[0, UNITS.index(ActionUnit.LIP_CORNER_PULLER)] == pytest.approx(0.9)
    assert [len(about.bank[e]) for e in (HAPPY, SAD, Expression.FEAR)] == [2, 3, 0]
    assert about.shares.tolist() == pytest.approx(np.eye(8)[[HAPPY, SAD]].mean(axis=0).tolist())


def test_the_loss_in_the_log_is_measured_on_faces_with_their_labels_alone_and_not_on_too_many():
    checks = untaught(taken(faces(520), 24))
    assert len(checks.faces) == len(checks.label) == len(checks.units) == 512
    assert checks.label[0].argmax() == HAPPY
    assert not checks.words.any()
    assert not checks.known.any()


def test_labels_of_other_data_are_refused():
    other = labels(2)
    other.source[:] = ["elsewhere:0", "elsewhere:1"]
    with pytest.raises(InputError, match="no row for 'drawn:0'"):
        prepared(taken(faces(2), 24), other, TINY)


def test_the_generator_does_not_learn_without_action_units_nor_from_its_own_faces(tmp_path):
    with pytest.raises(InputError, match="give --pseudo-labels"):
        train(faces(4), TINY, tmp_path)
    own = Sample(faces(1)[0].image, soft=np.eye(8, dtype=np.float32)[1], source="made/0.png")
    with pytest.raises(InputError, match=r"made/0\.png is a generated face"):
        train([own], TINY, tmp_path, labels=labels(1))


def test_the_loss_falls_and_every_stage_leaves_a_log(run):
    logs = [
        [json.loads(line) for line in (run / stage.folder / "log.jsonl").read_text().splitlines()]
        for stage in stages(TINY)
    ]
    assert [len(log) for log in logs] == [8, 1, 1]
    assert logs[0][-1]["loss"] < 0.9 * logs[0][0]["loss"]
    assert logs[2][-1]["valid_loss"] < logs[0][0]["valid_loss"]


def test_a_killed_run_goes_on_after_its_last_stage(run, tmp_path):
    again = replace(TINY, text_epochs=1, epochs=1)
    network = train(faces(16), again, tmp_path, labels=labels(16))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="give --resume"):
        train(faces(16), again, tmp_path, labels=labels(16))
    resumed = train(faces(16), again, tmp_path, labels=labels(16), resume=True)
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in resumed.state_dict().items())


def test_an_exported_generator_answers_as_its_network_does(run, exported):
    file, differences = exported
    assert differences["parity"] < 1e-4
    assert differences["half"] < 1e-2
    sampler, trained = Sampler(file), load(run)
    network, settings = trained.network, trained.settings
    assert settings.channels == TINY.channels
    assert sampler.about.words == about_of(run).words
    wish = Wish((HAPPY, SAD), np.full(24, np.nan, np.float32), others="class", written="short")
    chosen = conditions(requests(wish, sampler.about, 2, seed=0), sampler.about.words)
    start, plan = noise(0, range(2), 24), Plan(steps=3)
    plain = Guided(network, about_of(run), Guidance(share=0))
    one, other = (draw(model, chosen, start, plan).astype(int) for model in (sampler, plain))
    assert np.abs(one - other).max() <= 2  # of half precision


def test_an_exported_generator_carries_nothing_of_the_machine_that_made_it(exported):
    data = exported[0].read_bytes()
    assert b"site-packages" not in data
    assert b"synfer/model.py" not in data


def test_a_generator_cannot_be_calibrated(run, tmp_path):
    with pytest.raises(InputError, match="nothing to calibrate"):
        export(run, tmp_path / "x.onnx", calibrate=faces(2))
