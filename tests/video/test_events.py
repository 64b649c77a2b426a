import numpy as np
import pytest

from mien.facs.vocabulary import Expression
from mien.video.baseline import CHANGES, Rest, calmest, level
from mien.video.events import Thresholds, events, segments
from mien.video.series import MEASURES, recordings
from mien.video.summary import COLUMNS, summaries

RATE = 20


def row(frame, track=0, name="clip.mp4", **values):
    base = dict.fromkeys(MEASURES, 0.0) | {"neutral": 1.0, "confidence": 1.0, "expression": "neutral"}
    place = {"input": name, "frame": frame, "timestamp": round(frame / RATE, 4), "track": track}
    return base | place | {f"FaceRect{x}": 10.0 for x in ("X", "Y", "Width", "Height")} | values


def recording(values, column="AU12", **other):
    """A clip in which one column has these values; None is a frame without a face."""
    rows = [
        row(n, **other, **{column: v}) if v is not None else row(n, track=None, expression=None)
        for n, v in enumerate(values)
    ]
    return recordings(rows)[0]


def spans(values, **thresholds):
    times = np.arange(len(values)) / RATE
    found = segments(times, times + 1 / RATE, np.array(values, float), 0.4, 0.2, **thresholds)
    return [(a, b) for a, b in found]


def test_an_event_begins_at_one_threshold_and_ends_below_the_lower_one():
    assert spans([0.1, 0.3, 0.4, 0.3, 0.25, 0.2, 0.19, 0.3]) == [(2, 5)]


def test_an_event_at_the_end_of_a_clip_ends_with_it():
    assert spans([0, 0, 0.5, 0.5]) == [(2, 3)]


def test_short_gaps_are_bridged_and_short_events_left_out():
    gap = [0.5] * 4 + [0] * 3 + [0.5] * 4  # 0.15 s
    assert spans(gap) == [(0, 10)]
    assert spans(gap, bridge=0.1) == [(0, 3), (7, 10)]
    assert spans([0, 0.5, 0, 0, 0, 0, 0, 0.5, 0.5]) == [(7, 8)]


def test_a_missing_value_is_below_every_threshold():
    assert spans([0.5, 0.5, np.nan, np.nan, np.nan, np.nan, 0.5, 0.5]) == [(0, 1), (6, 7)]


def test_a_face_that_was_not_seen_shows_nothing_in_between():
    found = events(recording([0.5] * 10 + [None] * 10 + [0.5] * 10))
    assert [(e.onset, e.offset) for e in found] == [(0, 0.5), (1.0, 1.5)]


def test_an_event_has_onset_apex_offset_and_the_thresholds():
    (event,) = events(recording([0] * 4 + [0.4, 0.6, 0.9, 0.5, 0.3] + [0] * 4))
    assert (event.name, event.track, event.enter, event.leave) == ("AU12", 0, 0.4, 0.22)
    assert (event.onset, event.apex, event.offset) == pytest.approx((0.2, 0.3, 0.45))
    assert (event.onset_frame, event.apex_frame, event.offset_frame) == (4, 6, 8)
    assert (event.value, event.duration) == pytest.approx((0.9, 0.25))
    assert event.to_dict()["duration"] == 0.25


def test_eyes_closed_for_less_than_half_a_second_are_a_blink():
    values = [0] * 5 + [0.9] * 4 + [0] * 20 + [0.9] * 12 + [0] * 5
    assert [(e.name, round(e.duration, 2)) for e in events(recording(values, "AU43"))] == [("AU45", 0.2), ("AU43", 0.6)]


def test_an_expression_has_events_and_neutral_has_none():
    found = events(recording([0.1] * 5 + [0.8] * 5, "happiness"))
    assert [(e.name, e.onset) for e in found] == [("happiness", 0.25)]


def test_events_of_a_change_count_from_rest():
    clip = recording([0.3] * 20 + [0.6] * 10 + [0.85] * 10)
    rest = level(clip.tracks[0].values, np.arange(40) < 20)
    (event,) = events(clip, rests={0: rest})
    assert (event.onset, event.value) == pytest.approx((1.5, 0.55))
    assert [e.onset for e in events(clip)] == [1.0]


def test_rest_is_the_median_of_the_calmest_quarter_or_of_given_seconds():
    clip = recording([0.1 * n for n in range(8)])
    values = clip.tracks[0].values.copy()
    values[:, Expression.NEUTRAL] = [0.1, 0.9, 0.2, 0.8, 0.3, 0.1, 0.2, 0.1]
    assert np.flatnonzero(calmest(values)).tolist() == [1, 3]
    column = MEASURES.index("AU12")
    assert level(values, Rest.parse("auto").mask(values, clip.times))[column] == pytest.approx(0.2)
    assert level(values, Rest.parse("0-0.15").mask(values, clip.times))[column] == pytest.approx(0.1)
    assert np.isnan(level(values, Rest.parse("5-6").mask(values, clip.times))[column])


def test_every_measure_has_a_change():
    assert CHANGES[:2] == ("neutral_change", "happiness_change")
    assert "AU12_change" in CHANGES


def test_a_summary_says_shares_of_time_means_and_events_a_minute():
    rows = [row(n, happiness=0.9 * (n >= 15), neutral=0.1 + 0.8 * (n < 15), AU12=0.5 * (n >= 15)) for n in range(20)]
    rows[3] |= {"hidden": "left: covered or unclear"}
    (clip,) = recordings(rows)
    (summary,) = summaries(clip, events(clip))
    assert list(summary) == list(COLUMNS)
    assert (summary["frames"], summary["seconds"], summary["start"], summary["end"]) == (20, 1.0, 0.0, 1.0)
    assert (summary["happiness_share"], summary["neutral_share"]) == (0.25, 0.75)
    assert summary["AU12_mean"] == pytest.approx(0.125)
    assert summary["AU12_sd"] == pytest.approx(np.std([0] * 15 + [0.5] * 5, ddof=1), abs=1e-4)
    assert (summary["AU12_per_minute"], summary["AU45_per_minute"]) == (60, 0)
    assert summary["unclear_share"] == 0.05


def test_a_share_is_of_time_and_not_of_frames():
    times = [0, 0.1, 0.2, 1.2]
    rows = [row(n, happiness=float(n == 2), neutral=float(n != 2)) | {"timestamp": t} for n, t in enumerate(times)]
    (clip,) = recordings(rows)
    (summary,) = summaries(clip, [])
    assert summary["happiness_share"] == pytest.approx(1 / 1.3, abs=1e-3)


def test_rows_of_several_clips_and_tracks_are_told_apart_and_photographs_left_out():
    rows = [row(0), row(0, track=1), row(0, name="other.mp4"), {"input": "photo.jpg", "frame": None, "timestamp": None}]
    clips = recordings(rows)
    assert [(clip.input, [s.track for s in clip.tracks]) for clip in clips] == [
        ("clip.mp4", [0, 1]),
        ("other.mp4", [0]),
    ]


def test_thresholds_can_be_others():
    assert events(recording([0.3] * 10), Thresholds(unit=(0.3, 0.2)))[0].enter == 0.3
