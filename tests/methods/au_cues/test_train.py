import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from mien.core.align import crop as cropped
from mien.datasets import Sample
from mien.datasets.pseudo_labels import MeshReading, PseudoLabels, label
from mien.errors import InputError
from mien.evaluation.protocols import select
from mien.facs.blendshapes import ShapeCalibration
from mien.facs.landmarks import MIRRORED_68, mean_face
from mien.facs.vocabulary import Expression
from mien.methods import au_cues
from mien.methods.au_cues.export import load
from mien.methods.au_cues.loss import alignment_loss, attention
from mien.methods.au_cues.maps import class_map
from mien.methods.au_cues.model import ReaderOutput
from mien.methods.au_cues.train import Taught, loss, moved, moved_pose, taught_loss, teach
from mien.training.faces import augmented, loader, normalize, recalls, tensor
from tests.helpers import drawn_face

SIZE = 48
HAPPY, SAD = Expression.HAPPINESS, Expression.SADNESS
TINY = au_cues.Settings(
    epochs=2, batch_size=8, widths=(4, 8, 8, 16), blocks=(1, 1, 1, 1), precision="32-true", average=0.5
)
PLAIN = dataclasses.replace(
    TINY, dropout=0.0, stochastic_depth=0.0, degrees=0.0, scale=0.0, shift=0.0, contrast=0.0, brightness=0.0,
    soften_share=0.0, erase_share=0.0, mixup_share=0.0,
)  # fmt: skip
ONES = torch.ones(24)


def crop(image: np.ndarray) -> np.ndarray:
    return cropped(image, SIZE)


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
    assert isinstance(trained, au_cues.ReaderNetwork)
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


def test_without_augmentation_the_loss_is_the_cross_entropy_against_the_votes():
    class Known(nn.Module):
        """Logits that say 3/4 happy and 1/4 sad of every face."""

        def forward(self, images):
            logits = torch.full((len(images), 8), -1e4)
            logits[:, [HAPPY, SAD]] = torch.tensor([0.75, 0.25]).log()
            return ReaderOutput(logits, [])

    images = tensor(select(faces(4), prepare=crop))
    targets = torch.zeros(4, 8)
    targets[:, [HAPPY, SAD]] = torch.tensor([0.5, 0.5])
    wanted = -0.5 * np.log(0.75) - 0.5 * np.log(0.25)
    assert loss(Known(), augmented(images, targets, PLAIN), None, PLAIN, ONES).item() == pytest.approx(wanted, rel=1e-5)


def taught(count: int, missed: int | None = None) -> tuple[list[Sample], PseudoLabels]:
    """Faces, and a teacher that sees the mean face in every one but `missed`."""
    samples = [dataclasses.replace(face, source=f"faces:{i}") for i, face in enumerate(faces(count))]

    def teach(image: np.ndarray) -> MeshReading | None:
        if missed is not None and np.array_equal(image, samples[missed].image):
            return None
        return MeshReading(
            (mean_face() * SIZE).astype(np.float32), np.zeros(52, np.float32), np.zeros(3, np.float32), 0
        )

    calibration = ShapeCalibration(np.zeros(52), np.ones(52))
    return samples, label(samples, teach, calibration)


CUED = dataclasses.replace(PLAIN, attention_weight=4.0)


def lesson(samples: list[Sample], labels: PseudoLabels, settings: au_cues.Settings = CUED, shape=(SIZE, SIZE, 3)):
    return teach(select(samples, "soft-votes", prepare=crop), [shape] * len(samples), labels, settings)


