"""Damaged pictures by the thousand: each is a picture or an InputError, without a word on standard error."""

import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from benchmarks.mutator import damaged, seeds
from PIL import Image, JpegImagePlugin

from mien.core.images import read_image
from mien.errors import InputError
from tests.helpers import encoded, noise

# `python benchmarks/robustness.py` takes forty thousand.
COUNT = 2_000
ROOT = Path(__file__).parents[2]


def test_every_seed_is_a_picture():
    assert len(seeds()) == 34
    for name, data in seeds().items():
        assert read_image(data).size > 0, name


def test_a_damage_follows_from_its_number():
    assert damaged(77) == damaged(77)
    assert damaged(77)[1] != damaged(77 + len(seeds()))[1]


def read(data: bytes) -> np.ndarray | InputError:
    try:
        return read_image(data)
    except InputError as error:
        return error


@pytest.mark.filterwarnings("ignore:::PIL")
def test_a_damaged_file_is_a_picture_or_an_input_error_and_makes_no_noise(capfd):
    outcomes: Counter[str] = Counter()
    for number in range(COUNT):
        name, data = damaged(number)
        image = read(data)
        if isinstance(image, InputError):
            assert " ()" not in str(image), f"{number}, {name}"
            outcomes[image.status] += 1
        else:
            assert image.dtype == np.uint8
            assert image.shape[2] == 3
            outcomes["read"] += 1
    assert set(outcomes) <= {"unreadable", "too_large", "read"}
    assert capfd.readouterr().err == ""
    # Else the damages would be too heavy to get anywhere, or too light to matter.
    assert outcomes["read"] > COUNT / 20
    assert outcomes["unreadable"] > COUNT / 4


# A decoder that fails in any way


@pytest.mark.parametrize(
    "error",
    [MemoryError(), KeyError("x"), RecursionError(), OverflowError("big"), OSError(), SystemError("C"), Exception()],
)
@pytest.mark.parametrize("where", ["load", "__init__"])
def test_whatever_a_decoder_raises_is_an_input_error_with_a_cause(monkeypatch, error, where):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, where, fail)
    with pytest.raises(InputError) as caught:
        read_image(encoded(noise(16, 24, 3), "JPEG"))
    assert caught.value.status in ("unreadable", "too_large")
    assert " ()" not in str(caught.value)


def test_a_picture_that_does_not_fit_into_memory_is_too_large(monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", fail)
    with pytest.raises(InputError, match="24 x 16 pixels do not fit into memory") as caught:
        read_image(Image.new("RGB", (24, 16)))
    assert caught.value.status == "too_large"


def test_a_stop_is_no_damage(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", stop)
    with pytest.raises(KeyboardInterrupt):
        read_image(encoded(noise(16, 24, 3), "JPEG"))


# Noise


@pytest.mark.filterwarnings("error")
def test_a_picture_just_below_the_limit_is_read_without_a_warning():
    # Pillow warns from 89 megapixels on. The file is cut off, so that nothing large is decoded.
    header = io.BytesIO()
    Image.new("1", (9_800, 9_800)).save(header, "PNG")
    with pytest.raises(InputError, match="damaged or cut off"):
        read_image(header.getvalue()[:60])


def test_a_program_that_reads_damaged_pictures_says_nothing_of_its_own_accord():
    code = """
import io, warnings, mien
from mien.errors import InputWarning
from PIL import Image
from benchmarks.mutator import damaged
warnings.simplefilter("ignore", InputWarning)  # of animations, said on purpose
large = io.BytesIO()
Image.new("1", (9_800, 9_800)).save(large, "PNG")
frame = damaged(3676)[1]  # a GIF of 150 megapixels
for data in (*(damaged(number)[1] for number in range(680)), large.getvalue()[:60], frame):
    try:
        mien.read_image(data)
    except mien.InputError:
        pass
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.filterwarnings("ignore:::PIL")
def test_a_damaged_tiff_writes_no_line(capfd):
    data = bytearray(seeds()["tiff-fax"])
    data[10:60] = bytes(range(50))
    with pytest.raises(InputError):
        read_image(bytes(data))
    assert capfd.readouterr().err == ""
