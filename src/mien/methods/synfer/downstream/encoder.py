"""What the four ways of learning have in common: a small residual network, sets of faces, and results in folders.

Letters: B and N faces, S the side of a face, F features.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from mien.core.contract import softmax
from mien.datasets import Sample, Synthetic
from mien.datasets.synthetic import LABELED
from mien.errors import InputError
from mien.evaluation.compare import METRICS, answers_of, contrast, kept, without_answer
from mien.evaluation.machine import conditions
from mien.evaluation.protocols import Selection
from mien.evaluation.scoring import scores
from mien.training.backbones import Residual
from mien.training.faces import FaceSettings, faces_of, held_out, normalize
from mien.training.loop import Batch
from mien.training.run import Run

RESULT, TABLE = "result.json", "table.json"
# In the folder of a comparison: what all of its runs have in common.
GIVEN = "given.json"
# Faces that went through the network together when features are taken.
_BATCH = 256
Lessons = TypeVar("Lessons")


@dataclass(frozen=True)
class Settings(FaceSettings):
    """Everything that a run depends on, besides the data.

    epochs: each draws as many faces as there are photographs, from whatever faces the arm has, so that steps, warm-up
    and averaging are the same for all arms.   widths: channels of the four stages, one block each (ResNet-10).
    """

    learning_rate: float = 1e-3
    widths: tuple[int, ...] = (32, 64, 128, 256)


class Encoder(nn.Module):
    """ResNet-10 with a gray stem, without its classifier."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        strides = (1, *[2] * (len(widths) - 1))
        self.backbone, self.features = Residual(widths, [1] * len(widths), strides, squeeze=False), widths[-1]

    def forward(self, faces: Tensor) -> Tensor:
        """(B, 1, S, S), normalized -> (B, F)."""
        return self.backbone(faces)[-1].mean(dim=(2, 3))  # type: ignore[no-any-return]


def encoder_of(run: Path) -> tuple[Encoder, int]:
    """The encoder of a finished run of any of the four, in evaluation mode, and the side of its faces."""
    values = Run(run).values()
    weights = {
        name.removeprefix("encoder."): value for name, value in Run(run).state().items() if name.startswith("encoder.")
    }
    if not weights:
        raise InputError(f"{run} holds no encoder; give a run that `mien downstream` made")
    encoder = Encoder(values["widths"])
    encoder.load_state_dict(weights)
    return encoder.eval(), int(values["size"])


@torch.no_grad()
def features(encoder: nn.Module, crops: Tensor) -> Tensor:
    """(N, 1, S, S) uint8 faces -> (N, F)."""
    encoder.eval()
    return torch.cat([encoder(normalize(part)) for part in torch.split(crops, _BATCH)])


@dataclass(frozen=True, eq=False)
class Faces:
    """What the arms draw on, cropped.

    photographs: with their votes.   voted, asked: the generated ones with the labels of the vote, and with those that
    were asked for; None where there is no folder, or no vote.
    valid: photographs to measure on, strict majority, no duplicates.
    """

    photographs: Selection
    voted: Selection | None
    asked: Selection | None
    valid: Selection


def gather(
    real: Sequence[Sample], synthetic: Path | None, valid: Sequence[Sample], size: int, count: int | None = None
) -> Faces:
    """The faces of the data sets and of a folder that `mien generate` wrote; InputError when one has none left.

    count: draw so many of the photographs, see `stratified`; None for all.
    """
    checks = held_out(valid, size, "measure on")
    voted = asked = None
    if synthetic is not None:
        asked = faces_of(Synthetic(synthetic, annotated=False), size)
        # Without the file, Synthetic would fall back to the labels that were asked for.
        if (synthetic / LABELED).is_file():
            voted = faces_of(Synthetic(synthetic), size)
    photographs = faces_of(real, size)
    return Faces(photographs if count is None else stratified(photographs, count), voted, asked, checks)


