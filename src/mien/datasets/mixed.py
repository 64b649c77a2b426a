"""Several data sets as one, each sample unchanged: photographs with generated faces."""

from collections.abc import Sequence

from mien.datasets.base import Sample
from mien.datasets.synthetic import Synthetic
from mien.facs.vocabulary import Expression


class Mixed(Sequence[Sample]):
    """Photographs and generated faces as one data set, the photographs first; each keeps its source.

    half: that of the photographs, see Half; "" where they are not of one.
    """

    def __init__(self, *datasets: Sequence[Sample]) -> None:
        self._rows = [(dataset, i) for dataset in datasets for i in range(len(dataset))]
        known = {e for dataset in datasets for e in getattr(dataset, "expressions", tuple(Expression))}
        self.expressions = tuple(sorted(known))
        halves = {getattr(dataset, "half", "") for dataset in datasets if not isinstance(dataset, Synthetic)}
        self.half: str = halves.pop() if len(halves) == 1 else ""

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        dataset, row = self._rows[index]
        return dataset[row]
