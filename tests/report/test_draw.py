import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.facs.units import ActionUnits
from mien.facs.vocabulary import Attribute, Expression
from mien.report.draw import COLORS, DOTTED, STYLES, TYPE, Style, answers, arrange, draw, percent, why
from mien.results.face import Face, FaceReport, ImageReport
from mien.results.scan import Answer, AnswerStatus, Attributes
from tests.helpers import bare_report, full_report, scores, units

HAPPY = {Expression.HAPPINESS: 0.93, Expression.NEUTRAL: 0.05, Expression.SURPRISE: 0.02}
SAD = {Expression.SADNESS: 0.61, Expression.NEUTRAL: 0.39}

# What the three kinds of dichromats see of linear RGB (Machado, Oliveira and Fernandes, 2009, severity 1).
EYES = {
    "trichromat": np.eye(3),
    "protanope": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranope": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanope": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def photo(width: int, height: int, value: int = 128) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def a_face(x1: float, y1: float, x2: float, y2: float, given: dict[Expression, float] = HAPPY) -> FaceReport:
    return bare_report(Face(np.array([x1, y1, x2, y2], np.float32), None, 0.9), scores(given))


def explained(x1: float, y1: float, x2: float, y2: float, measured: ActionUnits | None = None) -> FaceReport:
    """A happy face with action units, and landmarks on a diagonal of its box."""
    box = np.array([x1, y1, x2, y2], np.float32)
    return full_report(
        face=Face(box, None, 0.9),
        expression=scores(HAPPY),
        action_units=measured or units({12: 0.8, 6: 0.6, 25: 0.5}),
        landmarks=np.linspace(box[:2] + 5, box[2:] - 5, 68),
    )


def a_report(image: NDArray[np.uint8], *faces: FaceReport) -> ImageReport:
    return ImageReport(image.shape[:2], faces, "reader")


def changed(image: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((image != drawn).any(axis=2))


def rgb(color: str) -> NDArray[np.uint8]:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)


def count(drawn: NDArray[np.uint8], color: str) -> int:
    return int((drawn == rgb(color)).all(axis=2).sum())


def type_in(drawn: NDArray[np.uint8]) -> int:
    """Pixels of white type; thin strokes are mixed with what is beside them."""
    return int((drawn > 180).all(axis=2).sum())


def lab(color: str, eye: str) -> NDArray[np.float64]:
    linear = np.clip(np.array(EYES[eye]) @ (rgb(color) / 255) ** 2.2, 0, 1)
    f = np.cbrt(np.maximum(XYZ @ linear / [0.9505, 1, 1.089], 0.0089))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_drawing_leaves_its_input_as_it_was():
    image = photo(200, 150)
    before = image.copy()
    drawn = draw(image, a_report(image, a_face(60, 50, 100, 100)))
    assert (image == before).all()
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert drawn.flags.writeable
    assert changed(image, drawn).any()


def test_a_face_gets_a_box_in_the_colour_of_its_expression():
    image = photo(400, 300)
    happy = draw(image, a_report(image, a_face(150, 120, 210, 200)))
    sad = draw(image, a_report(image, a_face(150, 120, 210, 200, SAD)))
    perimeter = 2 * (60 + 80)
    assert count(happy, COLORS[Expression.HAPPINESS]) > perimeter
    assert count(sad, COLORS[Expression.HAPPINESS]) == 0
    assert count(sad, COLORS[Expression.SADNESS]) > perimeter


def test_the_box_lies_around_the_face_not_on_it():
    image = photo(3000, 2000)
    drawn = draw(image, a_report(image, a_face(1000, 1000, 1020, 1024)))
    assert not changed(image, drawn)[1000:1024, 1000:1020].any()
    assert changed(image, drawn)[990:1034, 990:1030].any()


def test_a_bar_is_as_long_as_its_probability():
    image = photo(1000, 800)
    color = COLORS[Expression.SADNESS]

    def longest_run(p: float) -> int:
        scored = {Expression.SADNESS: p, Expression.NEUTRAL: 1 - p}
        drawn = draw(image, a_report(image, a_face(480, 400, 500, 425, scored)))
        rows = (drawn == rgb(color)).all(axis=2)[:396].sum(axis=1)  # above the box
        return int(rows.max())

    assert longest_run(0.96) == pytest.approx(longest_run(0.64) * 1.5, abs=2)


@pytest.mark.parametrize("corner", [(-8, -8), (360, -8), (-8, 260), (360, 260)])
def test_at_each_corner_the_whole_plate_stays_in_the_picture(corner: tuple[int, int]):
    x, y = corner
    image = photo(400, 300)
    report = a_report(image, a_face(x, y, x + 48, y + 48))
    middle = a_report(image, a_face(180, 130, 228, 178))
    # As many letters are drawn at the corner as in the middle: none is cut off by the border.
    letters = type_in(draw(image, report))
    assert letters == pytest.approx(type_in(draw(image, middle)), rel=0.1)
    style, corners = arrange(report, 12)
    assert style == STYLES[0]
    assert (corners >= 0).all()


def test_plates_cover_neither_another_face_nor_another_plate_when_there_is_room():
    image = photo(1200, 800)
    faces = [a_face(x, 300, x + 90, 420, given) for x, given in ((100, HAPPY), (205, SAD), (310, HAPPY), (415, SAD))]
    together = changed(image, draw(image, a_report(image, *faces)))
    alone = sum(int(changed(image, draw(image, a_report(image, face))).sum()) for face in faces)
    for face in faces:
        x1, y1, x2, y2 = face.box.astype(int)
        assert not together[y1:y2, x1:x2].any()
    assert together.sum() > 0.9 * alone


def test_a_crowd_gets_smaller_plates_rather_than_hidden_faces():
    image = photo(1600, 1200)
    crowd = [a_face(x, y, x + 60, y + 75) for y in range(60, 1100, 170) for x in range(40, 1500, 150)]
    drawn = changed(image, draw(image, a_report(image, *crowd)))
    hidden = sum(drawn[y1:y2, x1:x2].mean() > 0 for x1, y1, x2, y2 in (face.box.astype(int) for face in crowd))
    assert hidden == 0
    style, corners = arrange(a_report(image, *crowd), np.sqrt(1600 * 1200) * TYPE)
    # Any larger and they would lie on each other.
    assert style == Style("one", 0.55)
    assert len(corners) == len(crowd)


def test_where_full_plates_would_lie_on_each_other_smaller_ones_are_used():
    image = photo(1200, 800)
    row = [a_face(x, 300, x + 50, 360) for x in range(100, 1100, 70)]
    apart = [a_face(x, 300, x + 50, 360) for x in range(100, 1100, 400)]
    assert arrange(a_report(image, *apart), 21)[0] == STYLES[0]
    assert arrange(a_report(image, *row), 21)[0].scale < 0.6


def test_a_face_that_fills_the_picture_keeps_most_of_itself_in_view():
    image = photo(900, 900)
    drawn = draw(image, a_report(image, a_face(0, 0, 900, 900)))
    assert changed(image, drawn)[50:-50, 50:-50].mean() < 0.1


@pytest.mark.parametrize("side", [48, 50, 64])
def test_a_picture_of_fifty_pixels_still_gets_a_word(side: int):
    image = photo(side, side)
    report = a_report(image, a_face(side * 0.2, side * 0.1, side * 0.8, side * 0.8))
    style, _ = arrange(report, 8)
    assert style.form in ("one", "stacked")
    assert type_in(draw(image, report)) > 20


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (6000, 40)])
def test_no_picture_is_too_small_or_too_narrow(size: tuple[int, int]):
    image = photo(*size)
    assert draw(image, a_report(image, a_face(0, 0, *size))).shape == image.shape
    assert draw(image, a_report(image)).shape == image.shape


