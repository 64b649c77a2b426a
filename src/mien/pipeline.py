"""One picture to one report: detect, align, read."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.align import align
from mien.detect import Detector, YuNet, whole_picture
from mien.images import ImageSource, read_image
from mien.reader import Reader
from mien.results import ExpressionScores, FaceReport, ImageReport
from mien.zoo import DEFAULT, MODELS


class Pipeline:
    """Reads faces in pictures; make one and call it for every picture.

    detect: any function from an RGB image to faces; left out, YuNet with threshold, max_side and rotations (see there).
    read: any function from (N, S, S) gray crops to expression scores, with the crop's side S as its attribute `size`;
    left out, the model named, or an ONNX file with a contract.
    assume_crop: every picture is one face already, as in FER2013; nothing is detected.
    threads: of each ONNX session; 1 is fastest for models this small.
    """

    def __init__(
        self,
        detect: Detector | None = None,
        read: Callable[[NDArray[np.uint8]], Sequence[ExpressionScores]] | None = None,
        *,
        model: str | Path = DEFAULT,
        threshold: float = 0.7,
        max_side: int = 640,
        rotations: bool = False,
        assume_crop: bool = False,
        threads: int = 1,
    ) -> None:
        if detect is None:
            detect = whole_picture if assume_crop else YuNet(threshold, max_side, rotations, threads)
        self.detect = detect
        self.read = Reader(model, threads) if read is None else read
        self.size: int = getattr(self.read, "size", 48)
        self.model: str = getattr(self.read, "name", "")

    def __call__(self, source: ImageSource) -> ImageReport:
        """A path, bytes, array or Pillow image (see mien.read_image) to a report; InputError when it is not usable."""
        image = read_image(source)
        faces = self.detect(image)
        crops = align(image, faces, self.size)
        readings = self.read(crops)
        return ImageReport(
            image.shape[:2], tuple(FaceReport(*pair) for pair in zip(faces, readings, strict=True)), self.model
        )


def analyze(source: ImageSource, **options: Any) -> ImageReport:
    """Read the faces in one picture.

    source: a path, a file's bytes, a uint8 RGB array or a Pillow image.   options: those of Pipeline.
    The models of mien are loaded once for each set of options; a file of your own is opened anew, for it may change.
    Raises InputError when the picture is not usable.
    """
    if str(options.get("model", DEFAULT)) not in MODELS:
        return Pipeline(**options)(source)
    return _pipeline(**dict(sorted(options.items())))(source)


@lru_cache(maxsize=4)
def _pipeline(**options: Any) -> Pipeline:
    return Pipeline(**options)
