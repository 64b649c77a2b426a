import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from mien.core.align import crop
from mien.errors import InputError
from mien.evaluation.compare import kept
from mien.evaluation.protocols import select
from mien.facs.vocabulary import Expression
from mien.methods.synfer.downstream import few_shot, self_supervised, supervised, zero_shot
from mien.methods.synfer.downstream.encoder import (
    Encoder,
    Settings,
    drawn,
    encoder_of,
    features,
    first,
    gather,
    stratified,
    table,
)
from mien.training.experiment import begin
from mien.training.faces import loader, tensor
from tests.helpers import drawn_face
from tests.methods.synfer.runs import HAPPY, SAD, faces, labels

PLAIN = {
    "epochs": 4, "batch_size": 8, "size": 24, "widths": (4, 8), "precision": "32-true", "average": 0.5, "degrees": 0.0,
    "scale": 0.0, "shift": 0.0, "erase_share": 0.0, "mixup_share": 0.0, "learning_rate": 1e-2,
}  # fmt: skip


DRAWN = {"valid": "drawn faces"}


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Thirty-two generated faces with captions, four of which the vote dropped and four relabelled to disgust."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "faces").mkdir()
    made, said = [], []
    for i in range(32):
        Image.fromarray(drawn_face(i % 2 == 0, 100 + i)).save(folder / "faces" / f"{i}.png")
        name = ("happiness", "sadness")[i % 2]
        caption = ("a happy look, lip corners pulled up", "a sad look, lip corners pulled down")[i % 2]
        made.append({"file": f"faces/{i}.png", "requested": name, "caption": caption})
        soft = np.eye(8)[Expression.DISGUST if i < 8 else (HAPPY, SAD)[i % 2]].tolist()
        decision = "drop" if i < 4 else "relabel" if i < 8 else "keep"
        said.append({"file": f"faces/{i}.png", "decision": decision, "label_soft": soft})
    for name, rows in (("meta.jsonl", made), ("labels.jsonl", said)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def given(album):
    return gather(faces(16), album, faces(40)[16:], 24)


def test_generated_faces_come_with_the_labels_of_the_vote_and_with_those_asked_for(given):
    assert len(given.voted.samples) == 28
    assert len(given.asked.samples) == 32
    assert len(given.valid.samples) == 24


def test_an_arm_with_generated_faces_wants_a_vote(album, tmp_path):
    shutil.copytree(album, tmp_path / "made", ignore=shutil.ignore_patterns("labels.jsonl"))
    unvoted = gather(faces(16), tmp_path / "made", faces(40)[16:], 24)
    assert unvoted.voted is None
    for arm in ("syn-1x", "asked-1x"):
        with pytest.raises(InputError, match="run `mien annotate`"):
            supervised.mixed(unvoted, supervised.MIXTURES[arm])
    with pytest.raises(InputError, match="give --synthetic"):
        supervised.mixed(gather(faces(16), None, faces(2), 24), supervised.MIXTURES["syn-1x"])


def test_an_arm_has_the_faces_that_it_says(given):
    counts = {arm: len(supervised.mixed(given, supervised.MIXTURES[arm]).samples) for arm in ("real", "syn-1x")}
    assert counts == {"real": 16, "syn-1x": 16}
    both = supervised.mixed(given, supervised.MIXTURES["real-syn-1x"])
    assert [s.source.split(":")[0][:5] for s in both.samples[::16]] == ["drawn", "made0"]
    with pytest.raises(InputError, match="48 generated faces are needed, but 28 are left"):
        supervised.mixed(given, supervised.MIXTURES["syn-3x"])


def test_labels_as_asked_for_differ_from_those_of_the_vote_in_nothing_else(given):
    voted, asked = (supervised.mixed(given, supervised.MIXTURES[arm]) for arm in ("syn-1x", "asked-1x"))
    assert [s.source for s in asked.samples] == [s.source for s in voted.samples]
    assert asked.samples[0].source.endswith("faces/4.png")
    assert asked.labels.tolist() == [HAPPY, SAD] * 8
    assert voted.labels.tolist() == [Expression.DISGUST, Expression.DISGUST] * 2 + [HAPPY, SAD] * 6
    with pytest.raises(InputError, match=r"4\.png was made for no expression"):
        supervised.as_asked(voted, first(given.asked, 4))


def test_photographs_are_drawn_with_the_share_of_each_class():
    some = select(faces(30) + faces(40)[::2], prepare=lambda image: crop(image, 24))  # 35 smiles, 15 frowns
    drawn = stratified(some, 20)
    assert np.bincount(drawn.labels)[[HAPPY, SAD]].tolist() == [14, 6]
    assert [s.source for s in drawn.samples] == [s.source for s in stratified(some, 20).samples]
    assert [s.source for s in stratified(some, 50).samples] == [s.source for s in some.samples]
    with pytest.raises(InputError, match="51 photographs cannot be drawn from 50"):
        stratified(some, 51)


def test_few_photographs_are_learned_from_alone_and_with_as_many_generated_faces_as_there_are_photographs(given):
    few, more = (supervised.mixed(given, supervised.MIXTURES[arm]) for arm in ("tenth", "tenth-syn-1x"))
    assert len(few.samples) == 2
    assert [s.source for s in more.samples[:2]] == [s.source for s in few.samples]
    assert len(more.samples) == 2 + 16


def test_all_arms_take_the_same_steps(given):
    settings = Settings(**PLAIN)
    for arm in ("real", "real-syn-1x", "tenth"):
        chosen = supervised.mixed(given, supervised.MIXTURES[arm])
        assert [len(images) for images, _ in loader(chosen, settings, draws=16)] == [8, 8]
    for count in (3, 16, 40):
        assert [len(rows) for (rows,) in drawn(TensorDataset(torch.arange(count)), 16, 8)] == [8, 8]


def test_a_larger_set_is_covered_over_the_epochs_and_a_smaller_one_in_each():
    torch.manual_seed(0)
    few, many = (drawn(TensorDataset(torch.arange(count)), 16, 8) for count in (5, 40))
    seen = torch.bincount(torch.cat([rows for (rows,) in few]), minlength=5)
    assert sorted(seen.tolist()) == [3, 3, 3, 3, 4]
    epochs = [torch.cat([rows for (rows,) in many]) for _ in range(500)]
    assert all(len(epoch.unique()) == 16 for epoch in epochs)
    # Each of 40 in 200 of 500 epochs; the standard deviation is 11.
    assert (torch.bincount(torch.cat(epochs), minlength=40) - 200).abs().max() < 50


def test_arms_are_compared_with_photographs_and_go_on_where_they_were_stopped(given, tmp_path):
    settings = Settings(**PLAIN)
    found = supervised.run(given, settings, tmp_path, ["real", "real-syn-1x"], [0], DRAWN)
    assert [row["arm"] for row in found["arms"]] == ["real", "real-syn-1x"]
    assert {"value", "low", "high"} <= set(found["arms"][1]["difference"])
    assert found["n"] == 24
    assert [(row["photographs"], row["generated"]) for row in found["arms"]] == [(16, 0), (16, 16)]
    (pair,) = found["contrasts"]
    assert (pair["arm"], pair["against"]) == ("real-syn-1x", "real")
    assert pair["accuracy"] == found["arms"][1]["difference"]
    assert {"value", "low", "high", "answer"} == set(pair["macro_f1"])
    kept = (tmp_path / "real-s0" / "result.json").stat().st_mtime_ns
    again = supervised.run(given, settings, tmp_path, ["real"], [0], DRAWN)
    assert (tmp_path / "real-s0" / "result.json").stat().st_mtime_ns == kept
    assert len(again["arms"]) == 2
    with pytest.raises(InputError, match="other values of epochs"):
        supervised.run(given, replace(settings, epochs=5), tmp_path, ["real"], [1], DRAWN)
    with pytest.raises(InputError, match="no arm 'fake'"):
        supervised.run(given, settings, tmp_path, ["fake"], [0], DRAWN)
    encoder, size = encoder_of(tmp_path / "real-s0")
    assert size == 24
    assert features(encoder, tensor(given.valid)).shape == (24, 8)


def test_an_arm_that_expects_other_shares_is_set_right(given):
    settings = Settings(**PLAIN)
    natural = np.array([0.0, 0.75, 0, 0.25, 0, 0, 0, 0])
    many = given.photographs
    some = replace(many, samples=many.samples[:8], targets=np.tile(np.float32(natural), (8, 1)))
    shares = np.log(np.maximum(many.targets.mean(axis=0), 1 / 16))
    # As often as they come: what is added takes an answer with the shares learned to one with those of photographs.
    added = supervised.as_in(many, some, replace(settings, rebalance=0.0))
    np.testing.assert_allclose(added + np.log(np.maximum(natural, 1 / 8)), shares, atol=1e-6)


def test_a_difference_counts_the_seeds_that_both_arms_have(tmp_path):
    def leave(arm, seed, right):
        place = tmp_path / f"{arm}-s{seed}"
        place.mkdir()
        said = kept(["a", "b", "c", "d"], np.zeros(4, int), np.array([0] * right + [1] * (4 - right)))
        result = {"model": arm, "seed": seed, "answers": said, "n": 4, "photographs": 1, "generated": 0}
        (place / "result.json").write_text(json.dumps(result))

    for arm, seed, right in (("real", 0, 4), ("real", 1, 2), ("syn-1x", 1, 3), ("tenth", 2, 1)):
        leave(arm, seed, right)
    arms = {"real": "", "syn-1x": "", "tenth": ""}
    found = table(arms, tmp_path, [("syn-1x", "real"), ("tenth", "real")])
    real, generated, tenth = found["arms"]
    assert real["accuracy"]["value"] == 0.75
    assert generated["difference"]["value"] == 0.25
    assert "difference" not in tenth
    assert [(pair["arm"], pair["against"]) for pair in found["contrasts"]] == [("syn-1x", "real")]


def test_runs_of_one_folder_are_given_the_same(tmp_path):
    begin(tmp_path, {"epochs": 4, "data": "a", "count": None})
    begin(tmp_path, {"epochs": 4, "data": "a", "count": None, "meta.jsonl": "1f"})
    with pytest.raises(InputError, match=r"other values of data, meta\.jsonl .*name another folder"):
        begin(tmp_path, {"epochs": 4, "data": "b", "count": None, "meta.jsonl": "2f"})
    with pytest.raises(InputError, match="other values of count"):
        begin(tmp_path, {"epochs": 4, "data": "a", "count": 8})


def test_too_few_faces_for_one_arm_are_told_before_any_arm_is_trained(given, tmp_path):
    with pytest.raises(InputError, match="48 generated faces are needed"):
        supervised.run(given, Settings(**PLAIN), tmp_path, ["real", "syn-3x"], [0], DRAWN)
    assert not list(tmp_path.iterdir())


def test_results_of_which_nobody_knows_what_they_came_of_are_not_added_to(tmp_path):
    (tmp_path / "real-s0").mkdir()
    (tmp_path / "real-s0" / "result.json").write_text("{}")
    with pytest.raises(InputError, match=r"no given\.json"):
        begin(tmp_path, {"data": "a"})


def test_simsiam_is_at_its_best_where_both_views_are_predicted():
    torch.manual_seed(0)
    settings = self_supervised.SimSiamSettings(widths=(4, 8), hidden=16)
    network = self_supervised.SimSiam(settings)
    views = torch.randn(6, 1, 24, 24), torch.randn(6, 1, 24, 24)
    assert -1 <= network(*views).item() <= 1
    network.predict = torch.nn.Identity()
    assert network(views[0], views[0]).item() == pytest.approx(-1, abs=1e-5)


def test_the_gradient_stops_at_what_is_predicted():
    torch.manual_seed(0)
    network = self_supervised.SimSiam(self_supervised.SimSiamSettings(widths=(4, 8), hidden=16))
    for parameter in network.predict.parameters():
        torch.nn.init.zeros_(parameter)
    network(torch.randn(4, 1, 24, 24), torch.randn(4, 1, 24, 24)).backward()
    assert all(p.grad is None or not p.grad.any() for p in network.encoder.parameters())


def test_a_probe_of_one_layer_finds_classes_that_a_line_separates():
    torch.manual_seed(0)
    points = torch.randn(200, 3)
    targets = torch.eye(8)[(points[:, 1] > 0.2).long()]
    unseen = torch.randn(100, 3)
    said = self_supervised.probe(points, targets, unseen).argmax(axis=1)
    assert (said == (unseen[:, 1] > 0.2).long().numpy()).mean() > 0.95


def test_learning_without_labels_is_measured_by_a_probe_beside_an_untrained_encoder(given, tmp_path):
    settings = replace(self_supervised.SimSiamSettings(**PLAIN, hidden=16), epochs=1)
    found = self_supervised.run(given, settings, tmp_path, ["synthetic", "none"], [0], DRAWN)
    assert [row["arm"] for row in found["arms"]] == ["synthetic", "none"]
    assert json.loads((tmp_path / "synthetic-s0" / "result.json").read_text())["generated"] == 16
    assert [row["photographs"] + row["generated"] for row in found["arms"]] == [16, 0]
    both = self_supervised.chosen_faces(given, "both")
    assert len(both.samples) == 32


def test_photographs_are_sorted_by_captions_after_learning_from_pairs(given, album, tmp_path):
    plain = zero_shot.PairSettings(**PLAIN, width=16, heads=2, depth=1)
    settings = replace(plain, epochs=20, widths=(8, 16, 16))
    pairs = zero_shot.of_generated(album, given.asked)
    network = zero_shot.fit_pairs(pairs, settings, tmp_path, 32)
    said = zero_shot.sorted_by_captions(network, pairs.known, tensor(given.valid))
    assert said.shape == (24, 8)
    # The captions learned tell only these two apart.
    right = (said[:, HAPPY] > said[:, SAD]) == (given.valid.labels == HAPPY)
    assert right.mean() > 0.8


def test_pairs_are_compared_as_the_other_arms_are(given, album, tmp_path):
    settings = replace(zero_shot.PairSettings(**PLAIN, width=16, heads=2, depth=1), epochs=1)
    found = zero_shot.run(given, settings, tmp_path, ["synthetic"], [0], DRAWN, synthetic=album)
    assert found["arms"][0]["seeds"] == [0]
    assert (found["arms"][0]["photographs"], found["arms"][0]["generated"]) == (0, 16)
    with pytest.raises(InputError, match="give --pseudo-labels"):
        zero_shot.run(given, settings, tmp_path, ["real"], [0], DRAWN)


def test_a_photograph_has_one_short_caption_written_from_what_a_teacher_measured(given, album):
    pairs = zero_shot.of_photographs(given.photographs, labels(16, missed=(2,)))
    known = select([sample for sample in given.photographs.samples if sample.source != "drawn:2"])
    assert torch.equal(pairs.faces, tensor(known))
    said = [" ".join(pairs.known[number - 1] for number in row if number) for row in pairs.words]
    assert len(said) == 15
    assert ["left" in text.split() for text in said] == [label == HAPPY for label in known.labels]
    # A look and two movements; the long captions of the same faces have whole sentences.
    assert max(len(text.split()) for text in said) < 16
    assert pairs.words.shape[1:] == zero_shot.of_generated(album, given.asked).words.shape[1:]


def test_generated_faces_without_captions_make_no_pairs(tmp_path):
    (tmp_path / "faces").mkdir()
    Image.fromarray(drawn_face(True)).save(tmp_path / "faces" / "0.png")
    row = {"file": "faces/0.png", "requested": "happiness", "caption": ""}
    (tmp_path / "meta.jsonl").write_text(json.dumps(row) + "\n")
    chosen = gather(faces(2), tmp_path, faces(2), 24)
    with pytest.raises(InputError, match="--write-captions short"):
        zero_shot.of_generated(tmp_path, chosen.asked)


def test_the_nearest_prototype_is_always_right_where_classes_are_points():
    labels_ = np.repeat(np.arange(8), 10)
    points = np.eye(8)[labels_]
    right = few_shot.episodes(points, labels_, shots=5, count=20)
    assert right.tolist() == [1] * 20
    assert few_shot.mean(right) == {"value": 1, "low": 1, "high": 1}


def test_an_episode_of_noise_is_right_one_time_in_five():
    rng = np.random.default_rng(0)
    labels_ = np.repeat(np.arange(8), 30)
    found = few_shot.mean(few_shot.episodes(rng.standard_normal((240, 4)), labels_, shots=1, count=300))
    assert found["low"] - 0.02 < 0.2 < found["high"] + 0.02


def test_the_same_episodes_are_made_of_whatever_features():
    rng, labels_ = np.random.default_rng(0), np.repeat(np.arange(8), 30)
    points = np.eye(8)[labels_] + 0.4 * rng.standard_normal((240, 8))
    one, other = (few_shot.episodes(scale * points, labels_, shots=1, count=30) for scale in (1, 2))
    assert one.tolist() == other.tolist()
    assert 0.3 < one.mean() < 1


def test_too_few_faces_for_an_episode_are_counted():
    labels_ = np.repeat(np.arange(8), 6)
    labels_[labels_ == Expression.CONTEMPT] = Expression.ANGER
    with pytest.raises(InputError, match="6 faces of each of contempt, disgust, fear and two others"):
        few_shot.episodes(np.zeros((48, 2)), labels_, shots=1)


def test_a_run_that_has_no_encoder_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "settings.json").write_text(json.dumps({"widths": [4], "size": 24}))
    with pytest.raises(InputError, match="holds no encoder"):
        encoder_of(tmp_path)


def test_an_encoder_has_a_row_of_features_for_each_face():
    shown = select(faces(3), prepare=lambda image: crop(image, 24))
    assert features(Encoder((4, 8)), tensor(shown)).shape == (3, 8)