def test_strokes_and_type_grow_with_the_picture():
    def share(side: int) -> float:
        image = photo(side, side)
        at = side * np.array([0.4, 0.5, 0.5, 0.6])
        return float(changed(image, draw(image, a_report(image, a_face(*at)))).mean())

    assert share(4000) == pytest.approx(share(1000), rel=0.1)


@pytest.mark.parametrize("background", [0, 255])
def test_the_plate_is_dark_and_its_type_white_on_any_background(background: int):
    image = photo(500, 400, background)
    drawn = draw(image, a_report(image, a_face(200, 200, 260, 270)))
    style, corners = arrange(a_report(image, a_face(200, 200, 260, 270)), np.sqrt(500 * 400) * TYPE)
    x, y = corners[0].astype(int)
    assert style == STYLES[0]
    assert drawn[y + 1, x + 1].max() < 70
    assert type_in(drawn[y : y + 40, x : x + 80]) > 50


def test_a_picture_without_faces_says_so_in_a_corner():
    image = photo(500, 400)
    drawn = changed(image, draw(image, a_report(image)))
    assert drawn[-40:, :150].any()
    assert not drawn[:-60].any()


def test_every_expression_has_a_colour_and_dichromats_tell_them_apart():
    assert set(COLORS) == set(Expression)
    for eye in EYES:
        for a, b in itertools.combinations(COLORS.values(), 2):
            assert np.linalg.norm(lab(a, eye) - lab(b, eye)) > 14, (eye, a, b)


