"""The folder of a training run; run_files names its files, and no other module writes them.

A run holds its settings, what data it was trained on, a log, a checkpoint while it trains, and the trained weights; a
method may keep files of its own beside them. A method that trains in stages keeps each stage as a run in a subfolder.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mien.errors import InputError
from mien.results.record import Record
from mien.training.run_files import CHECKPOINT, DATA, LOG, PRIORS, SETTINGS, WEIGHTS

SettingsT = TypeVar("SettingsT")
NetworkT = TypeVar("NetworkT")
ModuleT = TypeVar("ModuleT", bound=nn.Module)
RestT = TypeVar("RestT")


@dataclass(frozen=True)
class Identity:
    """Which network it is.

    weights: SHA-256 of its file.   architecture: a hash of the names and shapes of its parameters.
    half: of the data that it was trained on, "half-a" or "half-b"; "" for all, or when it is not known.
    """

    method: str
    weights: str
    architecture: str
    seed: int
    half: str

    def to_json(self) -> dict[str, str | int]:
        """Return the fields as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Run:
    """A run's folder, which need not exist yet."""

    folder: Path

    def stage(self, name: str) -> "Run":
        """Return the run of a stage, in a subfolder; this run itself for ""."""
        return Run(self.folder / name)

    # Settings

    def check(
        self, settings: Any, *, resume: bool, begun: bool = True, may_change: frozenset[str] = frozenset()
    ) -> None:
        """Raise InputError when the folder holds a run and `resume` is not given, or a run with other settings.

        settings: a dataclass.   begun: its settings make a folder a run; else only a checkpoint to resume from does.
        may_change: names of settings that need not be those the run was begun with.
        """
        kept = self.folder / SETTINGS
        if (kept if begun else self.checkpoint).is_file() and not resume:
            raise InputError(
                f"{self.folder} holds a run already; give --resume to go on with it, or name another folder"
            )
        if resume and kept.is_file():
            before, now = json.loads(kept.read_text()), json.loads(json.dumps(asdict(settings)))
            names = (before.keys() | now.keys()) - may_change
            if other := sorted(name for name in names if now.get(name) != before.get(name)):
                raise InputError(
                    f"{self.folder} was begun with other settings ({', '.join(other)}); resume with the same"
                )

    def keep_settings(self, settings: Any) -> None:
        """Write the settings, a dataclass; make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / SETTINGS).write_text(json.dumps(asdict(settings), indent=2) + "\n")

    def values(self, *needed: str) -> dict[str, Any]:
        """Return the settings by name.

        needed: other files that a finished run has, its weights if none is named. Raise InputError where one is not
        there.
        """
        self.need(SETTINGS, *(needed or (WEIGHTS,)))
        values = json.loads((self.folder / SETTINGS).read_text())
        return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}

    def settings(self, kind: type[SettingsT], *needed: str, **changes: Any) -> SettingsT:
        """Return the settings of a finished run, changed; raise InputError as `values`, or for another kind's."""
        values = self.values(*needed)
        known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
        if other := sorted(values.keys() - known):
            raise InputError(
                f"{self.folder} was trained by another method or version of mien: its settings have {', '.join(other)}"
            )
        return kind(**values | changes)

    # Data

    def keep_data(self, dataset: Sequence[Any], **names: str | None) -> None:
        """Write what the run was trained on, beside what was written before.

        names: what a command called the data.
        """
        kept = self.folder / DATA
        before = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
        about = {"dataset": type(dataset).__name__, "samples": len(dataset), "half": getattr(dataset, "half", "")}
        self.folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(before | about | names) + "\n", encoding="utf-8")

    def data(self) -> Mapping[str, Any]:
        """Return what `keep_data` wrote; empty where it was not written."""
        kept = self.folder / DATA
        return json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}

    def keep_priors(self, priors: Mapping[str, Sequence[float]]) -> None:
        """Write what share each class has among the faces, and among the faces as drawn."""
        self.write_json(PRIORS, priors)

    def priors(self) -> Mapping[str, list[float]]:
        """Return what `keep_priors` wrote."""
        return self.read_json(PRIORS)  # type: ignore[no-any-return]

    # Log and checkpoint

    @property
    def checkpoint(self) -> Path:
        """The file to resume from, written after every epoch."""
        return self.folder / CHECKPOINT

    def log(self) -> list[Record]:
        """Return the lines of the log, one an epoch; none before the first."""
        path = self.folder / LOG
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def append_log(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        with (self.folder / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def write_log(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write the whole log."""
        (self.folder / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))

    # Weights

    @property
    def weights(self) -> Path:
        """The file of the trained weights."""
        return self.folder / WEIGHTS

    def save(self, network: nn.Module) -> None:
        """Write the weights of a network."""
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, self.weights)

    def state(self) -> dict[str, Tensor]:
        """Return the trained weights by name; raise InputError where there are none."""
        self.need(WEIGHTS)
        return load_file(self.weights)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the trained weights by name, without reading the weights."""
        self.need(WEIGHTS)
        with safe_open(self.weights, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in sorted(file.keys())}

    def fill(self, network: ModuleT) -> ModuleT:
        """Give a network the trained weights; return it in evaluation mode."""
        network.load_state_dict(self.state())
        return network.eval()

    def open(
        self, kind: type[SettingsT], build: Callable[[SettingsT], ModuleT], **changes: Any
    ) -> "Trained[ModuleT, SettingsT, None]":
        """Return the trained network of a finished run.

        kind: of its settings.   build: settings to an untrained network.   changes: of the settings, such as no weights
        to start from. Raise InputError as `settings`.
        """
        settings = self.settings(kind, **changes)
        return Trained(self.fill(build(settings)), settings, self, None)

    def identity(self, method: str) -> Identity:
        """Return which network a finished run of a method holds; raise InputError as `values`."""
        values, shapes = self.values(), [f"{name} {shape}" for name, shape in self.shapes().items()]
        return Identity(
            method,
            hashlib.sha256(self.weights.read_bytes()).hexdigest(),
            hashlib.sha256("\n".join(shapes).encode()).hexdigest()[:16],
            int(values.get("seed", 0)),
            str(self.data().get("half", "")),
        )

    # A method's own files

    def need(self, *names: str) -> None:
        """Raise InputError where a file or folder of a finished run is not there."""
        for name in names:
            if not (self.folder / name).exists():
                raise InputError(f"{self.folder / name} is not there; a finished `mien train` run has it", "missing")

    def write_json(self, name: str, value: Any) -> None:
        """Write a file of the method's own; make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(json.dumps(value) + "\n", encoding="utf-8")

    def read_json(self, name: str) -> Any:
        """Return what a file of the method's own holds; raise InputError where it is not there."""
        self.need(name)
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


@dataclass(frozen=True, eq=False)
class Trained(Generic[NetworkT, SettingsT, RestT]):
    """A finished run, opened; what `load` of every method returns.

    network: in evaluation mode.   settings: it was trained with.   run: its folder.
    rest: what else its method uses it with, such as a tokenizer; None where that is nothing.
    """

    network: NetworkT
    settings: SettingsT
    run: Run
    rest: RestT
