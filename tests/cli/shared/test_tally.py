import numpy as np

from mien.cli.shared.tally import Tally
from mien.video.series import EXPRESSIONS, recordings

# Two seconds of happiness in five frames; neutral in five more, the last of which lasts the median step of .4 s.
TIMES = [0.0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.2, 2.4, 2.6, 2.8]
TOPS = ["happiness"] * 5 + ["neutral"] * 5


def _row(frame):
    row = {name: float(name == TOPS[frame]) for name in EXPRESSIONS}
    return row | {"input": "a.mp4", "frame": frame, "timestamp": TIMES[frame], "track": 0}


def test_the_terminal_gives_shares_of_time_as_the_page_does(capsys):
    tally = Tally()
    for time, top in zip(TIMES, TOPS, strict=True):
        tally.frame("a.mp4", time, [0], [top])
    tally.show(to_stderr=False)
    [clip] = recordings([_row(frame) for frame in range(len(TIMES))])
    happy = clip.tracks[0].shares[EXPRESSIONS.index("happiness")]
    np.testing.assert_allclose(happy, 2.0 / 3.2)
    assert "happiness 62 %" in capsys.readouterr().out


def test_a_clip_of_one_frame_gives_shares_of_frames(capsys):
    tally = Tally()
    tally.frame("a.mp4", 0.0, [0], ["fear"])
    tally.show(to_stderr=False)
    assert "fear 100 %" in capsys.readouterr().out


def test_a_frame_with_two_tracks_counts_once(capsys):
    tally = Tally()
    for time in (0.0, 0.5):
        tally.frame("a.mp4", time, [0], ["fear"])
        tally.frame("a.mp4", time, [1], ["anger"])
    tally.show(to_stderr=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines if "a.mp4" in line] == ["2", "2"]