def test_maps_lie_over_the_crops_and_a_face_that_the_teacher_missed_has_none():
    samples, labels = taught(4, missed=1)
    lessons = lesson(samples, labels)
    assert lessons.has_map.tolist() == lessons.detected.tolist() == [True, False, True, True]
    assert (lessons.maps.shape, lessons.maps.dtype) == ((4, SIZE, SIZE), torch.uint8)
    assert not lessons.maps[1].any()
    assert all(torch.isfinite(part).all() for part in lessons)
    expected = cv2.resize(class_map(mean_face(), HAPPY), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(lessons.maps[0] / 255, expected, atol=0.05)
    np.testing.assert_allclose(lessons.landmarks[0], mean_face(), atol=1e-5)


def test_what_is_not_learnt_is_not_drawn():
    assert not lesson(*taught(2), dataclasses.replace(PLAIN, heads=True)).has_map.any()


def test_labels_lie_over_the_square_that_is_cut_from_a_picture_that_is_not_square():
    samples, labels = taught(1)
    wide = dataclasses.replace(labels, landmarks=labels.landmarks * 2 + np.array([0, -24], np.float32))  # of 96 x 48
    plain, cut = lesson(samples, labels), lesson(samples, wide, shape=(SIZE, 2 * SIZE, 3))
    assert (plain.maps.float() - cut.maps.float()).abs().max() <= 40
    np.testing.assert_allclose(plain.landmarks, cut.landmarks, atol=1e-5)


def test_each_control_has_its_own_kind_of_map():
    samples, labels = taught(6)
    maps = {}
    for kind in ("class", "generic", "shuffled", "uniform"):
        maps[kind] = lesson(samples, labels, dataclasses.replace(CUED, attention_map=kind)).maps.float() / 255
    own = {e: cv2.resize(class_map(mean_face(), e), (SIZE, SIZE), interpolation=cv2.INTER_AREA) for e in Expression
           if class_map(mean_face(), e) is not None}  # fmt: skip
    for i in range(6):
        nearest = min(own, key=lambda e: float(np.abs(own[e] - maps["shuffled"][i].numpy()).mean()))
        assert nearest is not (HAPPY, SAD)[i % 2]
    assert (maps["uniform"] == 1).all()
    assert torch.equal(maps["generic"][0], maps["generic"][1])
    assert (maps["generic"].mean(), maps["class"][0].mean()) == pytest.approx((0.37, 0.133), abs=0.02)
    with pytest.raises(InputError, match="attention_map is class, generic, shuffled or uniform, not 'rings'"):
        lesson(samples, labels, dataclasses.replace(CUED, attention_map="rings"))


def test_attention_learns_to_match_the_maps_when_it_has_a_weight(tmp_path):
    samples, labels = taught(16)
    lessons = lesson(samples, labels)

    def misaligned(weight: float) -> float:
        settings = dataclasses.replace(PLAIN, epochs=12, attention_weight=weight, learning_rate=1e-2)
        network = au_cues.train(samples, settings, tmp_path / str(weight), labels=labels)
        with torch.no_grad():
            last = network(normalize(tensor(select(samples, "soft-votes", prepare=crop)))).features[-1]
        return float(alignment_loss([attention(last)], lessons.maps.float() / 255, lessons.has_map))

    assert misaligned(4.0) < 0.6 * misaligned(0.0)


def test_heads_learn_what_the_teacher_says(tmp_path):
    samples, labels = taught(16)
    smile = np.zeros((16, 24), np.float32)
    smile[::2, 8] = 1  # AU12 of the happy half
    turned = np.stack([np.where(np.arange(16) % 2, 30, 0), np.zeros(16), np.zeros(16)], 1).astype(np.float32)
    labels = dataclasses.replace(labels, action_units=smile, pose=turned)
    settings = dataclasses.replace(PLAIN, heads=True, epochs=80, learning_rate=1e-2)
    network = au_cues.train(samples, settings, tmp_path, labels=labels)
    with torch.no_grad():
        answers = network(normalize(tensor(select(samples, "soft-votes", prepare=crop))))
    units = answers.action_units[:, 8]
    assert units[::2].min() > 0.6
    assert units[1::2].max() < 0.4
    assert answers.pose[1::2, 0].mean() - answers.pose[::2, 0].mean() > 10


def some_answers(count: int) -> ReaderOutput:
    torch.manual_seed(0)
    return ReaderOutput(
        torch.zeros(count, 8), [torch.rand(count, 3, 6, 6)], torch.rand(count, 24), torch.rand(count, 68, 2),
        torch.zeros(count, 3),
    )  # fmt: skip


def test_a_face_that_the_teacher_missed_teaches_nothing():
    lessons = lesson(*taught(4, missed=1), dataclasses.replace(CUED, heads=True))
    answers, settings = some_answers(4), dataclasses.replace(CUED, heads=True, attention_stages=(1,))
    value = taught_loss(answers, lessons, settings, ONES)
    wild = answers._replace(landmarks=answers.landmarks.clone(), action_units=answers.action_units.clone())
    wild.landmarks[1], wild.action_units[1], wild.features[0][1] = 1e3, 1, 0
    assert taught_loss(wild, lessons, settings, ONES) == value
    nobody = lessons._replace(detected=torch.zeros(4, dtype=torch.bool), has_map=torch.zeros(4, dtype=torch.bool))
    assert taught_loss(answers, nobody, settings, ONES) == 0


def test_the_loss_of_the_heads_in_a_hand_worked_case():
    lessons = lesson(*taught(2), dataclasses.replace(PLAIN, heads=True))
    off = ReaderOutput(
        torch.zeros(2, 8), [], lessons.action_units + 0.3, lessons.landmarks - 0.02, lessons.pose + torch.tensor(6.0)
    )
    settings = dataclasses.replace(PLAIN, heads=True, action_unit_weight=1, landmark_weight=10, pose_weight=100)
    # Huber with delta 0.1 of 0.3, over a spread of 2; L1 of 0.02; smooth L1 with beta 0.1 of 6/30.
    wanted = 0.1 * (0.3 - 0.05) / 2 + 10 * 0.02 + 100 * (0.2 - 0.05)
    assert taught_loss(off, lessons, settings, 2 * ONES).item() == pytest.approx(wanted, rel=1e-4)


def test_faces_that_are_blended_teach_expression_alone(tmp_path):
    samples, labels = taught(8)
    settings = dataclasses.replace(CUED, heads=True)
    batch = next(iter(loader(select(samples, "soft-votes", prepare=crop), settings, lesson(samples, labels, settings))))
    network = au_cues.train(samples, dataclasses.replace(settings, epochs=1), tmp_path, labels=labels)

    def value(**changes: float) -> float:
        torch.manual_seed(3)
        changed = dataclasses.replace(settings, **changes)
        seen = augmented(batch[0], batch[1], changed)
        return loss(network, seen, Taught(*batch[2:]) if changed.taught else None, changed, ONES).item()

    nothing = {"attention_weight": 0.0, "heads": False}
    assert value(mixup_share=1.0) == pytest.approx(value(mixup_share=1.0, **nothing), abs=1e-6)
    assert value(mixup_share=0.5) > value(mixup_share=0.5, **nothing) + 0.1


FLIP = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])


