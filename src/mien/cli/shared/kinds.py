"""Recognize the kind of a path, and the command that takes it, for helpful errors."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from mien.core.images import ENDINGS as PICTURES
from mien.methods.registry import methods
from mien.training.run_files import SETTINGS
from mien.video.frames import ENDINGS as CLIPS


@dataclass(frozen=True)
class Kind:
    """A kind of path: a phrase for it, the commands that take it, and the end of a sentence about its use."""

    what: str
    commands: tuple[str, ...]
    use: str


_READ = ("analyze", "explain", "scan")
_RUN = Kind("a training run", ("train", "ablate", "export", "judge", "attention", "downstream", "generate"),
            "`mien export METHOD RUN -o FILE` makes a model of it")  # fmt: skip
_PICTURE = Kind("a picture", _READ, "`mien analyze` reads it")
_CLIP = Kind("a clip", ("analyze", "explain", "timeline"), "`mien analyze` reads it")
_MODEL = Kind("a model file", ("analyze", "evaluate", "serve", "annotate", "export"), "`mien analyze --model` takes it")
_WRITER = Kind(
    "a model that writes", ("explain", "evaluate"), "`mien explain --model` and `mien evaluate` take the folder"
)
_CHECKPOINT = Kind(
    "a checkpoint of transformers",
    ("scan", "bench", "train", "analyze", "evaluate", "serve"),
    "`mien scan --provider transformers --model` takes it",
)
_RESULT = Kind("a result of `mien evaluate`", ("compare",), "`mien compare` takes it")
_TABLE = Kind("a table of faces", ("timeline",), "it is an output of `mien analyze`, not an input of this command")
_WEIGHTS = Kind("a file of weights alone", ("train",), "give the folder of its run to `mien export`")


def kind_of(path: Path) -> Kind | None:
    """Return the kind of a path; None if it does not exist or is not known."""
    try:
        if path.is_dir():
            return _folder({entry.name for entry in path.iterdir()})
        return _file(path) if path.is_file() else None
    except (OSError, ValueError):
        return None


def _folder(names: set[str]) -> Kind | None:
    if {"encoder.onnx", "language.onnx"} <= names:
        return _WRITER
    if SETTINGS in names:
        return _RUN
    if "config.json" in names:
        return _CHECKPOINT
    return None


def _file(path: Path) -> Kind | None:
    ending = path.suffix.lower()
    if ending in PICTURES:
        return _PICTURE
    if ending in CLIPS:
        return _CLIP
    if ending == ".csv":
        with path.open(encoding="utf-8", errors="replace") as file:
            return _TABLE if "FaceRectX" in file.readline(10_000) else None
    if ending == ".json" and path.stat().st_size < 100_000_000:
        value = json.loads(path.read_text(encoding="utf-8"))
        return _RESULT if isinstance(value, dict) and {"accuracy", "per_class"} <= value.keys() else None
    return {".onnx": _MODEL, ".safetensors": _WEIGHTS, ".ckpt": _WEIGHTS}.get(ending)


def method_of(run: Path) -> str | None:
    """Return the method that a run's settings belong to; None if that is not one method."""
    try:
        values = json.loads((run / SETTINGS).read_text(encoding="utf-8"))
        fitting = [m.name for m in methods() if values.keys() == {field.name for field in fields(m.settings)}]
    except Exception:  # unreadable file or missing library: the error itself is shown anyway
        return None
    return fitting[0] if len(fitting) == 1 else None


def hint(message: str, command: str, arguments: Sequence[str]) -> str:
    """Return a sentence about the path in an error if another command takes it; else "".

    arguments: of the command line; a path may follow KIND: or NAME=.
    """
    for path in _paths(arguments):
        kind = kind_of(path) if str(path) in message else None
        name = method_of(path) if kind is _RUN else None
        if name is not None and name not in arguments:
            return f" ({path} is a training run of {name}; `mien export {name} {path} -o FILE` makes a model of it)"
        if kind is not None and command not in kind.commands:
            return f" ({path} is {kind.what}; {kind.use})"
    return ""


def _paths(arguments: Iterable[str]) -> Iterable[Path]:
    for argument in arguments:
        for text in (argument, argument.partition(":")[2], argument.partition("=")[2]):
            if text:
                yield Path(text)
