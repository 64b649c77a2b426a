"""Every method through every verb: each cell works, or is refused with a sentence that says what to do."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.cli.shared.runs import open_run
from mien.errors import InputError, MienError
from mien.methods import registry
from mien.methods.registry import method, names
from tests.helpers import drawn_face

pytest.importorskip("torch")
from mien.training.run import Run, Trained

COUNT = 40
OUTSIDE = Path(__file__).parents[1] / "outside"
ONE = {"epochs": 1, "batch_size": 8, "precision": "32-true"}
RESIDUAL = {"widths": (4, 8), "blocks": (1, 1), "strides": (2, 2)}
SWIN = {"patch": 4, "width": 16, "depths": (1, 1), "heads": (1, 2), "window": 3}


def _expllm(folder: Path) -> dict[str, Any]:
    stages = {f"{stage}_epochs": 1 for stage in ("vision", "text", "align", "label")}
    sizes = {"widths": (4, 8), "blocks": (1, 1), "strides": (2, 2), "side": 2, "encoder_layers": 1, "encoder_heads": 2}
    return (
        ONE
        | stages
        | sizes
        | {"hidden": 16, "intermediate": 16, "layers": 1, "heads": 2, "open_layers": 1, "gate": 0.0}
    )


def _feranno(folder: Path) -> dict[str, Any]:
    from tests.methods.synfer import toy

    return ONE | {"generator": str(toy.generator(folder / "toy.onnx")), "views": 1, "channels": 8, "heads": 2}


def _synfer(folder: Path) -> dict[str, Any]:
    sizes = {"size": 24, "channels": (8, 16), "blocks": 1, "width": 16, "heads": 2, "depth": 1, "captions": 2}
    return ONE | sizes | {"text_epochs": 1, "adapter_epochs": 1, "shift": 1}


def _synfer_full(folder: Path) -> dict[str, Any]:
    pytest.importorskip("diffusers")
    from tests.methods.synfer.tiny import write_checkpoint

    return ONE | {"text_epochs": 1, "rank": 2, "checkpoint": str(write_checkpoint(folder / "checkpoint"))}


def _facescan(folder: Path) -> dict[str, Any]:
    pytest.importorskip("accelerate")
    from tests.methods.facescan.tiny import paligemma, tokenizer

    network, processor = paligemma(tokenizer())
    network.save_pretrained(folder / "paligemma")
    processor.save_pretrained(folder / "paligemma")
    short = {"steps": 2, "batch_size": 4, "accumulate": 1, "precision": "32-true", "adapter": "none"}
    return short | {"checkpoint": str(folder / "paligemma")}


def _expllm_full(folder: Path) -> dict[str, Any]:
    transformers = pytest.importorskip("transformers")
    from tests.methods.facescan.tiny import tokenizer

    eyes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = transformers.CLIPVisionConfig(**eyes, image_size=16, patch_size=8)
    transformers.CLIPVisionModel(vision).save_pretrained(folder / "tower")
    transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16).save_pretrained(folder / "tower")
    words = tokenizer()
    sizes = {"vocab_size": len(words), "max_position_embeddings": 2048}
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**eyes, **sizes)).save_pretrained(folder / "language")
    words.save_pretrained(folder / "language")
    short = {"steps": 1, "align_steps": 1, "batch_size": 2, "accumulate": 1, "save_steps": 1}
    return short | {"tower": str(folder / "tower"), "language": str(folder / "language")}


@dataclass(frozen=True)
class Case:
    """Settings so small that a run takes a few seconds, and the marks of its tests."""

    settings: Callable[[Path], dict[str, Any]] = lambda folder: ONE
    marks: list[Any] = field(default_factory=list)


SLOW = [pytest.mark.slow]
CASES = {
    "au-cues": Case(lambda folder: ONE | RESIDUAL),
    "expllm": Case(_expllm, SLOW),
    "expllm-full": Case(_expllm_full, SLOW),
    "facescan": Case(_facescan, SLOW),
    "feranno": Case(_feranno),
    "patches": Case(),
    "se-swin": Case(lambda folder: ONE | SWIN),
    "synfer": Case(_synfer, SLOW),
    "synfer-full": Case(_synfer_full, SLOW),
    "vtff": Case(lambda folder: ONE | RESIDUAL | {"width": 16, "heads": 2, "depth": 1, "hidden": 32}),
}
# What is tuned of models of the hub stays a checkpoint.
CHECKPOINTS = ("expllm-full", "facescan", "synfer-full")
EVERY = [pytest.param(name, marks=case.marks) for name, case in CASES.items()]


@pytest.fixture(autouse=True, scope="module")
def outside():
    """The methods of another package are there as if it were installed."""
    sys.path.insert(0, str(OUTSIDE))
    registry._others.cache_clear()
    yield
    sys.path.remove(str(OUTSIDE))
    registry._others.cache_clear()


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Forty drawn faces, smiling or not, in one folder a class."""
    folder = tmp_path_factory.mktemp("faces")
    for seed in range(COUNT):
        kind = folder / ("happy" if seed % 2 else "sad")
        kind.mkdir(exist_ok=True)
        Image.fromarray(drawn_face(smiling=bool(seed % 2), seed=seed)).save(kind / f"{seed}.png")
    return folder