def quarter(clockwise: bool) -> torch.Tensor:
    """Turns pictures by 90 degrees; matrices take output to input."""
    s = -1.0 if clockwise else 1.0
    return torch.tensor([[[0, -s, 0], [s, 0, 0]]])


def test_a_flip_swaps_left_and_right_of_all_labels():
    (lessons,) = [lesson(*taught(1))]
    units = torch.arange(24.0)[None]
    lessons = lessons._replace(action_units=units, pose=torch.tensor([[20.0, 5.0, 10.0]]))
    flipped = moved(lessons, FLIP)
    mirrored = lessons.landmarks[0, MIRRORED_68] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    assert torch.allclose(flipped.landmarks[0], mirrored, atol=1e-6)
    assert flipped.action_units[0].tolist() == [*range(21), -21, -22, -23]
    assert flipped.pose[0].tolist() == pytest.approx([-20, 5, -10], abs=1e-4)
    assert torch.allclose(flipped.maps, lessons.maps.flip(2) / 255, atol=1e-6)
    again = moved(flipped._replace(maps=(flipped.maps * 255).round().byte()), FLIP)
    assert torch.allclose(again.landmarks, lessons.landmarks, atol=1e-6)


def test_a_turned_picture_turns_where_the_head_points():
    # Facing the image's right; after a quarter turn clockwise it faces down, its crown to the right.
    right = torch.tensor([[30.0, 0.0, 0.0]])
    assert moved_pose(right, quarter(clockwise=True))[0].tolist() == pytest.approx([0, -30, 90], abs=1e-3)
    assert moved_pose(right, quarter(clockwise=False))[0].tolist() == pytest.approx([0, 30, -90], abs=1e-3)


def test_heads_and_attention_need_the_labels_of_these_very_faces(tmp_path):
    samples, labels = taught(4)
    for settings in (dataclasses.replace(TINY, attention_weight=1.0), dataclasses.replace(TINY, heads=True)):
        with pytest.raises(InputError, match="mien pseudo-label"):
            au_cues.train(samples, settings, tmp_path)
        others = dataclasses.replace(labels, source=[f"others:{i}" for i in range(4)])
        with pytest.raises(InputError, match=r"no row for 'faces:0'.*'others:0'"):
            au_cues.train(samples, settings, tmp_path, labels=others)


def test_a_timm_backbone_trains_with_cues_and_heads(tmp_path):
    samples, labels = taught(8)
    settings = dataclasses.replace(
        TINY, epochs=1, backbone="mobilenetv3_small_050", heads=True, attention_weight=1.0, attention_stages=(3, 4)
    )
    network = au_cues.train(samples, settings, tmp_path, labels=labels)
    assert load(tmp_path).network.state_dict().keys() == network.state_dict().keys()


def test_attention_of_a_stage_that_the_backbone_lacks_is_refused(tmp_path):
    samples, labels = taught(2)
    with pytest.raises(InputError, match="the backbone has stages 1 to 4; attention_stages has 5"):
        au_cues.train(samples, dataclasses.replace(CUED, attention_stages=(4, 5)), tmp_path, labels=labels)
