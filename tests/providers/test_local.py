import shutil
import socket

import numpy as np
import pytest
from PIL import Image

from mien.errors import InputError
from mien.facs.vocabulary import Attribute
from mien.methods.facescan import FaceScanner
from mien.providers.base import Message, Picture
from mien.providers.local import SPELLINGS, Transformers
from mien.results.scan import AnswerStatus
from tests.helpers import noise
from tests.methods.facescan.stub import found
from tests.methods.facescan.tiny import florence2, idefics3, llava, paligemma, tokenizer

torch = pytest.importorskip("torch")

PICTURE = Picture(noise(40, 60, 3))
QUESTION = [Message("user", "What does the face show?")]
CHOICES = ["neutral", "happiness", "fear"]
KINDS = ["llava", "idefics3", "paligemma", "florence2"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder for each kind, with random weights, as a hub would have it."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for make in (llava, idefics3, paligemma, florence2):
        torch.manual_seed(0)
        net, processor = make(tokenizer("<fake_token_around_image>", "<end_of_utterance>", "<global-img>"))
        net.save_pretrained(folder / make.__name__)
        processor.save_pretrained(folder / make.__name__)
    return folder


@pytest.fixture(scope="module")
def models(checkpoints):
    """Each kind, opened from disk as tuned on its question, in 64 bits for comparisons."""
    opened = {kind: Transformers(checkpoints / kind, tuned=True) for kind in KINDS}
    for model in opened.values():
        model._net.double()
    return opened


def plainly(model, kind, answer):
    """log P(answer | picture, question) by the library's own loss, from one pass over all of it."""
    processor, picture, question = model._processor, Image.fromarray(PICTURE.pixels), QUESTION[0].text
    if kind == "paligemma":
        inputs = processor(text=f"<image>{question}", images=picture, suffix=answer, return_tensors="pt")
        labels = inputs["labels"]
    elif kind == "florence2":
        inputs = processor(text=f"<DocVQA>{question}", images=picture, return_tensors="pt")
        labels = processor.tokenizer(answer, return_tensors="pt").input_ids
    else:
        asked = f"USER:<image> {question}<end_of_utterance>\nASSISTANT:"
        inputs = processor(text=f"{asked} {answer}<end_of_utterance>", images=[picture], return_tensors="pt")
        labels = inputs["input_ids"].clone()
        labels[:, : processor(text=asked, images=[picture], return_tensors="pt")["input_ids"].shape[1]] = -100
    given = {name: v.double() if v.is_floating_point() else v for name, v in inputs.items() if name != "labels"}
    with torch.inference_mode():
        loss = model._net(**given, labels=labels).loss
    return -float(loss) * int((labels != -100).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_scores_the_probability_of_answering_it_in_any_of_its_forms(models, kind):
    scores = models[kind].complete(QUESTION, [PICTURE], choices=CHOICES).choice_logprobs
    for choice in CHOICES:
        forms = [plainly(models[kind], kind, form) for form in SPELLINGS.get(choice, (choice,))]
        assert scores[choice] == pytest.approx(float(np.logaddexp.reduce(forms)), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_likeliest_label_is_the_answer_and_looking_at_another_picture_changes_the_scores(models, kind):
    completion = models[kind].complete(QUESTION, [PICTURE], choices=CHOICES)
    scores = completion.choice_logprobs
    assert completion.text == max(scores, key=scores.get)
    other = models[kind].complete(QUESTION, [Picture(noise(40, 60, 3, seed=1))], choices=CHOICES)
    assert other.choice_logprobs != scores
    assert models[kind].complete(QUESTION, [PICTURE], choices=CHOICES).choice_logprobs == scores


@pytest.mark.parametrize("kind", KINDS)
def test_a_scan_with_a_checkpoint_gives_every_face_shares_that_add_up(models, kind):
    report = FaceScanner(models[kind], wording="tuned-1", pipeline=found(20, 120))(noise(100, 200, 3))
    for face in report.faces:
        answer = face.attributes.answers[Attribute.EXPRESSION]
        assert answer.status is AnswerStatus.OK
        assert sum(answer.scores.values()) == pytest.approx(1)
        assert answer.value == max(answer.scores, key=answer.scores.get)
        assert face.attributes.model.startswith("transformers:")


@pytest.mark.parametrize("kind", KINDS)
def test_without_choices_the_model_writes_and_its_question_is_not_repeated(models, kind, monkeypatch):
    monkeypatch.setattr("mien.providers.local.LONGEST_ANSWER", 5)
    text = models[kind].complete(QUESTION, [PICTURE]).text
    assert "What does" not in text
    assert len(text) <= 5


def test_florence_without_tuning_captions_and_the_caption_is_read_for_words(checkpoints, monkeypatch):
    model = Transformers(checkpoints / "florence2")
    assert not model.ranks
    asked = []
    monkeypatch.setattr(model._processor, "decode", lambda tokens, **_: "A woman smiling at the camera.")
    monkeypatch.setattr(
        type(model._processor), "_construct_prompts", lambda self, text: asked.append(text) or ["Describe"]
    )
    monkeypatch.setattr("mien.providers.local.LONGEST_ANSWER", 2)
    (face,) = FaceScanner(model, pipeline=found(20))(noise(100, 200, 3)).faces
    answer = face.attributes.answers[Attribute.EXPRESSION]
    assert (answer.value, answer.status) == ("happiness", "repaired")
    assert asked == [["<MORE_DETAILED_CAPTION>"]]


def test_what_the_system_says_goes_before_the_user_s_words(models):
    system = [Message("system", "Look well."), *QUESTION]
    prompt = models["llava"]._processor.decode(models["llava"]._inputs(system, [])["input_ids"][0])
    assert prompt == "USER: Look well.\nWhat does the face show?<end_of_utterance>\nASSISTANT:"


def test_a_folder_without_a_model_and_a_name_that_is_not_here_are_errors_and_nothing_is_downloaded(
    tmp_path, monkeypatch
):
    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in (tmp_path, "someone/some-model"):
        with pytest.raises(InputError, match="Give a folder"):
            Transformers(name)


def test_pickled_weights_are_not_opened(checkpoints, tmp_path):
    shutil.copytree(checkpoints / "llava", tmp_path / "llava")
    (tmp_path / "llava" / "model.safetensors").unlink()
    torch.save({}, tmp_path / "llava" / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        Transformers(tmp_path / "llava")
