"""The losses of training, against answers worked out by hand."""

import math
from typing import NamedTuple

import pytest
import torch

from mien.methods.expllm.small.loss import losses, mirrored, vision_loss
from mien.methods.expllm.small.tokenizer import Tokenizer
from mien.training.faces import AugmentedBatch

WORDS, FIRST = 20, 4
VOTES = torch.eye(8)[[2, 5]]


def conversations():
    """Two of six tokens: of one the last two are the model's to say, of the other the last."""
    torch.manual_seed(0)
    answered = torch.tensor([[False] * 4 + [True] * 2, [False] * 5 + [True]])
    return torch.randn(2, 6, WORDS), torch.randint(WORDS, (2, 6)), answered


def of(logits, tokens, answered, slot=(0, 0), votes=VOTES):
    return losses(logits, tokens, answered, torch.tensor(slot), votes, FIRST)


def test_each_conversation_s_loss_is_the_mean_over_its_own_answer():
    logits, tokens, answered = conversations()
    said = logits.log_softmax(dim=-1)
    # The token at place t is predicted from place t - 1.
    long = -(said[0, 3, tokens[0, 4]] + said[0, 4, tokens[0, 5]]) / 2
    short = -said[1, 4, tokens[1, 5]]
    assert of(logits, tokens, answered).tolist() == pytest.approx([long.item(), short.item()])


def test_a_label_weighs_as_much_as_a_long_text():
    logits = torch.zeros(2, 6, WORDS)
    _, tokens, answered = conversations()
    assert of(logits, tokens, answered).tolist() == pytest.approx([math.log(WORDS)] * 2)


def test_what_the_model_is_not_to_say_teaches_nothing():
    logits, tokens, answered = conversations()
    other = tokens.clone()
    other[:, :4] = (tokens[:, :4] + 7) % WORDS
    assert torch.equal(of(logits, tokens, answered), of(logits, other, answered))
    logits.requires_grad_(True)
    of(logits, tokens, answered).sum().backward()
    taught = logits.grad.abs().sum(dim=-1) > 0
    assert taught.tolist() == [[False] * 3 + [True] * 2 + [False], [False] * 4 + [True, False]]


def test_at_its_slot_a_label_is_taught_by_the_votes_over_all_words():
    logits, tokens, answered = conversations()
    votes = torch.zeros(2, 8)
    votes[0, 1], votes[0, 3], votes[1, 6] = 0.7, 0.3, 1
    said = logits.log_softmax(dim=-1)
    soft = -(0.7 * said[0, 3, FIRST + 1] + 0.3 * said[0, 3, FIRST + 3])
    then = -said[0, 4, tokens[0, 5]]
    other = -said[1, 4, FIRST + 6]
    found = of(logits, tokens, answered, (4, 5), votes)
    assert found.tolist() == pytest.approx([((soft + then) / 2).item(), other.item()])


def test_a_conversation_without_an_answer_costs_nothing():
    logits, tokens, answered = conversations()
    assert of(logits, tokens, answered & False).tolist() == [0, 0]


def test_in_the_mirror_left_is_right():
    words = Tokenizer.learn(["the left brow, the right lid"])
    tokens = torch.tensor([words.encode("the left brow, the right lid")])
    assert words.decode(mirrored(tokens, words)[0].tolist()) == "The right brow, the left lid"
    assert torch.equal(mirrored(mirrored(tokens, words), words), tokens)


class Said(NamedTuple):
    logits: torch.Tensor
    action_units: torch.Tensor


def eyes(units):
    return lambda images: Said(torch.zeros(len(images), 8), units.expand(len(images), -1))


def seen(count, flips=(), blended=0):
    matrix = torch.eye(2, 3).repeat(count, 1, 1)
    matrix[list(flips), 0, 0] = -1
    return AugmentedBatch(torch.zeros(count, 1, 4, 4), torch.full((count, 8), 1 / 8), matrix, blended, torch.zeros(0))


def of_eyes(said, taught, found, look, weight=1.0):
    return vision_loss(eyes(said), look, (taught, found), torch.ones(24), weight).item() - math.log(8)


def test_the_eyes_learn_action_units_where_a_teacher_measured_them():
    taught = torch.zeros(2, 24)
    taught[0, :2] = 0.4
    # Huber with delta 0.1 of an error of 0.4 is 0.1 * (0.4 - 0.05); two of 24 units are off.
    off = 2 * 0.1 * 0.35 / 24
    both, first, second = (torch.tensor(found) for found in ([True, True], [True, False], [False, True]))
    still = torch.zeros(24)
    assert of_eyes(still, taught, both, seen(2)) == pytest.approx(off / 2, abs=1e-6)
    assert of_eyes(still, taught, first, seen(2)) == pytest.approx(off, abs=1e-6)
    assert of_eyes(still, taught, second, seen(2)) == pytest.approx(0, abs=1e-6)
    assert of_eyes(still, taught, first, seen(2), weight=3.0) == pytest.approx(3 * off, abs=1e-6)


def test_two_faces_that_were_blended_teach_no_action_units():
    taught = torch.full((2, 24), 0.4)
    assert of_eyes(torch.zeros(24), taught, torch.tensor([True, True]), seen(2, blended=2)) == pytest.approx(
        0, abs=1e-6
    )


def test_a_flipped_face_has_its_sides_changed():
    taught = torch.zeros(1, 24)
    taught[0, -1] = 0.5
    both = torch.tensor([True])
    assert of_eyes(taught[0], taught, both, seen(1)) == pytest.approx(0, abs=1e-6)
    assert of_eyes(-taught[0], taught, both, seen(1, flips=[0])) == pytest.approx(0, abs=1e-6)
    assert of_eyes(taught[0], taught, both, seen(1, flips=[0])) > 0