class Matrix:
    """Runs of methods on the same drawn faces, each trained and exported when it is first asked for."""

    def __init__(self, faces: Path, folder: Path) -> None:
        self.faces, self.folder = faces, folder
        self._begun: dict[str, tuple[Any, dict[str, Any]]] = {}

    def run(self, name: str) -> Path:
        """The folder of a finished run."""
        if name not in self._begun:
            self._begun[name] = self._prepared(name)
            self.train(name)
        return self.folder / name

    def train(self, name: str, *, resume: bool = False) -> Any:
        settings, lessons = self._begun[name]
        return method(name).train(self._data(), settings, self.folder / name, resume=resume, **lessons)

    def export(self, name: str) -> Path:
        """What `mien export` writes of the run."""
        output = self.folder / (f"{name}.onnx" if method(name).exports == "file" else f"{name}-files")
        if not output.exists():
            result = mien("export", name, self.run(name), "-o", output)
            assert result.exit_code == 0, result.output + str(result.exception)
        return output

    def _prepared(self, name: str) -> tuple[Any, dict[str, Any]]:
        record, place = method(name), self.folder / f"{name}-given"
        place.mkdir()
        settings = record.settings(**CASES[name].settings(place))
        lessons: dict[str, Any] = {}
        if "chains" in record.lessons:
            lessons["chains"] = self._chains(place / "cot.jsonl")
        if "pseudo_labels" in record.lessons:
            lessons["labels"] = self._labels()
        return settings, lessons

    def _data(self) -> Any:
        from mien.datasets import Folder

        return Folder(self.faces)

    def _chains(self, file: Path) -> Path:
        from tests.methods.expllm import tiny

        tiny.write_chains(file, COUNT)
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        sources = sorted((sample.source for sample in self._data()), key=lambda s: int(Path(s).stem))
        file.write_text("".join(json.dumps(row | {"image_id": s}) + "\n" for row, s in zip(rows, sources, strict=True)))
        return file

    def _labels(self) -> Any:
        from dataclasses import replace

        from tests.methods.synfer import runs

        data = self._data()
        return replace(runs.labels(COUNT), source=[data[i].source for i in range(COUNT)])


@pytest.fixture(scope="module")
def matrix(faces, tmp_path_factory):
    return Matrix(faces, tmp_path_factory.mktemp("matrix"))


def mien(*arguments):
    return CliRunner().invoke(commands, list(map(str, arguments)))


