import struct
import subprocess
import sys
import threading
import time
import wave
from functools import partial
from typing import ClassVar

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.errors import InputError
from mien.video.analyze import analyze_video
from mien.video.frames import frames, is_clip, length
from tests.video.clips import blank, write_at, write_clip

TIMES = [0, 0.033, 0.067, 0.1, 0.15, 0.4, 0.433, 1.0, 1.01, 2.3]


@pytest.fixture
def clip(tmp_path):
    """75 frames, 25 a second, each a level brighter."""
    return write_clip(tmp_path / "clip.avi", [blank(3 * i) for i in range(75)])


def test_frames_come_in_order_with_their_number_and_time(clip):
    read = list(frames(clip))
    assert [frame.number for frame in read] == list(range(75))
    assert [frame.time for frame in read] == pytest.approx([i / 25 for i in range(75)], abs=5e-4)
    assert [float(frame.image.mean()) for frame in read] == pytest.approx([3 * i for i in range(75)], abs=3)


def test_a_frame_is_rgb(tmp_path):
    red = np.zeros((48, 64, 3), np.uint8)
    red[:, :, 0] = 255
    (frame,) = frames(write_clip(tmp_path / "red.avi", [red]))
    assert frame.image.shape == (48, 64, 3)
    assert frame.image.mean(axis=(0, 1)).tolist() == pytest.approx([255, 0, 0], abs=6)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_times_of_a_clip_of_variable_rate_are_those_of_the_file(tmp_path, ending):
    path = write_at(tmp_path / f"variable.{ending}", [blank(20 * i) for i in range(len(TIMES))], TIMES)
    assert [frame.time for frame in frames(path)] == pytest.approx(TIMES, abs=5e-4)


def test_an_animated_gif_is_read_with_the_times_of_its_frames(tmp_path):
    pictures = [Image.fromarray(blank(40 * i)) for i in range(5)]
    pictures[0].save(
        tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[100, 40, 250, 500, 70], disposal=1
    )
    assert [frame.time for frame in frames(tmp_path / "a.gif")] == pytest.approx([0, 0.1, 0.14, 0.39, 0.89], abs=5e-4)


def test_times_count_from_the_first_frame_of_the_file(tmp_path):
    path = write_at(tmp_path / "late.mp4", [blank()] * 3, [5.0, 5.1, 5.3])
    assert [frame.time for frame in frames(path)] == pytest.approx([0, 0.1, 0.3], abs=5e-4)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"every": 30}, [0, 30, 60]),
        ({"fps": 5, "end": 1}, [0, 5, 10, 15, 20]),
        ({"fps": 10, "end": 0.5}, [0, 3, 5, 8, 10]),
        ({"fps": 100, "end": 0.2}, [0, 1, 2, 3, 4]),
        ({"start": 2.8}, [70, 71, 72, 73, 74]),
        ({"start": 1, "end": 1.1}, [25, 26, 27]),
    ],
)
def test_fewer_frames_keep_their_numbers_and_times(clip, options, numbers):
    read = list(frames(clip, **options))
    assert [frame.number for frame in read] == numbers
    assert [frame.time for frame in read] == pytest.approx([n / 25 for n in numbers], abs=5e-4)


def test_a_clip_that_carries_a_rotation_is_read_upright(tmp_path):
    lying = blank(0)
    lying[:, :32] = 255  # 48 high, 64 wide, bright on the left
    path = write_clip(tmp_path / "phone.mp4", [lying] * 3, codec="mp4v")
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    # A quarter turn clockwise, as a phone writes it: the left becomes the top.
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    path.write_bytes(data)
    frame = next(frames(path))
    assert frame.image.shape == (64, 48, 3)
    assert frame.image[:28].mean() > 240
    assert frame.image[36:].mean() < 15


def test_a_broken_tail_gives_the_frames_before_it_and_then_says_so(clip):
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    reader = frames(clip)
    read = []
    with pytest.raises(InputError, match=r"broken after 1.* of the 75") as caught:
        read.extend(iter(lambda: next(reader), None))
    assert 20 <= len(read) <= 40
    assert caught.value.status == "broken"


