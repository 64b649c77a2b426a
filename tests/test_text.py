import pytest

from mien.text import did_you_mean, one_line, printable, readable


def test_names_that_are_not_utf8_stay_two():
    names = [b"odd\xff.jpg", b"odd\xfe.jpg"]
    assert [readable(name.decode("utf-8", "surrogateescape")) for name in names] == [r"odd\xff.jpg", r"odd\xfe.jpg"]


def test_half_of_a_surrogate_pair_is_replaced():
    assert readable("fear \ud800!") == "fear \ufffd!"
    readable("\ud800\udfff").encode("utf-8")


@pytest.mark.parametrize("control", ["\x1b", "\x07", "\x9b", "\x7f", "\r", "\u202e", "\u2066", "\u200f", "\u2028"])
def test_nothing_that_is_not_seen_but_does_something_reaches_a_terminal_or_a_page(control):
    assert printable(f"a{control}b") == "a\ufffdb"


def test_letters_of_every_script_stay_as_they_are():
    assert printable("при 日本 שלום é 👩\u200d👩 \t\n") == "при 日本 שלום é 👩\u200d👩 \t\n"
    assert one_line("a\nb\tc") == "a\ufffdb\ufffdc"


def test_a_word_that_is_close_is_suggested():
    assert did_you_mean("hapiness", ["neutral", "happiness"]) == "; did you mean 'happiness'?"
    assert did_you_mean("xyzzy", ["neutral", "happiness"]) == ""
