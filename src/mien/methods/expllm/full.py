"""The full size: any vision tower and any causal language model of the hub, joined and tuned with LoRA as published.

Lan et al., IEEE TMM 27, 2025: DINOv2 or another tower, Vicuna or another language model, both frozen but for low-rank
changes of their query and value projections; only the projector between them is trained whole. Needs the extra `llm`.

Letters: B conversations, T tokens, V words.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.transforms import v2
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    TrainingArguments,
)
from transformers import Trainer as _Trainer

from mien.align import crop
from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.protocols import Selection, select
from mien.methods.expllm.conversation import AFTERWARDS, LABEL, REASON, UNITS, caption
from mien.methods.expllm.lessons import Told, read_chains
from mien.methods.expllm.model import ExpLlm, ExpLlmConfig, FaceEncoderConfig
from mien.training.faces import MEAN, STD
from mien.vocabulary import Expression

# The token whose places patches take, in the tokenizer of whatever language model.
SLOT = "<image>"
SYSTEM = "You are a helpful assistant that describes facial expressions and the movements they are made of."
TASKS = {
    LABEL: ("Expression recognition: answer with one word.", "Which expression does this face show?"),
    REASON: ("Expression analysis, then the expression.", "Describe step by step what this face shows."),
    AFTERWARDS: ("Expression analysis.", "Describe step by step what shows this expression."),
    UNITS: ("Action units: list them with their degrees.", "Which facial movements are visible?"),
}
# Queries and values under the names of CLIP, SigLIP, Llama, Qwen and relatives, of DINOv2 and ViT, and of mien's tower.
LORA = r".*\.(q_proj|v_proj|query|value|qkv)"
STAGES = ("1-align", "2-mix")
ADAPTER = "adapter"
_BACKGROUND = (122, 116, 104)  # CLIP's mean colour, with which the paper pads pictures to squares


@dataclass(frozen=True)
class Settings:
    """Everything that a run of the full size depends on, besides the data.

    tower: a vision tower, as a hub id or a folder: DINOv2, SigLIP, CLIP, or the encoder of an embedded run.
    language: a causal language model, as a hub id, a folder or a .gguf file.
    epochs, align_epochs: each face once as a chain of thought and the more often as a label, the smaller cot_share.
    steps, align_steps: stop after so many, whatever the epochs; 0 for all.
    batch_size: for each device, times accumulate for a step.   warmup: share of the steps.
    rank, alpha, lora_dropout: of LoRA.   drop_path: of the tower, if it is a DINOv2.
    longest: tokens of a conversation; longer ones are cut.   save_steps: between checkpoints.
    precision: "32-true" or "bf16-mixed".
    """

    tower: str = ""
    language: str = ""
    epochs: float = 20.0
    align_epochs: float = 1.0
    steps: int = 0
    align_steps: int = 0
    batch_size: int = 1
    accumulate: int = 16
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warmup: float = 0.03
    rank: int = 8
    alpha: int = 16
    lora_dropout: float = 0.05
    drop_path: float = 0.4
    cot_share: float = 0.25
    unverified_weight: float = 0.5
    longest: int = 2048
    save_steps: int = 200
    precision: str = "32-true"
    seed: int = 0


# On a computer without a GPU: SmolLM2-135M with the encoder of an embedded run.
CPU = Settings(batch_size=8, accumulate=1, steps=300, align_steps=100, longest=384, save_steps=50)
PRESETS = {"paper": Settings(), "cpu": CPU}


class Eyes:
    """Pictures as a vision tower wants them.

    size: their side.   patches: how many of them the tower makes.   skip: its tokens before them.
    """

    def __init__(self, name: str, tower: PreTrainedModel) -> None:
        config = tower.config
        self._own = isinstance(config, FaceEncoderConfig)
        self.size = int(config.size if self._own else config.image_size)
        if not self._own:
            processor = AutoImageProcessor.from_pretrained(name)
            self._mean, self._std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
        self.patches = int(config.side**2 if self._own else (self.size // config.patch_size) ** 2)
        with torch.no_grad():
            blank = self(np.zeros((8, 8, 3), np.uint8))[None].to(tower.dtype)
            self.skip = tower.eval()(pixel_values=blank).last_hidden_state.shape[1] - self.patches

    def __call__(self, image: NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) RGB -> (3, S, S), padded to a square; of mien's own tower (1, S, S)."""
        if self._own:
            return (torch.from_numpy(crop(image, self.size))[None].float() / 255 - MEAN) / STD
        height, width = image.shape[:2]
        square = Image.new("RGB", (max(height, width),) * 2, _BACKGROUND)
        square.paste(Image.fromarray(image), ((square.width - width) // 2, (square.height - height) // 2))
        small = square.resize((self.size, self.size), Image.Resampling.BICUBIC)
        scaled = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 255
        return (scaled - self._mean[:, None, None]) / self._std[:, None, None]


class Joined(NamedTuple):
    """A tower and a language model, joined, with what goes before and after them."""

    model: ExpLlm
    tokenizer: Any
    eyes: Eyes


def join(settings: Settings) -> Joined:
    """The two checkpoints, joined by an untrained projector; InputError when one of them cannot be opened."""
    for what in ("tower", "language"):
        if not getattr(settings, what):
            raise InputError(f"name a {what}: --{what} HUB-ID or FOLDER")
    tower = _tower(settings)
    language, tokenizer = _language(settings.language)
    eyes = Eyes(settings.tower, tower)
    config = ExpLlmConfig(
        tower.config,
        language.config,
        image_token_id=tokenizer.convert_tokens_to_ids(SLOT),
        slots=eyes.patches,
        skip=eyes.skip,
    )
    torch.manual_seed(settings.seed)
    return Joined(ExpLlm(config, tower, language), tokenizer, eyes)


def _tower(settings: Settings) -> PreTrainedModel:
    try:
        config = AutoConfig.from_pretrained(settings.tower)
        if isinstance(config, ExpLlmConfig):
            return ExpLlm.from_pretrained(settings.tower).tower
        # Of CLIP and SigLIP, the half that sees.
        config = getattr(config, "vision_config", config)
        if hasattr(config, "drop_path_rate"):
            config.drop_path_rate = settings.drop_path
        options = {"config": config, "dtype": torch.float32, "output_loading_info": True}
        tower, found = AutoModel.from_pretrained(settings.tower, **options)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{settings.tower} cannot be opened as a vision tower: {error}") from error
    # What a checkpoint lacks the library makes up, and only warns.
    if missing := sorted(found["missing_keys"]):
        raise InputError(f"{settings.tower} lacks weights of its vision tower: {len(missing)}, such as {missing[0]}")
    return tower


def _language(name: str) -> tuple[PreTrainedModel, Any]:
    path, options = Path(name), {}
    if path.suffix == ".gguf":
        name, options = str(path.parent), {"gguf_file": path.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        language = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(f"{name} cannot be opened as a language model: {error}") from error
    tokenizer.add_special_tokens({"additional_special_tokens": [SLOT]})
    if len(tokenizer) > language.get_input_embeddings().num_embeddings:
        language.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return language, tokenizer


class Talk(NamedTuple):
    """A conversation: alternating what is given and what the model is to say."""

    turns: tuple[tuple[str, str], ...]
    weight: float = 1.0


def label_talk(label: Expression) -> Talk:
    """The label question and its answer, a capital word."""
    return Talk(((_asked(LABEL), label.label.capitalize()),))


def talks(told: Told, unverified_weight: float) -> tuple[Talk, Talk]:
    """The chain of thought of a face: the one that ends in the label, and the one that follows it."""
    assert told.sections is not None
    weight = 1.0 if told.verified else unverified_weight
    label = (_asked(LABEL), told.label.label.capitalize())
    text = told.sections.text
    return Talk(((_asked(REASON), text),), weight), Talk((label, (_asked(AFTERWARDS), text)), weight)


def _asked(task: str) -> str:
    what, question = TASKS[task]
    return f"TASK: {what}\nUSER: {question}\nASSISTANT: "


def encode(talk: Talk, tokenizer: Any, slots: int, longest: int) -> tuple[list[int], list[bool]]:
    """The tokens of a conversation, and which of them the model is to say: every answer and its end."""

    def plain(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    tokens = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    tokens += [*plain(f"{SYSTEM}\nImage: "), *[tokenizer.convert_tokens_to_ids(SLOT)] * slots, *plain("\n")]
    answered = [False] * len(tokens)
    for number, (given, said) in enumerate(talk.turns):
        asked = plain(f"\n{given}" if number else given)
        answer = [*plain(said), tokenizer.eos_token_id] if said else []
        tokens += [*asked, *answer]
        answered += [False] * len(asked) + [True] * len(answer)
    return tokens[:longest], answered[:longest]


class Conversations(Dataset[dict[str, Any]]):
    """What is learned in an epoch: of each face its chain of thought once, and its label as often as the share says.

    units: action units instead, once a face.
    """

    def __init__(
        self, faces: Selection, told: dict[str, Told], joined: Joined, settings: Settings, units: bool = False
    ) -> None:
        self._faces, self._joined, self._settings, self._units = faces, joined, settings, units
        self._told = [told.get(sample.source) for sample in faces.samples]
        written = [i for i, t in enumerate(self._told) if t is not None and t.sections is not None]
        if not written:
            raise InputError("the chains of thought speak of none of the faces: they were made of other data")
        share = settings.cot_share
        often = round((1 - share) / share) if share else 1
        labels = [(i, LABEL) for i in range(len(faces.samples))] * often
        chains = [(i, REASON) for i in written] if share else []
        self._items = [(i, UNITS) for i, t in enumerate(self._told) if t is not None] if units else chains + labels
        self._change = v2.Compose(
            [
                v2.RandomChoice([v2.ColorJitter(0.25, 0.25, 0.25, 0.1), v2.RandomGrayscale(0.2)]),
                v2.RandomApply([v2.RandomAffine(15, (0.1, 0.1), (0.9, 1.1))], 0.5),
            ]
        )

    @property
    def pad(self) -> int:
        """What batches are filled up with; attention leaves it out."""
        return int(self._joined.tokenizer.eos_token_id)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, number: int) -> dict[str, Any]:
        index, kind = self._items[number]
        image, flip = self._faces.samples[index].image, bool(torch.rand(()) < 0.5)
        if flip:
            image = image[:, ::-1]
        talk = self._talk(index, kind)
        if flip:
            talk = replace_sides(talk)
        joined = self._joined
        tokens, answered = encode(talk, joined.tokenizer, joined.eyes.patches, self._settings.longest)
        changed = np.asarray(self._change(Image.fromarray(np.ascontiguousarray(image))))
        return {"tokens": tokens, "answered": answered, "pixels": joined.eyes(changed), "weight": talk.weight}

    def _talk(self, index: int, kind: str) -> Talk:
        told = self._told[index]
        if kind == LABEL:
            # Drawn from the votes, so that on average the target is their distribution.
            drawn = torch.multinomial(torch.from_numpy(self._faces.targets[index]), 1)
            return label_talk(Expression(int(drawn)))
        assert told is not None
        if kind == UNITS:
            return Talk(((_asked(UNITS), caption(told.units)),))
        return talks(told, self._settings.unverified_weight)[int(torch.randint(2, ()))]


def replace_sides(talk: Talk) -> Talk:
    """The same about the mirror image: left is right."""

    def swapped(text: str) -> str:
        return re.sub(r"\b(left|right)\b", lambda match: {"left": "right", "right": "left"}[match[1]], text)

    return talk._replace(turns=tuple((given, swapped(said)) for given, said in talk.turns))


def collate(items: Sequence[dict[str, Any]], pad: int) -> dict[str, Tensor]:
    """A batch, padded at the end."""
    width = max(len(item["tokens"]) for item in items)

    def padded(name: str, value: int | bool) -> Tensor:
        return torch.tensor([[*item[name], *[value] * (width - len(item[name]))] for item in items])

    lengths = torch.tensor([len(item["tokens"]) for item in items])
    return {
        "input_ids": padded("tokens", pad),
        "answered": padded("answered", False),
        "attention_mask": (torch.arange(width) < lengths[:, None]).long(),
        "pixel_values": torch.stack([item["pixels"] for item in items]),
        "weight": torch.tensor([item["weight"] for item in items]),
    }


class Trainer(_Trainer):  # type: ignore[misc]
    """The library's trainer with the paper's loss: the mean over each conversation's own answers."""

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Tensor | tuple[Tensor, Any]:
        """See the library."""
        answered, weight = inputs.pop("answered")[:, 1:], inputs.pop("weight")  # (B, T-1), (B,)
        output = model(**inputs)
        words = inputs["input_ids"][:, 1:]
        off = F.cross_entropy(output.logits[:, :-1].float().transpose(1, 2), words, reduction="none")  # (B, T-1)
        each = (off * answered).sum(dim=1) / answered.sum(dim=1).clamp(min=1)
        loss = (weight * each).mean()
        return (loss, output) if return_outputs else loss


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    chains: Path,
    resume: bool = False,
) -> "Reasoner":
    """Align the projector, then tune with LoRA; what changed is left in folder/adapter, the loss in log.jsonl and
    loss.png, and what the model writes of three faces of valid (left out, of the dataset) in examples.json.

    chains: of the dataset, the file that `mien cot` wrote.
    """
    kept = folder / "settings.json"
    if kept.is_file() and not resume:
        raise InputError(f"{folder} holds a run already; give --resume to go on with it, or name another folder")
    if kept.is_file() and json.loads(kept.read_text()) != json.loads(json.dumps(asdict(settings))):
        raise InputError(f"{folder} was begun with other settings; resume with the same")
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(asdict(settings), indent=2) + "\n")
    told = read_chains(chains)
    faces = select(dataset, "soft-votes").needed("train on")
    joined = join(settings)
    tuned = adapted(joined.model, settings)
    aligning = Conversations(faces, told, joined, settings, units=True)
    mixed = Conversations(faces, told, joined, settings)
    _stage(tuned, aligning, settings, folder / STAGES[0], settings.align_epochs, settings.align_steps, ("projector",))
    _stage(tuned, mixed, settings, folder / STAGES[1], settings.epochs, settings.steps, ("projector", "lora_"))
    tuned.save_pretrained(folder / ADAPTER)
    curve(folder)
    reasoner = Reasoner(joined._replace(model=tuned.eval()))
    shown = faces if valid is None else select(valid)
    said = [
        {
            "face": sample.source,
            "voted": Expression(int(label)).label,
            "label": reasoner.label(sample.image).label,
            "text": reasoner.write(sample.image),
        }
        for sample, label in zip(shown.samples[:3], shown.labels[:3], strict=True)
    ]
    (folder / "examples.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return reasoner


def adapted(model: ExpLlm, settings: Settings) -> PeftModel:
    """The model with LoRA in tower and language model, and its projector to be trained whole."""
    names = [name for name, module in model.named_modules() if re.fullmatch(LORA, name)]
    if not any(name.startswith("language.") for name in names):
        raise InputError(f"{settings.language} has no query and value projections under a name known here: {LORA}")
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=names,
        modules_to_save=["projector"],
    )
    return get_peft_model(model, config)


def _stage(
    tuned: PeftModel,
    talks: Conversations,
    settings: Settings,
    folder: Path,
    epochs: float,
    steps: int,
    trained: tuple[str, ...],
) -> None:
    """Train the parameters with these names; a stage that was stopped goes on from its last checkpoint."""
    for name, parameter in tuned.named_parameters():
        parameter.requires_grad_(
            any(part in name for part in trained) and ("lora_" in name or "modules_to_save" in name)
        )
    options = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup,
        lr_scheduler_type="cosine",
        num_train_epochs=epochs,
        max_steps=steps or -1,
        bf16=settings.precision == "bf16-mixed",
        use_cpu=not torch.cuda.is_available(),
        logging_steps=5,
        save_steps=settings.save_steps,
        save_total_limit=1,
        seed=settings.seed,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    pad = talks.pad
    trainer = Trainer(tuned, options, data_collator=lambda items: collate(items, pad), train_dataset=talks)
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")) or None)
    lines = [line for line in trainer.state.log_history if "loss" in line]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def curve(folder: Path) -> None:
    """loss.png: the loss of both stages over their steps, the mean over conversations of the mean over their tokens."""
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    done = 0
    for stage in STAGES:
        lines = [json.loads(line) for line in (folder / stage / "log.jsonl").read_text().splitlines()]
        axes.plot([done + line["step"] for line in lines], [line["loss"] for line in lines], label=stage)
        done += lines[-1]["step"] if lines else 0
    axes.set(xlabel="step", ylabel="loss, nats a token", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "loss.png", dpi=150)
    plt.close(figure)


def load_run(folder: Path) -> "Reasoner":
    """The model of a finished run."""
    if not (folder / ADAPTER).is_dir():
        raise InputError(f"{folder / ADAPTER} is not there; a finished `mien train expllm-full` run has it", "missing")
    settings = Settings(**json.loads((folder / "settings.json").read_text()))
    joined = join(settings)
    tuned = PeftModel.from_pretrained(joined.model, folder / ADAPTER)
    return Reasoner(joined._replace(model=tuned.eval()))


class Reasoner:
    """A model of the full size in use."""

    def __init__(self, joined: Joined) -> None:
        self.joined = joined

    @torch.inference_mode()
    def scores(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(8,) probabilities: how likely each label word is as the whole answer, compared with the others."""
        logs = [self._logprob(image, label_talk(label)) for label in Expression]
        return torch.tensor(logs).softmax(dim=0).numpy()

    def label(self, image: NDArray[np.uint8]) -> Expression:
        """The likeliest label of a face, an (H, W, 3) RGB picture."""
        return Expression(int(self.scores(image).argmax()))

    @torch.inference_mode()
    def write(self, image: NDArray[np.uint8], mode: str = "reason-first", longest: int = 300) -> str:
        """A chain of thought, freely written, the likeliest token after the likeliest token.

        mode: as of mien.methods.expllm.generate.   longest: tokens.
        """
        turns: tuple[tuple[str, str], ...] = ((_asked(REASON), ""),)
        if mode == "label-first":
            turns = (*label_talk(self.label(image)).turns, (_asked(AFTERWARDS), ""))
        tokens, _ = encode(Talk(turns), self.joined.tokenizer, self.joined.eyes.patches, 10**6)
        model, tokenizer = self.joined.model, self.joined.tokenizer
        said = model.generate(
            input_ids=torch.tensor([tokens], device=model.device),
            pixel_values=self.joined.eyes(image)[None].to(model.device),
            max_new_tokens=longest,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
        return str(tokenizer.decode(said[0], skip_special_tokens=True)).strip()

    def _logprob(self, image: NDArray[np.uint8], talk: Talk) -> float:
        tokens, answered = encode(talk, self.joined.tokenizer, self.joined.eyes.patches, 10**6)
        model = self.joined.model
        given = torch.tensor([tokens], device=model.device)
        pixels = self.joined.eyes(image)[None].to(model.device)
        logs = model(input_ids=given, pixel_values=pixels).logits[0, :-1].float().log_softmax(dim=-1)  # (T-1, V)
        each = logs.gather(1, given[0, 1:, None])[:, 0]
        return float(each[torch.tensor(answered[1:], device=model.device)].sum())