def test_a_percentage_never_claims_certainty_that_is_not_there():
    assert [percent(p) for p in (0, 0.004, 0.02, 0.973, 0.996, 1)] == ["0 %", "<1 %", "2 %", "97 %", ">99 %", "100 %"]


def test_a_face_that_is_large_enough_gets_a_dot_at_each_landmark():
    image = photo(600, 500)
    large, small = explained(200, 200, 300, 200 + DOTTED), explained(200, 200, 280, 200 + DOTTED - 10)
    dots = changed(image, draw(image, a_report(image, large)))
    for x, y in large.landmarks.astype(int):
        assert dots[y, x]
    assert dots[200 : 200 + DOTTED, 200:300].mean() < 0.12
    assert not changed(image, draw(image, a_report(image, small)))[202:278, 202:278].any()


def test_dots_grow_with_the_face_and_stay_small():
    def share(side: int) -> float:
        image = photo(3 * side, 3 * side)
        face = explained(side, side, 2 * side, 2 * side)
        return float(changed(image, draw(image, a_report(image, face)))[side : 2 * side, side : 2 * side].mean())

    assert share(800) == pytest.approx(share(400), rel=0.2)
    assert share(800) < 0.05


def test_landmarks_outside_the_picture_are_left_out():
    image = photo(300, 300)
    face = explained(-60, -60, 100, 100)
    assert draw(image, a_report(image, face)).shape == image.shape


def test_the_fullest_plate_names_the_three_strongest_reasons():
    assert why(explained(0, 0, 50, 50)) == "AU12 AU6 AU25"
    assert why(full_report(action_units=units({12: 0.8, 6: 0.6, 25: 0.5, 10: 0.4}))) == "AU12 AU6 AU25"
    assert why(explained(0, 0, 50, 50, units({4: 0.9}))) == ""
    assert why(a_face(0, 0, 50, 50)) == ""


def test_reasons_are_one_more_line_where_there_is_room_and_go_first_where_there_is_none():
    def type_drawn(*faces: FaceReport) -> int:
        image = photo(1200, 800)
        return type_in(draw(image, a_report(image, *faces)))

    assert type_drawn(explained(500, 300, 550, 360)) > 1.15 * type_drawn(a_face(500, 300, 550, 360))
    row = [explained(x, 300, x + 50, 360) for x in range(100, 1100, 70)]
    bare = [a_face(x, 300, x + 50, 360) for x in range(100, 1100, 70)]
    image = photo(1200, 800)
    assert arrange(a_report(image, *row), 21)[0] == arrange(a_report(image, *bare), 21)[0]
    assert type_drawn(*row) == type_drawn(*bare)


def scanned(face: FaceReport, **values: str | None) -> FaceReport:
    """The face, about which a model answered these by name; None is no answer."""
    given = {
        Attribute(name): Answer(value, AnswerStatus.OK if value else AnswerStatus.REFUSED)
        for name, value in values.items()
    }
    return replace(face, attributes=Attributes(given, "a model", "face-1", 0))


def test_what_a_scan_adds_is_one_more_line_of_the_plate():
    face = a_face(500, 300, 550, 360)
    asked = scanned(face, age="20-39", gender="female", race=None)
    assert answers(asked) == "20-39, female"
    assert answers(scanned(face, expression="happiness")) == answers(face) == "", "nothing that is not there already"
    assert answers(scanned(face, expression="fear")) == "fear"
    image = photo(1200, 800)
    assert type_in(draw(image, a_report(image, asked))) > 1.1 * type_in(draw(image, a_report(image, face)))
