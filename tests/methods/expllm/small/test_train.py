import json
from dataclasses import asdict
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from mien.core.align import crop
from mien.errors import InputError
from mien.evaluation.protocols import select
from mien.methods.expllm.small.lessons import make
from mien.methods.expllm.small.tokenizer import Tokenizer
from mien.training.faces import AugmentedBatch, faces_of, recalls
from mien.training.loop import descend
from tests.methods.expllm import tiny

pytest.importorskip("transformers", reason="the model is made of classes of transformers: pip install 'mien[llm]'")

from mien.methods.expllm.small import train as training
from mien.methods.expllm.small.model import FaceEncoder
from mien.methods.expllm.small.train import (  # type: ignore[attr-defined]
    STAGES,
    TOKENIZER,
    Labeller,
    conversation_losses,
    encoder_config,
    mixed_loss,
    slower,
    text_loss,
    train,
)

ONCE = {f"{stage}epochs": 1 for stage in ("", "vision_", "text_", "align_", "label_")} | {"warmup": 0.0}
COUNT = 16


@pytest.fixture
def chains(tmp_path):
    return tiny.write_chains(tmp_path / "cot.jsonl", COUNT)


@pytest.fixture
def lessons(chains):
    return make(faces_of(tiny.samples(COUNT), 48), chains, 4)


def briefly(folder, chains, resume=False, **other):
    """A run of one epoch a stage."""
    settings = tiny.settings(**ONCE | {"gate": 0.0} | other)
    return train(tiny.samples(COUNT), settings, folder, chains=chains, resume=resume)


def same(one, other):
    return all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_labels_are_learnt_by_heart_in_less_than_300_steps(trained):
    model, folder = trained
    chosen = select(tiny.samples(64), prepare=lambda image: crop(image, 48))
    lessons = make(chosen, folder.parent / "cot.jsonl", 4)
    assert recalls(Labeller(model, lessons.tokenizer), chosen) == {"accuracy": 1.0, "mean_recall": 1.0}
    assert sum(len(log(folder / stage)) * 64 // 8 for stage in STAGES) < 300


def test_each_stage_is_a_run_of_its_own_that_says_how_it_went(trained):
    _, folder = trained
    for stage in STAGES:
        first, *_, last = log(folder / stage)
        assert last["loss"] < first["loss"]
        assert ("accuracy" in last) == (stage in ("0-vision", "2a-label", "2b-mix"))
        assert (folder / stage / "last.ckpt").is_file()
        assert (folder / stage / "model.safetensors").is_file()
    settings = tiny.settings()
    kept = {stage: json.loads((folder / stage / "settings.json").read_text()) for stage in STAGES}
    assert [kept[stage]["epochs"] for stage in STAGES] == [
        settings.vision_epochs, settings.text_epochs, settings.align_epochs, settings.label_epochs, settings.epochs,
    ]  # fmt: skip
    assert kept["2a-label"]["cot_share"] == 0
    assert kept["2b-mix"] == json.loads(json.dumps(asdict(settings)))


def test_a_run_that_was_killed_in_a_stage_goes_on_and_ends_as_one_that_was_not(tmp_path, chains, monkeypatch):
    whole = briefly(tmp_path / "whole", chains)
    calls = count()

    def killed(*given):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return mixed_loss(*given)

    with monkeypatch.context() as patch:
        patch.setattr(training, "mixed_loss", killed)
        with pytest.raises(KeyboardInterrupt):
            briefly(tmp_path / "killed", chains)
    assert not (tmp_path / "killed" / "config.json").exists()
    assert same(briefly(tmp_path / "killed", chains, resume=True), whole)


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path, chains):
    briefly(tmp_path / "run", chains)
    with pytest.raises(InputError, match="--resume"):
        briefly(tmp_path / "run", chains)
    with pytest.raises(InputError, match="other settings"):
        briefly(tmp_path / "run", chains, resume=True, hidden=32)


def test_eyes_that_see_too_little_stop_the_run_before_the_language_model(tmp_path, chains):
    with pytest.raises(InputError, match=r"less than the gate of 101\.0 %"):
        train(
            tiny.samples(COUNT), tiny.settings(**ONCE | {"gate": 1.01}), tmp_path / "run", chains=chains,
            valid=tiny.samples(4),
        )  # fmt: skip
    assert not (tmp_path / "run" / STAGES[1]).exists()
    # Told to lower the gate, one need not see anew.
    begun = (tmp_path / "run" / STAGES[0] / "log.jsonl").read_text()
    train(
        tiny.samples(COUNT), tiny.settings(**ONCE | {"gate": 0.0}), tmp_path / "run", chains=chains,
        valid=tiny.samples(4), resume=True,
    )  # fmt: skip
    assert (tmp_path / "run" / STAGES[0] / "log.jsonl").read_text() == begun


def test_the_encoder_starts_from_the_backbone_of_a_reader(tmp_path, chains):
    reader = tmp_path / "reader"
    reader.mkdir()
    kept = {"backbone": "mien", "widths": [8, 16], "blocks": [1, 1], "strides": [2, 3], "stochastic_depth": 0.0}
    (reader / "settings.json").write_text(json.dumps(kept))
    (reader / "model.safetensors").touch()
    stages = FaceEncoder(encoder_config(tiny.settings(start=str(reader)))).stages
    weights = {f"backbone.{name}": value for name, value in stages.state_dict().items()}
    save_file(weights | {"head.weight": torch.zeros(8, 16)}, reader / "model.safetensors")
    still = {f"{stage}learning_rate": 0.0 for stage in ("", "last_", "vision_", "text_", "align_")}
    model = briefly(tmp_path / "run", chains, start=str(reader), **still)
    assert model.config.vision_config.strides == [2, 3]
    for name, value in stages.named_parameters():
        assert torch.equal(model.tower.stages.get_parameter(name), value), name
    (reader / "settings.json").write_text(json.dumps({"backbone": "resnet50", "blocks": [1]}))
    with pytest.raises(InputError, match="no residual backbone of mien"):
        encoder_config(tiny.settings(start=str(reader)))


