import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from mien.datasets import Sample
from mien.datasets.pseudo_labels import PseudoLabels, Reading, label
from mien.errors import InputError
from mien.evaluation.protocols import select
from mien.facs import Calibration
from mien.methods import au_cues
from mien.methods.au_cues.loss import alignment_loss, attention
from mien.methods.au_cues.maps import class_map, mean_face
from mien.methods.au_cues.train import MEAN, SIZE, STD, au_maps, crop, loader, loss, normalize, recalls, tensor
from mien.vocabulary import Expression
from tests.helpers import drawn_face, noise

HAPPY, SAD = Expression.HAPPINESS, Expression.SADNESS
TINY = au_cues.Settings(
    epochs=2, batch_size=8, widths=(4, 8, 8, 16), blocks=(1, 1, 1, 1), precision="32-true", average=0.5
)
PLAIN = dataclasses.replace(
    TINY, dropout=0.0, stochastic_depth=0.0, degrees=0.0, scale=0.0, shift=0.0, contrast=0.0, brightness=0.0,
    soften_share=0.0, erase_share=0.0, mixup_share=0.0,
)  # fmt: skip


def votes(expression: Expression, count: int = 10, unsure: int = 0) -> np.ndarray:
    row = np.zeros(10, np.uint8)
    row[expression], row[len(Expression)] = count, unsure
    return row


def sample(expression: Expression, seed: int = 0, **options: object) -> Sample:
    gray = drawn_face(expression is HAPPY, seed)
    return Sample(np.stack([gray] * 3, axis=-1), votes=votes(expression), **options)


def faces(count: int) -> list[Sample]:
    """Smiling and frowning faces in turn, no two alike."""
    return [sample((HAPPY, SAD)[i % 2], i) for i in range(count)]


def test_a_few_drawn_faces_train_in_seconds_and_leave_a_complete_run(tmp_path):
    trained = au_cues.train(faces(24), TINY, tmp_path, valid=faces(4))
    assert isinstance(trained, au_cues.Reader)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [0, 1]
    assert all(0 <= line[name] <= 1 for line in log for name in ("accuracy", "mean_recall"))
    assert (tmp_path / "model.safetensors").is_file()
    assert json.loads((tmp_path / "settings.json").read_text())["widths"] == list(TINY.widths)


