"""Sample faces from an exported generator by Euler steps along the flow, given expression, words and action units.

Needs only NumPy and ONNX Runtime. The same seed gives the same faces.

Letters: N faces, S the side of a face, W words, K = 24 action units and asymmetries.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.core.session import open_session
from mien.core.zoo import load
from mien.errors import InputError, ModelError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.captions import LONGEST

Floats = NDArray[np.float32]
# Noisy faces (N, 1, S, S) and a time -> velocity of the same shape.
Field = Callable[[Floats, float], Floats]
# Kind of model in the metadata.
KIND = "face generator"


class Conditions(NamedTuple):
    """Conditions of N faces.

    label: (N, 8) float32 shares of the expressions, all 0 for none.   words: (N, W) int64, see captions. units: (N, K)
    float32.   known: (N, K) float32, 1 for given action units, 0 to let the model choose.
    """

    label: Floats
    words: NDArray[np.int64]
    units: Floats
    known: Floats

    @staticmethod
    def nothing(count: int) -> "Conditions":
        """Return `count` empty conditions."""
        zeros = np.zeros((count, VECTOR), np.float32)
        return Conditions(
            np.zeros((count, len(Expression)), np.float32), np.zeros((count, LONGEST), np.int64), zeros, zeros
        )

    def only(self, text: bool, units: bool) -> "Conditions":
        """Return these conditions without text, without action units, or without both."""
        empty = Conditions.nothing(len(self.label))
        return Conditions(*(self[:2] if text else empty[:2]), *(self[2:] if units else empty[2:]))

    @staticmethod
    def stacked(parts: "Sequence[Conditions]") -> "Conditions":
        """Concatenate the conditions of several batches."""
        return Conditions(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Plan:
    """Settings of sampling.

    steps: Euler steps from noise to a face.   text_scale, unit_scale: s_y and s_a of `branches`. depth: time up to
    which a given face is inverted towards noise, 0 to 1.
    """

    steps: int = 25
    text_scale: float = 2.0
    unit_scale: float = 1.5
    depth: float = 0.7

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.depth <= 1:
            raise InputError(f"steps are 1 or more and depth lies in 0 to 1, but got {self.steps} and {self.depth}")


class GuidanceBranch(NamedTuple):
    """One evaluation of the network: its weight in the sum, and whether it receives text and action units."""

    weight: float
    text: bool
    units: bool


def branches(plan: Plan) -> list[GuidanceBranch]:
    """Composed guidance, v = v_0 + s_y (v_y - v_0) + s_a (v_ya - v_y), as evaluations with non-zero weights.

    v_0 has no condition, v_y expression and words, v_ya action units as well.
    """
    text, units = plan.text_scale, plan.unit_scale
    every = (
        GuidanceBranch(1 - text, False, False),
        GuidanceBranch(text - units, True, False),
        GuidanceBranch(units, True, True),
    )
    return [branch for branch in every if branch.weight != 0]


def walk(field: Field, x: Floats, times: Floats) -> Floats:
    """Take one Euler step for each pair of times."""
    for now, then in pairwise(times.tolist()):
        x = x + np.float32(then - now) * field(x, now)
    return x


def times(steps: int, start: float = 1.0) -> Floats:
    """Return the times from a start down to 0, in steps as long as those of a full walk."""
    return np.linspace(start, 0, max(1, round(steps * start)) + 1, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class About:
    """Description of a generator.

    size: side of its faces in pixels.   words: its vocabulary, in the order of their numbers. bank: action units, (n,
    K), of training faces that clearly show each expression. shares: (8,) of the expressions among the training faces.
    """

    size: int
    words: tuple[str, ...]
    bank: Mapping[Expression, Floats]
    shares: Floats

    def to_meta(self) -> dict[str, str]:
        """Return it as text for the metadata of a file."""
        bank = {e.label: np.round(100 * rows).astype(int).tolist() for e, rows in self.bank.items()}
        return {
            "kind": KIND,
            "size": str(self.size),
            "words": " ".join(self.words),
            "bank": json.dumps(bank, separators=(",", ":")),
            "shares": ",".join(f"{share:.6f}" for share in self.shares),
        }

    @staticmethod
    def read(meta: Mapping[str, str]) -> "About":
        """Parse the text of `to_meta`; raise ModelError if it is missing."""
        if meta.get("kind") != KIND:
            raise ModelError(f"this model is no {KIND} but {meta.get('kind', 'of a kind that it does not state')!r}")
        try:
            bank = json.loads(meta["bank"])
            return About(
                int(meta["size"]),
                tuple(meta["words"].split()),
                {e: np.array(bank[e.label], np.float32).reshape(-1, VECTOR) / np.float32(100) for e in Expression},
                np.array([float(share) for share in meta["shares"].split(",")], np.float32),
            )
        except (KeyError, ValueError) as error:
            raise ModelError(f"the generator's metadata cannot be used: {error}") from error


class Model(Protocol):
    """A generator: an exported file, or a network with guides."""

    about: About

    def field(self, conditions: Conditions, plan: Plan) -> Field:
        """Return the velocity of faces under these conditions."""


class Sampler:
    """An exported generator.

    model: name in mien.core.zoo.MODELS or path of an ONNX file.   threads: of ONNX Runtime. sha256: of the file.
    """

    def __init__(self, model: str | Path = "synfer", threads: int = 1) -> None:
        data = load(model)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._session = open_session(data, threads)
        self.about = About.read(self._session.get_modelmeta().custom_metadata_map)

    def field(self, conditions: Conditions, plan: Plan) -> Field:
        """Return the velocity under composed guidance; all branches are evaluated in one batch."""
        chosen = branches(plan)
        conditions = Conditions.stacked([conditions.only(branch.text, branch.units) for branch in chosen])

        def velocity(x: Floats, t: float) -> Floats:
            parts = np.split(self.run(("velocity",), np.tile(x, (len(chosen), 1, 1, 1)), t, conditions)[0], len(chosen))
            return weighted(chosen, parts)

        return velocity

    def run(self, outputs: Sequence[str], x: Floats, t: float, conditions: Conditions) -> list[Floats]:
        """Outputs by name: "velocity" (N, 1, S, S), "features" (N, F, 6, 6), "maps" (N, M, 6, 6)."""
        given = {"x": x, "t": np.full(len(x), t, np.float32), **conditions._asdict()}
        try:
            return list(self._session.run(list(outputs), given))
        except Exception as error:  # ONNX Runtime raises many classes
            raise ModelError(f"the generator cannot be run: {error}") from error


def weighted(chosen: Sequence[GuidanceBranch], parts: Sequence[Floats]) -> Floats:
    """Return the weighted sum of the branches' velocities."""
    total = chosen[0].weight * parts[0]
    for branch, part in zip(chosen[1:], parts[1:], strict=True):
        total = total + branch.weight * part
    return np.asarray(total, np.float32)


