import threading
import time

import numpy as np
import pytest

from mien.core.images import read_image
from mien.errors import InputError
from mien.serve.decoders import Decoders
from tests.helpers import ASTRONAUT, encoded, noise


def test_a_picture_is_decoded_elsewhere_to_the_same_pixels():
    decoders = Decoders(60, 10**8)
    for data in (ASTRONAUT.read_bytes(), encoded(noise(3, 7, 3), "JPEG"), encoded(noise(5, 1), "PNG")):
        with decoders.open(data) as image:
            np.testing.assert_array_equal(image, read_image(data))


def test_what_is_no_picture_says_why_and_the_next_one_is_read_by_the_same_process():
    decoders = Decoders(60, 10**8)
    for _ in range(2):
        with pytest.raises(InputError, match="not a picture") as error, decoders.open(b"hello"):
            pass
        assert error.value.status == "unreadable"
    with decoders.open(encoded(noise(3, 7, 3))) as image:
        assert image.shape == (3, 7, 3)
    assert len(decoders._idle) == 1


def test_a_decoder_that_takes_too_long_or_crashes_is_an_error_and_is_replaced(monkeypatch):
    decoders = Decoders(60, 10**8)
    picture = encoded(noise(3, 7, 3))
    with decoders.open(picture):
        pass
    (process,) = decoders._idle
    process.kill()
    with pytest.raises(InputError, match="crashes"), decoders.open(picture):
        pass
    assert decoders._idle == []
    monkeypatch.setattr(decoders, "_seconds", 0.01)  # not long enough to start
    with pytest.raises(InputError, match=r"longer than 0\.01 s"), decoders.open(picture):
        pass
    monkeypatch.undo()
    with decoders.open(picture) as image:
        assert image.shape == (3, 7, 3)


def test_pixels_decoded_at_a_time_are_within_the_total():
    decoders = Decoders(60, 150)
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


def test_the_processes_end_with_their_owner():
    decoders = Decoders(60, 10**8)
    with decoders.open(encoded(noise(3, 7, 3))):
        pass
    (process,) = decoders._idle
    del decoders
    for _ in range(100):
        if process._process.poll() is not None:
            break
        time.sleep(0.05)
    assert process._process.poll() is not None
