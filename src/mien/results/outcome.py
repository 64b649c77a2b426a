"""The result for one input of a batch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.results.face import ImageReport
from mien.results.record import Record
from mien.text import readable


@dataclass(frozen=True, eq=False)
class Outcome:
    r"""The result for one input of a batch: a report, or the error that says why there is none.

    name: the input as given; bytes of a file name that are not UTF-8 are written as \xff.
    image: (h, w, 3) uint8 RGB, upright, for display; it may be smaller than report.size. None if not kept.
    """

    name: str
    report: ImageReport | None = None
    error: MienError | None = None
    image: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", readable(self.name))

    @property
    def reason(self) -> str | None:
        """The reason why there is no report; None if there is one."""
        return None if self.error is None else readable(str(self.error))

    @property
    def status(self) -> str:
        """ "ok", "no_face", or the cause of the failure: "unreadable", "missing", "too_large", ..."""
        if self.report is not None:
            return self.report.status
        return self.error.status if self.error is not None else "failed"

    def to_dict(self) -> Record:
        """Return the JSON form: the input and its report; if it failed, an error and no faces."""
        start = {"input": self.name, "status": self.status, "error": self.reason}
        return start | ({"faces": []} if self.report is None else self.report.to_dict())
