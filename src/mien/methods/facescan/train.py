"""Tune PaliGemma to answer one question about a face, or several, as FaceScanPaliGemma was.

AlDahoul, Tan, Kasireddy and Zaki, 2024, arXiv:2410.24148: prefix-LM, so that image and question see each other freely
and the loss is on the answer alone. What decides is whether the vision tower learns too. README.md: where we differ.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
from PIL import Image

from mien.datasets.base import Sample
from mien.errors import InputError
from mien.extras import optional
from mien.hub import checkpoint
from mien.methods.facescan.prompts import PROMPTS, user_text
from mien.methods.facescan.tasks import Task, labels_of, tasks
from mien.training.run import Run, Trained
from mien.training.trainer import trainer_options

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)
# The wording that Transformers(tuned=True) asks in.
PROMPT = PROMPTS["tuned-1"]
ADAPTER, MODEL = "adapter", "model"
# Projections of the language model, which LoRA changes; the vision tower has some of the same names.
LORA = r".*language_model\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
VISION = ("vision_tower", "multi_modal_projector")
ADAPTERS = ("none", "lora", "qlora")
PRECISIONS = ("32-true", "bf16-mixed", "bf16-true")


@dataclass(frozen=True)
class Settings:
    """Settings of a run of PaliGemma.

    checkpoint: PaliGemma checkpoint: a folder or a hub id, with @REVISION appended if wanted.
    tasks: what to ask, separated by commas: expression, age, gender, race. One model learns all of them.
    adapter: how the language model is tuned: "none" for all weights, "lora" for low-rank updates of its projections,
    "qlora" for the same on 4-bit weights (needs bitsandbytes).
    tune_vision: also train all weights of the vision tower and the projector.
    rank: rank of LoRA.
    alpha: scaling factor of LoRA.
    lora_dropout: dropout of LoRA.
    per_class: largest number of faces of each answer, drawn at random; 0 for all.
    epochs: passes over the training faces.
    steps: stop after so many steps; 0 for all epochs.
    batch_size: faces on a device at once.
    accumulate: batches whose gradients are summed for one step.
    learning_rate: highest learning rate, reached after the warm-up.
    warmup: length of the linear warm-up in epochs, which may be a fraction.
    precision: "32-true"; "bf16-mixed", which computes in half the bits and keeps weights whole; "bf16-true", which
    takes half the memory, but rounds away most of the steps that a learning rate of 2e-5 makes.
    save_steps: steps between checkpoints; 0 for one per epoch.
    seed: seed of weights, order and draws.
    """

    checkpoint: str = ""
    tasks: str = "expression"
    adapter: str = "lora"
    tune_vision: bool = True
    rank: int = 8
    alpha: int = 16
    lora_dropout: float = 0.05
    per_class: int = 0
    epochs: float = 5.0
    steps: int = 0
    batch_size: int = 1
    accumulate: int = 2
    learning_rate: float = 2e-5
    warmup: float = 0.00028
    precision: str = "bf16-true"
    save_steps: int = 0
    seed: int = 42


# "paper" is the third scenario, which was released; "paper-frozen" the first. "small" learns by adapters instead of all
# weights, "tiny" by adapters on weights of 4 bits. The warm-up is the published 2 steps, of the paper's 7000 an epoch.
PRESETS = {
    "tiny": Settings(adapter="qlora", tune_vision=False, learning_rate=1e-4, batch_size=4, accumulate=4),
    "small": Settings(learning_rate=1e-4, batch_size=4, accumulate=4),
    "paper-frozen": Settings(adapter="none", tune_vision=False, per_class=2000, precision="bf16-mixed"),
    "paper": Settings(adapter="none", per_class=2000, precision="bf16-mixed"),
}


class TuningItem(NamedTuple):
    """One question about one face.   row: of the sample."""

    row: int
    question: str
    answer: str


class TunedExample(TypedDict):
    """One example of a batch."""

    image: Image.Image
    question: str
    answer: str


class Questions:
    """What is learned: of every face each task that it has a label for."""

    def __init__(self, dataset: Sequence[Sample], items: Sequence[TuningItem]) -> None:
        self._dataset, self.items = dataset, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> TunedExample:
        item = self.items[number]
        return {
            "image": Image.fromarray(self._dataset[item.row].image),
            "question": item.question,
            "answer": item.answer,
        }


def question(task: Task) -> str:
    """Return the prompt, word for word."""
    return user_text(PROMPT, {task.attribute: task.labels})


def questions(dataset: Sequence[Sample], asked: Sequence[Task], per_class: int = 0, seed: int = 0) -> Questions:
    """Return the questions about a data set; raise InputError for a task without labels in it.

    per_class: at most so many of each answer, drawn without replacement; 0 for all.
    """
    rng, items = np.random.default_rng(seed), []
    for task in asked:
        labels = np.array([label or "" for label in labels_of(dataset, task)])
        for label in task.labels:
            candidates = np.flatnonzero(labels == label)
            kept = rng.permutation(candidates)[:per_class] if per_class else candidates
            items += [TuningItem(int(i), question(task), label) for i in kept]
        if not (labels != "").any():
            raise InputError(f"the data have no label for {task.name}; its labels are {', '.join(task.labels)}")
    return Questions(dataset, items)


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    resume: bool = False,
) -> Path:
    """Tune a checkpoint; folder/model, which is returned, is an ordinary one again, with what was learned merged in.

    valid: its loss after every epoch goes to the log.   resume: go on from the last checkpoint in the folder.
    InputError for settings that do not go together, a checkpoint that is no PaliGemma, and data without labels.
    """
    asked = _checked(settings)
    run = Run(folder)
    run.check(settings, resume=resume)
    given = questions(dataset, asked, settings.per_class, settings.seed)
    counts = Counter(item.answer for item in given.items)
    logger.info("%d questions: %s", len(given), ", ".join(f"{n} {label}" for label, n in counts.items()))
    watched = None if valid is None else questions(valid, asked)
    last = _last(folder) if resume else None
    # The library's trainer does not find the weights of a whole PaliGemma under the names it saved them by, says so and
    # goes on with those it has; so it is given the right ones. Of adapters it does.
    weights = last if settings.adapter == "none" else None
    processor, net = open_checkpoint(settings, weights, quantized=settings.adapter == "qlora")
    tuned = prepared(net, settings)
    # Now that all is there: settings that cannot be used would otherwise hold the folder against better ones.
    run.keep_settings(settings)
    _fit(tuned, processor, given, watched, settings, folder, last)
    whole = merged(tuned, settings, folder)
    whole.save_pretrained(folder / MODEL)
    processor.save_pretrained(folder / MODEL)
    run.keep_data(dataset)
    return folder / MODEL


def load(folder: Path) -> Trained[Any, Settings, Any]:
    """Return the tuned PaliGemma of a finished run, and its processor; raise InputError when it is not finished."""
    run = Run(folder)
    settings = run.settings(Settings, MODEL)
    processor, network = open_checkpoint(replace(settings, checkpoint=str(folder / MODEL)))
    return Trained(network.eval(), settings, run, processor)


def _checked(settings: Settings) -> tuple[Task, ...]:
    if not settings.checkpoint:
        raise InputError("name a PaliGemma checkpoint: --checkpoint FOLDER or HUB-ID")
    if settings.adapter not in ADAPTERS:
        raise InputError(f"there is no adapter {settings.adapter!r}; there are {', '.join(ADAPTERS)}")
    if settings.precision not in PRECISIONS:
        raise InputError(f"there is no precision {settings.precision!r}; there are {', '.join(PRECISIONS)}")
    if settings.adapter == "qlora":
        optional("bitsandbytes", "qlora")
    return tasks(settings.tasks)


def _last(folder: Path) -> str | None:
    """The last checkpoint of a run that was stopped."""
    checkpoint_folder: str | None = optional("transformers.trainer_utils", "llm").get_last_checkpoint(str(folder))
    return checkpoint_folder


def open_checkpoint(settings: Settings, weights: str | None = None, *, quantized: bool = False) -> tuple[Any, Any]:
    """Processor and network; its language model in 4 bits if quantized. InputError when it is no PaliGemma.

    weights: the folder of a run's checkpoint to take them from instead.
    """
    transformers, torch = optional("transformers", "llm"), optional("torch", "llm")
    dtype = torch.bfloat16 if settings.precision == "bf16-true" else torch.float32
    options: dict[str, Any] = {"dtype": dtype}
    if quantized:
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            # By their full names: parts of names are not found.
            llm_int8_skip_modules=[*(f"model.{part}" for part in VISION), "lm_head"],
        )
    try:
        named = checkpoint(settings.checkpoint)
        config = transformers.AutoConfig.from_pretrained(named.name, **named.options)
        if config.model_type != "paligemma":
            raise ValueError(f"it is a {config.model_type}, and only PaliGemma is tuned here")
        processor = transformers.AutoProcessor.from_pretrained(named.name, **named.options)
        source = checkpoint(weights) if weights else named
        net = transformers.PaliGemmaForConditionalGeneration.from_pretrained(source.name, **options, **source.weights)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{settings.checkpoint} cannot be opened as PaliGemma: {error}") from error
    return processor, net


def prepared(net: Any, settings: Settings) -> Any:
    """The network with those parameters open that the settings let learn."""
    if settings.adapter == "none":
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(settings.tune_vision or not any(part in name for part in VISION))
        return net
    peft = optional("peft", "llm")
    if settings.adapter == "qlora":
        net = peft.prepare_model_for_kbit_training(net, use_gradient_checkpointing=False)
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=LORA,
        modules_to_save=list(VISION) if settings.tune_vision else None,
    )
    return peft.get_peft_model(net, config)


def collate(items: Sequence[TunedExample], processor: Any, dtype: Any) -> dict[str, "Tensor"]:
    """A batch: the answers' tokens, each with its end, are the labels; the question's and the image's are not."""
    batch = processor(
        text=[f"<image>{item['question']}" for item in items],
        images=[item["image"] for item in items],
        suffix=[item["answer"] for item in items],
        return_tensors="pt",
        padding="longest",
    )
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in batch.items()}


