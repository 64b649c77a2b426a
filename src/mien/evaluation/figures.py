"""A result to pictures for a paper or a README: confusion matrix and reliability diagram. Needs the extra `train`."""

from pathlib import Path
from typing import Any

import numpy as np

from mien.evaluation.intervals import wilson_interval
from mien.extras import optional
from mien.vocabulary import Expression

NAMES = [e.label for e in Expression]


def confusion_matrix(result: dict[str, Any], path: Path) -> None:
    """Shares of each true class as shades and percent, counts beneath; classes without samples are left out."""
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


def reliability_diagram(result: dict[str, Any], path: Path) -> None:
    """How often the answer was right against how sure the model was, with 95 % Wilson intervals; counts below."""
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


def _title(result: dict[str, Any]) -> str:
    data = Path(str(result["data"]).partition(":")[2]).name or result["data"]
    return f"{result['model']} on {data}, {result['protocol']}, n = {result['n']}"


def _percent(values: dict[str, float]) -> str:
    return f"{100 * values['value']:.1f} % [{100 * values['low']:.1f}, {100 * values['high']:.1f}]"


def pyplot() -> Any:
    """Matplotlib without a display; MissingExtra where it is not installed."""
    optional("matplotlib", "train").use("Agg")
    return optional("matplotlib.pyplot", "train")


def save(figure: Any, path: Path) -> None:
    """Write a figure, without the name of the software, so that equal figures are equal files."""
    figure.savefig(path, dpi=150, metadata={"Software": None})
    pyplot().close(figure)
