import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.core.images import read_image, to_gray
from mien.core.limits import Limits
from mien.errors import InputError, InputWarning
from tests.helpers import encoded, noise

PICTURE = noise(16, 24, 3)
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
PNG, JPEG = encoded(PICTURE), encoded(PICTURE, "JPEG")


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def plain(color: tuple[int, ...]) -> Image.Image:
    return Image.new("RGB", (24, 16), color)


# What can be given


def test_a_path_bytes_an_array_and_a_pillow_image_give_the_same_pixels(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(PNG)
    for source in (path, str(path), PNG, bytearray(PNG), memoryview(PNG), PICTURE, Image.fromarray(PICTURE)):
        image = read_image(source)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, PICTURE)


def test_a_gray_array_becomes_rgb():
    gray = noise(5, 7)
    np.testing.assert_array_equal(read_image(gray), np.stack([gray] * 3, axis=-1))


def test_an_array_that_is_a_view_comes_back_contiguous():
    image = read_image(PICTURE[::-1, ::2])
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, PICTURE[::-1, ::2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint16, bool])
def test_an_array_of_another_type_is_refused_with_what_to_do(dtype):
    with pytest.raises(InputError, match=rf"uint8 of shape \(H, W, 3\).*{np.dtype(dtype)}.*\.astype\('uint8'\)"):
        read_image(PICTURE.astype(dtype))


@pytest.mark.parametrize("shape", [(5,), (5, 5, 2), (5, 5, 5), (3, 5, 5), (1, 5, 5, 3), (0, 5, 3), (5, 0), ()])
def test_an_array_of_another_shape_is_refused_with_its_shape(shape):
    with pytest.raises(InputError) as caught:
        read_image(np.zeros(shape, np.uint8))
    assert f"uint8 of shape {shape}" in str(caught.value)


@pytest.mark.parametrize("source", [None, 7, [[0, 1]]])
def test_anything_else_is_refused_by_its_type(source):
    with pytest.raises(InputError, match=f"expected a path.*but got {type(source).__name__}"):
        read_image(source)


# Files that are no picture


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "is empty"),
        (b"Dear Sir or Madam,\n", "not a picture"),
        (PNG[:4], "not a picture"),
        (PNG[: len(PNG) // 2], "damaged or cut off"),
        (JPEG[:-60], "damaged or cut off"),
        (encoded(PICTURE, "GIF")[:60], ""),
        (encoded(PICTURE, "TIFF")[:-400], ""),
        (encoded(PICTURE, "WEBP")[:-40], ""),
        (encoded(PICTURE, "BMP")[:-40], "damaged or cut off"),
    ],
    ids=["empty", "text", "signature", "png", "jpeg", "gif", "tiff", "webp", "bmp"],
)
def test_a_file_that_cannot_be_read_is_named_with_the_cause(tmp_path, data, cause):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"holiday\.jpg: .*{cause}") as caught:
        read_image(path)
    assert caught.value.status == "unreadable"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.jpg: there is no such file") as caught:
        read_image(tmp_path / "nowhere.jpg")
    assert caught.value.status == "missing"


def test_a_folder_and_an_impossible_name_are_unreadable(tmp_path):
    for path in (tmp_path, "a\0b.jpg"):
        with pytest.raises(InputError, match="cannot be read") as caught:
            read_image(path)
        assert caught.value.status == "unreadable"


def test_bytes_that_are_no_picture_are_named_as_such():
    with pytest.raises(InputError, match="the bytes given: not a picture"):
        read_image(b"nothing of the kind")


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(InputError, match="0 x 5 pixels"):
        read_image(Image.new("RGB", (0, 5)))


# Size


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (11_000, 10_000), (100_000_001, 1)])
def test_a_file_that_claims_more_than_100_megapixels_is_refused_undecoded(width, height):
    with pytest.raises(InputError, match="at most 100 megapixels") as caught:
        read_image(png_header(width, height))  # it holds no pixels: decoding it would say "damaged"
    assert caught.value.status == "too_large"


def test_a_file_of_exactly_100_megapixels_is_not_too_large():
    with pytest.raises(InputError) as caught:
        read_image(png_header(10_000, 10_000))
    assert caught.value.status == "unreadable"


