"""Open whatever may be given as a model: one of mien's, an ONNX file, or a checkpoint of transformers."""

import hashlib
from pathlib import Path

from mien.core.checkpoint import CheckpointClassifier, checkpoint_name
from mien.core.contract import Classifier
from mien.core.zoo import load


def open_classifier(model: str | Path, threads: int = 1) -> Classifier:
    """A model that reads expressions.

    model: a name of mien.core.zoo.MODELS; an .onnx file with a contract, or with a contract.json beside it; the folder
    of an image classifier saved by transformers; or "hf:owner/name", one of the Hugging Face hub (extra `llm`).
    Raise ModelError where it is none of these or cannot be used, InputError where the hub has none of that name.
    """
    name = checkpoint_name(model)
    if name is not None:
        return CheckpointClassifier(name, threads)
    return Classifier(load(model, reads=True), threads, trial=False)


def digest(model: str | Path) -> str:
    """The SHA-256 of a model: of its file and contract, or of a checkpoint's configuration and weights."""
    name = checkpoint_name(model)
    if name is None:
        return hashlib.sha256(load(model, reads=True)).hexdigest()
    return CheckpointClassifier(name).digest