def _fit(
    tuned: Any,
    processor: Any,
    given: Questions,
    watched: Questions | None,
    settings: Settings,
    folder: Path,
    last: str | None,
) -> None:
    transformers = optional("transformers", "llm")
    optional("accelerate", "llm")
    options = trainer_options(
        settings,
        folder,
        epochs=settings.epochs,
        steps=settings.steps,
        per_device_eval_batch_size=settings.batch_size,
        lr_scheduler_type="linear",
        eval_strategy="no" if watched is None else "epoch",
        save_strategy="steps" if settings.save_steps else "epoch",
        save_steps=settings.save_steps or 1,
    )
    dtype = next(p.dtype for p in tuned.parameters() if p.is_floating_point())
    trainer = transformers.Trainer(
        tuned,
        options,
        data_collator=lambda items: collate(items, processor, dtype),
        train_dataset=given,
        eval_dataset=watched,
    )
    trainer.train(resume_from_checkpoint=last)
    lines = [line for line in trainer.state.log_history if "loss" in line or "eval_loss" in line]
    Run(folder).write_log(lines)


def merged(tuned: Any, settings: Settings, folder: Path) -> Any:
    """The network as an ordinary one. Low-rank changes are left in folder/adapter and added to the whole weights."""
    if settings.adapter == "none":
        return tuned
    tuned.save_pretrained(folder / ADAPTER)
    if settings.adapter == "lora":
        return tuned.merge_and_unload()
    # Added to weights of 4 bits they would be rounded away, so they are added to those of the checkpoint.
    _, whole = open_checkpoint(settings)
    return (
        optional("peft", "llm")
        .PeftModel.from_pretrained(whole, folder / ADAPTER, local_files_only=True)
        .merge_and_unload()
    )
