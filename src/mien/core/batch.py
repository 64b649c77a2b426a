"""Many pictures to many outcomes, in their order: find the files, and read one after the other or several at a time."""

import glob
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.core.images import ENDINGS, ImageSource, read_image
from mien.core.pipeline import Pipeline, PipelineOptions
from mien.core.sources import file_name, is_open_file, is_url
from mien.errors import InputError, MienError
from mien.results.face import ImageReport
from mien.results.outcome import Outcome

# A picture, or the outcome of an input that names none.
Picture: TypeAlias = "ImageSource | Outcome"
# One picture, folder or pattern, or any number of them.
Inputs: TypeAlias = "ImageSource | Iterable[ImageSource]"
# A picture to its report: a Pipeline, a FaceScanner, or any function like them.
ReadPicture: TypeAlias = Callable[[NDArray[np.uint8]], ImageReport]
Item = TypeVar("Item")
Result = TypeVar("Result")


def analyze_many(
    inputs: Inputs,
    *,
    pipeline: ReadPicture | None = None,
    jobs: int = 1,
    images: bool = False,
    **options: Unpack[PipelineOptions],
) -> Iterator[Outcome]:
    """Read the faces in many pictures; yield one outcome per input, in order, as soon as it is ready.

    inputs: files, folders (searched recursively), patterns such as "study/*.jpg", and whatever else mien.analyze
    accepts, alone or in an iterable. They are drawn lazily, at most two per job ahead of the outcomes. A picture
    without a file name is named by its position: "input 0".
    pipeline: an existing pipeline, instead of one with `options`.
    jobs: pictures read in parallel.
    images: keep each picture in its outcome, as drawings and pages need it.
    options: see Pipeline.
    A picture that cannot be read is an outcome with an error. Raise InputError for wrong options, before anything is
    read.
    """
    if pipeline is not None and options:
        raise InputError(f"a pipeline is made already: give it or its options, not both ({', '.join(options)})")
    if jobs < 1:
        raise InputError(f"jobs must be 1 or more, but got {jobs}")
    read = Pipeline(**options) if pipeline is None else pipeline
    return read_many(find_pictures(_each(inputs)), read, jobs=jobs, images=images)


def read_many(
    pictures: Iterable[Picture], read: ReadPicture, *, jobs: int = 1, images: bool = False
) -> Iterator[Outcome]:
    """Read pictures that are already listed, as analyze_many does; an outcome among them is passed on as it is."""

    def outcome(numbered: tuple[int, Picture]) -> Outcome:
        number, source = numbered
        return read_outcome(source, read, name=f"input {number}", keep=images)

    return in_threads(outcome, enumerate(pictures), jobs)


def _each(inputs: Inputs) -> Iterable[ImageSource]:
    """The inputs, also of somebody who gives a single one: a path is no iterable of letters, a picture none of rows."""
    one = isinstance(inputs, str | os.PathLike | bytes | bytearray | memoryview | Image.Image)
    if one or is_open_file(inputs) or (isinstance(inputs, np.ndarray) and inputs.ndim < 4):
        return [inputs]  # type: ignore[list-item]
    return inputs  # type: ignore[return-value]


def find_pictures(inputs: Iterable[ImageSource], endings: Collection[str] = ENDINGS) -> Iterator[Picture]:
    """The pictures that the inputs name, in a fixed order; an input that names none gives its outcome at once.

    endings: of the files that are taken from folders, in lower case; a file that is named is taken whatever its ending.
    """
    for given in inputs:
        if not isinstance(given, str | os.PathLike):
            yield given
            continue
        text = os.fsdecode(given)
        # os.path answers False where Path would raise, as for a folder that may not be entered.
        if is_url(text):  # whose question mark is no pattern
            yield text
        elif os.path.isdir(text):
            first = next(files := _walk(text, endings), None)
            cause = InputError(f"{text}: no pictures in this folder", "no_pictures")
            yield Outcome(text, error=cause) if first is None else first
            yield from files
        elif not os.path.exists(text) and glob.has_magic(text):
            matches = [path for path in sorted(glob.glob(text, recursive=True)) if os.path.isfile(path)]
            cause = InputError(f"{text}: the pattern matches no file", "missing")
            yield from matches
            if not matches:
                yield Outcome(text, error=cause)
        else:
            yield text


def _walk(folder: str, endings: Collection[str]) -> Iterator[str | Outcome]:
    """The files with these endings in a folder and below, and an outcome for each folder that cannot be listed."""
    refused: list[OSError] = []
    for here, folders, names in os.walk(folder, onerror=refused.append):
        folders.sort()
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in endings and not name.startswith("."):
                yield os.path.join(here, name)
    for error in refused:
        cause = InputError(f"{error.filename}: cannot be listed ({error.strerror})", "unreadable")
        yield Outcome(str(error.filename), error=cause)


def read_outcome(source: Picture, read: ReadPicture, *, name: str = "", keep: bool = True) -> Outcome:
    """Read one picture to its outcome; a failure is an outcome too, and an outcome is returned as it is.

    name: of a picture without a file's name.   keep: the picture in its outcome.
    """
    if isinstance(source, Outcome):
        return source
    if isinstance(source, str | os.PathLike):
        name = os.fsdecode(source)
    elif is_open_file(source):
        name = file_name(source)
    try:
        image = read_image(source)
        return Outcome(name, read(image), image=image if keep else None)
    except Exception as error:
        return Outcome(name, error=named(error, name))


def named(error: Exception, name: str) -> MienError:
    """Return the error that says why an input failed: itself if mien raised it on purpose, else one of status "failed".

    Whatever a decoder, ONNX Runtime, a full memory or a function of the user's raises is one input's failure, and not
    the end of a batch; it is the `__cause__` of the error that is returned.
    """
    if isinstance(error, MienError):
        return error
    failure = MienError(f"{name}: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Iterator[Result]:
    """Yield work(item) of each, in order, so many at a time; an error of one is raised when it is its turn.

    Items are drawn as they are needed, in the caller's thread, at most two for each job ahead of the results: a caller
    that stops early waits only for those that are being worked on. One job works in the caller's thread.
    """
    if jobs == 1:
        yield from map(work, items)
        return
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) == 2 * jobs:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