def test_a_run_may_take_over_the_stages_of_another_but_the_last(tmp_path, chains):
    before = briefly(tmp_path / "before", chains)
    after = briefly(
        tmp_path / "after", chains, after=str(tmp_path / "before"), learning_rate=0.0, last_learning_rate=0.0
    )
    labelled = load_file(tmp_path / "before" / STAGES[3] / "model.safetensors")
    assert all(torch.equal(labelled[k], v) for k, v in after.state_dict().items() if "num_batches" not in k)
    assert not same(before, after)
    assert not (tmp_path / "after" / STAGES[0]).exists()
    with pytest.raises(InputError, match="a finished `mien train` run has it"):
        briefly(tmp_path / "none", chains, after=str(tmp_path))
    words = Tokenizer.read((tmp_path / "before" / TOKENIZER).read_bytes())
    (tmp_path / "before" / TOKENIZER).write_text(Tokenizer([*words.tokens, "zebra"]).to_json())
    with pytest.raises(InputError, match="trained on other chains"):
        briefly(tmp_path / "other", chains, after=str(tmp_path / "before"))


def test_slower_parameters_go_only_a_share_of_the_way():
    torch.manual_seed(0)
    slow, fast = torch.nn.Parameter(torch.tensor(1.0)), torch.nn.Parameter(torch.tensor(1.0))
    optimizer = torch.optim.SGD([slow, fast], lr=0.1)

    def backward() -> torch.Tensor:
        loss = 2 * slow + 2 * fast
        loss.backward()
        return loss

    loss = slower([slow], 0.25)(backward, None, torch.nn.Module(), optimizer, 0.0)
    assert (slow.item(), fast.item()) == pytest.approx((1 - 0.25 * 0.2, 1 - 0.2))
    assert loss.item() == 4
    assert slower([], 0.25) is not descend


class Listener:
    """A network that keeps what it is given, and says all words alike."""

    def __init__(self, words):
        self.words, self.heard = words, []

    def __call__(self, tokens, images):
        self.heard.append((tokens, images))
        return SimpleNamespace(logits=torch.zeros(*tokens.shape, len(self.words)))


def batch(lessons, rows):
    index = torch.tensor(rows)
    return torch.zeros(len(rows), 1, 48, 48, dtype=torch.uint8), torch.full((len(rows), 8), 1 / 8), index


def test_of_a_batch_the_share_that_has_texts_learns_them_and_the_rest_its_labels(lessons):
    # Only the last two faces have a text.
    lessons.chains.weight[:, :6] = 0
    listener = Listener(lessons.tokenizer)
    mixed_loss(listener, batch(lessons, list(range(8))), lessons, tiny.settings(cot_share=0.25))
    (texts, _), (labels, _) = listener.heard
    assert (len(texts), len(labels)) == (2, 6)
    written = {tuple(row[row > 0].tolist()) for row in lessons.chains.tokens[:, 6:8].flatten(0, 1)}
    assert all(tuple(row[row > 0].tolist()) in written for row in texts)
    assert torch.equal(labels.int(), lessons.label.tokens[:6])
    listener.heard.clear()
    mixed_loss(listener, batch(lessons, list(range(8))), lessons, tiny.settings(cot_share=0.0))
    assert [len(tokens) for tokens, _ in listener.heard] == [8]


def test_both_orders_of_label_and_text_are_learned(lessons):
    listener = Listener(lessons.tokenizer)
    torch.manual_seed(0)
    mixed_loss(listener, batch(lessons, list(range(COUNT))), lessons, tiny.settings(cot_share=1.0))
    ((texts, _),) = listener.heard
    first = {lessons.tokenizer.tokens[row[6]] for row in texts}
    assert first == {"<task:cot+label>", "<task:label>"}


def test_words_are_first_learned_without_faces(lessons):
    listener = Listener(lessons.tokenizer)
    text_loss(listener, batch(lessons, list(range(8))), lessons, tiny.settings())
    assert [len(tokens) for tokens, _ in listener.heard] == [4, 2, 2]
    for tokens, images in listener.heard:
        assert images is None
        assert not (tokens == lessons.tokenizer["<img>"]).any()


def test_of_a_face_that_was_flipped_the_words_are_flipped_too(lessons):
    words = lessons.tokenizer
    lines = lessons.units.of(torch.tensor([0, 1]))
    lines.tokens[:, -1] = words["left"]
    matrix = torch.eye(2, 3).repeat(2, 1, 1)
    matrix[1, 0, 0] = -1
    listener = Listener(words)
    seen = AugmentedBatch(torch.zeros(2, 1, 4, 4), torch.zeros(2, 8), matrix, 0, torch.zeros(0))
    conversation_losses(listener, lines, torch.full((2, 8), 1 / 8), words, seen)
    assert listener.heard[0][0][:, -1].tolist() == [words["left"], words["right"]]
