import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.datasets import Sample
from mien.errors import InputError
from mien.facs.vocabulary import Attribute, Expression
from mien.methods.facescan import train as tune
from mien.methods.facescan.tasks import TASKS, tasks
from mien.providers.base import Message, Picture
from mien.providers.local import Transformers
from tests.helpers import drawn_face, noise
from tests.methods.facescan.tiny import llava, paligemma, tokenizer

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
pytest.importorskip("accelerate")

HAPPY, SAD = Expression.HAPPINESS, Expression.SADNESS
QUESTION = "what is the expression of the person in the image?"
FACES = [
    Sample(np.stack([drawn_face(i % 2 == 0, i)] * 3, -1), expression=(HAPPY, SAD)[i % 2], source=str(i))
    for i in range(32)
]
CHOICES = Attribute.EXPRESSION.labels


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """PaliGemma with random weights, on disk as a hub would have it."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    net, processor = paligemma(tokenizer())
    net.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def few(base):
    """Settings of four short steps."""
    return tune.Settings(
        str(base), adapter="none", steps=4, batch_size=4, accumulate=1, learning_rate=1e-2, warmup=0, lora_dropout=0.0,
        precision="32-true", save_steps=1000,
    )  # fmt: skip


@pytest.fixture(scope="module")
def learned(base, tmp_path_factory):
    settings = tune.Settings(
        str(base), adapter="none", epochs=40, batch_size=8, accumulate=1, learning_rate=3e-3, warmup=0,
        precision="32-true", save_steps=1000,
    )  # fmt: skip
    return tune.train(FACES, settings, tmp_path_factory.mktemp("learned"))


def right(model, faces):
    provider = Transformers(model, tuned=True)
    asked = [Message("user", QUESTION)]
    answers = [provider.complete(asked, [Picture(face.image)], choices=CHOICES).text for face in faces]
    return sum(answer == face.expression.label for answer, face in zip(answers, faces, strict=True))


def weights(folder):
    net = transformers.PaliGemmaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return net.state_dict()


def changed(before, after):
    """Which parts of a network have other weights: "vision", "language"."""
    names = [name for name in before if not torch.equal(before[name], after[name])]
    return {"vision" if any(part in name for part in tune.VISION) else "language" for name in names}


def test_a_checkpoint_learns_thirty_two_drawn_faces_by_heart(learned):
    assert right(learned, FACES) == 32


def test_what_was_tuned_is_asked_like_any_other_checkpoint_and_writes_the_label_when_it_writes(learned):
    provider = Transformers(learned, tuned=True)
    (written,) = (provider.complete([Message("user", QUESTION)], [Picture(FACES[0].image)]).text,)
    assert written.startswith("happiness")


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_the_vision_side_learns_only_when_it_is_to(base, few, tmp_path, adapter):
    before = weights(base)
    for tuned in (True, False):
        settings = replace(few, adapter=adapter, tune_vision=tuned)
        after = weights(tune.train(FACES, settings, tmp_path / str(tuned)))
        assert changed(before, after) == ({"vision", "language"} if tuned else {"language"})


def test_low_rank_changes_are_kept_apart_too_and_answer_as_the_merged_checkpoint_does(base, few, tmp_path):
    model = tune.train(FACES, replace(few, adapter="lora"), tmp_path)
    whole = transformers.PaliGemmaForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    adapted = peft.PeftModel.from_pretrained(whole, tmp_path / tune.ADAPTER).eval()
    processor, merged = tune.open_checkpoint(replace(few, checkpoint=str(model)))
    asked = tune.questions(FACES[:2], tasks("expression"))
    batch = tune.collate([asked[0], asked[1]], processor, torch.float32)
    with torch.no_grad():
        assert torch.allclose(adapted(**batch).logits, merged.eval()(**batch).logits, atol=1e-4)


@pytest.mark.slow
def test_low_rank_changes_teach_a_checkpoint_to_say_the_opposite(learned, tmp_path):
    swapped = [replace(face, expression=SAD if face.expression is HAPPY else HAPPY) for face in FACES]
    settings = tune.Settings(
        str(learned), tune_vision=False, epochs=40, batch_size=8, accumulate=1, learning_rate=1e-2, warmup=0,
        precision="32-true", save_steps=1000, lora_dropout=0.0,
    )  # fmt: skip
    assert right(learned, swapped) == 0
    assert right(tune.train(swapped, settings, tmp_path), swapped) == 32


def test_weights_of_four_bits_learn_and_end_as_an_ordinary_checkpoint(base, few, tmp_path):
    pytest.importorskip("bitsandbytes")
    settings = replace(few, adapter="qlora", tune_vision=False)
    _, net = tune.open_checkpoint(settings, quantized=True)
    kinds = {type(module).__name__ for name, module in net.named_modules() if "vision_tower" in name}
    assert "Linear4bit" not in kinds
    assert type(net.model.language_model.layers[0].mlp.up_proj).__name__ == "Linear4bit"
    model = tune.train(FACES, settings, tmp_path)
    assert "quantization_config" not in json.loads((model / "config.json").read_text())
    assert changed(weights(base), weights(model)) == {"language"}


def test_only_the_answer_and_its_end_are_learned(base, few):
    processor, _ = tune.open_checkpoint(few)
    asked = tune.questions(FACES[:2], tasks("expression"))
    batch = tune.collate([asked[0], asked[1]], processor, torch.float32)
    for item, tokens, labels, kinds in zip(
        asked.items, batch["input_ids"], batch["labels"], batch["token_type_ids"], strict=True
    ):
        assert processor.tokenizer.decode(labels[labels >= 0]) == f"{item.answer}</s>"
        assert torch.equal(labels >= 0, kinds == 1)  # the prefix, type 0, is attended to in both directions
        assert f"<s>{QUESTION}\n{item.answer}</s>" in processor.tokenizer.decode(tokens)


def test_one_model_is_asked_every_task_that_a_face_has_a_label_for():
    person = Sample(noise(8, 8, 3), expression=HAPPY, attributes={Attribute.RACE: "east asian", Attribute.AGE: "60+"})
    asked = tune.questions([person, FACES[1]], tasks("expression,age,race6"))
    assert [(item.row, item.answer) for item in asked.items] == [
        (0, "happiness"),
        (1, "sadness"),
        (0, "60+"),
        (0, "asian"),
    ]
    assert [item.question for item in asked.items][1:3] == [QUESTION, "what is the age of the person in the image?"]
    assert asked[3]["image"].size == (8, 8)


def test_of_each_answer_at_most_so_many_faces_are_drawn_the_same_with_the_same_seed():
    asked = [tune.questions(FACES, tasks("expression"), per_class=5, seed=seed).items for seed in (0, 0, 1)]
    assert [item.answer for item in asked[0]] == ["happiness"] * 5 + ["sadness"] * 5
    assert asked[0] == asked[1] != asked[2]
    assert len({item.row for item in asked[0]}) == 10


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_a_run_that_was_stopped_goes_on_to_where_it_would_have_ended(few, tmp_path, adapter):
    class Stops(list):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            if self.reads > len(self) + 12:  # all of them once for their labels, then the third batch is the last
                raise KeyboardInterrupt
            return super().__getitem__(index)

    settings = replace(few, save_steps=2, adapter=adapter)
    whole = weights(tune.train(FACES, settings, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        tune.train(Stops(FACES), settings, tmp_path / "stopped")
    assert any((tmp_path / "stopped").glob("checkpoint-2"))
    with pytest.raises(InputError, match="--resume"):
        tune.train(FACES, settings, tmp_path / "stopped")
    with pytest.raises(InputError, match="other settings"):
        tune.train(FACES, few, tmp_path / "stopped", resume=True)
    resumed = weights(tune.train(FACES, settings, tmp_path / "stopped", resume=True))
    assert all(torch.allclose(whole[name], resumed[name], atol=1e-6) for name in whole)


def test_small_steps_move_weights_that_are_kept_whole_and_are_rounded_away_from_halved_ones(few, tmp_path):
    def moved(precision: str) -> float:
        settings = replace(few, adapter="none", learning_rate=2e-5, steps=1, warmup=0.0, precision=precision)
        _, before = tune.open_checkpoint(settings)
        start = {name: value.float().clone() for name, value in before.state_dict().items()}
        after = weights(tune.train(FACES, settings, tmp_path / precision))
        large = [name for name, value in start.items() if value.ndim > 1 and name in after]
        changed = [(after[name].float() != start[name])[start[name].abs() > 0.02] for name in large]
        return float(torch.cat(changed).float().mean())

    assert moved("bf16-true") < 0.3 < 0.7 < moved("bf16-mixed")


def test_the_loss_on_other_faces_is_in_the_log(few, tmp_path):
    tune.train(FACES[:16], replace(few, steps=0, epochs=2), tmp_path, valid=FACES[16:24])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if "eval_loss" in line] == [1, 2]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"checkpoint": ""}, "name a PaliGemma checkpoint"),
        ({"checkpoint": "/nowhere"}, "cannot be opened as PaliGemma"),
        ({"adapter": "dora"}, "there are none, lora, qlora"),
        ({"precision": "8"}, "there are 32-true, bf16-mixed, bf16-true"),
        ({"tasks": "age"}, "no label for age"),
    ],
)
def test_what_cannot_be_tuned_is_said(few, tmp_path, wrong, words):
    with pytest.raises(InputError, match=words):
        tune.train(FACES, replace(few, **wrong), tmp_path / "run")


def test_a_checkpoint_of_another_kind_is_refused(few, tmp_path):
    net, processor = llava(tokenizer())
    net.save_pretrained(tmp_path / "llava")
    processor.save_pretrained(tmp_path / "llava")
    with pytest.raises(InputError, match="a llava, and only PaliGemma"):
        tune.open_checkpoint(replace(few, checkpoint=str(tmp_path / "llava")))


def test_the_command_tunes_and_the_benchmark_asks_what_it_wrote(base, tmp_path):
    for i in range(4):
        folder = tmp_path / "faces" / ("happiness", "sadness")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn_face(i % 2 == 0, i)).save(folder / f"{i}.png")
    data, run = f"folder:{tmp_path / 'faces'}", tmp_path / "run"
    words = ["train", "facescan", "--data", data, "-o", str(run), "--checkpoint", str(base), "--steps", "1"]
    done = CliRunner().invoke(commands, [*words, "--adapter", "none", "--precision", "32-true"])
    assert done.exit_code == 0, done.output + repr(done.exception)
    words = ["bench", "faces", "--data", data, "--provider", "transformers", "--model", str(run / "model")]
    asked = CliRunner().invoke(commands, [*words, "--prompt", "tuned-1", "--resamples", "50"])
    assert asked.exit_code == 0, asked.output + repr(asked.exception)
    found = json.loads(asked.stdout)
    assert (found["task"], found["n"], found["labels"]) == ("expression", 4, list(TASKS["expression"].labels))
    assert "mean of classes" in asked.stderr
