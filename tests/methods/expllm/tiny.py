"""A data set of drawn faces with chains of thought, and settings so small that a model learns it by heart."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.datasets import Sample
from mien.facs.observation import Observation
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine import records
from mien.methods.expllm.engine import rules as engine
from mien.methods.expllm.engine.chain import Chain
from tests.helpers import drawn_face, units

if TYPE_CHECKING:
    from mien.methods.expllm.small.train import Settings

HAPPY, SAD = Expression.HAPPINESS, Expression.SADNESS
UNITS = {HAPPY: {12: 0.6, 6: 0.5, 25: 0.3}, SAD: {15: 0.5, 4: 0.5, 1: 0.3}}
MADE_BY = {"data": "drawn", "pseudo_labels": None} | {
    "engine": "deterministic",
    "engine_version": "1",
    "model": None,
    "seed": 0,
    "max_loops": 3,
}


def label(number: int) -> Expression:
    return (SAD, HAPPY)[number % 2]


def samples(count: int) -> list[Sample]:
    """Faces that smile, and faces that do not."""
    faces = [np.stack([drawn_face(i % 2 == 1, i)] * 3, axis=-1) for i in range(count)]
    return [Sample(face, expression=label(i), source=f"face {i}") for i, face in enumerate(faces)]


def observed(number: int, wordings: int = 1) -> Observation:
    """What was measured of a face.   wordings: how many texts there are for each expression."""
    shares = np.eye(8)[label(number)]
    return Observation(f"{label(number).label} {number // 2 % wordings}", units(UNITS[label(number)]), shares)


def chain(number: int) -> Chain:
    return engine.explain(observed(number))


def write_chains(path: Path, count: int, source: str = "teacher") -> Path:
    """The file that `mien cot` would write of the samples."""
    rows = [
        records.record(observed(i), source, MADE_BY, chain(i), ()) | {"image_id": f"face {i}"} for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def settings(**other: Any) -> "Settings":
    """Of a model with a language model of 64 x 2 layers, which learns the samples by heart in under 300 steps.

    other: settings to have otherwise.
    """
    from mien.methods.expllm.small.train import Settings  # here, for it imports transformers

    plain = {f"{name}_share": 0.0 for name in ("erase", "soften", "mixup")} | dict.fromkeys(("degrees", "scale"), 0.0)
    made = Settings(
        epochs=12, vision_epochs=6, text_epochs=6, align_epochs=3, label_epochs=6, batch_size=8, average=0.5,
        learning_rate=5e-3, vision_learning_rate=3e-3, text_learning_rate=5e-3, align_learning_rate=1e-2,
        widths=(8, 16, 24), blocks=(1, 1, 1), strides=(2, 2, 2), side=2, encoder_layers=1, encoder_heads=2,
        hidden=64, intermediate=128, layers=2, heads=2, open_layers=1, dropout=0.0, shift=0.0, precision="32-true",
        gate=0.9, **plain,
    )  # fmt: skip
    return replace(made, **other)
