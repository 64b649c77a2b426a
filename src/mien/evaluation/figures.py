"""Figures for papers and READMEs: confusion matrix, reliability diagram, differences with intervals.

Needs the extra `train`.
"""

from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from mien.evaluation.compare import NARROW
from mien.evaluation.intervals import wilson_interval
from mien.evaluation.result import Result
from mien.extras import optional
from mien.facs.vocabulary import Expression

NAMES = [e.label for e in Expression]


def confusion_matrix(result: Result, path: Path) -> None:
    """Draw the shares of each true class in percent, with counts; classes without samples are left out."""
    plt = pyplot()
    confusion = np.array(result["confusion"])
    rows = [i for i in range(len(NAMES)) if confusion[i].sum() > 0]
    columns = [i for i in range(len(NAMES)) if NAMES[i] not in result.get("masked", [])]
    counts = confusion[np.ix_(rows, columns)]
    share = counts / confusion[rows].sum(axis=1, keepdims=True)
    figure, axes = plt.subplots(figsize=(7.2, 6.2), layout="constrained")
    image = axes.imshow(share, cmap="cividis", vmin=0, vmax=1)
    for r, c in np.ndindex(*counts.shape):
        if counts[r, c] > 0:
            axes.text(
                c,
                r,
                f"{100 * share[r, c]:.0f}\n({counts[r, c]:.0f})",
                ha="center",
                va="center",
                fontsize=8,
                color="black" if share[r, c] > 0.55 else "white",
            )
    axes.set_xticks(range(len(columns)), [NAMES[i] for i in columns], rotation=35, ha="right")
    axes.set_yticks(range(len(rows)), [f"{NAMES[i]}  (n = {confusion[i].sum():.0f})" for i in rows])
    axes.set(xlabel="predicted", ylabel="label")
    axes.set_title(
        f"{_title(result)}\naccuracy {_percent(result['accuracy'])}; cells: % of the label (faces)", fontsize=10
    )
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the label")
    save(figure, path)


def reliability_diagram(result: Result, path: Path) -> None:
    """Draw accuracy against confidence, with 95 % Wilson intervals; counts below."""
    plt = pyplot()
    bins = np.array(result["reliability"])
    bins = bins[bins[:, 0] > 0]
    count, confidence, right = bins[:, 0], bins[:, 1] / bins[:, 0], bins[:, 2] / bins[:, 0]
    bounds = np.array([wilson_interval(hits, n) for n, _, hits in bins]).T
    figure, (axes, below) = plt.subplots(
        2, 1, figsize=(6, 6.4), height_ratios=[3, 1], sharex=True, layout="constrained"
    )
    axes.plot([0, 1], [0, 1], color="gray", linestyle="--", linewidth=1, label="perfect calibration")
    axes.errorbar(
        confidence, right, yerr=np.abs(bounds - right), fmt="o", color="#0072B2", capsize=3, label="measured, 95 %"
    )
    axes.set(ylabel="share right", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"{_title(result)}\nECE {_percent({'value': result['ece'], **result['ece_interval']})}", fontsize=10)
    axes.legend(loc="upper left", frameon=False)
    below.bar(confidence, count, width=0.04, color="#0072B2")
    below.set(xlabel="probability of the top expression", ylabel="faces")
    save(figure, path)


def differences(result: Result, path: Path) -> None:
    """Draw the answers of `mien ablate`: one row per question, one panel per metric; filled dots differ from 0.

    An interval around 0 that is narrower than the band is called not separable.
    """
    plt = pyplot()
    asked = result["questions"]
    metrics = list(dict.fromkeys(entry["metric"] for entry in asked))
    rows = list(dict.fromkeys(_question(entry) for entry in asked))
    size = (4.2 + 2.6 * len(metrics), 1.5 + 0.42 * len(rows))
    figure, panels = plt.subplots(
        1, len(metrics), sharex=True, sharey=True, squeeze=False, figsize=size, layout="constrained"
    )
    for metric, axes in zip(metrics, panels[0], strict=True):
        axes.axvspan(-100 * NARROW, 100 * NARROW, color="#eeeeee", zorder=0)
        axes.axvline(0, color="gray", linewidth=1, zorder=1)
        for entry in asked:
            if entry["metric"] != metric or entry["value"] is None:
                continue
            value, low, high = (100 * entry[key] for key in ("value", "low", "high"))
            filled = "#0072B2" if entry["answer"] in ("higher", "lower") else "white"
            axes.errorbar(
                value,
                rows.index(_question(entry)),
                xerr=[[value - low], [high - value]],
                fmt="o",
                color="#0072B2",
                markerfacecolor=filled,
                capsize=3,
            )
        axes.set_xlabel(f"{_METRIC_NAMES.get(metric, metric)}, points")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    panels[0, 0].set_yticks(range(len(rows)), [fill(row, 44) for row in rows], fontsize=8)
    panels[0, 0].set_ylim(len(rows) - 0.5, -0.5)
    data = Path(str(result["valid"]).partition(":")[2]).name
    about = f"{result['method']} on {data}, {result['protocol']}, n = {result['n']}: differences, 95 % intervals"
    figure.suptitle(f"{about}\nfilled: not 0; around 0 and narrower than the band: not separable", fontsize=10)
    save(figure, path)


_METRIC_NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1", "macro_f1_n50": "macro F1, classes of 50 or more"}


def _question(entry: Result) -> str:
    asked, seeds = entry["question"].removesuffix(f" ({entry['metric']})"), len(entry["seeds"])
    return f"{asked} ({seeds} seed{'s' if seeds > 1 else ''})"


def _title(result: Result) -> str:
    data = Path(str(result["data"]).partition(":")[2]).name or result["data"]
    return f"{result['model']} on {data}, {result['protocol']}, n = {result['n']}"


def _percent(values: dict[str, float]) -> str:
    return f"{100 * values['value']:.1f} % [{100 * values['low']:.1f}, {100 * values['high']:.1f}]"


def pyplot() -> Any:
    """Return matplotlib.pyplot without a display; raise MissingExtra if it is not installed."""
    optional("matplotlib", "train").use("Agg")
    return optional("matplotlib.pyplot", "train")


def save(figure: Any, path: Path) -> None:
    """Write a figure without the software's version, so that equal figures are equal files."""
    figure.savefig(path, dpi=150, metadata={"Software": None})
    pyplot().close(figure)
