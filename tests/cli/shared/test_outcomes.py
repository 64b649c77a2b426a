import json

import numpy as np
import pytest

from mien.cli.shared.outcomes import Gathered, gather, save
from mien.results.face import ImageReport
from mien.results.outcome import Outcome


def answer(path: str) -> Outcome:
    if path == "stop":
        raise KeyboardInterrupt
    return Outcome(path, ImageReport((3000, 2000), (), "reader"), image=np.zeros((3000, 2000, 3), np.uint8))


def test_a_run_that_is_stopped_keeps_the_answers_so_far(tmp_path):
    gathered = gather(map(answer, ["a", "b", "stop", "c"]), 4, [tmp_path / "x.csv"])
    assert [outcome.name for outcome in gathered.outcomes] == ["a", "b"]
    assert gathered.stopped


@pytest.mark.parametrize(("file", "side"), [("x.json", None), ("x.csv", None), ("x.html", 1280)])
def test_of_many_pictures_no_more_is_kept_than_the_files_show(tmp_path, file, side):
    kept = [outcome.image for outcome in gather(map(answer, ["a", "b"]), 2, [tmp_path / file]).outcomes]
    assert [None if image is None else max(image.shape) for image in kept] == [side, side]


def test_a_file_that_cannot_be_written_does_not_cost_the_others(tmp_path, capsys):
    gathered = Gathered([answer("a")], stopped=False)
    outputs = [tmp_path / ("x" * 300 + ".json"), tmp_path / "ok.json"]
    assert not save(gathered, outputs)
    assert "cannot be written (File name too long)" in capsys.readouterr().err
    assert len(json.loads(outputs[1].read_text())["images"]) == 1
    assert save(gathered, outputs[1:])


def test_what_a_stopped_run_read_does_not_replace_what_a_whole_one_wrote(tmp_path):
    (tmp_path / "x.json").write_text("whole")
    assert not save(Gathered([answer("a")], stopped=True), [tmp_path / "x.json"])
    assert (tmp_path / "x.json").read_text() == "whole"
    assert len(json.loads((tmp_path / "x.part.json").read_text())["images"]) == 1
