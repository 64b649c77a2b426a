"""What is measured of a model that writes, on made-up models whose figures are known beforehand."""

import numpy as np
import pytest

from mien.datasets import Sample
from mien.datasets.pseudo_labels import PseudoLabels
from mien.errors import InputError
from mien.facs.blendshapes import BLENDSHAPES, ShapeCalibration
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.chain import Sections
from mien.methods.expllm.evaluate import blur, evaluate
from mien.methods.expllm.small.generate import Label, Written
from tests.helpers import noise, scores, units

HAPPY, SAD = Expression.HAPPINESS, Expression.SADNESS
SMILE, BROWS, LIPS = (
    "The lip corners are strongly pulled up.", "Both brows look moderately lowered.", "The lips are clearly parted.",
)  # fmt: skip
# What the rule that has not read the label takes for a smile too.
BEAMING = "The lip corners are extremely pulled up and the cheeks are extremely raised."
# Of each text the action unit and an intensity in the middle of the degree that it tells.
MEANT = {SMILE: {12: 0.53}, BROWS: {4: 0.3}, LIPS: {25: 0.3}, BEAMING: {12: 0.8, 6: 0.8}}


class Model:
    """Writes what it is told to about a face.

    texts: the observations of a face by the value of its first pixel.   labels: what it concludes, likewise.
    """

    size, name = 48, "made up"

    def __init__(self, texts, labels, free="", asked=None):
        self.texts, self.labels, self.free, self.asked = texts, labels, free, asked or labels

    def label(self, face):
        label = self.asked[face[0, 0]]
        return Label(scores({label: 0.8, Expression.NEUTRAL: 0.2}), self.free or f"<lab:{label.label}>")

    def write(self, face, mode="reason-first"):
        concluded = self.labels[face[0, 0]]
        sections = Sections(self.texts[face[0, 0]], "It is plain to see.", f"The face shows {concluded.label}.")
        return Written(sections, self.label(face), scores({concluded: 1.0}), concluded, mode, True)


def faces(labels):
    """Plain faces, each of its own brightness."""
    return [
        Sample(np.full((48, 48, 3), i, np.uint8), expression=label, source=f"face {i}")
        for i, label in enumerate(labels)
    ]


def teacher(given, found=None):
    """A teacher's labels: action units by FACS number for each face, and maybe asymmetries."""
    vectors = [units(*each) if isinstance(each, tuple) else units(each) for each in given]
    rows = np.stack([np.concatenate([u.intensities, u.differences]) for u in vectors]).astype(np.float32)
    count = len(rows)
    found = np.ones(count, bool) if found is None else np.array(found)
    return PseudoLabels(
        found, np.zeros((count, 68, 2), np.float32), np.zeros((count, len(BLENDSHAPES)), np.float32),
        np.zeros((count, 3), np.float32), rows, [f"face {i}" for i in range(count)],
        ShapeCalibration(np.zeros(len(BLENDSHAPES)), np.ones(len(BLENDSHAPES))), {},
    )  # fmt: skip


def measured(texts, labels, measured_units=None, concluded=None, **other):
    """The figures of texts about faces with these labels; the measured action units are those told, if not given."""
    given = teacher(measured_units or [MEANT[text] for text in texts])
    return evaluate(Model(texts, concluded or labels, **other), faces(labels), given, resamples=20)


def value(result, name, mode="reason-first"):
    return result["texts"][mode][name]["value"]


def test_texts_that_tell_what_was_measured_are_right_in_everything():
    result = measured([SMILE, SMILE, BROWS, BROWS], [HAPPY, HAPPY, SAD, SAD])
    for name in ("format", "consistent", "units_precision", "units_recall", "units_f1"):
        for mode in ("reason-first", "label-first"):
            assert value(result, name, mode) == 1, name
    assert value(result, "band_error") == 0
    assert result["accuracy"]["value"] == 1
    assert result["free"] == {"accuracy": 1, "mismatches": 0}
    assert (result["texts"]["n"], result["texts"]["held_against"]) == (4, "teacher")


