import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mien.errors import InputError
from mien.methods.synfer.judge.networks import judged, refuse_shared
from mien.training.run import Identity, Run
from tests.helpers import noise

GUIDE = Identity("vtff", "a" * 64, "shapes-1", seed=0, half="half-a")
JUDGE = Identity("au-cues", "b" * 64, "shapes-2", seed=1, half="half-b")


class Network(nn.Module):
    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(36, width), nn.Linear(width, 8)

    def forward(self, faces):
        features = self.first(faces.flatten(1)).relu()
        return SimpleNamespace(logits=self.last(features), action_units=features[:, :3])


def finished(folder, network, seed=0, half="half-a"):
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    (folder / "settings.json").write_text(json.dumps({"seed": seed}))
    (folder / "data.json").write_text(json.dumps({"half": half}))
    return Run(folder)


def test_a_judge_that_shares_nothing_with_the_guide_may_judge():
    refuse_shared(JUDGE, GUIDE)


@pytest.mark.parametrize(
    ("shared", "named"),
    [
        ({"weights": GUIDE.weights}, "shares weights with"),
        ({"architecture": GUIDE.architecture}, "shares architecture with"),
        ({"seed": GUIDE.seed}, "shares seed with"),
        ({"half": GUIDE.half}, "shares training faces with"),
        ({"half": ""}, "shares training faces with"),
    ],
)
def test_a_judge_that_shares_anything_with_a_guide_is_refused(shared, named):
    with pytest.raises(InputError, match=named):
        refuse_shared(replace(JUDGE, **shared), GUIDE)


def test_two_runs_are_told_apart_by_weights_architecture_seed_and_half(tmp_path):
    torch.manual_seed(0)
    one = finished(tmp_path / "one", Network()).identity("vtff")
    same_shape = finished(tmp_path / "two", Network(), seed=4, half="half-b").identity("vtff")
    wider = finished(tmp_path / "three", Network(6), half="").identity("vtff")
    assert one.weights != same_shape.weights
    assert one.architecture == same_shape.architecture != wider.architecture
    assert [i.half for i in (one, same_shape, wider)] == ["half-a", "half-b", ""]
    assert (one.seed, same_shape.seed) == (0, 4)
    assert Identity(**one.to_json()) == one


def test_a_run_that_does_not_say_its_data_shares_them_with_all(tmp_path):
    run = finished(tmp_path / "run", Network())
    (run.folder / "data.json").unlink()
    assert run.identity("vtff").half == ""


def test_features_of_a_judge_are_what_its_last_layer_is_given():
    network, crops = Network(), noise(300, 6, 6)
    said = judged(network, crops)
    assert said.probabilities.shape == (300, 8)
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1, atol=1e-5)
    with torch.no_grad():
        logits = network.last(torch.from_numpy(said.features))
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), said.probabilities, atol=1e-5)
    assert np.array_equal(said.units, said.features[:, :3])


def test_a_network_that_answers_no_expressions_cannot_judge():
    with pytest.raises(InputError, match="no linear layer that answers the eight"):
        judged(nn.Linear(36, 5), noise(2, 6, 6))