def stream(seed: int, identity: int, attempt: int = 0) -> list[int]:
    """Return the seed of a face's noise; streams with a third number 1 or 2 draw its request and its layout."""
    return [seed, identity, *([3, attempt] if attempt else [])]


def noise(seed: int, identities: Sequence[int], size: int, attempts: Sequence[int] | None = None) -> Floats:
    """(N, 1, S, S) standard normal; a seed, an identity and an attempt give the same noise in any batch."""
    streams = map(stream, repeat(seed), identities, attempts or repeat(0))
    drawn = [np.random.default_rng(one).standard_normal((1, size, size)) for one in streams]
    return np.asarray(drawn, np.float32)


def draw(model: Model, conditions: Conditions, start: Floats, plan: Plan, *, invert: bool = False) -> NDArray[np.uint8]:
    """(N, S, S) uint8 faces.

    start: (N, 1, S, S) noise, or with `invert` faces from -1 to 1 whose layout is kept: they are inverted to plan.depth
    without conditions, and sampled from there with conditions.
    """
    top = 1.0
    if invert:
        top = plan.depth
        start = inverted(model, start, plan)
    return to_levels(walk(model.field(conditions, plan), start, times(plan.steps, top)))


def inverted(model: Model, faces: Floats, plan: Plan) -> Floats:
    """Faces from -1 to 1, (N, 1, S, S), inverted to plan.depth without conditions."""
    untold = Plan(plan.steps, text_scale=0.0, unit_scale=0.0, depth=plan.depth)
    return walk(model.field(Conditions.nothing(len(faces)), untold), faces, times(plan.steps, plan.depth)[::-1])


def to_levels(faces: Floats) -> NDArray[np.uint8]:
    """(N, 1, S, S) faces from -1 to 1 -> (N, S, S) uint8."""
    return np.asarray((127.5 * (faces[:, 0] + 1)).round().clip(0, 255), np.uint8)


def from_levels(crops: NDArray[np.uint8]) -> Floats:
    """(N, S, S) uint8 -> (N, 1, S, S) faces from -1 to 1."""
    return np.asarray(crops[:, None] / 127.5 - 1, np.float32)
