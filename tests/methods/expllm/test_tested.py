from mien.facs.vocabulary import ActionUnit, Expression
from mien.methods.expllm.tested import called, named
from mien.results.explanation import Explanation, Part, Phrase
from tests.helpers import scores


def phrase(start, end, unit, present=True, against=""):
    return Phrase(start, end, ActionUnit(unit), "both", None, present, 0.5, against)


def test_movements_are_those_that_the_text_names_truly_each_once_and_those_of_one_phrase_together():
    first = Part("Key observations", "x" * 40, (phrase(0, 5, 1), phrase(0, 5, 2), phrase(6, 9, 12)))
    rest = (phrase(0, 4, 12), phrase(5, 9, 15, present=False), phrase(10, 14, 4, against="measured as absent"),
            phrase(15, 20, 25))  # fmt: skip
    text = (first, Part("Overall interpretation", "x" * 40, rest), Part("Conclusion", "It is happiness."))
    said = Explanation(text, scores({Expression.HAPPINESS: 1}), Expression.HAPPINESS, "label-first", "m")
    assert list(named(said)) == [((1, 2), "raised brows"), ((12,), "lifted lip corners"), ((25,), "parted lips")]


def test_movements_are_called_what_the_engine_calls_them():
    assert called((ActionUnit(25), ActionUnit(26))) == "an open mouth"
    assert called((ActionUnit(4), ActionUnit(15))) == "lowered brows and lowered lip corners"
