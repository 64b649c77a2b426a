"""Decoding in a process of its own: the same pixels and errors, and an end to everything."""

import os
import subprocess
import sys
import warnings
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from mien.core import apart
from mien.core.images import read_image
from mien.core.limits import Limits
from mien.errors import InputError, InputWarning
from tests.helpers import ASTRONAUT, encoded, noise, running

PICTURE = noise(20, 30, 3)
FORMATS = {"WEBP": {"lossless": True}, "AVIF": {"speed": 10}, "JPEG2000": {}, "TIFF": {"compression": "tiff_lzw"}}
# Another process: what it does instead of decoding.
INSTEAD = (
    "import json, sys, os, time; sys.path[:] = json.loads(sys.argv[1]); from mien.core import decoder; "
    "import numpy as np; decoder.decode_here = lambda *_: {}; decoder.main()"
)


@pytest.fixture(autouse=True)
def own_processes():
    """Those of other tests are not these tests'."""
    apart._end_all()
    yield
    apart._end_all()


@pytest.fixture
def everything_apart(monkeypatch):
    monkeypatch.setattr(apart, "HERE", dict.fromkeys(apart.HERE, 0))


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_is_decoded_apart_to_the_same_pixels(monkeypatch, format):
    data = encoded(PICTURE, format, **FORMATS[format])
    monkeypatch.setattr(apart, "HERE", {})
    here = read_image(data)
    assert apart._idle == []
    monkeypatch.setattr(apart, "HERE", {format: 0})
    np.testing.assert_array_equal(read_image(data), here)
    np.testing.assert_array_equal(read_image(data), here)
    assert len(apart._idle) == 1


@pytest.mark.usefixtures("everything_apart")
def test_errors_and_warnings_are_those_of_any_picture(tmp_path, monkeypatch):
    film = [Image.fromarray(noise(20, 30, 3, seed=n)) for n in range(2)]
    film[0].save(tmp_path / "film.webp", save_all=True, append_images=film[1:])
    (tmp_path / "cut.tif").write_bytes(encoded(PICTURE, "TIFF", compression="tiff_lzw")[:1000] + bytes(900))

    def said(path):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", InputWarning)
            cause = None
            with suppress(InputError):
                read_image(path)
            try:
                read_image(path)
            except InputError as error:
                cause = (str(error), error.status)
        return cause, [str(warning.message) for warning in caught]

    elsewhere = [said(path) for path in sorted(tmp_path.iterdir())]
    monkeypatch.setattr(apart, "HERE", {})
    assert elsewhere == [said(path) for path in sorted(tmp_path.iterdir())]
    assert "cut.tif" in elsewhere[0][0][0]
    assert "holds several pictures" in elsewhere[1][1][0]


def broken(monkeypatch, instead):
    """The error when the other process does this, and whether the next picture is read."""
    monkeypatch.setattr(apart, "command", running(INSTEAD.format(instead)))
    limits = Limits(seconds=0.5)
    with pytest.raises(InputError) as caught:
        read_image(encoded(PICTURE, "AVIF", speed=10), limits)
    monkeypatch.undo()
    assert read_image(encoded(PICTURE, "AVIF", speed=10)).shape == PICTURE.shape
    return caught.value


@pytest.mark.skipif(sys.platform == "win32", reason="no bound by the processor's time")
def test_a_decoder_that_computes_for_ever_is_ended(monkeypatch):
    error = broken(monkeypatch, "[0 for _ in iter(int, 1)]")
    assert "decoding takes longer than 0.5 seconds" in str(error)
    assert error.status == "too_large"


def test_a_decoder_that_waits_for_ever_is_ended(monkeypatch):
    monkeypatch.setattr(apart, "PATIENCE", 1)
    monkeypatch.setattr(apart, "_BY_PROCESSOR", False)
    assert "decoding takes longer" in str(broken(monkeypatch, "time.sleep(600)"))


def test_a_decoder_that_crashes_is_an_error_and_is_replaced(monkeypatch):
    error = broken(monkeypatch, "os.abort()")
    assert "the picture crashes its decoder" in str(error)
    assert error.status == "unreadable"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is bounded by Linux alone")
def test_a_decoder_that_takes_all_memory_is_ended(monkeypatch):
    # Never touched, so that nothing is lost where the bound fails.
    assert isinstance(broken(monkeypatch, "np.empty((3 << 30, 1, 1), np.uint8)"), InputError)


def test_the_process_ends_with_the_program():
    code = (
        "import sys, mien; from mien.core import apart; mien.read_image(sys.stdin.buffer.read()); "
        "print(apart._idle[0]._process.pid)"
    )
    data = encoded(PICTURE, "AVIF", speed=10)
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    with pytest.raises(OSError):  # noqa: PT011 - another class on each system
        os.kill(int(done.stdout), 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
def test_a_child_that_is_forked_starts_its_own():
    data = encoded(PICTURE, "AVIF", speed=10)
    read_image(data)
    (process,) = apart._idle
    child = os.fork()
    if child == 0:
        os._exit(len(apart._idle))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert read_image(data).shape == PICTURE.shape
    assert apart._idle == [process]


def test_pictures_that_decode_soon_or_piece_by_piece_stay_here():
    for data in (ASTRONAUT.read_bytes(), encoded(PICTURE, "WEBP"), encoded(PICTURE, "TIFF"), encoded(PICTURE, "JPEG")):
        read_image(data)
    assert apart._idle == []


def test_a_jpeg_whose_scans_go_over_many_pixels_is_decoded_apart():
    image = Image.open(ASTRONAUT)
    image.format = "JPEG"
    image._size = (10_000, 10_000)
    assert not apart.wanted(image, 12)
    assert apart.wanted(image, 20)


def test_a_tiff_whose_tiles_are_larger_than_the_picture_is_decoded_apart():
    image = Image.new("RGB", (10, 10))
    image.format = "TIFF"
    image.tag_v2 = {322: 10_000, 323: 10_000}  # type: ignore[attr-defined]
    assert apart.wanted(image, 0)
    image.tag_v2 = {322: ("x",), 323: None}  # type: ignore[attr-defined]
    assert not apart.wanted(image, 0)
