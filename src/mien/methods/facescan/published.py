"""What the paper reports for expressions, to stand beside measured rows: other faces, so not comparable.

AlDahoul, Tan, Kasireddy and Zaki, 2024, arXiv:2410.24148: AffectNet, eight classes, 3,999 faces; single runs without
intervals.
"""

from typing import NamedTuple

NOTE = "other data set - not comparable"


class Published(NamedTuple):
    """A row of the paper, in per cent.   macro_f1: None where it is not given."""

    model: str
    accuracy: float
    macro_f1: float | None


EXPRESSION = (
    Published("FaceScanPaliGemma, tuned", 59.4, 59),
    Published("Florence-2 large, tuned", 58.5, 58),
    Published("Florence-2 base, tuned", 56.1, 56),
    Published("Gemini 1.5 Flash", 49.9, 48),
    Published("GPT-4o", 49.0, 47),
    Published("GPT-4o-mini, other wording", 48.7, None),
    Published("GPT-4o-mini", 46.5, 45),
    Published("PaliGemma, not tuned", 39.8, 36),
    Published("LLaVA-NeXT 7B", 38.8, 33),
)
