import hashlib
import json

import numpy as np
import onnx
import pytest
import torch

from mien.core.contract import Classifier
from mien.errors import ExportError, InputError
from mien.export.runs import calibrated
from mien.facs.vocabulary import Expression
from mien.methods.expllm.small import conversation
from mien.methods.expllm.small.generate import ENCODER, LANGUAGE, MODES, WORDS, Explainer
from mien.training.faces import normalize
from tests.helpers import drawn_face
from tests.methods.expllm import tiny

pytest.importorskip("transformers", reason="the model is made of classes of transformers: pip install 'mien[llm]'")

from transformers import LlamaConfig

from mien.methods.expllm.small.export import HEAD, Cached, compare, export, load
from mien.methods.expllm.small.heads import Labeller
from mien.methods.expllm.small.model import ExpLlm, ExpLlmConfig

FILES = (ENCODER, LANGUAGE)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """What export says, and the folder it wrote."""
    folder = tmp_path_factory.mktemp("export") / "small"
    return export(trained[1], folder, calibrate=tiny.samples(16)), folder


@pytest.fixture(scope="module")
def explainer(exported):
    return Explainer(exported[1])


def test_a_finished_run_is_loaded_as_it_ended(trained):
    model, folder = trained
    run = load(folder)
    loaded, words, settings = run.network, run.rest, run.settings
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())
    assert settings == tiny.settings()
    assert len(words) == model.config.text_config.vocab_size < 512
    assert not loaded.training


def test_a_run_that_is_not_finished_is_an_error(tmp_path):
    with pytest.raises(InputError, match="a finished `mien train` run has it"):
        load(tmp_path)


def test_files_and_model_agree_with_and_without_a_cache(exported):
    differences, folder = exported
    assert differences["parity"] < 1e-4
    assert differences["half"] < 1e-2
    assert {path.name for path in folder.iterdir()} == {ENCODER, LANGUAGE, WORDS, HEAD}


def test_files_that_answer_differently_are_refused(trained, exported, tmp_path):
    run = load(trained[1])
    model, words = run.network, run.rest
    files = [onnx.load(exported[1] / name) for name in FILES]
    assert compare(model, words, *files, 48, 1e-2, "half")["half"] < 1e-2  # type: ignore[call-arg]
    with torch.no_grad():
        model.language.lm_head.weight.mul_(3)
    with pytest.raises(ExportError, match="nothing was written"):
        compare(model, words, *files, 48, 1e-2, "half")  # type: ignore[call-arg]


def test_the_files_say_what_explaining_needs_and_nothing_of_the_machine(exported):
    encoder, language = (onnx.load(exported[1] / name) for name in FILES)
    meta = {entry.key: entry.value for entry in language.metadata_props}
    assert meta["words_sha256"] == hashlib.sha256((exported[1] / WORDS).read_bytes()).hexdigest()
    assert len(meta["shift"].split(",")) == len(Expression)
    assert {entry.key for entry in encoder.metadata_props} >= {"labels", "size", "mean", "std"}
    for model in (encoder, language):
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        assert b"site-packages" not in model.SerializeToString()


@pytest.mark.parametrize("mode", MODES)
def test_it_writes_of_faces_it_has_not_seen_what_the_engine_writes_of_such_faces(explainer, mode):
    for number in (100, 101):
        face = drawn_face(number % 2 == 1, number)
        written = explainer.write(face, mode)
        assert written.sections == tiny.chain(number).sections
        assert (written.concluded, written.whole) == (tiny.label(number), True)
        assert written.label.free == f"<lab:{tiny.label(number).label}>"


def test_the_language_model_s_own_library_writes_the_same(trained, explainer):
    run = load(trained[1])
    model, words = run.network, run.rest
    face = drawn_face(True, 7)
    asked = [*conversation.opening(words, 4), *conversation.question(words, conversation.REASON)]
    pixels = normalize(torch.from_numpy(face)[None, None])
    tokens = model.generate(
        torch.tensor([asked]), pixels, max_new_tokens=120, do_sample=False, eos_token_id=words["<eos>"], pad_token_id=0
    )
    text = words.decode(tokens[0].tolist())
    assert text == " ".join(vars(explainer.write(face).sections).values())


def test_the_head_of_stage_0_is_a_classifier_of_its_own(exported):
    classify = Classifier((exported[1] / HEAD).read_bytes())
    crops = np.stack([drawn_face(True, 200), drawn_face(False, 201)])
    assert classify.answers(crops).logits.argmax(axis=1).tolist() == [Expression.HAPPINESS, Expression.SADNESS]
    assert classify.answers(crops).action_units.shape == (2, 24)


def test_without_faces_to_calibrate_on_the_prior_is_restored_in_full(trained):
    run = load(trained[1])
    _, meta = calibrated(run.run, Labeller(run.network, run.rest), run.settings.size)
    assert (float(meta["strength"]), float(meta["temperature"])) == (1, 1)
    kept = json.loads((trained[1] / "priors.json").read_text())
    assert kept["natural"] == pytest.approx(kept["drawn"]), "half of the faces smile"
    assert [float(value) for value in meta["shift"].split(",")] == pytest.approx([0] * 8, abs=1e-6)


def test_a_language_model_that_shares_keys_between_heads_is_not_exported():
    text = LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2,
    )  # fmt: skip
    model = ExpLlm(ExpLlmConfig(None, text))
    with pytest.raises(InputError, match="as many heads for keys as for queries"):
        Cached(model)