def test_an_array_of_more_than_100_megapixels_is_refused():
    huge = np.broadcast_to(np.uint8(0), (Limits().pixels // 1000 + 1, 1000, 3))
    with pytest.raises(InputError, match="at most 100 megapixels"):
        read_image(huge)


# Kinds of picture

# How a picture lies in a file for each EXIF orientation, by the words of the standard: 6 is "the first row is the
# right side, the first column is the top".
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: upright[:, ::-1].transpose(1, 0, 2),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: upright[::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", STORED)
def test_all_eight_exif_orientations_give_the_same_upright_picture(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](PICTURE))
    np.testing.assert_array_equal(read_image(encoded(stored, exif=exif)), PICTURE)


def test_an_exif_orientation_that_does_not_exist_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 77
    np.testing.assert_array_equal(read_image(encoded(PICTURE, exif=exif)), PICTURE)


def test_transparency_becomes_white():
    rgba = np.dstack([np.zeros((1, 3, 3), np.uint8), np.array([[0, 128, 255]], np.uint8)])
    np.testing.assert_array_equal(read_image(encoded(rgba))[0, :, 0], [255, 127, 0])


def test_gray_with_transparency_becomes_white_where_it_is_transparent():
    pixels = np.array([[[10, 0], [10, 255]]], np.uint8)  # gray 10, once transparent and once not
    image = Image.frombytes("LA", (2, 1), pixels.tobytes())
    np.testing.assert_array_equal(read_image(image), [[WHITE, (10, 10, 10)]])


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_gray_is_scaled_to_eight(format):
    deep = np.array([[0, 128, 129, 257, 32_896, 65_535]], np.uint16)
    np.testing.assert_array_equal(read_image(encoded(deep, format))[0], [[v] * 3 for v in (0, 0, 1, 1, 128, 255)])


def test_a_cmyk_jpeg_keeps_its_colors(tmp_path):
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path, quality=95)  # magenta and yellow ink make red
    np.testing.assert_allclose(read_image(path).reshape(-1, 3).mean(axis=0), RED, atol=4)


def test_a_palette_is_looked_up_and_its_transparent_color_becomes_white(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *BLUE, 0, 0, 0])
    image.putdata([0, 1, 2])
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "transparent.png", transparency=2)
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.png"), [[RED, BLUE, (0, 0, 0)]])
    np.testing.assert_array_equal(read_image(tmp_path / "transparent.png"), [[RED, BLUE, WHITE]])


def test_a_gray_file_has_three_equal_channels():
    gray = noise(6, 5)
    np.testing.assert_array_equal(read_image(encoded(gray)), np.stack([gray] * 3, axis=-1))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_a_one_bit_picture_is_black_and_white(format):
    bits = noise(5, 9) > 127
    np.testing.assert_array_equal(read_image(encoded(bits, format))[:, :, 0], np.where(bits, 255, 0))


@pytest.mark.parametrize(("format", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_an_animation_gives_its_first_frame(tmp_path, format, options):
    path = tmp_path / "animated"
    plain(RED).save(path, format, save_all=True, append_images=[plain(BLUE)], **options)
    with Image.open(path) as image:
        assert image.n_frames == 2  # type: ignore[attr-defined]
    with pytest.warns(InputWarning):
        np.testing.assert_array_equal(read_image(path), np.array(plain(RED)))


def test_a_picture_of_floating_point_numbers_is_refused_with_what_to_do():
    with pytest.raises(InputError, match="no agreed white; save it with 8 or 16 bits"):
        read_image(Image.new("F", (3, 3)))


def test_a_picture_of_floating_point_numbers_is_named(tmp_path):
    Image.new("F", (3, 3)).save(tmp_path / "a.tiff")
    with pytest.raises(InputError, match=r"a\.tiff: a picture of floating-point numbers") as caught:
        read_image(tmp_path / "a.tiff")
    assert caught.value.status == "unreadable"


def test_gray_weighs_the_channels_by_how_bright_they_look():
    primaries = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255), WHITE]], np.uint8)
    np.testing.assert_allclose(to_gray(primaries)[0], [0.299 * 255, 0.587 * 255, 0.114 * 255, 255], atol=1)


# Whatever the bytes are


def reads_or_refuses(data: bytes) -> None:
    try:
        image = read_image(data)
    except InputError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.size > 0


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(deadline=None, max_examples=50)
@given(st.sampled_from([b"", PNG[:8], JPEG[:20], b"GIF89a", b"BM", b"II*\0", b"RIFF    WEBP"]), st.binary(max_size=200))
def test_random_bytes_are_a_picture_or_an_input_error(start, rest):
    reads_or_refuses(start + rest)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from([PNG, JPEG]),
    st.integers(0, 1 << 16),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(1, 255)), max_size=4),
)
def test_a_cut_or_altered_file_is_a_picture_or_an_input_error(data, length, flips):
    altered = bytearray(data)
    for position, bits in flips:
        altered[position % len(data)] ^= bits
    reads_or_refuses(bytes(altered[: length % len(data) + 1]))
    reads_or_refuses(bytes(altered))
