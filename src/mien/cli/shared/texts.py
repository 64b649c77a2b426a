"""Measures of a model's texts in `mien evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from mien.cli.shared.terminal import new_table
from mien.datasets import Sample
from mien.datasets.pseudo_labels import read
from mien.evaluation.result import Result
from mien.methods.expllm.evaluate import TARGETS, evaluate
from mien.methods.expllm.small.generate import MODES, Explainer
from mien.progress import shown

# Rows: label of a metric, and the factor of its fraction.
_ROWS = {
    "format": ("form %", 100),
    "units_precision": ("action units, precision %", 100),
    "units_recall": ("  recall %", 100),
    "units_f1": ("  F1 %", 100),
    "units_f1_shuffled": ("  F1 of another face's text %", 100),
    "units_f1_shuffled_in_class": ("  F1 of another, same label %", 100),
    "above_class": ("  points above that", 100),
    "side_accuracy": ("  side %", 100),
    "band_error": ("  degree, bands off", 1),
    "consistent": ("concludes its own label %", 100),
    "read_as": ("reads as it concludes %", 100),
    "accepted": ("  or that comes second %", 100),
    "exp_cot_score": ("Exp-CoT score", 1),
}


def measure(explainer: Explainer, dataset: Sequence[Sample], pseudo_labels: Path | None, **options: Any) -> Result:
    """Call mien.methods.expllm.evaluate with a progress bar."""

    def progress(indices: Sequence[int]) -> Any:
        return shown(indices, "Writing")

    labels = None if pseudo_labels is None else read(pseudo_labels)
    return evaluate(explainer, dataset, labels, progress=progress, **options)


def summary(result: Result) -> Table:
    """Return the texts of both modes, those of the rules about the same faces, and the targets."""
    texts = result["texts"]
    kinds = (*MODES, "rules", "engine")
    title = f"{texts['n']} faces written about, compared with action units of the {texts['held_against']}"
    table = new_table("", *kinds, "target", right=(*kinds, "target"), title=title)
    for name, (title, times) in _ROWS.items():
        table.add_row(title, *(_cell(texts[kind][name], times) for kind in kinds), TARGETS.get(name, ""))
    table.add_section()
    for half, measured in texts["occlusion"].items():
        cells = [_cell(measured["blurred_half"], 100, "drop"), *[""] * (len(kinds) - 1)]
        table.add_row(f"{half} blurred, their units -%", *cells, TARGETS["drop"])
        table.add_row("  those of the other half -%", _cell(measured["other_half"], 100, "drop"))
    free, divergence = result["free"], result["votes"]["divergence"]
    off = "" if divergence is None else f"divergence from the votes {divergence:.3f} nats; "
    table.caption = (
        f"label unasked: {100 * free['accuracy']:.1f} % right, {100 * free['mismatches']:.1f} % no label (target "
        f"{TARGETS['mismatches']}); {off}{texts['seconds_per_text']:.2f} s a text; rules: what the engine writes of "
        "the reader's answers; engine: of the measured action units"
    )
    return table


def _cell(values: dict[str, float | None], times: int, key: str = "value") -> str:
    """Return "61.2 ±2.0", the value and half the width of its interval."""
    value, low, high = (values[k] for k in (key, "low", "high"))
    if value is None:
        return "-"
    digits = 1 if times == 100 else 2
    spread = "" if low is None or high is None else f" ±{times * (high - low) / 2:.{digits}f}"
    return f"{times * value:.{digits}f}{spread}"
