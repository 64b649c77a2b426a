from collections import Counter

import numpy as np
import pytest

from mien import datasets
from mien.datasets import Folder, Hybrid, Sample
from mien.datasets.hybrid import balanced, shown_expressions
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from tests.helpers import encoded, noise

HAPPY, SAD, FEAR, CONTEMPT = Expression.HAPPINESS, Expression.SADNESS, Expression.FEAR, Expression.CONTEMPT


def sample(label, i, **others):
    return Sample(np.full((4, 4, 3), i, np.uint8), label, source=str(i), **others)


def samples(label, count, first=0):
    return [sample(label, first + i) for i in range(count)]


class Unread:
    """A data set that knows its labels and refuses to read a picture."""

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        raise AssertionError("a picture was read")


def votes(*counts):
    return np.array([[*counts, *[0] * (10 - len(counts))]], np.uint8)[0]


def test_a_hybrid_is_the_samples_of_its_sets_one_set_after_the_other():
    data = Hybrid({"a": samples(HAPPY, 2), "b": samples(SAD, 1)})
    assert len(data) == 3
    assert [s.expression for s in data] == [HAPPY, HAPPY, SAD]
    assert data.repeats.tolist() == [0, 0, 0]


def test_every_sample_says_which_set_it_came_from():
    data = Hybrid({"a": [sample(HAPPY, 0, subject="S1", group="old")], "b": [sample(SAD, 0)]})
    assert [(s.group, s.source, s.subject) for s in data] == [("a", "a:0", "a:S1"), ("b", "b:0", None)]


def test_votes_and_marks_of_duplicates_are_kept():
    kept = Hybrid({"a": [sample(None, 0, votes=votes(1, 9), duplicate=True)]})[0]
    assert kept.votes.tolist() == votes(1, 9).tolist()
    assert kept.duplicate


def test_balancing_gives_every_expression_its_number_of_samples():
    data = Hybrid({"a": samples(HAPPY, 50), "b": samples(SAD, 3, first=50)}, per_class=10)
    assert Counter(s.expression for s in data) == {HAPPY: 10, SAD: 10}


def test_frequent_expressions_are_drawn_without_replacement_and_rare_ones_repeated_evenly():
    data = Hybrid({"a": samples(HAPPY, 50), "b": samples(SAD, 3, first=50)}, per_class=10)
    times = Counter(s.source for s in data)
    assert {times[source] for source in times if source.startswith("a")} == {1}
    assert sorted(times[f"b:{i}"] for i in (50, 51, 52)) == [3, 3, 4]


def test_repeats_are_counted_from_the_second_time_on():
    data = Hybrid({"a": samples(SAD, 2), "b": samples(HAPPY, 9)}, per_class=5)
    seen = Counter()
    for again, one in zip(data.repeats, data, strict=True):
        assert again == seen[one.source]
        seen[one.source] += 1
    assert sum(data.repeats > 0) == 3


def test_the_same_seed_draws_the_same_samples_and_another_seed_others():
    sets = {"a": samples(HAPPY, 100)}
    first, again, other = ([s.source for s in Hybrid(sets, per_class=20, seed=seed)] for seed in (1, 1, 2))
    assert first == again != other


def test_draws_are_even_over_the_samples_of_a_class():
    counts = np.zeros(30)
    for seed in range(400):
        counts[balanced(np.full(30, HAPPY), 10, np.random.default_rng(seed))] += 1
    # Binomial of 400 draws at 1/3: mean 133, standard deviation 9.4.
    assert abs(counts - 400 / 3).max() < 4.5 * 9.4


def test_a_number_that_a_class_has_exactly_takes_all_of_it_once():
    assert balanced(np.array([SAD, HAPPY, SAD]), 2, np.random.default_rng(0)).tolist() == [0, 1, 1, 2]


def test_balancing_reads_no_picture_where_labels_are_known():
    data = Hybrid({"a": Unread([HAPPY] * 3), "b": Unread([SAD])}, per_class=2)
    assert len(data) == 4


