import json

import pytest
import torch

from mien.errors import InputError
from mien.methods.expllm.small import conversation
from mien.methods.expllm.small.conversation import AFTERWARDS, LABEL, QUESTIONS, REASON, UNITS
from mien.methods.expllm.small.lessons import make, read_chains
from mien.methods.expllm.small.tokenizer import EOS, IMAGE, PAD
from mien.training.faces import faces_of
from tests.methods.expllm import tiny

COUNT, SLOTS = 6, 4


@pytest.fixture(scope="module")
def faces():
    return faces_of(tiny.samples(COUNT), 48)


@pytest.fixture
def chains(tmp_path):
    return tiny.write_chains(tmp_path / "cot.jsonl", COUNT)


@pytest.fixture
def lessons(faces, chains):
    return make(faces, chains, SLOTS)


def changed(path, number, **values):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[number] |= values
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(lines, *index):
    tokens, answered, slot, weight = (part[index] for part in lines)
    return tokens.tolist(), answered.tolist(), int(slot), float(weight)


def said(tokenizer, tokens, answered):
    """What the model is to say, as text."""
    return tokenizer.decode(t for t, mine in zip(tokens, answered, strict=True) if mine)


def test_every_conversation_opens_with_the_face_and_asks_its_question(lessons):
    words = lessons.tokenizer
    opened = conversation.opening(words, SLOTS)
    kinds = {LABEL: lessons.label, UNITS: lessons.units, REASON: lessons.chains.of(torch.tensor(0))}
    for task, lines in kinds.items():
        for i in range(COUNT):
            tokens, answered, *_ = row(lines, i)
            start = [*opened, *conversation.question(words, task)]
            assert tokens[: len(start)] == start
            assert not any(answered[: len(start)])
            assert words.decode(tokens).startswith(QUESTIONS[task])


def test_what_is_learned_is_the_answer_and_its_end_and_nothing_else(lessons):
    words = lessons.tokenizer
    for i in range(COUNT):
        chain = tiny.chain(i)
        text = " ".join((chain.sections.observations, chain.sections.interpretation, chain.sections.conclusion))
        for kind in (0, 1):
            tokens, answered, *_ = row(lessons.chains, kind, i)
            mine = said(words, tokens, answered)
            # After a given label, that label is the model's to say too.
            assert mine == text if kind == 0 else mine.lower() == f"{chain.label.label} {text}".lower()
            assert [t for t, m in zip(tokens, answered, strict=True) if t == words[EOS] and not m] == []
            assert not any(m for t, m in zip(tokens, answered, strict=True) if t in (words[PAD], words[IMAGE]))
        tokens, answered, *_ = row(lessons.units, i)
        assert said(words, tokens, answered) == conversation.caption(tiny.observed(i).units).capitalize()


def test_votes_teach_the_label_where_it_was_not_given_before(lessons):
    words = lessons.tokenizer
    for i in range(COUNT):
        label = words.labels[tiny.label(i)]
        tokens, answered, slot, _ = row(lessons.chains, 0, i)
        assert [j for j, t in enumerate(tokens) if t in words.labels] == [slot], "the conclusion of reason-first"
        tokens, answered, slot, _ = row(lessons.chains, 1, i)
        places = [j for j, t in enumerate(tokens) if t in words.labels]
        assert len(places) == 2
        assert (places[0], tokens[places[0]], tokens[places[1]]) == (slot, label, label), "the label of label-first"
        assert all(answered[j] for j in places)
        assert conversation.question(words, AFTERWARDS) == tokens[slot + 2 : slot + 2 + 3 + 4]
        tokens, answered, slot, _ = row(lessons.label, i)
        assert tokens[slot] in words.labels
        assert answered[slot : slot + 2] == [True, True]
        assert tokens[slot + 1] == words[EOS]
    assert (lessons.units.slot == 0).all()


def test_a_text_that_was_refused_to_the_end_counts_half(faces, chains):
    lessons = make(faces, changed(chains, 2, verified=False), SLOTS)
    assert lessons.chains.weight.tolist() == [[1, 1, 0.5, 1, 1, 1]] * 2
    assert make(faces, chains, SLOTS, unverified_weight=0.25).chains.weight[0, 2] == 0.25


def test_a_face_without_a_text_still_has_its_label_and_its_action_units(faces, chains):
    changed(chains, 1, status="rejected")
    lines = chains.read_text().splitlines(keepends=True)
    chains.write_text("".join(lines[:-1]))
    lessons = make(faces, chains, SLOTS)
    assert lessons.chains.weight.tolist() == [[1, 0, 1, 1, 1, 0]] * 2
    assert lessons.label.weight.tolist() == [1] * COUNT
    assert lessons.units.weight.tolist() == [1] * 5 + [0], "of the last nothing was measured"
    assert lessons.taught.tolist() == [True] * 5 + [False]


def test_action_units_that_mien_s_own_reader_measured_teach_no_eyes(faces, chains):
    assert make(faces, changed(chains, 3, au_source="reader"), SLOTS).taught.tolist() == [True] * 3 + [
        False,
        True,
        True,
    ]


def test_action_units_are_in_the_order_of_the_vector(lessons):
    for i in range(COUNT):
        measured = tiny.observed(i).units
        assert lessons.action_units[i].tolist() == pytest.approx([*measured.intensities, *measured.differences])


def test_some_conversations_are_as_short_as_their_longest(lessons):
    longest = [int(lessons.chains.answered[0, i].nonzero().max()) + 1 for i in range(COUNT)]
    some = lessons.chains.of(torch.tensor([0, 0]), torch.tensor([1, 4]))
    assert some.tokens.shape == (2, max(longest[1], longest[4]))
    assert torch.equal(some.tokens, lessons.chains.tokens[0, [1, 4], : some.tokens.shape[1]])


def test_without_the_image_everything_else_stays_where_it_belongs(lessons):
    whole, blind = lessons.label, lessons.label.without_image(SLOTS)
    assert blind.tokens.shape[1] == whole.tokens.shape[1] - SLOTS
    assert not (blind.tokens == lessons.tokenizer[IMAGE]).any()
    for i in range(COUNT):
        tokens, _, slot, _ = row(whole, i)
        without, answered, moved, _ = row(blind, i)
        assert without == tokens[:2] + tokens[2 + SLOTS :]
        assert (without[moved], answered[moved]) == (tokens[slot], True)
    assert lessons.units.without_image(SLOTS).slot.tolist() == [0] * COUNT


def test_chains_of_other_data_are_an_error_that_names_both(faces, tmp_path):
    other = changed(tiny.write_chains(tmp_path / "cot.jsonl", 1), 0, image_id="stranger")
    with pytest.raises(InputError, match=r"'face 0'.*'stranger'.*made of other data"):
        make(faces, other, SLOTS)


def test_a_file_that_is_not_there_or_not_of_mien_cot_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_chains(tmp_path / "cot.jsonl")
    for text in ("no json\n", '{"image_id": "face 0"}\n', "[]\n"):
        (tmp_path / "other.jsonl").write_text(text)
        with pytest.raises(InputError, match="not a file of chains of thought"):
            read_chains(tmp_path / "other.jsonl")
