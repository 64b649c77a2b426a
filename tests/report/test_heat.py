import numpy as np
import pytest

from mien.core.align import to_crop_frame
from mien.report.heat import heat_map
from mien.results.expression import ExpressionScores
from mien.results.face import Face, FaceReport


def report(attention: np.ndarray | None, box: tuple[int, int, int, int] = (40, 20, 88, 68)) -> FaceReport:
    face = Face(np.array(box, np.float32), None, 1.0)
    return FaceReport(face, ExpressionScores(np.eye(8)[0]), to_crop_frame(face), "box", attention=attention)


def test_the_heat_map_lies_over_the_crop_and_nowhere_else():
    attention = np.zeros((12, 12), np.float32)
    attention[2, 9] = 7
    heat = heat_map(report(attention), (100, 120))
    assert (heat.shape, heat.dtype) == ((100, 120), np.float32)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    # The middle of that cell of a 48 pixel crop: four pixels a cell.
    assert (x, y) == pytest.approx((40 + 9.5 * 4, 20 + 2.5 * 4), abs=1)
    assert 0.7 < heat.max() <= 1  # no pixel lies on the cell's very middle
    outside = np.ones_like(heat, bool)
    outside[20:68, 40:88] = False
    assert not heat[outside].any()


def test_an_even_attention_has_no_heat_and_no_attention_no_map():
    assert not heat_map(report(np.full((12, 12), 0.3, np.float32)), (100, 120)).any()
    assert heat_map(report(None), (100, 120)) is None


def test_a_face_at_the_border_keeps_what_lies_in_the_picture():
    heat = heat_map(report(np.eye(12, dtype=np.float32), (-20, -20, 28, 28)), (50, 50))
    assert heat.shape == (50, 50)
    assert 0.7 < heat[:28, :28].max() <= 1
