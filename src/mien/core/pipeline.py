"""One picture to one report: detect, align, read, and align again where the landmarks say so."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from mien.core.align import Floats, inverse, realigned, to_crop_frame
from mien.core.borders import Area, picture_area, whole
from mien.core.detect import Detector, Rotations, YuNet, in_reading_order, whole_picture
from mien.core.images import ImageSource, read_image
from mien.core.reader import Reader
from mien.core.rebuilt import Rebuilt
from mien.core.view import View
from mien.core.visibility import detector, hidden
from mien.core.zoo import DEFAULT, MODELS
from mien.errors import InputError
from mien.facs.observation import Hidden, Pose
from mien.facs.prior import named_prior
from mien.results.face import Face, FaceReport, ImageReport, Reading
from mien.results.notebook import preview

# How faces are looked for unless an option says otherwise; see YuNet.
THRESHOLD, MAX_SIDE = 0.7, 640
ROTATIONS: Rotations = "auto"
_LOOKING = {"threshold": THRESHOLD, "max_side": MAX_SIDE, "rotations": ROTATIONS}
# (N, S, S) uint8 gray crops to N readings; S is its attribute `size`, 48 where it has none. With an attribute `view`, a
# mien.core.view.View, it gets crops as that says.
ReadCrops: TypeAlias = Callable[[NDArray[np.uint8]], Sequence[Reading]]


class PipelineOptions(TypedDict, total=False):
    """The options of Pipeline, for functions that pass them on; Pipeline says what they mean."""

    detect: Detector | None
    read: ReadCrops | None
    model: str | Path
    threshold: float
    max_side: int
    rotations: Rotations
    assume_crop: bool
    threads: int
    prior: str | Sequence[float] | None


class Pipeline(Rebuilt):
    """Read the faces in pictures. Any number of threads may call one pipeline.

    detect: function from an RGB image to faces; by default YuNet with `threshold`, `max_side` and `rotations`.
    read: function from (N, S, S) uint8 gray crops to readings, with the side S as its attribute `size`; by default
    `model`.
    model: name of a model that mien ships, an ONNX file, or a checkpoint.
    threshold: lowest detector score that counts as a face.
    max_side: reduce longer pictures to this side before detection.
    rotations: also search the picture rotated: "auto" if no upright face is detected, "always", or "never".
    assume_crop: each picture is one face already, as in FER2013; nothing is detected.
    threads: threads of each ONNX session; 1 is fastest for models this small.
    prior: frequency of each expression in the pictures: "ferplus" (default), as in the training faces, "uniform", or
    eight shares in Expression order. Not with a `read` of your own.
    Raise InputError for options that exclude each other.
    """

    def __init__(
        self,
        detect: Detector | None = None,
        read: ReadCrops | None = None,
        *,
        model: str | Path = DEFAULT,
        threshold: float = THRESHOLD,
        max_side: int = MAX_SIDE,
        rotations: Rotations = ROTATIONS,
        assume_crop: bool = False,
        threads: int = 1,
        prior: str | Sequence[float] | None = None,
    ) -> None:
        if read is not None and model != DEFAULT:
            raise InputError(f"read reads the faces, so that model={str(model)!r} would not: give one of the two")
        if detect is not None or assume_crop:
            asked = {"threshold": threshold, "max_side": max_side, "rotations": rotations}
            looking = {name: asked[name] != usual for name, usual in _LOOKING.items()}
            idle = [name for name, given in (looking | {"assume_crop": detect and assume_crop}).items() if given]
            if idle:
                other = "assume_crop detects nothing" if detect is None else "detect finds the faces"
                raise InputError(f"{other}, so that {' and '.join(idle)} would do nothing: give one or the other")
        if detect is None:
            detect = whole_picture if assume_crop else YuNet(threshold, max_side, rotations, threads)
        self.detect = detect
        self.read = Reader(model, threads, prior) if read is None else read
        self.prior = "" if prior is None or read is not None else named_prior(prior)
        self.size: int = getattr(self.read, "size", 48)
        self.view: View = getattr(self.read, "view", None) or View(self.size)
        self.model: str = getattr(self.read, "name", "")
        self._threads = threads

    @property
    def options(self) -> PipelineOptions:
        """The arguments of this pipeline; Pipeline(**pipeline.options) is an equal one."""
        args, options = self._made_with
        given: PipelineOptions = {**dict(zip(("detect", "read"), args, strict=False)), **options}  # type: ignore[typeddict-item]
        return given

    def __call__(self, source: ImageSource) -> ImageReport:
        """Read a path, bytes, array or Pillow image (see mien.read_image); raise InputError if it is not usable."""
        image = read_image(source)
        faces = in_reading_order(self.detect(image))
        reports = tuple(self.read_faces(image, faces))
        return ImageReport(image.shape[:2], reports, self.model, preview=preview(image), prior=self.prior)

    def read_faces(
        self,
        image: NDArray[np.uint8],
        faces: Sequence[Face],
        starts: Sequence[Floats | None] = (),
        hidden: Sequence[tuple[Hidden, ...] | None] = (),
    ) -> Iterator[FaceReport]:
        """Yield the reports of faces in an (H, W, 3) RGB image.

        starts: the frame in which each face is read first, where that is better known than by the detector's points.
        hidden: the halves of each face that cannot be seen, where they are known; else they are looked for.
        """
        # Beyond a picture its outermost pixels are repeated; those of a border would say nothing.
        if not faces:
            return
        area = whole(image) if self.detect is whole_picture else picture_area(image)
        known = hidden or [None] * len(faces)
        pairs = zip(faces, starts or [None] * len(faces), strict=True)
        frames = [to_crop_frame(face) if start is None else start for face, start in pairs]
        crops = self.view.crops(image, frames, area)
        readings = list(self.read(crops))
        wanted = [realigned(f, r.landmarks) for f, r in zip(frames, readings, strict=True)]
        # Where the landmarks disagree with the crop they were read in, they are read again in the crop they ask for.
        again = {i: frame for i, frame in enumerate(wanted) if frame is not None and frame is not frames[i]}
        if again:
            better = self.view.crops(image, [*again.values()], area)
            for i, crop, reading in zip(again, better, self.read(better), strict=True):
                frames[i], crops[i], readings[i] = again[i], crop, reading
        for face, frame, crop, reading, place, halves in zip(
            faces, frames, crops, readings, wanted, known, strict=True
        ):
            trusted = reading if place is not None else replace(reading, landmarks=None)
            yield self._report(area, face, frame, crop, trusted, halves)

    def _report(
        self,
        area: Area,
        face: Face,
        frame: Floats,
        crop: NDArray[np.uint8],
        reading: Reading,
        halves: tuple[Hidden, ...] | None,
    ) -> FaceReport:
        """A reading in its crop to a report in the image."""
        report = FaceReport(
            face,
            reading.expression,
            frame,
            "box" if face.points is None else "detector",
            reading.action_units,
            pose=None if reading.pose is None else in_image(reading.pose, frame),
            attention=reading.attention,
            readability=reading.readability,
        )
        if reading.landmarks is None:
            return report
        back = inverse(frame)
        landmarks = (reading.landmarks @ back[:, :2].T + back[:, 2]).astype(np.float32)
        if halves is None and reading.pose is not None:
            inside = landmarks - area.corner.astype(np.float32)
            face_alone = self.view.plain(crop[None])[0]
            halves = tuple(hidden(face_alone, inside, reading.pose, area.size, self._find_halves))
        return replace(report, landmark_source="reader", landmarks=landmarks, hidden=halves or ())

    @cached_property
    def _find_halves(self) -> Detector:
        return detector(self._threads)


def in_image(pose: Pose, frame: Floats) -> Pose:
    """The pose of a head in the image, from that in a crop, which the frame turned upright."""
    turn = np.arctan2(frame[1, 0], frame[0, 0])  # clockwise, of the image on its way to the crop
    yaw, pitch = np.radians(pose.yaw), np.radians(pose.pitch)
    # Where the face points, x right and y up; to go back to the image is to turn it counterclockwise.
    x, y, z = np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    roll = (pose.roll - np.degrees(turn) + 180) % 360 - 180
    return Pose(float(np.degrees(np.arctan2(x, z))), float(np.degrees(np.arcsin(np.clip(y, -1, 1)))), float(roll))


def analyze(source: ImageSource, **options: Unpack[PipelineOptions]) -> ImageReport:
    """Read the faces in one picture.

    source: a path, a file's bytes, a uint8 RGB array or a Pillow image.
    options: see Pipeline. mien's own models are cached for each set of options, but not with a `detect` or `read` of
    your own; a model file of your own is reopened on each call, because it may have changed.
    Raise InputError if the picture is not usable.
    """
    own = options.get("detect") is not None or options.get("read") is not None
    if own or str(options.get("model", DEFAULT)) not in MODELS:
        return Pipeline(**options)(source)
    if (prior := options.get("prior")) is not None:
        options = {**options, "prior": named_prior(prior)}  # a list of numbers could not be looked up
    return _pipeline(tuple(sorted(options.items())))(source)


@lru_cache(maxsize=4)
def _pipeline(options: tuple[tuple[str, Any], ...]) -> Pipeline:
    return Pipeline(**dict(options))
