"""Match the people in an answer to detected faces."""

from collections.abc import Sequence

import numpy as np

from mien.core.turns import Floats, iou
from mien.methods.facescan.parse import ParsedPerson

# Two boxes that share less of their union than this are not taken for the same face.
LEAST_IOU = 0.3


def match(people: Sequence[ParsedPerson], boxes: Floats, size: tuple[int, int]) -> dict[int, int]:
    """Index of a person to index of a face, for the people who can be matched.

    boxes: (N, 4) x1 y1 x2 y2 in reading order, in pixels of a picture of this size, (height, width).
    People with boxes go to the faces they overlap most (an IoU of at least 0.3, best sum over all pairs), then the rest
    of them to the faces that are nearest from left to right, within a face's width. When nobody has a box, they go in
    reading order, if there are as many of them as faces; a wrong count leaves no way to tell who is missing.
    """
    located = [i for i, person in enumerate(people) if person.box is not None]
    if not located:
        return _in_order(people, boxes)
    scale = np.array([size[1], size[0], size[1], size[0]], dtype=np.float64)
    given = np.array([people[i].box for i in located], dtype=np.float64) * scale
    pairs = _pairs(1 - iou(given, boxes), 1 - LEAST_IOU)
    rows = [i for i in range(len(given)) if i not in pairs]
    columns = [j for j in range(len(boxes)) if j not in pairs.values()]
    if rows and columns:
        widths = np.maximum(boxes[columns, 2] - boxes[columns, 0], 1)
        apart = abs(_centers(given[rows])[:, None] - _centers(boxes[columns])) / widths
        pairs |= {rows[i]: columns[j] for i, j in _pairs(apart, 1.0).items()}
    return {located[i]: j for i, j in pairs.items()}


def assign(cost: Floats) -> list[tuple[int, int]]:
    """Rows to columns of an (n, m) matrix so that the costs of min(n, m) pairs sum to the least (Kuhn, 1955).

    Shortest augmenting paths with potentials, O(n^2 m).
    """
    if cost.shape[0] > cost.shape[1]:
        return [(i, j) for j, i in assign(cost.T)]
    n, m = cost.shape
    u, v = np.zeros(n + 1), np.zeros(m + 1)
    row_of = np.zeros(m + 1, dtype=int)  # rows and columns count from 1; 0 is nobody
    for i in range(1, n + 1):
        row_of[0], j = i, 0
        least, before, seen = np.full(m + 1, np.inf), np.zeros(m + 1, dtype=int), np.zeros(m + 1, dtype=bool)
        while row_of[j] != 0:
            seen[j] = True
            reduced = cost[row_of[j] - 1] - u[row_of[j]] - v[1:]
            nearer = ~seen[1:] & (reduced < least[1:])
            least[1:][nearer], before[1:][nearer] = reduced[nearer], j
            following = int(np.where(seen, np.inf, least).argmin())
            step = least[following]
            u[row_of[seen]] += step
            v[seen] -= step
            least[~seen] -= step
            j = following
        while j != 0:
            row_of[j] = row_of[before[j]]
            j = before[j]
    return [(int(row_of[j]) - 1, j - 1) for j in range(1, m + 1) if row_of[j] != 0]


def _pairs(cost: Floats, most: float) -> dict[int, int]:
    """The best assignment of which no pair costs more than this."""
    # A pair that is not allowed costs more than any set of allowed ones, so that it is never worth taking.
    capped = np.where(cost <= most, cost, 1e3 + cost)
    return {i: j for i, j in assign(capped) if cost[i, j] <= most}


def _in_order(people: Sequence[ParsedPerson], boxes: Floats) -> dict[int, int]:
    if len(people) != len(boxes):
        return {}
    return {i: i for i in range(len(people))}


def _centers(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 0] + boxes[:, 2]) / 2)
