"""Align the projector, then tune tower and language model with LoRA, by the library's own trainer."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import Trainer as _Trainer

from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.protocols import select
from mien.facs.vocabulary import Expression
from mien.methods.expllm.full.join import join
from mien.methods.expllm.full.reasoner import Reasoner
from mien.methods.expllm.full.settings import PRESETS, Settings
from mien.methods.expllm.full.talks import Conversations, collate
from mien.methods.expllm.small.lessons import read_chains
from mien.methods.expllm.small.model import ExpLlm
from mien.training.run import Run, Trained
from mien.training.trainer import trainer_options

__all__ = ["PRESETS", "Settings", "load", "train"]
# Queries and values under the names of CLIP, SigLIP, Llama, Qwen and relatives, of DINOv2 and ViT, and of mien's tower.
LORA = r".*\.(q_proj|v_proj|query|value|qkv)"
STAGES = ("1-align", "2-mix")
ADAPTER = "adapter"


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
) -> Reasoner:
    """Align the projector, then tune with LoRA; return the model in use.

    What changed is left in folder/adapter, the loss in loss.png, and what the model writes of three faces of valid
    (left out, of the dataset) in examples.json.

    chains: of the dataset, the file that `mien cot` wrote.
    """
    run = Run(folder)
    run.check(settings, resume=resume)
    texts = read_chains(chains)
    faces = select(dataset, "soft-votes").needed("train on")
    joined = join(settings)
    tuned = adapted(joined.model, settings)
    aligning = Conversations(faces, texts, joined, settings, units=True)
    mixed = Conversations(faces, texts, joined, settings)
    # Now that all is there: settings that cannot be used would otherwise hold the folder against better ones.
    run.keep_settings(settings)
    _stage(tuned, aligning, settings, folder / STAGES[0], settings.align_epochs, settings.align_steps, ("projector",))
    _stage(tuned, mixed, settings, folder / STAGES[1], settings.epochs, settings.steps, ("projector", "lora_"))
    tuned.save_pretrained(folder / ADAPTER)
    curve(folder)
    reasoner = Reasoner(joined._replace(model=tuned.eval()))
    shown = faces if valid is None else select(valid)
    examples = [
        {
            "face": sample.source,
            "voted": Expression(int(label)).label,
            "label": reasoner.label(sample.image).label,
            "text": reasoner.write(sample.image),
        }
        for sample, label in zip(shown.samples[:3], shown.labels[:3], strict=True)
    ]
    (folder / "examples.json").write_text(json.dumps(examples, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    run.keep_data(dataset)
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
    options = trainer_options(
        settings,
        folder,
        epochs=epochs,
        steps=steps,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine",
        save_steps=settings.save_steps,
    )
    pad = talks.pad
    trainer = Trainer(tuned, options, data_collator=lambda items: collate(items, pad), train_dataset=talks)
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")) or None)
    lines = [line for line in trainer.state.log_history if "loss" in line]
    Run(folder).write_log(lines)


def curve(folder: Path) -> None:
    """loss.png: the loss of both stages over their steps, the mean over conversations of the mean over their tokens."""
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    done = 0
    for stage in STAGES:
        lines = Run(folder).stage(stage).log()
        axes.plot([done + line["step"] for line in lines], [line["loss"] for line in lines], label=stage)
        done += lines[-1]["step"] if lines else 0
    axes.set(xlabel="step", ylabel="loss, nats a token", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "loss.png", dpi=150)
    plt.close(figure)


def load(folder: Path) -> Trained[ExpLlm, Settings, Reasoner]:
    """Return the model of a finished run, and it in use; raise InputError when the run is not finished."""
    run = Run(folder)
    settings = run.settings(Settings, ADAPTER)
    joined = join(settings)
    tuned = PeftModel.from_pretrained(joined.model, folder / ADAPTER, local_files_only=True).eval()
    return Trained(tuned, settings, run, Reasoner(joined._replace(model=tuned)))
