"""Full-size networks are trained on faces in colour, as published, and their files read colour."""

import dataclasses

import numpy as np
import pytest
import torch

from mien.core.contract import Classifier
from mien.datasets import Sample
from mien.errors import InputError
from mien.methods import au_cues, se_swin, vtff
from mien.training.faces import AugmentedBatch, augmented, faces_of, luma, tensor
from mien.training.photographs import photograph

SIZE = 64
SMALL = {"epochs": 1, "batch_size": 4, "precision": "32-true", "average": 0.0, "size": SIZE, "start": ""}
PAPERS = {
    "au_cues": (au_cues, au_cues.PRESETS["paper"], {"backbone": "resnet18", "attention_weight": 0.0}),
    "se_swin": (se_swin, se_swin.PRESETS["paper"], {}),
    "vtff": (vtff, vtff.PRESETS["paper"], {"depth": 1, "width": 32, "hidden": 32, "heads": 2}),
}


def samples(count: int) -> list[Sample]:
    """Red and blue squares of equal gray: colour alone tells happiness from sadness."""
    red, blue = (150, 60, 60), (60, 69, 243)
    votes = np.zeros((2, 10), np.uint8)
    votes[0, 1] = votes[1, 3] = 10
    pictures = [np.full((SIZE, SIZE, 3), (red, blue)[i % 2], np.uint8) for i in range(count)]
    return [Sample(picture, votes=votes[i % 2]) for i, picture in enumerate(pictures)]


def test_a_face_in_colour_keeps_its_channels():
    faces = faces_of(samples(4), SIZE, channels=3)
    assert tensor(faces).shape == (4, 3, SIZE, SIZE)
    assert tensor(faces)[0, :, 5, 5].tolist() == [150, 60, 60]
    assert np.ptp(luma(tensor(faces).float())[:, 0, 5, 5].numpy()) < 2


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_s_network_learns_from_colour_and_its_file_reads_it(tmp_path, name):
    method, paper, changes = PAPERS[name]
    settings = dataclasses.replace(paper, **SMALL | changes)
    assert settings.channels == 3
    method.train(samples(8), settings, tmp_path / "run", valid=samples(4))
    method.export(tmp_path / "run", tmp_path / "own.onnx", half=False)
    classify = Classifier((tmp_path / "own.onnx").read_bytes())
    assert classify.contract.channels == 3
    one, other = classify.logits(np.stack([s.image for s in samples(2)]))
    assert not np.allclose(one, other, atol=1e-6), "of faces that are equal in gray"


@pytest.mark.parametrize("method", [au_cues, se_swin, vtff])
def test_a_network_for_gray_faces_says_so(tmp_path, method):
    settings = dataclasses.replace(method.PRESETS["small"], channels=3, epochs=1)
    with pytest.raises(InputError, match="takes gray faces; set channels to 1"):
        method.train(samples(4), settings, tmp_path)


def test_augmentation_treats_the_channels_of_a_face_alike():
    torch.manual_seed(0)
    gray = torch.randint(0, 256, (6, 1, SIZE, SIZE), dtype=torch.uint8)
    settings = dataclasses.replace(au_cues.PRESETS["small"], size=SIZE, erase_share=0.0, mixup_share=0.0)
    torch.manual_seed(1)
    wanted: AugmentedBatch = augmented(gray, torch.eye(8)[:6], settings)
    torch.manual_seed(1)
    given = augmented(gray.expand(-1, 3, -1, -1), torch.eye(8)[:6], settings)
    for channel in range(3):
        assert torch.allclose(given.images[:, channel], wanted.images[:, 0], atol=1e-5)


def test_a_photograph_in_colour_stays_in_colour():
    torch.manual_seed(0)
    faces = tensor(faces_of(samples(8), SIZE, channels=3)).float() / 255
    worn = photograph(faces, share=1.0)
    assert worn.shape == faces.shape
    assert (worn[0, 0] > worn[0, 2]).float().mean() > 0.9
    assert (worn[1, 0] < worn[1, 2]).float().mean() > 0.9
