import json

import pytest

from mien.errors import InputError, ModelError
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.rules import explain
from mien.methods.expllm.small import conversation
from mien.methods.expllm.small.conversation import QUESTIONS
from mien.methods.expllm.small.tokenizer import EOS, IMAGE, LABELS, SPECIAL, Tokenizer
from tests.methods.expllm.faces import random_faces

FACES = tuple(random_faces(200))
CHAINS = tuple(map(explain, FACES))
WORDS = Tokenizer.learn([*(chain.text for chain in CHAINS), conversation.caption_words(), *QUESTIONS.values()])


def test_every_text_of_the_engine_comes_back_letter_by_letter():
    for chain in CHAINS:
        for part in (chain.sections.observations, chain.sections.interpretation, chain.sections.conclusion):
            assert WORDS.decode(WORDS.encode(part)) == part


def test_a_few_hundred_words_are_enough():
    assert len(WORDS) < 420


def test_the_numbers_of_special_tokens_never_change():
    assert [WORDS[token] for token in SPECIAL] == list(range(len(SPECIAL)))
    assert WORDS[IMAGE] == 3
    assert [WORDS.tokens[i] for i in WORDS.labels] == list(LABELS)
    assert [WORDS.tokens[i] for i in WORDS.words] == sorted(WORDS.tokens[len(SPECIAL) :])


def test_the_same_texts_give_the_same_vocabulary_in_any_order():
    assert Tokenizer.learn(["b a.", "c"]).tokens == Tokenizer.learn(["c", "a b."]).tokens


def test_a_word_that_is_not_in_the_closed_vocabulary_is_an_error():
    with pytest.raises(InputError, match="no word 'zebra'"):
        WORDS.encode("The zebra smiles.")


def test_capitals_and_spaces_are_put_where_they_belong():
    known = Tokenizer.learn(["a clear-cut case; is it, then? no."])
    text = "A clear-cut case; is it, then? No. It is."
    assert known.decode(known.encode(text.replace("? No", "? no"))) == text.replace("? No", "? no")
    assert known.decode([known["no"], known["."], known["<lab:fear>"], known["."]]) == "No. Fear."


def test_special_tokens_say_nothing_but_labels_are_words():
    number = [WORDS["<obs>"], *WORDS.encode("the face"), WORDS.labels[Expression.ANGER], WORDS[EOS]]
    assert WORDS.decode(number) == "The face anger"


def test_a_file_holds_the_whole_tokenizer():
    assert Tokenizer.read(WORDS.to_json()).tokens == WORDS.tokens


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "[]",
        '{"model": 3}',
        json.dumps({"model": {"vocab": {"a": 0}}}),
        json.dumps({"model": {"vocab": {"a": 0, "b": 2}}}),
        json.dumps({"model": {"vocab": {"a": "x"}}}),
    ],
)
def test_a_file_that_is_none_is_an_error(damaged):
    with pytest.raises(ModelError):
        Tokenizer.read(damaged)


def test_the_library_of_tokenizers_reads_the_same_words_from_the_file():
    library = pytest.importorskip("tokenizers")
    theirs = library.Tokenizer.from_str(WORDS.to_json())
    for chain in CHAINS[:50]:
        assert theirs.encode(chain.text).ids == WORDS.encode(chain.text)
    assert theirs.encode("<bos><sys><img><lab:fear> the face").ids == [
        *(WORDS[t] for t in ("<bos>", "<sys>", "<img>", "<lab:fear>")), *WORDS.encode("the face"),
    ]  # fmt: skip
