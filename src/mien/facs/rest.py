"""What calm faces show of each action unit, and intensities counted from there, as words about a face want them.

A reader's zero is not a face at rest: brows that lie high, full lips and heavy lids are read as a little of a unit.
Of a face whose AU43 is .15, half open lids say nothing, for one calm face in ten shows as much.
"""

import numpy as np

from mien.facs.units import PRESENT, ActionUnits
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit

# What nine of ten calm faces do not exceed, by the shipped reader: the 427 held-out training faces of FERPlus that at
# least eight of ten people called neutral (the reader has learned from them). `python benchmarks/rest.py` measures it.
CALM = {
    1: 0.44, 2: 0.43, 4: 0.31, 5: 0.11, 6: 0.02, 7: 0.31, 9: 0.01, 10: 0.01, 12: 0.02, 14: 0.05, 15: 0.06, 16: 0.03,
    17: 0.11, 18: 0.42, 20: 0.05, 22: 0.05, 24: 0.14, 25: 0.05, 26: 0.05, 28: 0.09, 43: 0.17,
}  # fmt: skip


def start(unit: int) -> float:
    """The intensity from which on words name a unit: PRESENT, or what calm faces show where that is more."""
    return max(PRESENT, CALM[unit])


def above(units: ActionUnits) -> ActionUnits:
    """The same face with each unit counted from what calm faces show: `start` becomes PRESENT, 0 and 1 stay.

    What `mien.facs.units.band` says of these are the degrees that a text should use.
    """
    starts = np.array([start(int(unit)) for unit in ActionUnit])
    raw = units.intensities.astype(np.float64)
    below = raw * PRESENT / starts
    over = PRESENT + (raw - starts) * (1 - PRESENT) / (1 - starts)
    counted = np.where(raw < starts, below, over)
    slope = np.where(raw < starts, PRESENT / starts, (1 - PRESENT) / (1 - starts))
    order = [int(unit) for unit in ActionUnit]
    sides = units.differences * np.array([slope[order.index(int(unit))] for unit in ASYMMETRIES])
    return ActionUnits(counted.astype(np.float32), sides.astype(np.float32))
