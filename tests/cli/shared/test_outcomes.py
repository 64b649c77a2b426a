import json
import os
import signal

import click
import numpy as np
import pytest

from mien.cli.shared.outcomes import gather
from mien.report import records
from mien.results.face import ImageReport
from mien.results.outcome import Outcome


def answer(path: str) -> Outcome:
    if path == "stop":
        raise KeyboardInterrupt
    return Outcome(path, ImageReport((3000, 2000), (), "reader"), image=np.zeros((3000, 2000, 3), np.uint8))


def test_a_run_that_is_stopped_keeps_the_answers_so_far_and_an_earlier_file(tmp_path, capsys):
    (tmp_path / "x.json").write_text("whole")
    gathered = gather(map(answer, ["a", "b", "stop", "c"]), 4, [tmp_path / "x.json"])
    assert [outcome.name for outcome in gathered.outcomes] == ["a", "b"]
    assert not gathered.good
    assert (tmp_path / "x.json").read_text() == "whole"
    assert len(json.loads((tmp_path / "x.part.json").read_text())["images"]) == 2
    assert "stopped after 2 of 4" in capsys.readouterr().err


@pytest.mark.parametrize(("file", "side"), [("x.json", None), ("x.csv", None), ("x.html", 1280)])
def test_of_many_pictures_no_more_is_kept_than_the_files_show(tmp_path, file, side, monkeypatch):
    kept = []

    class Kept:
        def write(self, outcome):
            kept.append(outcome.image)

        def close(self):
            return None

    monkeypatch.setattr("mien.cli.shared.outcomes.open_output", lambda *path, **options: Kept())
    gather(map(answer, ["a", "b"]), 2, [tmp_path / file])
    assert [None if image is None else max(image.shape) for image in kept] == [side, side]


def test_a_file_that_cannot_be_written_does_not_cost_the_others(tmp_path, capsys):
    outputs = [tmp_path / ("x" * 300 + ".json"), tmp_path / "ok.json"]
    assert not gather([answer("a")], 1, outputs).good
    assert "cannot be written (File name too long)" in capsys.readouterr().err
    assert len(json.loads(outputs[1].read_text())["images"]) == 1
    assert gather([answer("a")], 1, outputs[1:]).good


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_sigterm_while_files_are_finished_costs_none(tmp_path, monkeypatch):
    def close(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return finish(self)

    finish = records.JsonFile.close
    monkeypatch.setattr(records.JsonFile, "close", close)
    assert gather([answer("a")], 1, [tmp_path / "x.json", tmp_path / "y.json"]).good
    assert (tmp_path / "x.json").is_file()
    assert (tmp_path / "y.json").is_file()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_answer_is_shown_before_what_was_written(tmp_path, capsys):
    gather([answer("a")], 1, [tmp_path / "x.csv"], show=lambda gathered: click.echo("the answer", err=True))
    assert capsys.readouterr().err.splitlines() == ["the answer", f"wrote {tmp_path / 'x.csv'}"]


def test_a_page_that_is_too_large_for_many_a_browser_is_said_to_be(tmp_path, capsys, monkeypatch):
    gather(map(answer, ["a", "b"]), 2, [tmp_path / "x.html"])
    assert "browser" not in capsys.readouterr().err
    monkeypatch.setattr("mien.cli.shared.outcomes.LARGE", 10_000)
    gather(map(answer, ["a", "b"]), 2, [tmp_path / "x.html"])
    assert "x.html has 0 MB, too much for many a browser; split the input" in capsys.readouterr().err
