import numpy as np
import pytest

from mien.errors import InputError
from mien.facs.observation import Observation, Pose
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.wording import LOOKS
from mien.methods.synfer.flow import captions
from tests.helpers import units

WORDS = ("brows", "dropped", "jaw", "left", "lifted", "right")
SURPRISE = np.eye(8, dtype=np.float32)[Expression.SURPRISE]


def face(given, asymmetries=None, shares=SURPRISE, pose=None) -> Observation:
    return Observation("a face", units(given, asymmetries), shares, pose=pose)


def test_words_become_their_numbers_and_the_rest_is_padding():
    row = captions.encode("Brows lifted, jaw DROPPED.", WORDS)
    assert row[:5].tolist() == [1, 5, 3, 2, captions.PADDING]
    assert row.shape == (captions.LONGEST,)
    assert not captions.encode("", WORDS).any()


def test_an_unknown_word_is_named_with_the_nearest_that_is_known():
    with pytest.raises(InputError, match="no word 'browz' in captions; the nearest that it knows is 'brows'"):
        captions.encode("browz lifted", WORDS)
    with pytest.raises(InputError, match="'au12'"):
        captions.encode("AU12 lifted", WORDS)


def test_a_caption_of_too_many_words_says_how_many_there_may_be():
    with pytest.raises(InputError, match="at most 32 words, but this one has 33"):
        captions.encode("jaw " * 33, WORDS)


def test_a_mirror_swaps_left_and_right_and_nothing_else():
    swapped = captions.mirrored(WORDS)
    assert swapped.tolist() == [0, 1, 2, 3, 6, 5, 4]
    assert captions.mirrored(("jaw", "left")).tolist() == [0, 1, 2]


def test_a_short_caption_names_the_strongest_movements_and_no_other():
    rng = np.random.default_rng(0)
    texts = [captions.short(face({2: 0.9, 26: 0.6, 12: 0.02}), rng) for _ in range(40)]
    assert all("brows" in text and ("jaw" in text) and "lip" not in text for text in texts)
    assert {text.startswith(LOOKS[Expression.SURPRISE]) for text in texts} == {True, False}
    assert any("jaw dropped" in text for text in texts)
    assert max(len(captions.split(text)) for text in texts) <= captions.LONGEST


def test_a_movement_of_one_side_is_told_with_its_side_unless_the_head_is_turned():
    smirk, rng = ({14: 0.4}, {14: -0.6}), np.random.default_rng(0)
    assert "right" in captions.short(face(*smirk), rng)
    assert "right" not in captions.short(face(*smirk, pose=Pose(50, 0, 0)), rng)


def test_a_face_at_rest_is_told_by_its_look():
    rest = face({}, shares=np.eye(8, dtype=np.float32)[Expression.NEUTRAL])
    assert captions.short(rest, np.random.default_rng(0)) in LOOKS[Expression.NEUTRAL]


def test_a_long_caption_is_whole_sentences_of_the_engine_that_fit():
    text = captions.long(face({1: 0.9, 2: 0.9, 5: 0.8, 26: 0.8, 17: 0.4, 28: 0.3, 43: 0.2}))
    assert text.endswith(".")
    assert 0 < len(captions.split(text)) <= captions.LONGEST
    assert "brows" in text


def test_the_words_of_captions_are_all_that_captions_may_have():
    rng = np.random.default_rng(1)
    texts = [captions.short(face({4: 0.5, 15: 0.7}), rng), captions.long(face({12: 0.9, 6: 0.4}))]
    words = captions.word_list(texts)
    assert list(words) == sorted(set(words))
    assert all((captions.encode(text, words) > 0).sum() == len(captions.split(text)) for text in texts)
