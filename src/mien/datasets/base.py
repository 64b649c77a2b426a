"""One labelled face of any dataset.

A dataset is a sequence of samples; one that lacks some of the eight expressions says which it has in `expressions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mien.facs.vocabulary import Attribute, Expression


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled face; what a dataset does not know stays None.

    image: (H, W, 3) uint8 RGB.
    expression: the single label, where the dataset gives one.
    votes: (10,) uint8, annotators for each of the eight expressions, then "unknown" and "not a face".
    soft: (8,) float32 shares of the expressions, sums to 1, where no people voted, as on a generated face.
    attributes: what else is labelled, such as age, gender and race: words of mien.datasets.people.
    subject: who it is, for subject-exclusive folds.   group: a group that results are reported for.
    source: where it came from, "file:row" or a path.   duplicate: its pixels also occur in another split.
    """

    image: NDArray[np.uint8]
    expression: Expression | None = None
    votes: NDArray[np.uint8] | None = None
    soft: NDArray[np.float32] | None = None
    attributes: Mapping[Attribute, str] = field(default_factory=dict)
    subject: str | None = None
    group: str | None = None
    source: str = ""
    duplicate: bool = False
