import sys

from mien.progress import shown


def test_a_long_step_says_on_a_terminal_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert list(shown("abc", "epoch 3", 3)) == ["a", "b", "c"]
    assert "epoch 3" in capsys.readouterr().err


def test_a_log_file_gets_no_bar(capsys):
    assert list(shown("abc", "epoch 3", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
