import pytest

from mien.errors import InputError
from mien.facs.vocabulary import Attribute, Expression, attribute, expression


def test_expressions_stand_in_ferplus_order():
    assert [e.label for e in Expression] == [
        "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    ]  # fmt: skip
    assert [int(e) for e in Expression] == list(range(8))


@pytest.mark.parametrize("wanted", Expression)
def test_every_expression_answers_to_its_own_word(wanted):
    assert expression(wanted.label) is wanted
    assert expression(wanted.name) is wanted


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("happy", Expression.HAPPINESS),
        ("Joy", Expression.HAPPINESS),
        (" Angry\n", Expression.ANGER),
        ("SAD", Expression.SADNESS),
        ("scared", Expression.FEAR),
        ("no emotion", Expression.NEUTRAL),
        ("no_emotion", Expression.NEUTRAL),
        ("surprised", Expression.SURPRISE),
        ("disgusted", Expression.DISGUST),
        ("scorn", Expression.CONTEMPT),
    ],
)
def test_everyday_names_mean_an_expression_whatever_their_case(word, wanted):
    assert expression(word) is wanted


@pytest.mark.parametrize("word", ["hungry", "", "happi", "0"])
def test_any_other_word_is_refused_and_the_eight_are_listed(word):
    with pytest.raises(InputError) as caught:
        expression(word)
    assert repr(word) in str(caught.value)
    assert all(e.label in str(caught.value) for e in Expression)


def test_attributes_have_their_labels_and_all_but_expression_are_sensitive():
    assert Attribute.EXPRESSION.labels == tuple(e.label for e in Expression)
    assert [len(a.labels) for a in Attribute] == [8, 5, 2, 7]
    assert [a.value for a in Attribute if a.sensitive] == ["age", "gender", "race"]


def test_an_attribute_is_named_by_its_word():
    assert attribute(" Age ") is Attribute.AGE
    with pytest.raises(InputError, match="expression, age, gender, race"):
        attribute("height")
