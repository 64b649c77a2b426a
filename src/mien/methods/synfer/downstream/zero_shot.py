"""Zero-shot learning from captions: faces and captions in one space, as in CLIP (Radford et al., ICML 2021).

Trained on photographs or generated faces with captions; photographs are then sorted by captions of the expressions.

Letters: B pairs, S the side of a face, W words, F features, D the width of the common space.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from mien.datasets import Synthetic
from mien.datasets.folder import placed
from mien.datasets.pseudo_labels import PseudoLabels
from mien.errors import InputError
from mien.evaluation.protocols import Selection
from mien.evaluation.result import Result
from mien.facs.observation import Observation, Pose
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.wording import LOOKS
from mien.methods.synfer.downstream.encoder import (
    Encoder,
    Faces,
    Settings,
    drawn,
    features,
    first,
    given_of,
    table,
)
from mien.methods.synfer.flow import captions
from mien.methods.synfer.flow.model import Layer
from mien.training import augment
from mien.training.experiment import evaluated, run_arms
from mien.training.faces import augmented, tensor
from mien.training.loop import Batch, fit

ARMS = {
    "real": "photographs and a short caption of each",
    "synthetic": "as many generated faces and the caption of each",
}
_KIND = {"real": "photographs", "synthetic": "generated"}


@dataclass(frozen=True)
class PairSettings(Settings):
    """Settings of a zero-shot run: a flipped face swaps the sides in its caption, and there is no mixup.

    width: width of the caption encoder.
    heads: attention heads of the caption encoder.
    depth: layers of the caption encoder.
    """

    mixup_share: float = 0.0
    width: int = 128
    heads: int = 4
    depth: int = 2


class CaptionPairs(NamedTuple):
    """Faces and a caption of each.

    faces: (N, 1, S, S) uint8.   words: (N, W), the caption of each.   known: the words, in the order of their numbers.
    """

    faces: Tensor
    words: Tensor
    known: tuple[str, ...]


class Contrast(nn.Module):
    """Two encoders into one space, in which a face is close to its captions."""

    def __init__(self, words: int, settings: PairSettings) -> None:
        super().__init__()
        width = settings.width
        self.encoder = Encoder(settings.widths)
        self.project = nn.Linear(self.encoder.features, width)
        self.words = nn.Embedding(words + 1, width, padding_idx=captions.PADDING)
        self.position = nn.Parameter(torch.randn(1 + captions.LONGEST, width) * 0.02)
        self.reading = nn.ModuleList(Layer(width, settings.heads) for _ in range(settings.depth))
        self.norm = nn.LayerNorm(width)
        # Inverse of the published temperature .07.
        self.sharpness = nn.Parameter(torch.tensor(2.659))

    def forward(self, faces: Tensor, words: Tensor) -> Tensor:
        """(B, 1, S, S), normalized, and (B, W) -> (B, B) similarity of each face to each caption, as logits."""
        return self.sharpness.clamp(max=4.6).exp() * self.see(faces) @ self.read(words).T

    def see(self, faces: Tensor) -> Tensor:
        """(B, 1, S, S), normalized -> (B, D) of length 1."""
        return F.normalize(self.project(self.encoder(faces)), dim=1)

    def read(self, words: Tensor) -> Tensor:
        """(B, W) -> (B, D) of length 1, from a token before the words."""
        tokens = torch.cat([torch.zeros_like(self.words(words[:, :1])), self.words(words)], dim=1) + self.position
        there = torch.cat([torch.ones_like(words[:, :1]), words], dim=1) != captions.PADDING
        for layer in self.reading:
            tokens = layer(tokens, there)
        return F.normalize(self.norm(tokens[:, 0]), dim=1)


def loss(network: nn.Module, batch: Batch, settings: PairSettings, flip: Tensor) -> Tensor:
    """Contrastive loss: each face among the batch's captions, and each caption among its faces."""
    faces, words = batch
    rows = torch.arange(len(faces))
    seen = augmented(faces, torch.zeros(len(faces), 8), settings)
    near = network(seen.images, torch.where(augment.flipped(seen.matrix)[:, None], flip[words], words))
    return (F.cross_entropy(near, rows) + F.cross_entropy(near.T, rows)) / 2


