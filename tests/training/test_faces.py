import dataclasses
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mien.core.align import crop as cropped
from mien.core.contract import Classifier, softmax
from mien.core.zoo import load
from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.protocols import select
from mien.facs.vocabulary import Expression
from mien.methods.au_cues.model import ReaderOutput
from mien.training.faces import (
    MEAN,
    STD,
    Cropped,
    FaceSettings,
    Teacher,
    augmented,
    faces_of,
    fit_faces,
    loader,
    normalize,
    priors,
    recalls,
    tensor,
)
from tests.helpers import drawn_face, noise

SIZE = 48
HAPPY, SAD = Expression.HAPPINESS, Expression.SADNESS
TINY = FaceSettings(epochs=2, batch_size=8, precision="32-true", average=0.5)


def crop(image: np.ndarray) -> np.ndarray:
    return cropped(image, SIZE)


def sample(expression: Expression, seed: int = 0) -> Sample:
    votes = np.zeros(10, np.uint8)
    votes[expression] = 10
    return Sample(np.stack([drawn_face(expression is HAPPY, seed)] * 3, axis=-1), votes=votes)


def faces(count: int) -> list[Sample]:
    """Smiling and frowning faces in turn, no two alike."""
    return [sample((HAPPY, SAD)[i % 2], i) for i in range(count)]