def sentence(error: BaseException) -> bool:
    """Whether an error is mien's own, or wrong usage, and says more than a word."""
    return isinstance(error, (MienError, SystemExit)) and len(str(error)) > 0


def test_the_matrix_has_every_method():
    assert set(CASES) == set(names())


@pytest.mark.parametrize("name", EVERY)
def test_train_leaves_a_run_that_knows_its_settings_and_its_data(matrix, name):
    run = Run(matrix.run(name))
    assert run.data()["samples"] == COUNT
    assert run.data()["half"] == ""


@pytest.mark.parametrize("name", EVERY)
def test_load_returns_network_settings_and_run(matrix, name):
    trained = method(name).load(matrix.run(name))
    assert isinstance(trained, Trained)
    assert isinstance(trained.settings, method(name).settings)
    assert trained.run.folder == matrix.run(name)
    assert not trained.network.training


@pytest.mark.parametrize("name", EVERY)
def test_a_finished_run_is_begun_again_with_resume_alone(matrix, name):
    folder = matrix.run(name)
    with pytest.raises(InputError, match="holds a run already"):
        matrix.train(name)
    matrix.train(name, resume=True)
    method(name).load(folder)


@pytest.mark.parametrize("name", EVERY)
def test_a_run_that_is_not_finished_is_refused_with_a_sentence(name, tmp_path):
    with pytest.raises(InputError, match="is not there; a finished `mien train` run has it"):
        method(name).load(tmp_path)


@pytest.mark.parametrize("name", EVERY)
def test_export_writes_files_or_says_that_there_is_nothing_to_export(matrix, name):
    record = method(name)
    if record.exports is None:
        with pytest.raises(InputError, match="stays a checkpoint"):
            record.export(matrix.run(name), matrix.folder / "none.onnx")
        assert mien("export", name, matrix.run(name), "-o", "x.onnx").exit_code == 2
        return
    output = matrix.export(name)
    assert output.is_dir() == (record.exports == "folder")


@pytest.mark.parametrize("name", EVERY)
def test_method_and_run_name_a_guide_or_judge_or_are_refused_with_a_sentence(matrix, name):
    text = f"{name}:{matrix.run(name)}"
    if "expressions" not in method(name).answers:
        with pytest.raises(InputError, match=f"a network of {name} does not answer expressions of faces"):
            open_run(text, "expressions")
        return
    trained, identity = open_run(text, "expressions")
    import torch

    size = trained.settings.size
    assert trained.network(torch.zeros(2, 1, size, size)).logits.shape == (2, 8)
    assert identity.method == name
    assert identity.weights


@pytest.mark.parametrize("name", [p for p in EVERY if p.values[0] not in CHECKPOINTS])
def test_what_is_exported_is_evaluated_compared_and_read_with_or_refused_with_a_sentence(matrix, name, tmp_path):
    output, results = matrix.export(name), [tmp_path / f"{i}.json" for i in range(2)]
    given = ("--data", f"folder:{matrix.faces}", "--resamples", 20)
    few = ("--texts", 2) if output.is_dir() else ()
    evaluated = mien("evaluate", output, *given, *few, "-o", results[0])
    photo = matrix.faces / "happy" / "1.png"
    read = mien("analyze", photo, "--assume-crop", "--model", output)
    if "expressions" in method(name).answers:
        assert evaluated.exit_code == read.exit_code == 0, evaluated.output + read.output
        (face,) = json.loads(read.stdout)["faces"]
        assert np.isclose(sum(face["expression"]["probabilities"].values()), 1, atol=1e-3)
        mien("evaluate", output, *given, "-o", results[1])
        compared = mien("compare", f"one={results[0]}", f"other={results[1]}", "--resamples", 20)
        assert compared.exit_code == 0, compared.output
        return
    assert read.exit_code != 0
    assert sentence(read.exception), read.exception
    assert evaluated.exit_code == 0 if output.is_dir() else sentence(evaluated.exception)