def stratified(faces: Selection, count: int, seed: int = 0) -> Selection:
    """So many of the faces, drawn within each class, so that each keeps its share to one face.

    InputError when there are fewer.
    """
    total = len(faces.samples)
    if not 0 < count <= total:
        raise InputError(f"{count} photographs cannot be drawn from {total}")
    shuffled = np.random.default_rng(seed).permutation(total)
    by_class = shuffled[np.argsort(faces.labels[shuffled], kind="stable")]
    # Every so many of the faces in order of their class.
    return _rows(faces, np.sort(by_class[np.arange(count) * total // count]))


def _rows(faces: Selection, rows: NDArray[np.integer]) -> Selection:
    return replace(faces, samples=[faces.samples[i] for i in rows], targets=faces.targets[rows])


def first(faces: Selection, count: int) -> Selection:
    """The first so many faces; InputError when there are fewer."""
    if len(faces.samples) < count:
        raise InputError(f"{count} generated faces are needed, but {len(faces.samples)} are left; generate more")
    return _rows(faces, np.arange(count))


def together(*parts: Selection) -> Selection:
    """The faces of several selections as one."""
    samples = [sample for part in parts for sample in part.samples]
    return replace(parts[0], samples=samples, targets=np.concatenate([part.targets for part in parts]))


def drawn(data: TensorDataset, draws: int, batch_size: int) -> DataLoader[Batch]:
    """Batches of so many rows an epoch, drawn anew in each, none twice before all have come.

    Of a larger set each epoch sees another part, any row as likely as any other; a smaller one is gone through again.
    """
    sampler = RandomSampler(data, num_samples=draws)
    return DataLoader(data, batch_size, sampler=sampler, drop_last=draws > batch_size)


def answered(valid: Selection, logits: NDArray[np.floating]) -> dict[str, Any]:
    """Metrics of (N, 8) logits of the faces to measure on, how these were chosen, and the answers themselves.

    All as `mien evaluate` has them.
    """
    sources = [sample.source for sample in valid.samples]
    found = scores(valid.labels, softmax(logits)[None])
    about = {"protocol": valid.protocol, "dropped": valid.dropped}
    return about | found | {"answers": kept(sources, valid.labels, logits.argmax(axis=1))}


def hashes(*files: Path) -> dict[str, str]:
    """The SHA-256 of those files that are there, by their names."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


def begin(folder: Path, given: Mapping[str, Any]) -> None:
    """Keep in the folder what its runs are given; InputError when those before were given something else.

    What one command names and another leaves out, such as generated faces, is no difference.
    """
    kept = folder / GIVEN
    if not kept.is_file() and any(folder.glob(f"*-s[0-9]*/{RESULT}")):
        raise InputError(f"{folder} has results, but no {GIVEN} that says what they came of; name another folder")
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    now = json.loads(json.dumps(given))
    other = sorted(key for key in before.keys() & now.keys() if before[key] != now[key])
    if other:
        raise InputError(
            f"{folder} was begun with other values of {', '.join(other)} (see {GIVEN}), so that new runs would not "
            "compare with those in it; give the same again, or name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(before | now, indent=1) + "\n", encoding="utf-8")


def counted(samples: Sequence[Sample]) -> dict[str, int]:
    """How many photographs and how many generated faces there are among some samples."""
    generated = sum(sample.soft is not None for sample in samples)
    return {"photographs": len(samples) - generated, "generated": generated}


def run_arms(
    arms: Mapping[str, str],
    chosen: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    settings: Settings,
    given: Mapping[str, Any],
    prepare: Callable[[str], Lessons],
    measure: Callable[[str, Lessons, int, Path], dict[str, Any]],
) -> None:
    """Measure each arm with each seed, in folder/ARM-sSEED, but for those that are finished.

    arms: what there is, and what it is for.   prepare: an arm to what it learns from; asked of all before any learns,
    for too few faces are better said before hours of training.
    measure: an arm, what it learns from, a seed and its folder to a result with answers and how many faces it had.
    given: what the runs depend on besides the settings, such as the names of the data; "valid" is the name of that to
    measure on. InputError when the folder was begun with something else, see `begin`; arms and seeds may be others.
    """
    unknown = [name for name in chosen if name not in arms]
    if unknown:
        raise InputError(f"there is no arm {unknown[0]!r}; the arms are {', '.join(arms)}")
    lessons = {arm: prepare(arm) for arm in chosen}
    own = {key: value for key, value in asdict(settings).items() if key != "seed"}
    begin(folder, own | dict(given))
    for seed in seeds:
        for arm in chosen:
            place = folder / f"{arm}-s{seed}"
            if not (place / RESULT).is_file():
                about = {"model": arm, "purpose": arms[arm], "seed": seed, "data": given["valid"]}
                result = about | measure(arm, lessons[arm], seed, place)
                place.mkdir(parents=True, exist_ok=True)
                text = json.dumps(result | conditions(), indent=1, allow_nan=False)
                (place / RESULT).write_text(text + "\n", encoding="utf-8")


def table(arms: Mapping[str, str], folder: Path, pairs: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """The finished arms of a folder, mean over their seeds, and how far each is from the first, all with intervals.

    pairs: of arms, whose difference is told too where both are finished. Differences count the seeds of both arms.
    """
    read = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob(f"*-s[0-9]*/{RESULT}"))]
    results = {arm: {r["seed"]: r for r in read if r["model"] == arm} for arm in arms}
    answers = {arm: {seed: answers_of(r) for seed, r in some.items()} for arm, some in results.items() if some}

    def difference(arm: str, other: str, metric: str = "accuracy") -> dict[str, Any] | None:
        seeds = answers.get(arm, {}).keys() & answers.get(other, {}).keys()
        if not seeds:
            return None
        both = {name: [answers[name][seed] for seed in sorted(seeds)] for name in (arm, other)}
        return contrast(both, {arm: 1.0, other: -1.0}, metric)

    rows = []
    for arm, said in answers.items():
        row: dict[str, Any] = {"arm": arm, "purpose": arms[arm], "seeds": sorted(said)}
        row |= {kind: next(iter(results[arm].values()))[kind] for kind in ("photographs", "generated")}
        for metric in METRICS:
            row[metric] = without_answer(contrast({arm: [*said.values()]}, {arm: 1.0}, metric))
        base = next(iter(answers))
        if arm != base and (ahead := difference(arm, base)) is not None:
            row |= {"against": base, "difference": ahead}
        rows.append(row)
    contrasts = [
        {"arm": arm, "against": other} | {metric: difference(arm, other, metric) for metric in METRICS}
        for arm, other in pairs
        if difference(arm, other) is not None
    ]
    return {"n": next(iter(results[next(iter(answers))].values()))["n"], "arms": rows, "contrasts": contrasts}