def of_photographs(faces: Selection, labels: PseudoLabels) -> CaptionPairs:
    """Return photographs with action units from a teacher, each with one short caption written from these and the
    votes.

    Short captions match those of faces made with `--write-captions short`.
    """
    places = labels.rows(faces.samples)
    rows, rng = np.flatnonzero(labels.found[places]), np.random.default_rng(0)
    texts = []
    for row in rows:
        units, pose = ActionUnits.of(labels.action_units[places[row]]), Pose(*map(float, labels.pose[places[row]]))
        texts.append(captions.short(Observation(faces.samples[row].source, units, faces.targets[row], pose=pose), rng))
    return _paired(tensor(faces)[rows], texts)


def of_generated(folder: Path, faces: Selection) -> CaptionPairs:
    """Return generated faces with their captions; raise InputError if they have none."""
    captions_of = {
        placed(folder, folder / row["file"]): row["caption"] for row in Synthetic(folder, annotated=False).rows
    }
    texts = [captions_of[sample.source] for sample in faces.samples]
    rows = [i for i, text in enumerate(texts) if text]
    if not rows:
        raise InputError(
            f"{folder}: no face was made for a caption; `mien generate --write-captions short` writes them"
        )
    return _paired(tensor(faces)[rows], [texts[i] for i in rows])


def _paired(faces: Tensor, texts: Sequence[str]) -> CaptionPairs:
    known = captions.word_list(texts)
    return CaptionPairs(faces, torch.from_numpy(np.stack([captions.encode(text, known) for text in texts])), known)


def fit_pairs(pairs: CaptionPairs, settings: PairSettings, folder: Path, draws: int) -> Contrast:
    """Train two encoders on pairs; they are also saved in the folder.   draws: pairs per epoch."""
    batches = drawn(TensorDataset(pairs.faces, pairs.words), draws, settings.batch_size)
    flip = torch.from_numpy(captions.mirrored(pairs.known))
    torch.manual_seed(settings.seed)
    trained = fit(
        Contrast(len(pairs.known), settings),
        batches,
        lambda network, batch: loss(network, batch, settings, flip),
        settings,
        folder,
        resume=True,
    )
    assert isinstance(trained, Contrast)
    return trained


@torch.no_grad()
def sorted_by_captions(network: Contrast, known: Sequence[str], crops: Tensor) -> NDArray[np.float32]:
    """(N, 8) logits of (N, 1, S, S) uint8 faces: similarity to the mean of an expression's captions."""
    network.eval()
    there, means = set(known), []
    for e in Expression:
        texts = [" ".join(w for w in captions.split(text) if w in there) for text in LOOKS[e]]
        words = torch.from_numpy(np.stack([captions.encode(text, known) for text in texts]))
        means.append(F.normalize(network.read(words).mean(dim=0), dim=0))
    seen = F.normalize(network.project(features(network.encoder, crops)), dim=1)
    return (network.sharpness.exp() * seen @ torch.stack(means).T).numpy()


def run(
    faces: Faces,
    settings: PairSettings,
    folder: Path,
    arms: Sequence[str],
    seeds: Sequence[int],
    given: Mapping[str, Any],
    *,
    labels: PseudoLabels | None = None,
    synthetic: Path | None = None,
) -> Result:
    """Train on the pairs of each arm with each seed, and classify photographs by captions.

    given: further conditions of the runs, such as the names of the data. labels: a teacher's labels of the photographs,
    for the arm "real".   synthetic: the folder, for "synthetic".
    """

    def prepare(arm: str) -> CaptionPairs:
        if arm == "real":
            if labels is None:
                raise InputError("captions of photographs are written from a teacher's labels; give --pseudo-labels")
            return of_photographs(faces.photographs, labels)
        if synthetic is None or faces.asked is None:
            raise InputError("this arm learns from generated faces; give --synthetic")
        return of_generated(synthetic, first(faces.asked, len(faces.photographs.samples)))

    def measure(arm: str, pairs: CaptionPairs, seed: int, place: Path) -> Result:
        network = fit_pairs(pairs, replace(settings, seed=seed), place, len(faces.photographs.samples))
        answers = sorted_by_captions(network, pairs.known, tensor(faces.valid))
        count = {"photographs": 0, "generated": 0} | {_KIND[arm]: len(pairs.faces)}
        return count | evaluated(faces.valid, answers)

    run_arms(ARMS, arms, seeds, folder, given_of(settings, given), prepare, measure)
    return table(ARMS, folder)
