import json
import re

import numpy as np
import pytest

from mien.report.timeline import STEPS, page
from mien.video.events import events
from mien.video.series import MEASURES, Recording, Series
from mien.video.thumbnails import EVERY, MOST, SIDE, Thumbnail, thumbnails
from tests.video.clips import head, write_clip

RATE = 25


def recording(seconds, tracks=1, name="clip.mp4", gap=None):
    """A clip of faces whose happiness comes and goes; gap: seconds from and to which nobody is seen."""
    frames = np.arange(round(seconds * RATE))
    seen = frames if gap is None else frames[(frames < gap[0] * RATE) | (frames >= gap[1] * RATE)]
    values = np.zeros((len(seen), len(MEASURES)))
    values[:, 1] = 0.5 + 0.5 * np.sin(seen / 40)
    values[:, 0] = 1 - values[:, 1]
    series = [
        Series(
            name,
            track,
            seen,
            seen / RATE,
            (seen + 1) / RATE,
            np.tile([10.0, 10.0, 60.0, 60.0], (len(seen), 1)),
            values,
            np.zeros(len(seen), bool),
        )
        for track in range(tracks)
    ]
    return Recording(name, frames, frames / RATE, tuple(series))


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S).group(1))


def test_a_page_of_ten_minutes_with_three_faces_stays_under_3_mb():
    clip = recording(600, 3)
    face = np.ascontiguousarray(head()[:SIDE, :SIDE])
    pictures = [Thumbnail(n % 3, n, n * 1.6, np.roll(face, n, axis=1)) for n in range(MOST)]
    html = page([clip], {clip.input: events(clip)}, {clip.input: pictures})
    assert len(html) < 3_000_000
    assert len(data_of(html)["clips"][0]["tracks"][0]["times"]) == STEPS


def test_a_gap_stays_a_gap_when_a_long_track_is_shown_in_fewer_steps():
    clip = recording(600, gap=(100, 200))
    track = data_of(page([clip], {}, {}))["clips"][0]["tracks"][0]
    apart = np.array(track["times"][1:]) - np.array(track["ends"][:-1])
    assert apart.max() == pytest.approx(100, abs=0.1)
    assert (apart > 1).sum() == 1


def test_a_name_cannot_end_the_script_or_open_a_tag():
    clip = recording(1, name="</script><b>.mp4")
    html = page([clip], {clip.input: events(clip)}, {})
    assert "</script><b>" not in html
    assert html.count("</script>") == 2


def test_the_policy_of_the_page_allows_no_request():
    html = page([recording(1)], {}, {})
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)
    assert "default-src 'none'; img-src data:;" in policy
    assert "unsafe" not in policy


def test_thumbnails_show_apexes_and_every_few_seconds(tmp_path):
    path = write_clip(tmp_path / "clip.avi", [head()] * (6 * RATE), RATE)
    clip = recording(6, name=str(path))
    found = events(clip)
    shown = {picture.frame for picture in thumbnails(clip, found, clip.input)}
    assert {event.apex_frame for event in found if event.name == "happiness"} <= shown
    assert {0, round(EVERY * RATE), round(2 * EVERY * RATE)} <= shown


def test_a_clip_that_is_gone_has_no_thumbnails():
    clip = recording(2, name="gone.mp4")
    assert thumbnails(clip, events(clip), clip.input) == []
