import io
import sys

import numpy as np
import pytest
from PIL import Image

from mien.core.batch import analyze_many, find_pictures
from mien.core.images import read_image
from mien.core.limits import Limits
from mien.core.sources import is_heif
from mien.errors import InputError, InputWarning, MissingExtra
from tests.helpers import ASTRONAUT, encoded, noise

PICTURE = noise(16, 24, 3)


class Slow:
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def read(self, size):
        return self._data.read(min(size, 7))


@pytest.mark.parametrize("opened", [io.BytesIO, Slow, lambda data: io.BufferedReader(io.BytesIO(data))])
def test_anything_that_is_open_for_reading_gives_its_picture(opened):
    np.testing.assert_array_equal(read_image(opened(encoded(PICTURE))), PICTURE)


def test_an_open_file_is_named_by_its_name(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no picture")
    with path.open("rb") as file, pytest.raises(InputError, match=r"broken\.jpg: not a picture"):
        read_image(file)
    with pytest.raises(InputError, match="the open file: the file is empty"):
        read_image(io.BytesIO())


def test_a_file_that_is_open_as_text_or_closed_says_so(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    with path.open() as file, pytest.raises(InputError, match=r"a\.png: is open as text; open it with mode 'rb'"):
        read_image(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_image(file)


def test_an_open_file_is_read_no_further_than_the_limit():
    endless = Slow(b"x" * 1000)
    with pytest.raises(InputError, match="the open file: more than") as caught:
        read_image(endless, Limits(file_bytes=100))
    assert caught.value.status == "too_large"
    assert len(endless.read(7)) == 7


def test_a_batch_takes_open_files_alone_and_among_others(tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(ASTRONAUT.read_bytes())
    with path.open("rb") as file:
        (outcome,) = analyze_many(file)
    assert (outcome.name, len(outcome.report.faces)) == (str(path), 1)
    first, second = analyze_many([io.BytesIO(ASTRONAUT.read_bytes()), path])
    assert (first.name, first.status, second.status) == ("the open file", "ok", "ok")


# Arrays


def test_an_array_with_one_channel_is_gray():
    gray = noise(5, 7)
    np.testing.assert_array_equal(read_image(gray[:, :, None]), read_image(gray))


def test_an_array_with_alpha_is_laid_over_white_as_a_file_is():
    array = noise(16, 24, 4)
    np.testing.assert_array_equal(read_image(array), read_image(encoded(array)))


@pytest.mark.parametrize(("high", "said"), [(1, r"\(255 \* array\)\.round"), (255, r"pass array\.round")])
def test_an_array_of_floats_is_told_how_to_become_a_picture(high, said):
    with pytest.raises(InputError, match=f"no agreed white.*{said}"):
        read_image(np.full((5, 5, 3), high, np.float32))


# Addresses


@pytest.mark.parametrize(
    "address", ["https://example.org/a.jpg", "HTTP://example.org/a.jpg?b=[1]", "s3://bucket/a.png"]
)
def test_an_address_is_not_fetched_and_says_how_to_pipe_it_in(address):
    with pytest.raises(InputError, match=r"mien fetches nothing.*curl -L .* \| mien analyze -") as caught:
        read_image(address)
    assert caught.value.status == "missing"
    assert list(find_pictures([address])) == [address]


def test_an_address_of_a_file_asks_for_its_path():
    with pytest.raises(InputError, match="without file://"):
        read_image("file:///home/a.jpg")


def test_a_drive_is_no_address():
    with pytest.raises(InputError, match="there is no such file"):
        read_image("C:/photos/nowhere.jpg")


# HEIC


def heic_header():
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


def test_heic_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(heic_header())
    with pytest.raises(MissingExtra, match=r"pip install 'mien\[heif\]'"):
        read_image(path)
    (outcome,) = analyze_many(tmp_path)  # a folder gives such files, too
    assert (outcome.name, outcome.status) == (str(path), "missing_extra")


def test_heic_is_told_from_its_sibling_by_its_brands():
    assert is_heif(heic_header())
    assert is_heif(b"\0\0\0\x14ftypmif1\0\0\0\0heic" + bytes(40))
    assert not is_heif(b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1" + bytes(40))
    assert not is_heif(encoded(PICTURE, "AVIF"))
    assert not is_heif(encoded(PICTURE))


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_a_heic_photograph_is_read_upright(tmp_path, orientation):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    stored = np.asarray(Image.open(ASTRONAUT).convert("RGB"))[:256, :320]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.heic"
    Image.fromarray(stored).save(path, quality=95, exif=exif.tobytes())
    wanted = np.rot90(stored, {1: 0, 6: 3, 8: 1}[orientation])
    assert np.abs(read_image(path).astype(int) - wanted).mean() < 3


# Several pictures in a file


@pytest.mark.parametrize("format", ["TIFF", "GIF", "PNG", "WEBP"])
def test_of_several_pictures_a_line_says_that_the_first_was_read(tmp_path, format):
    path = tmp_path / f"pages.{format.lower()}"
    first, second = (Image.fromarray(noise(20, 20, 3, seed=seed)) for seed in (0, 1))
    first.save(path, format, save_all=True, append_images=[second])
    with pytest.warns(InputWarning, match="holds several pictures; the first was read"):
        read_image(path)


@pytest.mark.parametrize("format", ["TIFF", "GIF", "PNG", "WEBP", "JPEG"])
def test_of_a_single_picture_nothing_is_said(recwarn, format):
    read_image(encoded(PICTURE, format))
    assert not recwarn.list
