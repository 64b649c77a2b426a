import pytest

from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.chain import Sections
from mien.methods.expllm.small import conversation
from mien.methods.expllm.small.conversation import AFTERWARDS, LABEL, QUESTIONS
from mien.methods.expllm.small.tokenizer import PARTS, TASKS
from tests.helpers import units
from tests.methods.expllm.small.test_tokenizer import CHAINS, FACES, WORDS


def test_a_chain_of_thought_comes_back_with_its_label_as_a_token_of_its_own():
    for face, chain in zip(FACES, CHAINS, strict=True):
        tokens, at = conversation.answer(WORDS, chain.sections, face.label)
        assert tokens[at] == WORDS.labels[face.label]
        assert [tokens.count(WORDS[mark]) for mark in PARTS] == [1, 1, 1]
        starts = [tokens.index(WORDS[mark]) for mark in PARTS]
        parts = [tokens[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
        assert Sections(*map(WORDS.decode, parts)) == chain.sections


def test_a_conversation_opens_with_the_places_of_the_patches_and_asks_by_task():
    assert conversation.opening(WORDS, 3) == [1, 4, 3, 3, 3]
    for task, asked in QUESTIONS.items():
        tokens = conversation.question(WORDS, task)
        assert task in TASKS
        assert WORDS.tokens[tokens[0]] == task
        assert WORDS.decode(tokens) == asked
    given = conversation.given(WORDS, Expression.FEAR)
    assert WORDS.decode(given) == f"{QUESTIONS[LABEL]} fear what shows it?"
    assert [WORDS.tokens[t] for t in given if WORDS.tokens[t] in TASKS] == [LABEL, AFTERWARDS]


def test_a_caption_lists_the_action_units_with_degree_and_stronger_side():
    measured = units({4: 0.3, 12: 0.72, 25: 0.04}, {12: -0.2})
    assert conversation.caption(measured) == "moderate brow lowerer, extreme right lip corner puller."
    assert conversation.caption(units({})) == "none."
    WORDS.encode(conversation.caption(measured))


def test_a_conclusion_without_its_label_is_an_error():
    with pytest.raises(InputError, match="must name its label, fear"):
        conversation.answer(WORDS, Sections("the face.", "the face.", "it is anger."), Expression.FEAR)
