from dataclasses import replace

import numpy as np
import pytest
import torch

from mien.datasets import Sample
from mien.errors import InputError, ModelError
from mien.methods.feranno import train as annotator
from mien.methods.feranno.export import export, load
from mien.methods.feranno.labeler import FerAnno, Seer
from mien.methods.feranno.model import Head, HeadOutput
from mien.methods.feranno.train import GeneratorFeatures, Settings, accuracy, build, loss, view
from tests.methods.synfer import toy
from tests.methods.synfer.runs import HAPPY, faces

TINY = Settings(
    epochs=8, batch_size=8, views=2, channels=8, heads=2, dropout=0.0, average=0.5, precision="32-true",
    learning_rate=5e-3, units="reader",
)  # fmt: skip


def lit(count: int) -> list[Sample]:
    """Drawn faces, the frowning ones in the shade: the toy's features are means of cells, which have no mouth."""
    return [s if s.expression is HAPPY else replace(s, image=s.image // 2) for s in faces(count)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("feranno")
    generator = toy.generator(folder / "toy.onnx")
    settings = replace(TINY, generator=str(generator))
    annotator.train(lit(24), settings, folder / "run", valid=lit(8))
    return generator, folder / "run"


def test_faces_are_told_apart_by_what_the_generator_sees_in_them(run, tmp_path):
    generator, folder = run
    export(folder, tmp_path / "head.onnx")
    labeler = FerAnno(Seer(generator), tmp_path / "head.onnx")
    some = lit(40)[24:]
    answers = labeler(np.stack([sample.image[..., 0] for sample in some])).argmax(axis=1)
    assert (answers == [sample.expression for sample in some]).mean() >= 0.9


def test_a_head_knows_the_generator_that_it_was_trained_with_and_goes_on_with_no_other(tmp_path):
    generator = toy.generator(tmp_path / "toy.onnx")
    settings = replace(TINY, generator=str(generator), epochs=1)
    annotator.train(lit(16), settings, tmp_path / "run")
    with (tmp_path / "toy.onnx").open("ab") as file:
        file.write(b"\x72\x00")  # an empty field of an ONNX model: another file with the same network
    with pytest.raises(InputError, match="begun with another"):
        annotator.train(lit(16), settings, tmp_path / "run", resume=True)
    export(tmp_path / "run", tmp_path / "head.onnx")
    with pytest.raises(ModelError, match="another generator"):
        FerAnno(Seer(generator), tmp_path / "head.onnx")


def test_a_finished_run_is_loaded_with_its_weights_and_settings(run):
    trained = load(run[1])
    head, settings = trained.network, trained.settings
    assert isinstance(head, Head)
    assert settings.channels == TINY.channels


def test_both_branches_count():
    torch.manual_seed(0)
    head = Head(3, 5, channels=8, heads=2).eval()
    features, maps = torch.randn(2, 3, 6, 6), torch.randn(2, 5, 6, 6)
    base = head(features, maps).logits
    assert base.shape == (2, 8)
    assert (head(features + 1, maps).logits - base).abs().max() > 1e-4
    assert (head(features, maps * 2).logits - base).abs().max() > 1e-4


def test_the_shipped_size_fits_its_budget():
    shapes = GeneratorFeatures(torch.zeros(1, 1, 224, 6, 6), torch.zeros(1, 1, 192, 6, 6))
    assert 2 * sum(p.numel() for p in build(Settings(), shapes).parameters()) < 2.9e6


def test_the_loss_is_the_divergence_from_the_votes_of_one_view_of_each_face():
    class First(torch.nn.Module):
        def forward(self, features, maps):
            return HeadOutput(features.flatten(1)[:, :8])

    targets = torch.tensor([[0.5, 0.5, 0, 0, 0, 0, 0, 0]])
    logits = torch.zeros(1, 1, 8, 1, 1)
    given = (logits.half(), torch.zeros(1, 1, 1, 1, 1).half(), targets)
    assert loss(First(), given).item() == pytest.approx(np.log(8) - np.log(2), abs=1e-3)


def test_views_are_the_face_its_mirror_image_and_moved_ones():
    crops = torch.randint(0, 256, (3, 1, 12, 12), dtype=torch.uint8)
    assert np.array_equal(view(crops, 0, TINY), crops[:, 0].numpy())
    assert np.array_equal(view(crops, 1, TINY), crops[:, 0].numpy()[:, :, ::-1])
    torch.manual_seed(0)
    moved = view(crops, 2, TINY)
    assert moved.dtype == np.uint8
    assert not np.array_equal(moved, view(crops, 3, TINY))


def test_accuracy_is_measured_on_the_face_as_it_is():
    class First(torch.nn.Module):
        def forward(self, features, maps):
            return HeadOutput(features[:, :, 0, 0])

    shown = torch.zeros(2, 2, 8, 6, 6)
    shown[0, 0, 3], shown[1, 0, 1], shown[:, 1, 5] = 1, 1, 1
    assert accuracy(First(), GeneratorFeatures(shown, shown), torch.tensor([3, 0])) == 0.5


def test_generated_faces_do_not_teach_the_labeler(run, tmp_path):
    own = Sample(faces(1)[0].image, soft=np.eye(8, dtype=np.float32)[1], source="made/0.png")
    with pytest.raises(InputError, match="is a generated face"):
        annotator.train([own], replace(TINY, generator=str(run[0])), tmp_path)


def test_the_labeler_cannot_be_calibrated(run, tmp_path):
    with pytest.raises(InputError, match="nothing to calibrate"):
        export(run[1], tmp_path / "x.onnx", calibrate=faces(2))