def _sound(path):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000))


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("sound.wav", _sound, "no video that can be read"),
        ("empty.mp4", lambda path: path.write_bytes(b""), "the file is empty"),
        ("text.mp4", lambda path: path.write_text("hello"), "no video that can be read"),
        ("missing.mp4", lambda path: None, "there is no such file"),
        ("folder.mp4", lambda path: path.mkdir(), "is a folder"),
    ],
)
def test_a_file_without_a_video_is_refused_at_once_and_says_why(tmp_path, name, make, words):
    make(tmp_path / name)
    with pytest.raises(InputError, match=words):
        frames(tmp_path / name)


def test_nothing_but_the_error_is_said_of_a_file_without_a_video(tmp_path):
    (tmp_path / "text.mp4").write_text("hello")
    code = "import sys, mien.video.frames as v\ntry: v.frames(sys.argv[1])\nexcept ValueError: print('refused')"
    command = [sys.executable, "-c", code, str(tmp_path / "text.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")


def test_a_camera_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="no such camera"):
        frames(987)


class Camera:
    """What OpenCV opens for a camera: it gives so many frames, a hundredth of a second apart, then no more."""

    opened: ClassVar[list["Camera"]] = []

    def __init__(self, number, count=5):
        self.number, self.left, self.released = number, count, False
        self.opened.append(self)

    def isOpened(self):
        return True

    def grab(self):
        self.left -= 1
        time.sleep(0.01)
        return self.left >= 0

    def retrieve(self):
        return True, blank(40 * self.left)

    def get(self, what):
        return -1.0  # a camera has no length, and none of its times is of use

    def release(self):
        self.released = True


@pytest.fixture
def camera(monkeypatch):
    monkeypatch.setattr(Camera, "opened", [])
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    return Camera


def test_a_camera_gives_frames_with_the_times_at_which_they_came_until_it_gives_no_more(camera):
    read = list(frames(3))
    assert camera.opened[0].number == 3
    assert [frame.number for frame in read] == list(range(5))
    steps = np.diff([frame.time for frame in read])
    assert read[0].time == 0
    assert (steps >= 0.01).all()
    assert [int(frame.image[0, 0, 0]) for frame in read] == [160, 120, 80, 40, 0]
    assert camera.opened[0].released


def test_a_camera_is_let_go_when_its_frames_are_not_wanted_any_more(camera):
    reader = frames(0)
    next(reader)
    reader.close()  # type: ignore[attr-defined]
    assert camera.opened[0].released


def test_a_camera_without_a_frame_says_so(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", partial(Camera, count=0))
    with pytest.raises(InputError, match="camera 0: gives no frame"):
        list(frames(0))


def test_a_camera_is_smoothed_by_what_is_past(camera):
    reports = list(analyze_video(0, smooth=0.2))
    assert [report.number for report in reports] == list(range(5))
    assert {report.report.status for report in reports} == {"no_face"}


@pytest.mark.parametrize("options", [{"fps": 0}, {"every": 0}, {"fps": 5, "every": 2}, {"start": 3, "end": 2}])
def test_a_span_that_means_nothing_is_refused(clip, options):
    with pytest.raises(InputError):
        frames(clip, **options)


def test_a_clip_of_one_frame_is_a_clip(tmp_path):
    assert [frame.time for frame in frames(write_clip(tmp_path / "one.avi", [blank()]))] == [0]


def test_the_length_is_what_the_header_says(clip):
    assert length(clip) == (75, pytest.approx(3.0))


def test_clips_are_known_by_their_endings():
    assert is_clip("a/B.MP4")
    assert not is_clip("a/b.gif")


def test_who_stops_early_leaves_no_thread_behind(clip):
    reader = frames(clip)
    next(reader)
    reader.close()  # type: ignore[attr-defined]
    assert "mien-frames" not in [thread.name for thread in threading.enumerate()]


def test_a_playlist_cannot_make_the_decoder_open_another_address(tmp_path):
    list_ = tmp_path / "list.mp4"
    list_.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError):
        list(frames(list_))
