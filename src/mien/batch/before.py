"""Read what a stopped run has written: finished inputs, and the position in the last one."""

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile

import numpy as np

from mien.results.frame import FrameReport
from mien.results.record import Record
from mien.video.recall import recalled
from mien.video.series import number


class RowsBefore:
    """What the rows of a table say of the run that wrote them, which are in the order of its inputs.

    rows: gives the rows, each time it is called.   finished: the names of the inputs that are written whole.
    see: is given each row once, on the way.
    """

    def __init__(self, rows: Callable[[], Iterable[Record]], see: Callable[[Record], None] = lambda row: None) -> None:
        self._rows = rows
        self.finished: set[str] = set()
        self._name, self._frame, self._time = "", -1, -np.inf
        for row in rows():
            see(row)
            name, frame = str(row["input"]), number(row.get("frame"))
            if name != self._name:
                self.finished.add(self._name)
                self._name, self._frame = name, -1
            if frame is None:
                self.finished.add(name)
            else:
                self._frame, self._time = int(frame), number(row["timestamp"]) or 0.0

    def last(self, name: str) -> int:
        """The number of the last frame of a clip that is written."""
        return self._frame if name == self._name else -1

    def reports(self, name: str, smooth: float) -> Iterator[FrameReport]:
        """What was read of a clip; without its end, when that must be read again because it was written smoothed."""
        if name != self._name:
            return iter(())
        until = self._time - 2 * smooth if smooth else np.inf
        rows = (row for row in self._rows() if row["input"] == name)
        return takewhile(lambda frame: frame.time <= until, recalled(rows))