def test_a_sample_of_votes_counts_under_its_largest_and_one_without_an_expression_is_left_out():
    class Voted(Unread):
        votes = np.stack([
            votes(4, 4), votes(0, 0, 0, 0, 0, 0, 6, 4), votes(0, 0, 0, 0, 0, 0, 0, 0, 7, 3),
            votes(0, 0, 0, 0, 0, 0, 0, 0, 0, 10), votes(),
        ])  # fmt: skip

    assert shown_expressions(Voted([0] * 5)).tolist() == [0, FEAR, -1, -1, -1]
    # Read one by one, where a set has no `votes` of its own, they say the same.
    assert shown_expressions([sample(None, 0, votes=row) for row in Voted.votes]).tolist() == [0, FEAR, -1, -1, -1]
    assert shown_expressions([sample(None, 0), sample(SAD, 1)]).tolist() == [-1, SAD]
    assert len(Hybrid({"a": Voted([0] * 5)}, per_class=3)) == 6


def test_an_expression_that_no_set_has_stays_without_samples():
    data = Hybrid({"a": samples(HAPPY, 1)}, per_class=4)
    assert {s.expression for s in data} == {HAPPY}


def test_the_expressions_are_those_of_any_set():
    class Without(list):
        def __init__(self, *missing):
            self.expressions = tuple(e for e in Expression if e not in missing)

    assert Hybrid({"a": Without(FEAR, CONTEMPT), "b": Without(SAD, CONTEMPT)}).expressions == tuple(Expression)[:7]
    assert Hybrid({"a": Without(FEAR), "b": []}).expressions == tuple(Expression)


def test_no_sets_and_no_samples_a_class_are_refused():
    with pytest.raises(InputError, match="one data set or more"):
        Hybrid({})
    with pytest.raises(InputError, match="per_class is 0"):
        Hybrid({"a": samples(HAPPY, 1)}, per_class=0)


@pytest.fixture
def two(tmp_path):
    """RAF-DB with two sad training faces and a happy one to test, and a folder a class with one happy training face."""
    for i, name in enumerate(("raf/train/5/a.jpg", "raf/train/5/b.jpg", "raf/test/4/c.jpg", "own/train/happy/d.png")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encoded(noise(8, 8, 3, seed=i)))
    return tmp_path


def test_the_command_line_names_sets_by_kind_and_hands_the_split_to_each(two):
    data = datasets.open(f"hybrid:rafdb={two / 'raf'},folder={two / 'own'}", "train")
    assert [(s.group, s.expression) for s in data] == [("rafdb", SAD), ("rafdb", SAD), ("folder", HAPPY)]


def test_the_command_line_balances_with_per_class(two):
    data = datasets.open(f"hybrid:per_class=3, rafdb={two / 'raf'},folder={two / 'own'}", "train")
    assert Counter(s.expression for s in data) == {SAD: 3, HAPPY: 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "rafdb=x,moon=y",
            "'moon=y' is no part of a hybrid; expected KIND=PATH,KIND=PATH with KIND one of rafdb, folder",
        ),
        ("rafdb", "'rafdb' is no part"),
        ("rafdb=", "'rafdb=' is no part"),
        ("per_class=many,rafdb=x", "'per_class=many' is no part"),
        ("rafdb=x,", "'' is no part"),
        ("rafdb=x,rafdb=y", "rafdb is named twice"),
        ("per_class=2", "one data set or more"),
    ],
)
def test_a_text_that_is_no_hybrid_is_named(text, said):
    kinds = {"rafdb": lambda path, split: samples(HAPPY, 1), "folder": Folder}
    with pytest.raises(InputError, match=said):
        Hybrid.from_text(text, kinds=kinds)


@pytest.mark.parametrize(("kind", "classes"), [("affectnet", 8), ("affectnet7", 7)])
def test_affectnet_is_opened_by_its_number_of_classes(tmp_path, kind, classes):
    for name in ("happy", "contempt"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").touch()
    data = datasets.open(f"{kind}:{tmp_path}")
    assert (len(data), len(data.expressions)) == (classes - 6, classes)  # type: ignore[attr-defined]