def test_without_validation_faces_the_log_has_the_loss_alone(tmp_path):
    au_cues.train(faces(8), dataclasses.replace(TINY, epochs=1), tmp_path)
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line).keys() == {"epoch", "loss", "seconds", "precision"}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A reader that saw 32 faces until it knew them, and its log. Of the faces it was validated on one is a lie."""
    folder = tmp_path_factory.mktemp("learnt")
    settings = dataclasses.replace(PLAIN, epochs=10, learning_rate=0.01)
    lie = dataclasses.replace(sample(HAPPY, 1), votes=votes(SAD), duplicate=True)
    trained = au_cues.train(faces(32), settings, folder, valid=[*faces(4), lie])
    return trained, [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_thirty_two_faces_of_two_classes_are_learnt_by_heart(learnt):
    trained, log = learnt
    assert recalls(trained, select(faces(32), prepare=crop)) == {"accuracy": 1.0, "mean_recall": 1.0}
    assert log[-1]["loss"] < 0.2 * log[0]["loss"]


def test_faces_of_another_split_are_not_validated_on(learnt):
    _, log = learnt
    assert log[-1]["accuracy"] == 1


def test_the_same_seed_trains_the_same_reader(tmp_path):
    one, other = (au_cues.train(faces(16), dataclasses.replace(TINY, epochs=1), tmp_path / str(i)) for i in range(2))
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_data_of_which_no_face_is_left_are_refused_with_the_reasons(tmp_path):
    nobody = dataclasses.replace(sample(HAPPY), votes=votes(HAPPY, 0, unsure=10))
    with pytest.raises(InputError, match=r"no face is left to train on; dropped: \{'unknown': 1\}"):
        au_cues.train([nobody], TINY, tmp_path)


@pytest.mark.parametrize(("rebalance", "share"), [(0, 0.1), (0.5, 0.25), (1, 0.5)])
def test_a_rare_class_is_drawn_as_often_as_the_setting_says(rebalance, share):
    # Nine to one; its square root, three to one; and even.
    chosen = select([sample(SAD if i < 100 else HAPPY) for i in range(1000)], "soft-votes", prepare=crop)
    torch.manual_seed(0)
    drawn = torch.cat([targets for _, targets in loader(chosen, dataclasses.replace(TINY, rebalance=rebalance))])
    assert len(drawn) == 1000
    assert drawn[:, SAD].mean() == pytest.approx(share, abs=0.05)
    assert torch.equal(drawn.sum(1), torch.ones(1000))


def test_a_batch_keeps_each_face_with_its_own_target():
    chosen = select(faces(16), "soft-votes", prepare=crop)
    for images, targets in loader(chosen, TINY):
        assert (images.dtype, images.shape[1:]) == (torch.uint8, (1, SIZE, SIZE))
        for image, target in zip(images, targets, strict=True):
            (index,) = [i for i, face in enumerate(tensor(chosen)) if torch.equal(face, image)]
            assert target.argmax() == (HAPPY, SAD)[index % 2]


def test_fewer_faces_than_a_batch_still_make_one():
    assert [len(images) for images, _ in loader(select(faces(5), prepare=crop), TINY)] == [5]
    assert [len(images) for images, _ in loader(select(faces(19), prepare=crop), TINY)] == [8, 8]


def test_faces_of_any_size_become_crops_and_those_of_the_right_size_stay_as_they_are():
    small, large = faces(2)[0], Sample(noise(200, 100, 3), expression=SAD)
    crops = tensor(select([small, large], prepare=crop))
    assert crops.shape == (2, 1, SIZE, SIZE)
    np.testing.assert_array_equal(crops[0, 0], drawn_face(True, 0))


def test_normalizing_takes_bytes_and_fractions_alike():
    assert normalize(torch.tensor([MEAN, MEAN + STD])).tolist() == pytest.approx([0, 1], abs=1e-6)
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.allclose(normalize(pixels), normalize(pixels.float() / 255))


def test_without_augmentation_the_loss_is_the_cross_entropy_against_the_votes():
    class Known(nn.Module):
        """Logits that say 3/4 happy and 1/4 sad of every face."""

        def forward(self, images):
            logits = torch.full((len(images), 8), -1e4)
            logits[:, [HAPPY, SAD]] = torch.tensor([0.75, 0.25]).log()
            return logits

    images = tensor(select(faces(4), prepare=crop))
    targets = torch.zeros(4, 8)
    targets[:, [HAPPY, SAD]] = torch.tensor([0.5, 0.5])
    wanted = -0.5 * np.log(0.75) - 0.5 * np.log(0.25)
    assert loss(Known(), (images, targets), PLAIN).item() == pytest.approx(wanted, rel=1e-5)


def test_recalls_of_a_hand_worked_case():
    class AlwaysHappy(nn.Module):
        def forward(self, images):
            return nn.functional.one_hot(torch.full((len(images),), int(HAPPY)), 8).float()

    three_to_one = [sample(HAPPY), sample(HAPPY), sample(HAPPY), sample(SAD)]
    assert recalls(AlwaysHappy(), select(three_to_one, prepare=crop)) == {"accuracy": 0.75, "mean_recall": 0.5}


def taught(count: int, missed: int | None = None) -> tuple[list[Sample], PseudoLabels]:
    """Faces, and a teacher that sees the mean face in every one but `missed`."""
    samples = [dataclasses.replace(face, source=f"faces:{i}") for i, face in enumerate(faces(count))]

    def teach(image: np.ndarray) -> Reading | None:
        if missed is not None and np.array_equal(image, samples[missed].image):
            return None
        return Reading((mean_face() * SIZE).astype(np.float32), np.zeros(52, np.float32), np.zeros(3, np.float32), 0)

    calibration = Calibration(np.zeros(52), np.ones(52))
    return samples, label(samples, teach, calibration)


def test_maps_lie_over_the_crops_and_a_face_that_the_teacher_missed_has_none():
    samples, labels = taught(4, missed=1)
    maps, has_map = au_maps(select(samples, "soft-votes", prepare=crop), [(SIZE, SIZE, 3)] * 4, labels, TINY)
    assert has_map.tolist() == [True, False, True, True]
    assert (maps.shape, maps.dtype) == ((4, 1, SIZE, SIZE), torch.uint8)
    assert not maps[1].any()
    expected = cv2.resize(class_map(mean_face(), HAPPY), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(maps[0, 0] / 255, expected, atol=0.05)


def test_a_map_lies_over_the_square_that_is_cut_from_a_picture_that_is_not_square():
    samples, labels = taught(1)
    wide = dataclasses.replace(labels, landmarks=labels.landmarks * 2 + np.array([0, -24], np.float32))  # of 96 x 48
    plain, _ = au_maps(select(samples, "soft-votes", prepare=crop), [(SIZE, SIZE, 3)], labels, TINY)
    cut, _ = au_maps(select(samples, "soft-votes", prepare=crop), [(SIZE, 2 * SIZE, 3)], wide, TINY)
    assert (plain.float() - cut.float()).abs().max() <= 40


def test_attention_learns_to_match_the_maps_when_it_has_a_weight(tmp_path):
    samples, labels = taught(16)
    chosen = select(samples, "soft-votes", prepare=crop)
    maps, has_map = au_maps(chosen, [(SIZE, SIZE, 3)] * 16, labels, PLAIN)

    def misaligned(weight: float) -> float:
        settings = dataclasses.replace(PLAIN, epochs=12, attention_weight=weight, learning_rate=1e-2)
        network = au_cues.train(samples, settings, tmp_path / str(weight), labels=labels)
        with torch.no_grad():
            _, features = network(normalize(tensor(chosen)), (4,))
        return float(alignment_loss([attention(f) for f in features], maps[:, 0].float() / 255, has_map))

    assert misaligned(4.0) < 0.6 * misaligned(0.0)


def test_a_batch_that_is_mixed_up_has_no_attention_loss():
    samples, labels = taught(8)
    chosen = select(samples, "soft-votes", prepare=crop)
    maps, has_map = au_maps(chosen, [(SIZE, SIZE, 3)] * 8, labels, PLAIN)
    batch = (tensor(chosen), torch.from_numpy(chosen.targets), maps, has_map)
    network = au_cues.Reader((4, 8, 8, 16), (1, 1, 1, 1), 0.0, 0.0).eval()

    def value(**changes: float) -> float:
        torch.manual_seed(3)
        return loss(network, batch, dataclasses.replace(PLAIN, **changes)).item()

    assert value(mixup_share=1.0, attention_weight=4.0) == pytest.approx(value(mixup_share=1.0), abs=1e-6)
    assert value(attention_weight=4.0) > value() + 0.1


def test_an_attention_weight_needs_the_labels_of_these_very_faces(tmp_path):
    samples, labels = taught(4)
    settings = dataclasses.replace(TINY, attention_weight=1.0)
    with pytest.raises(InputError, match="mien pseudo-label"):
        au_cues.train(samples, settings, tmp_path)
    others = dataclasses.replace(labels, source=[f"others:{i}" for i in range(4)])
    with pytest.raises(InputError, match=r"no row for 'faces:0'.*'others:0'"):
        au_cues.train(samples, settings, tmp_path, labels=others)