def test_texts_that_only_follow_the_label_are_no_better_than_another_face_s_of_that_label():
    result = measured([SMILE] * 4 + [BROWS] * 4, [HAPPY] * 4 + [SAD] * 4)
    # Of seven other faces three have the same text.
    assert value(result, "units_f1_shuffled") == pytest.approx(3 / 7)
    assert value(result, "above_shuffled") == pytest.approx(4 / 7)
    assert value(result, "units_f1_shuffled_in_class") == 1
    assert value(result, "above_class") == 0


def test_texts_that_follow_the_face_are_better_than_another_face_s_of_the_same_label():
    result = measured([SMILE, SMILE, LIPS, LIPS], [HAPPY] * 4)
    # Of three other faces one has the same text.
    assert value(result, "units_f1_shuffled_in_class") == pytest.approx(1 / 3)
    assert value(result, "above_class") == pytest.approx(2 / 3)


def test_what_is_told_but_was_not_measured_costs_precision_and_the_reverse_recall():
    result = measured([SMILE, SMILE], [HAPPY] * 2, [{12: 0.5}, {4: 0.5, 25: 0.5}])
    # One of two mentions is right; of three movements one is told.
    assert value(result, "units_precision") == pytest.approx(1 / 2)
    assert value(result, "units_recall") == pytest.approx(1 / 3)
    assert value(result, "units_f1") == pytest.approx(2 / 5)


def test_degrees_and_sides_are_held_against_the_measured_ones_where_there_is_something_to_hold_against():
    left, right = "The left lip corner is strongly pulled up.", "The right lip corner is strongly pulled up."
    uneven = ({12: 0.2}, {12: 0.3})
    result = measured([left, right, SMILE], [HAPPY] * 3, [uneven, uneven, {4: 0.5}])
    assert value(result, "side_accuracy") == pytest.approx(1 / 2)
    # Told "pronounced" where "slight" was measured, twice; of the third face no lip corner moved.
    assert value(result, "band_error") == pytest.approx(2)


def test_a_conclusion_that_is_not_the_answer_given_alone_is_inconsistent():
    result = measured([BEAMING, BROWS], [HAPPY, SAD], concluded=[HAPPY, HAPPY], asked=[HAPPY, SAD])
    assert value(result, "consistent") == pytest.approx(1 / 2)
    assert value(result, "read_as") == pytest.approx(1 / 2), "lowered brows are no smile"
    assert result["accuracy"]["value"] == 1, "the label is that answered alone"


def test_a_text_that_names_two_expressions_in_its_conclusion_is_not_well_formed():
    model = Model([SMILE, SMILE], [HAPPY, HAPPY])
    written = model.write

    def doubtful(face, mode="reason-first"):
        made = written(face, mode)
        sections = Sections(SMILE, "It is plain.", "The face shows happiness or fear.")
        return made if face[0, 0] else Written(sections, made.label, made.conclusion, made.concluded, mode, True)

    model.write = doubtful
    result = evaluate(model, faces([HAPPY, HAPPY]), teacher([MEANT[SMILE]] * 2), resamples=20)
    assert value(result, "format") == pytest.approx(1 / 2)


def test_an_answer_that_is_no_label_counts_as_wrong_when_any_word_may_be_said():
    result = measured([SMILE, BROWS], [HAPPY, SAD], free="the")
    assert result["free"] == {"accuracy": 0, "mismatches": 1}
    assert result["accuracy"]["value"] == 1


def test_answers_are_held_against_the_votes():
    votes = np.array([2, 8, 0, 0, 0, 0, 0, 0, 0, 0], np.uint8)
    sample = Sample(np.zeros((48, 48, 3), np.uint8), votes=votes, source="face 0")
    agreed = evaluate(Model([SMILE], [HAPPY]), [sample], teacher([MEANT[SMILE]]), resamples=20)
    assert agreed["votes"]["divergence"] == pytest.approx(0, abs=1e-6)
    other = evaluate(Model([SMILE], [SAD]), [sample], teacher([MEANT[SMILE]]), resamples=20)
    assert other["votes"]["divergence"] > 5
    assert measured([SMILE], [HAPPY])["votes"]["divergence"] is None, "one label is no vote"


