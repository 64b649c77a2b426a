import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mien.errors import InputError, ModelError
from mien.facs.observation import Observation
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.chain import Sections
from mien.methods.expllm.engine.parse import parse
from mien.methods.expllm.engine.witness import Witness
from mien.methods.expllm.small import generate
from mien.methods.expllm.small.generate import MODES, Explainer, explained, observed
from mien.methods.expllm.small.writer import LONGEST
from tests.helpers import full_report, units
from tests.methods.expllm.scripted import BRIGHT, write_model

LIGHT, DARK = np.full((48, 48), 230, np.uint8), np.full((48, 48), 20, np.uint8)
SAID = {
    "light": Sections(
        "The lip corners are strongly pulled up.", "This makes a smile.", "It shows happiness."
    ),
    "dark": Sections(
        "Both brows look moderately lowered.", "That seems gloomy.", "Probably we see sadness."
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("scripted"))


@pytest.fixture(scope="module")
def explainer(folder):
    return Explainer(folder)


def with_script(folder, **script):
    return Explainer(write_model(folder, **script))


@pytest.mark.parametrize("mode", MODES)
def test_a_text_is_about_the_face_and_has_three_parts_in_either_mode(explainer, mode):
    for face, name, label in ((LIGHT, "light", Expression.HAPPINESS), (DARK, "dark", Expression.SADNESS)):
        written = explainer.write(face, mode)
        assert written.sections == SAID[name]
        assert (written.concluded, written.mode, written.whole) == (label, mode, True)


def test_the_label_alone_is_a_distribution_and_what_the_model_would_have_said_unasked(explainer):
    label = explainer.label(LIGHT)
    assert label.expression.top is Expression.HAPPINESS
    assert label.expression.probabilities.sum() == pytest.approx(1)
    # The script gives this label a logit of 9, the other -9 and the rest 0.
    assert label.expression[Expression.FEAR] == pytest.approx(np.exp(-9) / (1 + 6 * np.exp(-9)), rel=1e-3)
    assert label.free == "<lab:happiness>"


def test_a_word_that_is_no_label_is_a_mismatch_but_never_the_answer(tmp_path):
    talkative = with_script(tmp_path, more=[("<asst>", "the")])
    assert talkative.label(LIGHT).free == "the"
    assert talkative.label(LIGHT).expression.top is Expression.HAPPINESS


def test_the_label_is_calibrated_as_the_file_says(tmp_path):
    shift = ",".join(["0", "0", "0", "20", "0", "0", "0", "0"])
    shifted = with_script(tmp_path, shift=shift, strength="0.5", temperature="2")
    # Happiness 9 / 2, sadness (-9 + 10) / 2, the rest 0.
    wanted = np.exp([0, 4.5, 0, 0.5, 0, 0, 0, 0])
    np.testing.assert_allclose(shifted.label(LIGHT).expression.probabilities, wanted / wanted.sum(), rtol=1e-5)


def test_a_text_is_said_while_it_is_written_headers_included(explainer):
    pieces = []
    written = explainer.write(LIGHT, say=pieces.append)
    s = written.sections
    assert "".join(pieces) == (
        f"Key observations: {s.observations}\n\nOverall interpretation: {s.interpretation}\n\n"
        f"Conclusion: {s.conclusion}"
    )
    assert len(pieces) > 15


def test_a_conclusion_of_another_label_is_kept_and_said_to_be_inconsistent(tmp_path):
    doubting = with_script(tmp_path, more=[("shows", "<lab:fear>")])
    written = doubting.write(LIGHT)
    assert written.concluded is Expression.FEAR
    assert written.sections.conclusion == "It shows fear."
    assert written.label.expression.top is Expression.HAPPINESS
    assert not explained(written, None, "scripted").consistent


def test_a_loop_ends_before_eight_words_are_said_twice_in_a_part(tmp_path):
    # "round and round and round" forever, but for the guard; after it, what else the script has: nothing.
    circular = with_script(tmp_path, more=[("lip", "corners"), ("corners", "lip")])
    written = circular.write(LIGHT)
    words = written.sections.observations.lower().replace(".", "").split()
    eight = [tuple(words[i : i + 8]) for i in range(len(words) - 7)]
    assert eight, "fewer words may be said twice"
    assert len(set(eight)) == len(eight)


def test_a_part_that_does_not_end_is_ended_and_the_text_is_not_whole(tmp_path):
    names = [f"{one}{two}" for one in "abcdefghij" for two in "klmnopqrst"]
    endless = with_script(tmp_path, bright=(" ".join(["the", *names]), *BRIGHT[1:]))
    written = endless.write(LIGHT)
    assert len(written.sections.observations.split()) == LONGEST[0]
    assert written.sections.observations.endswith(".")
    assert not written.whole
    assert written.sections.interpretation == "This makes a smile.", "it goes on in the form"


def test_a_conclusion_that_names_no_label_is_made_to(tmp_path):
    names = [f"{one}{two}" for one in "abcdefghij" for two in "klmnopqrst"]
    evasive = with_script(tmp_path, bright=(*BRIGHT[:2], " ".join(["it", *names])))
    written = evasive.write(LIGHT)
    assert written.sections.conclusion.endswith(f"{written.concluded.label}.")
    assert len(written.sections.conclusion.split()) < LONGEST[2]
    assert not written.whole


def test_a_label_cannot_open_the_conclusion_nor_come_twice(tmp_path):
    eager = with_script(tmp_path, more=[("<con>", "<lab:fear>"), (".", "<lab:fear>"), ("shows", "<lab:anger>")])
    conclusion = eager.write(LIGHT).sections.conclusion
    assert conclusion == "It shows anger."


def test_the_text_becomes_an_explanation_with_every_phrase_held_against_the_measured_units(explainer):
    written = explainer.write(LIGHT)
    said = explained(written, units({12: 0.3, 25: 0.6}), "scripted")
    assert [part.title for part in said.parts] == ["Key observations", "Overall interpretation", "Conclusion"]
    (corners,), (smile,), none = (part.phrases for part in said.parts)
    assert (corners.unit, corners.band, corners.present) == (12, "pronounced", True)
    assert said.parts[0].text[corners.start : corners.end] == "lip corners are strongly pulled up"
    assert corners.supported, "one band off is no matter"
    assert (smile.unit, smile.band, none) == (12, None, ())
    unmoved = explained(written, units({}), "scripted")
    assert unmoved.parts[0].phrases[0].against == "measured as absent"
    assert explained(written, None, "scripted").parts[0].phrases == ()


@pytest.mark.parametrize("face", [np.zeros((48, 40), np.uint8), np.zeros((48, 48)), np.zeros((48, 48, 3), np.uint8)])
def test_a_crop_of_another_form_is_an_error(explainer, face):
    with pytest.raises(InputError, match="gray crop, uint8 of shape"):
        explainer.label(face)


def test_a_mode_that_there_is_not_is_an_error(explainer):
    with pytest.raises(InputError, match="label-first and reason-first"):
        explainer.write(LIGHT, "backwards")


def test_files_of_two_exports_do_not_go_together(tmp_path):
    write_model(tmp_path)
    other = write_model(tmp_path / "other", dark=("nobody moves .", "that seems gloomy .", "probably we see"))
    (tmp_path / "tokenizer.json").write_bytes((other / "tokenizer.json").read_bytes())
    with pytest.raises(ModelError, match="take all files of one export"):
        Explainer(tmp_path)


def test_a_folder_that_lacks_a_file_is_an_error_that_names_it(tmp_path):
    (write_model(tmp_path) / "language.onnx").unlink()
    with pytest.raises(ModelError, match=r"language\.onnx: there is no such file"):
        Explainer(tmp_path)


def test_without_a_shipped_model_the_way_to_one_is_said(monkeypatch):
    monkeypatch.setattr(generate, "MODELS", {})
    with pytest.raises(ModelError, match="mien train expllm"):
        Explainer()


def test_explaining_needs_neither_torch_nor_a_library_of_language_models(folder):
    code = (
        "import sys; [sys.modules.__setitem__(m, None) for m in ('torch', 'transformers', 'tokenizers', 'onnx')];"
        "import numpy as np; from mien.methods.expllm.small.generate import Explainer;"
        f"print(Explainer({str(folder)!r}).write(np.full((48, 48), 230, np.uint8)).sections.conclusion)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "It shows happiness."


def seen(given=None, **other):
    return Observation("face", units(given or {}), np.eye(8)[0], False, **other)


def test_a_sentence_that_is_not_true_is_taken_back_and_its_place_taken_by_what_is(explainer):
    pieces = []
    written = explainer.write(LIGHT, say=pieces.append, seen=seen({26: 0.5, 25: 0.5}))
    assert written.verified
    smile = written.rejected[0]
    assert (smile.text, smile.kind) == ("The lip corners are strongly pulled up.", "absent")
    assert smile.instead in written.sections.observations
    assert {mention.unit for mention in parse(written.sections.observations)} <= {25, 26}
    assert "pulled up" not in "".join(pieces), "nothing is said that is taken back"
    assert "".join(pieces) == written.sections.text


def test_a_sentence_that_is_true_stands(explainer):
    written = explainer.write(LIGHT, seen=seen({12: 0.5}))
    assert written.sections.observations.startswith("The lip corners are strongly pulled up.")
    assert written.rejected == ()


def test_nothing_wrong_is_printed_whatever_was_measured(explainer):
    for number in range(20):
        given = {unit: 0.1 * (number * unit % 11) for unit in (1, 2, 4, 5, 6, 7, 10, 12, 15, 17, 25, 26, 43)}
        observed_ = seen(given)
        written = explainer.write(LIGHT if number % 2 else DARK, seen=observed_)
        witness = Witness(replace(observed_, shares=written.label.expression.probabilities))
        for part in (written.sections.observations, written.sections.interpretation, written.sections.conclusion):
            assert witness.wrong(part) == ()


def test_a_conclusion_of_another_label_is_taken_back(tmp_path):
    doubting = with_script(tmp_path, more=[("shows", "<lab:fear>")])
    written = doubting.write(LIGHT, seen=seen({12: 0.5}))
    assert written.concluded is Expression.HAPPINESS
    assert written.sections.conclusion.startswith("It shows happiness. The model is sure")
    back = written.rejected[-1]
    assert (back.kind, back.text, back.instead) == ("label", "It shows fear.", "It shows happiness.")


def test_the_same_face_is_written_about_in_the_same_words(explainer):
    first, again = (explainer.write(LIGHT, seen=seen({12: 0.5})) for _ in range(2))
    assert first.sections == again.sections


def test_a_face_whose_action_units_were_not_measured_cannot_be_checked():
    assert observed(full_report(action_units=None), LIGHT) is None
    there = observed(full_report(), LIGHT)
    assert there is not None
    assert not there.rated


def test_phrases_are_judged_from_what_calm_faces_show_but_give_what_was_measured(explainer):
    written = explainer.write(DARK)
    (brows,) = explained(written, units({4: 0.25}), "scripted").parts[0].phrases
    assert (brows.measured, brows.against) == (0.25, "measured as trace")
    (brows,) = explained(written, units({4: 0.6}), "scripted").parts[0].phrases
    assert brows.supported
