import numpy as np
import pytest

from mien.facs.vocabulary import Expression
from mien.results.face import ImageReport
from mien.results.frame import FrameReport
from mien.video.smooth import smoothed
from tests.helpers import full_report, scores, units


def reports(values, rate=10.0, track=0):
    """A face whose happiness and AU12 have these values; None is a frame without it."""
    made = []
    for n, value in enumerate(values):
        mix = {} if value is None else {Expression.HAPPINESS: value, Expression.NEUTRAL: 1 - value}
        faces = () if value is None else (full_report(expression=scores(mix), action_units=units({12: value})),)
        made.append(FrameReport(n, n / rate, ImageReport((10, 10), faces), (track,) * len(faces)))
    return made


def happiness(made):
    return [r.report.faces[0].expression[Expression.HAPPINESS] if r.tracks else None for r in made]


def test_without_seconds_nothing_changes():
    made = reports([0, 1])
    assert list(smoothed(made, 0)) == made


def test_a_constant_stays_as_it_is_and_a_blip_is_spread_to_both_sides_alike():
    assert happiness(smoothed(reports([0.7] * 9), 0.3)) == pytest.approx([0.7] * 9)
    out = happiness(smoothed(reports([0] * 5 + [1] + [0] * 5), 0.3))
    assert out == pytest.approx(out[::-1])
    weights = [np.exp(-0.5 * (2 * k / 3) ** 2) for k in (0, 1, 2, 3)]
    assert out[5] == pytest.approx(1 / (weights[0] + 2 * sum(weights[1:])), rel=1e-4)
    assert out[1] == 0


def test_a_face_that_is_gone_for_a_frame_is_averaged_over_the_frames_that_show_it():
    assert happiness(smoothed(reports([0.5, None, 0.5]), 0.5)) == [pytest.approx(0.5), None, pytest.approx(0.5)]


def test_action_units_are_averaged_and_boxes_stay():
    made = reports([0, 1, 0])
    out = list(smoothed(made, 0.2))
    assert 0 < out[0].report.faces[0].action_units[12] < 1
    assert all((a.report.faces[0].box == b.report.faces[0].box).all() for a, b in zip(made, out, strict=True))


def test_a_live_filter_gives_each_frame_at_once_and_knows_no_future():
    seen = []

    def counted():
        for report in reports([0, 0, 1, 1, 1, 1]):
            seen.append(report.number)
            yield report

    out = []
    for report in smoothed(counted(), 0.3, live=True):
        assert seen[-1] == report.number
        out.append(report.report.faces[0].expression[Expression.HAPPINESS])
    assert out[:2] == [0, 0]
    assert out == sorted(out)
    assert 0 < out[2] < 1