class Linear(nn.Module):
    """The smallest classifier there is."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(SIZE * SIZE, 8)

    def forward(self, images):
        return ReaderOutput(self.linear(images.flatten(1)), [])


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


def test_an_epoch_draws_as_many_faces_as_it_is_told_to():
    few, many = (select(faces(count), prepare=crop) for count in (5, 40))
    assert [len(images) for images, _ in loader(few, TINY, draws=16)] == [8, 8]
    assert [len(images) for images, _ in loader(many, TINY, draws=6)] == [6]


def test_faces_of_any_size_become_crops_and_those_of_the_right_size_stay_as_they_are():
    small, large = faces(2)[0], Sample(noise(200, 100, 3), expression=SAD)
    crops = tensor(select([small, large], prepare=crop))
    assert crops.shape == (2, 1, SIZE, SIZE)
    np.testing.assert_array_equal(crops[0, 0], drawn_face(True, 0))


def test_normalizing_takes_bytes_and_fractions_alike():
    assert normalize(torch.tensor([MEAN, MEAN + STD])).tolist() == pytest.approx([0, 1], abs=1e-6)
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.allclose(normalize(pixels), normalize(pixels.float() / 255))


def test_recalls_of_a_hand_worked_case():
    class AlwaysHappy(nn.Module):
        def forward(self, images):
            return ReaderOutput(nn.functional.one_hot(torch.full((len(images),), int(HAPPY)), 8).float(), [])

    three_to_one = [sample(HAPPY), sample(HAPPY), sample(HAPPY), sample(SAD)]
    assert recalls(AlwaysHappy(), select(three_to_one, prepare=crop)) == {"accuracy": 0.75, "mean_recall": 0.5}


def test_the_shares_of_the_classes_are_kept_as_they_are_and_as_they_are_drawn():
    chosen = select([sample(SAD), sample(HAPPY), sample(HAPPY), sample(HAPPY), sample(HAPPY)], prepare=crop)
    kept = priors(chosen, dataclasses.replace(TINY, rebalance=0.5))
    assert [kept["natural"][e] for e in (HAPPY, SAD)] == pytest.approx([0.8, 0.2])
    assert [kept["drawn"][e] for e in (HAPPY, SAD)] == pytest.approx([2 / 3, 1 / 3])


def test_blended_faces_come_first_and_their_targets_are_blended_alike():
    chosen = select(faces(8), prepare=crop)
    torch.manual_seed(0)
    settings = dataclasses.replace(TINY, mixup_share=0.5)
    seen = augmented(tensor(chosen), torch.from_numpy(chosen.targets), settings)
    assert seen.blended == 4
    assert seen.images.shape == seen.erased.shape == (8, 1, SIZE, SIZE)
    assert torch.equal(seen.targets[4:], torch.from_numpy(chosen.targets[4:]))
    assert torch.allclose(seen.targets.sum(1), torch.ones(8))


def test_a_teacher_answers_the_faces_as_the_network_sees_them():
    images = torch.from_numpy(np.stack([drawn_face(True, 1), drawn_face(False, 2)]))[:, None]
    wanted = softmax(Classifier(load("reader")).logits(images[:, 0].numpy()))
    np.testing.assert_allclose(Teacher("reader", SIZE)(normalize(images)), wanted, atol=1e-6)


def test_a_teacher_of_other_faces_is_refused():
    with pytest.raises(InputError, match="reads faces of 48 pixels, but size is 64"):
        Teacher("reader", 64)


def test_of_several_teachers_the_average_is_learned(tmp_path, monkeypatch):
    shares = {"one": 0, "other": 1}

    class Sure:
        def __init__(self, model, size):
            self.column = shares[model]

        def __call__(self, images):
            return torch.nn.functional.one_hot(torch.full((len(images),), self.column), 8).float()

    monkeypatch.setattr("mien.training.faces.Teacher", Sure)
    seen = []

    def loss(network, batch, lessons):
        seen.append(batch.targets)
        return network(batch.images).logits.sum() * 0

    settings = dataclasses.replace(TINY, epochs=1, teachers=("one", "other"), teacher_weight=1.0)
    fit_faces(Linear(), faces_of(faces(16), SIZE), settings, tmp_path, loss=loss)
    assert torch.allclose(seen[0][:, :3], torch.tensor([0.5, 0.5, 0.0]))


def test_a_network_that_listens_to_its_teacher_alone_says_what_the_teacher_says(tmp_path):
    # The votes say fear of every face; the shipped reader does not.
    samples = [dataclasses.replace(face, votes=sample(Expression.FEAR).votes) for face in faces(16)]
    chosen = faces_of(samples, SIZE)
    plain = dataclasses.replace(
        TINY, epochs=80, learning_rate=2e-3, weight_decay=0, degrees=0, scale=0, shift=0, contrast=0, brightness=0,
        soften_share=0, erase_share=0, mixup_share=0, teachers=("reader",),
    )  # fmt: skip

    def says(weight: float) -> np.ndarray:
        settings = dataclasses.replace(plain, teacher_weight=weight)
        network = fit_faces(Linear(), chosen, settings, tmp_path / str(weight))
        with torch.no_grad():
            return network(normalize(tensor(chosen))).logits.softmax(1).numpy()

    wanted = Teacher("reader", SIZE)(normalize(tensor(chosen))).numpy()
    assert says(0.0)[:, Expression.FEAR].min() > 0.9
    assert np.abs(says(1.0) - wanted).mean() < 0.05
    assert wanted[:, Expression.FEAR].max() < 0.5


@pytest.fixture
def on_disk(monkeypatch, tmp_path):
    """More than four crops are kept in a file."""
    monkeypatch.setattr("mien.training.faces._IN_MEMORY", 4 * SIZE * SIZE)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_crops_above_the_limit_are_mapped_from_a_file_that_leaves_nothing_behind(on_disk):
    few, many = faces_of(faces(4), SIZE), faces_of(faces(12), SIZE)
    assert isinstance(few.samples, Cropped)
    assert isinstance(many.samples, Cropped)
    assert not isinstance(few.samples.pictures, np.memmap)
    assert isinstance(many.samples.pictures, np.memmap)
    assert not list(on_disk.iterdir())
    for index, one in enumerate(faces(12)):
        assert np.array_equal(many.samples[index].image, crop(one.image))
    assert tensor(many).shape == (12, 1, SIZE, SIZE)
    assert tensor(many).data_ptr() == torch.from_numpy(many.samples.pictures).data_ptr(), "nothing is copied"
    some = dataclasses.replace(many, samples=many.samples[3:5])
    assert torch.equal(tensor(some), tensor(many)[3:5])


def test_a_network_trains_on_crops_in_a_file_as_on_crops_in_memory(on_disk, monkeypatch, tmp_path):
    torch.manual_seed(0)
    network = Linear()
    mapped = fit_faces(network, faces_of(faces(12), SIZE), TINY, tmp_path / "mapped")
    monkeypatch.setattr("mien.training.faces._IN_MEMORY", 1 << 30)
    torch.manual_seed(0)
    network = Linear()
    kept = fit_faces(network, faces_of(faces(12), SIZE), TINY, tmp_path / "kept")
    assert torch.equal(mapped.linear.weight, kept.linear.weight)


def test_processes_that_read_ahead_change_nothing(tmp_path):
    weights = []
    for workers in (0, 2):
        torch.manual_seed(0)
        settings = dataclasses.replace(TINY, workers=workers)
        weights.append(fit_faces(Linear(), faces_of(faces(16), SIZE), settings, tmp_path / str(workers)).linear.weight)
    assert torch.equal(*weights)


def test_a_full_disk_is_a_sentence_that_says_how_much_room_is_needed(on_disk):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6 * SIZE * SIZE, before[1]))
    try:
        with pytest.raises(InputError, match="set TMPDIR to a folder with room"):
            faces_of(faces(12), SIZE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


SPLIT = """
import sys
import numpy as np
import torch
from lightning.fabric import Fabric
from mien.methods.au_cues.model import ReaderOutput
from mien.training.faces import logits
from tests.training.test_faces import Sums, crop, faces, select

network, chosen = Sums(), select(faces(9), prepare=crop)
whole = logits(network, chosen)
fabric = Fabric(accelerator="cpu", devices=2)
fabric.launch()
network.seen = 0
split = logits(network, chosen)
assert np.array_equal(split, whole), split - whole
assert network.seen in (4, 5), network.seen  # of nine faces
"""


class Sums(nn.Module):
    """Answers that differ with the face, and how many faces were seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, faces: torch.Tensor) -> ReaderOutput:
        self.seen += len(faces)
        return ReaderOutput(faces.flatten(1)[:, :8] * torch.arange(8), [])


def test_devices_each_answer_a_part_of_the_faces_and_all_have_the_same_answers(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(SPLIT)
    root = Path(__file__).parents[2]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), str(root / "src")])
    ran = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
