import gc
import threading

import numpy as np
import pytest
from PIL import Image

from mien.core.images import read_image
from mien.errors import InputError
from mien.serve.decoders import Decoders
from tests.helpers import ASTRONAUT, encoded, noise


def test_a_picture_is_decoded_to_the_pixels_of_any_picture():
    decoders = Decoders(10**8)
    for data in (ASTRONAUT.read_bytes(), encoded(noise(3, 7, 3), "JPEG"), bytearray(encoded(noise(5, 1), "PNG"))):
        with decoders.open(data) as image:
            np.testing.assert_array_equal(image, read_image(bytes(data)))


def test_what_is_no_picture_says_why_and_the_next_one_is_read():
    decoders = Decoders(10**8)
    for data in (b"hello", b""):
        with pytest.raises(InputError) as error, decoders.open(data):
            pass
        assert error.value.status == "unreadable"
    with decoders.open(encoded(noise(3, 7, 3))) as image:
        assert image.shape == (3, 7, 3)


def test_memory_for_decoding_at_a_time_is_within_the_total():
    decoders = Decoders(2500)  # bytes; the picture takes 10 x 10 x 11, and its file
    picture = encoded(noise(10, 10, 3))
    opened = threading.Event()

    def second():
        with decoders.open(picture):
            opened.set()

    with decoders.open(picture):
        thread = threading.Thread(target=second)
        thread.start()
        assert not opened.wait(1.5)
    thread.join(60)
    assert opened.is_set()


def test_what_only_the_decoder_needs_is_given_back_before_faces_are_read():
    with Decoders(10**9).open(encoded(noise(64, 48, 3))):
        gc.collect()
        assert not [
            each
            for each in gc.get_objects()
            if isinstance(each, Image.Image) and getattr(each, "size", None) == (48, 64)
        ]
