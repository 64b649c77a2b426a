"""Draw the results of `measure`: deletion and insertion curves, and a few faces with their maps."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.datasets import Sample
from mien.datasets.pseudo_labels import PseudoLabels
from mien.errors import InputError
from mien.evaluation.figures import pyplot, save
from mien.evaluation.result import Result
from mien.facs.vocabulary import Expression
from mien.methods.au_cues.attention import SIX, looked, prepared, six_maps
from mien.methods.au_cues.maps import SIDE
from mien.methods.au_cues.model import ReaderNetwork
from mien.methods.au_cues.removal import enlarged
from mien.methods.au_cues.settings import Settings


def curves(result: Result, path: Path) -> None:
    """A PNG of the deletion and insertion curves of a result of `measure`."""
    plt = pyplot()
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
    kinds = {"deletion": "most attended pixels blurred", "insertion": "most attended pixels alone sharp"}
    for axes, (kind, title) in zip(panels, kinds.items(), strict=True):
        for name, color in (("attention", "#0072B2"), ("cam_of_prediction", "#D55E00")):
            curve = result["removal"][name][kind]
            x, y, low, high = ([p[key] for p in curve["points"]] for key in ("share", "value", "low", "high"))
            label = f"{name.replace('_', ' ')}, area {curve['area']['value']:.3f}"
            axes.plot(np.multiply(x, 100), np.multiply(y, 100), color=color, marker="o", markersize=3, label=label)
            axes.fill_between(
                np.multiply(x, 100), np.multiply(low, 100), np.multiply(high, 100), color=color, alpha=0.2
            )
        axes.set(xlabel="% of the pixels", title=title)
        axes.legend(frameon=False, fontsize=8)
    panels[0].set(ylabel="accuracy, %", ylim=(0, 100))
    save(figure, path)


def gallery(
    network: ReaderNetwork,
    settings: Settings,
    dataset: Sequence[Sample],
    labels: PseudoLabels,
    path: Path,
    stage: int | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> None:
    """A PNG with the first face of each of SIX that has a map: itself, its map, attention, CAM of the prediction."""
    plt = pyplot()
    faces, taught = prepared(dataset, labels, settings, limit, seed)
    rows_of = [np.flatnonzero((faces.labels == e) & taught.detected.numpy()) for e in SIX]
    chosen = np.array([rows[0] for rows in rows_of if len(rows)], int)
    if not len(chosen):
        raise InputError("no face has a map, so there is nothing to show")
    faces = replace(faces, samples=[faces.samples[i] for i in chosen], targets=faces.targets[chosen])
    logits, looks = looked(network, faces, ("cam",), settings.attention_stages[-1] if stage is None else stage)
    columns = ("face", "map of the label", "attention", "CAM of the prediction")
    shape = len(columns), len(chosen)
    figure, panels = plt.subplots(*shape, figsize=(1.5 * shape[1], 1.6 * shape[0]), squeeze=False, layout="constrained")
    for column, index in enumerate(chosen):
        label, predicted = Expression(faces.labels[column]), Expression(int(logits[column].argmax()))
        au_map = six_maps(taught.landmarks[index].numpy(), settings)[SIX.index(label)]
        kinds = ("attention", "cam_of_prediction")
        shown = (None, au_map, *(enlarged(looks[kind][column : column + 1], SIDE)[0].numpy() for kind in kinds))
        panels[0, column].set_title(f"{label.label}\n→ {predicted.label}", fontsize=8)
        for axes, look in zip(panels[:, column], shown, strict=True):
            axes.imshow(faces.samples[column].image, cmap="gray", extent=(0, 1, 1, 0))
            if look is not None:
                axes.imshow(look, cmap="inferno", alpha=0.6, extent=(0, 1, 1, 0))
            axes.set(xticks=[], yticks=[])
    for axes, name in zip(panels[:, 0], columns, strict=True):
        axes.set_ylabel(name, fontsize=8)
    save(figure, path)