class Looks(Model):
    """Names the brows where the upper half has structure, and the smile where the lower has."""

    def __init__(self):
        super().__init__({}, {})

    def label(self, face):
        return Label(scores({HAPPY: 1.0}), "<lab:happiness>")

    def write(self, face, mode="reason-first"):
        told = [text for text, half in ((BROWS, face[:20]), (SMILE, face[36:])) if half.std() > 40]
        sections = Sections(" ".join(told) or "Nothing moves.", "It is plain.", "The face shows happiness.")
        return Written(sections, self.label(face), scores({HAPPY: 1.0}), HAPPY, mode, True)


def test_a_model_that_looks_at_what_it_tells_tells_less_of_a_half_that_is_blurred_and_as_much_of_the_other():
    sample = Sample(np.stack([noise(48, 48)] * 3, axis=-1), expression=HAPPY, source="face 0")
    found = evaluate(Looks(), [sample], teacher([{12: 0.53, 4: 0.3}]), resamples=20)["texts"]["occlusion"]
    for half in ("eyes", "mouth"):
        assert (found[half]["blurred_half"]["drop"], found[half]["other_half"]["drop"]) == (1, 0)
        assert (found[half]["blurred_half"]["before"], found[half]["blurred_half"]["after"]) == (1, 0)


def test_blurring_a_half_leaves_the_other_as_it_is():
    face = noise(48, 48)
    for half, kept in (("mouth", slice(0, 28)), ("eyes", slice(28, None))):
        blurred = blur(face, half)
        assert (blurred[kept] == face[kept]).all()
        rest = np.delete(blurred, np.arange(48)[kept], axis=0)
        assert rest.std() < 10 < 60 < face.std()


def test_the_engine_s_own_texts_show_what_can_be_reached():
    result = measured([SMILE, BROWS], [HAPPY, SAD])
    assert value(result, "units_f1", "engine") == 1
    assert value(result, "band_error", "engine") == 0


def test_rules_write_of_what_the_reader_answers_whatever_the_model_does():
    result = evaluate(Model([SMILE] * 3, [HAPPY] * 3), faces([HAPPY] * 3), resamples=20)
    assert value(result, "units_precision", "rules") >= 0.9
    other = evaluate(Model([BROWS] * 3, [SAD] * 3), faces([HAPPY] * 3), resamples=20)
    assert result["texts"]["rules"] == other["texts"]["rules"]


def test_faces_that_the_teacher_missed_are_left_out_of_the_texts_and_counted():
    made = teacher([MEANT[SMILE]] * 3, found=[True, False, True])
    result = evaluate(Model([SMILE] * 3, [HAPPY] * 3), faces([HAPPY] * 3), made, resamples=20)
    assert (result["texts"]["n"], result["texts"]["without_action_units"], result["n"]) == (2, 1, 3)
    with pytest.raises(InputError, match="no face has measured action units"):
        evaluate(
            Model([SMILE], [HAPPY]), faces([HAPPY]), teacher([MEANT[SMILE]], found=[False]), resamples=20
        )  # fmt: skip


def test_so_many_faces_are_written_about_as_are_asked_for_and_the_same_every_time():
    seen = []

    def listed(indices):
        seen.append(list(indices))
        return indices

    for _ in range(2):
        model, made = Model([SMILE] * 9, [HAPPY] * 9), teacher([MEANT[SMILE]] * 9)
        evaluate(model, faces([HAPPY] * 9), made, texts=4, resamples=20, progress=listed)
    assert len(seen[0]) == 4
    assert seen[0] == seen[1] == sorted(seen[0])


def test_without_a_teacher_mien_s_own_reader_measures():
    result = evaluate(Model([SMILE], [HAPPY]), faces([HAPPY]), resamples=20)
    assert result["texts"]["held_against"] == "reader"


def test_labels_of_other_data_are_an_error():
    made = teacher([MEANT[SMILE]])
    made.source[0] = "stranger"
    with pytest.raises(InputError, match=r"no row for 'face 0'.*'stranger'.*made of other data"):
        evaluate(Model([SMILE], [HAPPY]), faces([HAPPY]), made)
