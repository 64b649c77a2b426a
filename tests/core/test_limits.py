"""Every limit is checked before memory is taken, and can be set."""

import os
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.core.images import read_image
from mien.core.limits import Limits
from mien.core.pipeline import Pipeline
from mien.errors import InputError
from tests.helpers import encoded, noise

PICTURE = noise(16, 24, 3)
# Prints the largest resident memory in MB after the code before it. Not by getrusage: that counts the memory of the
# process which was forked, too.
PEAK = """
from pathlib import Path
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3)
"""


def png(width: int, height: int, bits: int, color: int) -> bytes:
    """A black PNG, which deflate makes a thousand times smaller than it is."""
    line = b"\0" + bytes(width * bits * (3 if color == 2 else 1) // 8)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times more."""
    data = encoded(np.full((200, 200), 128, np.uint8), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + b"\xff\xd9"


def peak_mb(code: str, *arguments: object) -> float:
    """The largest resident memory, in MB, of a new interpreter that runs this code."""
    if not sys.platform.startswith("linux"):
        pytest.skip("measured with Linux's /proc")
    command = [sys.executable, "-c", f"{code}\n{PEAK}", *map(str, arguments)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


# Memory


def test_a_picture_of_ten_million_by_one_costs_nothing(tmp_path):
    (tmp_path / "long.png").write_bytes(png(10_000_000, 1, 8, 2))
    code = (
        "import sys, mien\ntry: mien.analyze(sys.argv[1])\nexcept mien.InputError as e: assert 'a side may' in str(e)"
    )
    assert peak_mb(code, tmp_path / "long.png") < 200


def test_an_array_of_a_hundred_million_by_one_costs_nothing():
    code = (
        "import mien, numpy as np\narray = np.broadcast_to(np.uint8(0), (10**8, 1))\n"
        "try: mien.analyze(array)\nexcept mien.InputError as error: assert 'a side may' in str(error)"
    )
    assert peak_mb(code) < 200


@pytest.mark.parametrize(("bits", "color", "most"), [(16, 0, 8), (8, 2, 9)], ids=["deep gray", "color"])
def test_a_picture_is_held_no_more_than_twice(tmp_path, bits, color, most):
    side, code = 3000, "import sys, mien; mien.read_image(sys.argv[1])"
    start = peak_mb(code, write(tmp_path / "small.png", png(30, 30, bits, color)))
    whole = peak_mb(code, write(tmp_path / "black.png", png(side, side, bits, color)))
    assert (whole - start) * 1e6 / side**2 < most  # bytes a pixel, 3 of them the result's


def test_a_file_of_six_gigabytes_is_not_read(tmp_path):
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(6_000_000_000)
    code = (
        "import sys, mien\ntry: mien.read_image(sys.argv[1])\nexcept mien.InputError as e: assert '6,000 MB' in str(e)"
    )
    assert peak_mb(code, tmp_path / "sparse.jpg") < 150


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# What is no regular file


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(InputError, match=r"x\.jpg: cannot be read \(a pipe, not a regular file\)") as caught:
        read_image(tmp_path / "x.jpg")
    assert caught.value.status == "unreadable"


def test_a_device_is_not_read():
    with pytest.raises(InputError, match=r"cannot be read \(a device, not a regular file\)"):
        read_image("/dev/zero")


def test_a_socket_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # its name may have a hundred letters only
    with socket.socket(socket.AF_UNIX) as open_socket:
        open_socket.bind("x.jpg")
        with pytest.raises(InputError, match=r"cannot be read \(a socket, not a regular file\)"):
            read_image("x.jpg")


def test_a_link_to_a_picture_is_the_picture(tmp_path):
    write(tmp_path / "a.png", encoded(PICTURE))
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), PICTURE)


# Time


def test_a_jpeg_of_thousands_of_scans_is_refused():
    with pytest.raises(InputError, match="a JPEG of 5006 scans; at most 100 are read") as caught:
        read_image(scans(5000))
    assert caught.value.status == "too_large"


def test_a_jpeg_of_as_many_scans_as_are_allowed_is_read():
    assert read_image(scans(94)).shape == (200, 200, 3)


def test_what_stands_behind_a_jpeg_is_no_scan():
    film = b"\xff\xda" * 1000  # as a telephone puts it behind a moving photograph
    assert read_image(encoded(PICTURE, "JPEG") + film).shape == PICTURE.shape


def test_what_stands_in_a_jpegs_metadata_is_no_scan():
    exif = Image.Exif()
    exif[0x010E] = "x" + "\xff\xda" * 1000
    assert read_image(encoded(PICTURE, "JPEG", comment=b"\xff\xda" * 1000, exif=exif)).shape == PICTURE.shape


def test_decoding_ends_at_its_deadline():
    with pytest.raises(InputError, match="decoding takes longer than 0 seconds") as caught:
        read_image(encoded(noise(300, 300, 3)), Limits(seconds=0))
    assert caught.value.status == "too_large"


# Every limit can be set


@pytest.mark.parametrize(
    ("limit", "cause"),
    [
        (Limits(pixels=383), "24 x 16 pixels; at most 0.000383 megapixels"),
        (Limits(side=23), "a side may have at most 23"),
        (Limits(ratio=1.4), "one side may be at most 1.4 times the other"),
        (Limits(file_bytes=100), "at most 0.0001 MB are read"),
        (Limits(memory=1000), "24 x 16 pixels as PNG of 0.001.* MB; at most 0 megapixels of it"),
    ],
)
def test_a_limit_that_is_set_holds_for_files_and_bytes(tmp_path, limit, cause):
    data = encoded(PICTURE)
    for source in (data, write(tmp_path / "a.png", data)):
        with pytest.raises(InputError, match=cause) as caught:
            read_image(source, limit)
        assert caught.value.status == "too_large"


def test_a_limit_holds_for_arrays_and_pillow_images_too():
    for source in (PICTURE, Image.fromarray(PICTURE)):
        with pytest.raises(InputError, match="24 x 16 pixels; at most"):
            read_image(source, Limits(pixels=383))


def test_a_file_of_a_format_that_takes_more_memory_may_have_fewer_pixels():
    limits = Limits(memory=16 * PICTURE.shape[0] * PICTURE.shape[1])
    assert read_image(encoded(PICTURE, "PNG"), limits).shape == PICTURE.shape
    with pytest.raises(InputError, match="as PNG of"):  # whose file counts too
        read_image(encoded(PICTURE, "PNG") + bytes(3000), limits)
    with pytest.raises(InputError, match="as JPEG2000"):
        read_image(encoded(PICTURE, "JPEG2000"), limits)


# Arrays that are not what they seem


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_is_an_array():
    gray = noise(60, 80)
    np.testing.assert_array_equal(read_image(np.matrix(gray)), read_image(gray))
    assert Pipeline()(np.matrix(gray)).size == (60, 80)


def test_a_million_threads_are_refused():
    with pytest.raises(InputError, match="threads must be 1 or more, and at most 256, but got 1000000"):
        Pipeline(threads=10**6)
