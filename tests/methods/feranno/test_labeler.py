import numpy as np
import pytest

from mien.errors import InputError, ModelError
from mien.facs.vocabulary import Expression
from mien.methods.feranno import labeler as feranno
from mien.methods.feranno.labeler import FerAnno, Jury, Seer, counts, row, vote
from tests.methods.synfer import toy

NEUTRAL, SURPRISE, FEAR = Expression.NEUTRAL, Expression.SURPRISE, Expression.FEAR


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    generator = toy.generator(folder / "toy.onnx")
    return generator, toy.head(folder / "head.onnx", generator)


def sure(**shares: float) -> np.ndarray:
    """(1, 8) probabilities by name, what is left spread over the rest."""
    rest = (1 - sum(shares.values())) / (8 - len(shares))
    return np.array([[shares.get(e.label, rest) for e in Expression]], np.float32)


def voted(requested, *answers):
    (verdict,) = vote({f"v{i}": a for i, a in enumerate(answers)}, [requested])
    return verdict


def test_a_label_that_the_mean_of_the_voters_confirms_is_kept_however_unsure():
    verdict = voted(SURPRISE, sure(surprise=0.5, fear=0.4), sure(surprise=0.3, fear=0.4), sure(surprise=0.5, fear=0.2))
    assert verdict.decision == "keep"
    assert verdict.probabilities[SURPRISE] == pytest.approx(1.3 / 3)
    assert verdict.agreement == pytest.approx(2 / 3)
    assert verdict.answers == {"v0": SURPRISE, "v1": FEAR, "v2": SURPRISE}


def test_another_label_is_taken_where_the_mean_is_sure():
    verdict = voted(SURPRISE, sure(fear=0.9), sure(fear=0.5), sure(fear=0.41))
    assert (verdict.decision, verdict.label) == ("relabel", FEAR)
    assert verdict.agreement == 1


def test_a_face_is_dropped_where_the_mean_is_not_sure():
    assert voted(SURPRISE, sure(fear=0.9), sure(fear=0.5), sure(fear=0.39)).decision == "drop"
    assert voted(SURPRISE, sure(fear=0.9), sure(neutral=0.9), sure(surprise=0.1)).decision == "drop"


def test_a_face_without_a_label_gets_one_where_the_vote_is_sure():
    assert voted(None, sure(fear=0.7)).decision == "relabel"
    assert voted(None, sure(fear=0.5)).decision == "drop"


def test_a_row_says_whose_label_it_is():
    kept, changed = (row("a.png", SURPRISE, voted(SURPRISE, sure(**{name: 0.9}))) for name in ("surprise", "fear"))
    assert (kept["label_source"], changed["label_source"]) == ("requested", "vote")
    assert (changed["requested"], changed["label"], changed["decision"]) == ("surprise", "fear", "relabel")
    assert sum(changed["label_soft"]) == pytest.approx(1, abs=1e-3)


def test_decisions_are_counted_for_each_label_asked_for():
    said = [(SURPRISE, "surprise"), (SURPRISE, "fear"), (None, "fear")]
    rows = [row("f", wanted, voted(wanted, sure(**{name: 0.9}))) for wanted, name in said]
    assert counts(rows) == {
        "surprise": {"keep": 1, "relabel": 1, "label": 0, "drop": 0},
        "none": {"keep": 0, "relabel": 0, "label": 1, "drop": 0},
        "all": {"keep": 1, "relabel": 1, "label": 1, "drop": 0},
    }


def test_a_face_is_read_from_what_the_generator_sees_in_it(files):
    labeler = FerAnno(Seer(files[0]), files[1])
    light, dark = (np.full((1, 48, 48), level, np.uint8) for level in (230, 20))
    answers = labeler(np.concatenate([light, dark]))
    assert answers.argmax(axis=1).tolist() == [SURPRISE, NEUTRAL]
    np.testing.assert_array_equal(answers, labeler(np.concatenate([light, dark])))


def test_the_generator_sees_a_face_slightly_noised_and_is_told_no_expression(files):
    seer, given = Seer(files[0]), []

    def run(outputs, x, t, told):
        given.append((x, t, told))
        return [np.zeros((len(x), 1, 6, 6), np.float32)] * 2

    seer.generator.run = run
    seer(np.full((3, 48, 48), 255, np.uint8))
    (x, t, told), (again, _, _) = given
    assert t == feranno.TIME
    assert x.mean() == pytest.approx(0.95, abs=0.01)
    assert not np.array_equal(x, again)
    assert np.array_equal(x[0], x[2])
    assert not told.label.any()
    assert not told.words.any()
    assert told.known.all()


def test_a_head_of_another_generator_is_refused(files, tmp_path):
    other = toy.head(tmp_path / "other.onnx", files[1])
    with pytest.raises(ModelError, match="reads what another generator model saw"):
        FerAnno(Seer(files[0]), other)


def test_every_voter_has_a_say_and_a_name_of_its_own(files):
    labeler = FerAnno(Seer(files[0]), files[1])
    (verdict,) = Jury(labeler, ["reader"])(np.full((1, 48, 48), 230, np.uint8), [SURPRISE])
    assert list(verdict.answers) == ["feranno", "reader"]
    with pytest.raises(InputError, match="do not differ"):
        Jury(labeler, ["reader", "reader"])


def test_the_voters_of_an_installation_are_its_readers():
    assert "reader" in feranno.experts()
    assert "yunet" not in feranno.experts()
