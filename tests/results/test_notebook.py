import re
import sys
from dataclasses import replace

import numpy as np

import mien
from mien.facs.vocabulary import Expression
from mien.results.face import Face, FaceReport, ImageReport
from mien.results.notebook import jpeg
from tests.helpers import ASTRONAUT, bare_report, noise, scores


def a_face(*box: float) -> FaceReport:
    given = scores({Expression.HAPPINESS: 0.9, Expression.FEAR: 0.1})
    return bare_report(Face(np.array(box, np.float32), None, 0.9), given)


def a_report(*faces: FaceReport, image=None) -> ImageReport:
    size = (100, 200) if image is None else image.shape[:2]
    return ImageReport(size, faces, "reader", preview=None if image is None else jpeg(image))


def test_a_report_prints_in_a_line():
    assert repr(a_report(a_face(1, 2, 30, 40))) == "<ImageReport 200 x 100 px, 1 face: happiness 90 %>"
    assert repr(a_report()) == "<ImageReport 200 x 100 px, no face>"
    assert len(repr(a_report(*[a_face(1, 2, 30, 40)] * 100))) < 200
    assert repr(a_face(1, 2, 30, 40)) == "<FaceReport happiness 90 %, box 1 2 30 40>"


def test_a_notebook_shows_the_picture_with_boxes_and_a_row_for_each_face():
    gray = np.full((100, 200, 3), 120, np.uint8)
    shown = a_report(a_face(20, 10, 60, 70), a_face(90, 20, 130, 80), image=gray)._repr_html_()
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr>.*?</tr>", shown)]
    assert rows[1:] == [[str(n), "happiness", "90", "%", "fear", "10", "%"] for n in (1, 2)]
    assert shown.count('<img src="data:image/jpeg;base64,') == 1
    assert "<script" not in shown
    plain = replace(a_report(image=gray))._repr_html_()
    assert re.search(r"base64,[^\"]*", plain)[0] != re.search(r"base64,[^\"]*", shown)[0]


def test_what_a_notebook_shows_stays_below_300_kb():
    crowd = [a_face(x, y, x + 30, y + 40) for x in range(0, 3000, 100) for y in range(0, 2000, 100)]
    assert len(a_report(*crowd, image=noise(2000, 3000, 3))._repr_html_()) < 300_000


def test_without_its_picture_or_without_faces_a_report_is_shown_too():
    assert "<img" not in a_report(a_face(1, 2, 30, 40))._repr_html_()
    assert "no face" in a_report(image=noise(20, 30, 3))._repr_html_()


def test_a_picture_is_kept_only_where_a_notebook_runs(monkeypatch):
    assert mien.analyze(ASTRONAUT).preview is None
    monkeypatch.setitem(sys.modules, "IPython", object())
    report = mien.analyze(ASTRONAUT)
    assert report.preview.startswith(b"\xff\xd8")
    assert "preview" not in report.to_dict()
