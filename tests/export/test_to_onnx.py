import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from timm.layers import SEModule  # type: ignore[attr-defined]
from torch import nn

from mien.core.contract import Classifier, softmax
from mien.core.reader import Reader as FileReader
from mien.core.zoo import load
from mien.errors import ExportError
from mien.export import to_onnx as module
from mien.export.parity import largest_difference
from mien.export.to_onnx import TOLERANCE, Calibrated, in_half_precision, to_onnx
from mien.facs.vocabulary import Expression
from mien.methods.au_cues.export import Outputs
from mien.methods.au_cues.model import ReaderNetwork
from mien.training.backbones import Residual
from tests.helpers import noise

SIZE = 24
CONTRACT = module.Contract(tuple(Expression), SIZE, 0.5, 0.25, "random", {"prior": "0.5", "trained_on": "noise"})  # type: ignore[attr-defined]


class Flat(nn.Module):
    """Cheap to export: one matrix, and nothing but it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(SIZE * SIZE, 8) / SIZE)

    def forward(self, faces):
        return {"logits": faces.flatten(1) @ self.weight}


class Fickle(Flat):
    """Answers the exporter otherwise than anybody else."""

    def forward(self, faces):
        logits = super().forward(faces)["logits"]
        return {"logits": -logits if torch.compiler.is_exporting() else logits}


def lively(network: nn.Module) -> nn.Module:
    """Give every part of a fresh network something to do: running statistics, scales, shifts, gates."""
    torch.manual_seed(1)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.3, 3)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.3)
        elif isinstance(part, nn.Conv2d) and part.bias is not None:  # of the gates
            nn.init.normal_(part.weight, 0, 1)
            nn.init.normal_(part.bias, 0, 2)
    return network.eval()


def blotchy(count: int, seed: int = 0) -> np.ndarray:
    """(N, S, S) uint8 faces that differ more than noise does: blotches on grounds of different brightness."""
    blotches = noise(count, 4, 4, seed=seed) * np.random.default_rng(seed).random((count, 1, 1))
    return blotches.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    reader = ReaderNetwork(Residual((16, 32, 64, 128), (1, 1, 1, 1), (1, 2, 2, 1)), SIZE, heads=True)
    outputs = Outputs(lively(reader), stage=4, size=SIZE)
    logits = torch.from_numpy(answers(outputs, blotchy(64, seed=5)))
    spread = logits.std(0) / 0.4
    with torch.no_grad():  # logits around zero that differ from face to face, as those of a trained network do
        reader.expression.weight /= spread[:, None]
        reader.expression.bias.sub_(logits.mean(0)).div_(spread)
    return Calibrated(outputs, torch.linspace(-1, 1, 8), 1.5).eval()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """The network as files in single and in half precision, and what exporting said of each."""
    folder = tmp_path_factory.mktemp("exported")
    files = {half: folder / "made" / f"half-{half}.onnx" for half in (False, True)}
    return {half: (file, to_onnx(network, CONTRACT, file, half=half)) for half, file in files.items()}


def answers(network, crops, name="logits"):
    faces = (torch.from_numpy(crops)[:, None].float() / 255 - CONTRACT.mean) / CONTRACT.std
    with torch.no_grad():
        return network(faces)[name].numpy()


def test_the_random_network_is_no_pushover(network):
    gates = []
    hooks = [
        block.gate.register_forward_hook(lambda gate, given, answer: gates.append(answer))
        for block in network.modules()
        if isinstance(block, SEModule)
    ]
    logits = answers(network, blotchy(16))
    for hook in hooks:
        hook.remove()
    assert [gate.std() > 0.1 for gate in gates] == [True] * 4
    assert softmax(logits).std(axis=0).min() > 0.01  # it tells faces apart


def test_the_file_answers_as_the_network_does(network, exported):
    file, said = exported[False]
    crops = blotchy(32, seed=9)
    given = softmax(Classifier(file.read_bytes()).logits(crops))
    np.testing.assert_allclose(given, softmax(answers(network, crops)), atol=TOLERANCE)
    others = Classifier(file.read_bytes()).answers(crops)
    for name, shape in (("action_units", (24,)), ("landmarks", (68, 2)), ("pose", (3,)), ("attention", (6, 6))):
        values = getattr(others, name)
        assert values.shape == (32, *shape)
        np.testing.assert_allclose(values, answers(network, crops, name), atol=TOLERANCE * max(1, values.max()))
    assert said.keys() == {"parity"}
    assert said["parity"] <= TOLERANCE


def test_the_half_precision_file_has_half_the_bytes_and_says_how_far_it_moved(network, exported):
    (single, _), (half, said) = exported[False], exported[True]
    assert half.stat().st_size < 0.6 * single.stat().st_size
    assert 0 < said["half"] < module.HALF_TOLERANCE
    faces = module._probes((SIZE, SIZE), seed=0)
    assert largest_difference(network, half.read_bytes(), faces) == pytest.approx(said["half"])
    assert said["parity"] == exported[False][1]["parity"]


@pytest.mark.parametrize("half", [False, True])
def test_any_batch_size_works_and_faces_do_not_influence_each_other(exported, half):
    classify = Classifier(exported[half][0].read_bytes())
    crops = blotchy(9)
    together = classify.logits(crops)
    for batch in (1, 2, 9):
        parts = [classify.logits(part) for part in np.split(crops, range(batch, 9, batch))]
        np.testing.assert_allclose(np.concatenate(parts), together, atol=1e-4)


@pytest.mark.parametrize("half", [False, True])
def test_the_file_carries_its_contract(exported, half):
    contract = Classifier(exported[half][0].read_bytes()).contract
    assert dataclasses.replace(contract, meta={}) == dataclasses.replace(CONTRACT, meta={})
    assert {key: contract.meta[key] for key in CONTRACT.meta} == CONTRACT.meta
    assert json.loads(contract.meta["mean"]) == CONTRACT.mean


@pytest.mark.parametrize("half", [False, True])
def test_the_file_is_read_by_the_reader_and_valid_onnx(exported, half):
    file, _ = exported[half]
    onnx.checker.check_model(onnx.load(file), full_check=True)
    readings = FileReader(file)(blotchy(3))
    assert [float(r.expression.probabilities.sum()) for r in readings] == pytest.approx([1, 1, 1], abs=1e-5)
    assert all(r.landmarks.shape == (68, 2) and 0 <= r.action_units[12] <= 1 for r in readings)


@pytest.mark.parametrize("half", [False, True])
def test_the_file_holds_no_path_and_no_stack_trace_of_the_machine_it_was_made_on(exported, half):
    data = exported[half][0].read_bytes()
    folders = (Path.cwd(), Path.home(), Path(torch.__file__).parent, Path(__file__).parent)
    for trace in (*map(str, folders), "site-packages", ".py", 'File "'):
        assert trace.encode() not in data, trace


def test_the_shipped_reader_holds_no_path_either():
    data = load("reader")
    assert b"site-packages" not in data
    assert b'File "' not in data


def test_a_graph_that_differs_from_the_network_is_refused_and_nothing_is_written(tmp_path):
    file = tmp_path / "deep" / "model.onnx"
    with pytest.raises(ExportError, match=r"the ONNX graph and the PyTorch network differ by .* nothing was written"):
        to_onnx(Fickle(), CONTRACT, file)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_there_before_survives_a_refusal(tmp_path, monkeypatch):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"the good one")
    monkeypatch.setattr(module, "HALF_TOLERANCE", 0.0)
    with pytest.raises(ExportError, match="the half-precision file and the PyTorch network differ"):
        to_onnx(Flat(), CONTRACT, file)
    assert file.read_bytes() == b"the good one"


def test_a_difference_that_is_no_number_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "largest_difference", lambda *given: float("nan"))
    with pytest.raises(ExportError, match="differ by nan"):
        to_onnx(Flat(), CONTRACT, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_half_precision_stores_large_weights_as_float16_and_leaves_the_model_given_alone(exported):
    model = onnx.load(exported[False][0])
    before = model.SerializeToString()
    kinds = {w.name: w.data_type for w in in_half_precision(model).graph.initializer}
    assert model.SerializeToString() == before
    for weight in model.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and np.prod(weight.dims) >= 1024:
            assert kinds[f"{weight.name}.half"] == onnx.TensorProto.FLOAT16
        else:
            assert kinds[weight.name] == weight.data_type


def test_calibration_shifts_the_logits_and_then_divides_them():
    class Plain(nn.Module):
        def forward(self, logits):
            return {"logits": logits, "pose": logits}

    outputs = Calibrated(Plain(), torch.tensor([1.0, -1.0]), 2.0)(torch.tensor([[3.0, 3.0], [0.0, 1.0]]))
    assert outputs["logits"].tolist() == [[2.0, 1.0], [0.5, 0.0]]
    assert outputs["pose"].tolist() == [[3.0, 3.0], [0.0, 1.0]]
