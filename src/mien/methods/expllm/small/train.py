"""Train the embedded model in five stages: eyes, words, both aligned, the label, and the label with its reasons.

Lan et al., IEEE TMM 27, 2025, https://arxiv.org/abs/2409.02828; README.md says where we differ. Each stage is a run of
its own in a folder within that of the whole, and goes on where it was stopped.

Letters: B faces of a batch, N faces of the data, T tokens, V words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.protocols import Selection
from mien.methods.expllm.small.heads import Labeller, Watcher
from mien.methods.expllm.small.lessons import Lessons, Lines, make
from mien.methods.expllm.small.loss import losses, mirrored, vision_loss
from mien.methods.expllm.small.model import ExpLlm, FaceEncoderConfig, small
from mien.methods.expllm.small.tokenizer import Tokenizer
from mien.training import action_units, augment
from mien.training.faces import (
    AugmentedBatch,
    FaceSettings,
    augmented,
    faces_of,
    fit_faces,
    held_out,
    loader,
    priors,
    recalls,
)
from mien.training.loop import Batch, Step, descend, fit
from mien.training.run import Run

STAGES = ("0-vision", "1a-text", "1b-align", "2a-label", "2b-mix")
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Settings(FaceSettings):
    """Settings of a run of the embedded model. Stages: vision, text, align, label, and last label with reasons.

    epochs: passes of the last stage.
    learning_rate: highest learning rate of the last stage.
    mixup_alpha: parameter of mixup's beta distribution; the vision stage alone blends faces.
    vision_epochs: passes of the vision stage, which trains the encoder on labels.
    vision_learning_rate: highest learning rate of the vision stage.
    text_epochs: passes of the text stage, which trains the language model on chains of thought without faces.
    text_learning_rate: highest learning rate of the text stage.
    align_epochs: passes of the align stage, which trains the projector alone.
    align_learning_rate: highest learning rate of the align stage.
    label_epochs: passes of the label stage, which learns labels without reasons.
    start: finished run of au-cues whose backbone the encoder starts from; "" for random weights.
    widths: channels of each residual stage of the encoder, unless `start` has its own.
    blocks: blocks in each residual stage.
    strides: stride of each residual stage.
    squeeze: add squeeze-and-excitation to the residual stages.
    side: patches along each side of the face.
    encoder_layers: transformer layers of the encoder.
    encoder_heads: attention heads of the encoder.
    dropout: dropout of the encoder.
    action_unit_weight: weight of action units in the vision stage; blended faces have none.
    gate: accuracy on --valid below which training stops after the vision stage; 0 for none.
    hidden: width of the language model.
    intermediate: width of its feed-forward layers.
    layers: layers of the language model.
    heads: attention heads of the language model.
    open_layers: encoder layers that are trained with the language model.
    encoder_share: their learning rate, as a fraction of the language model's.
    cot_share: share of each batch that learns a chain of thought; the rest learns the label alone.
    unverified_weight: weight of texts that failed verification against the measured action units.
    after: finished run whose stages before the last are reused; "" to train them.
    """

    epochs: int = 12
    learning_rate: float = 3e-4
    last_learning_rate: float = 3e-5
    average: float = 0.995
    clip: float = 1.0
    degrees: float = 10.0
    scale: float = 0.1
    shift: float = 4 / 48
    mixup_alpha: float = 0.2
    vision_epochs: int = 40
    vision_learning_rate: float = 1e-3
    text_epochs: int = 4
    text_learning_rate: float = 1e-3
    align_epochs: int = 3
    align_learning_rate: float = 1e-3
    label_epochs: int = 5
    start: str = ""
    widths: tuple[int, ...] = (32, 64, 128, 192)
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    squeeze: bool = False
    side: int = 6
    encoder_layers: int = 4
    encoder_heads: int = 6
    dropout: float = 0.1
    action_unit_weight: float = 5.0
    gate: float = 0.78
    hidden: int = 256
    intermediate: int = 704
    layers: int = 6
    heads: int = 4
    open_layers: int = 2
    encoder_share: float = 0.1
    cot_share: float = 0.25
    unverified_weight: float = 0.5
    after: str = ""


PRESETS = {
    "tiny": Settings(hidden=192, intermediate=512, layers=4, heads=3),
    "small": Settings(),
    "medium": Settings(hidden=320, intermediate=864, layers=6, heads=5),
}


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    chains: Path,
    resume: bool = False,
) -> ExpLlm:
    """Train the model through all stages; it is left in the folder as transformers saves models, with tokenizer.json.

    valid: faces for the accuracy in the log of stages 0, 2a and 2b (strict majority, without duplicates); nothing is
    chosen by it but whether stage 0 passes the gate.   chains: of the dataset, the file that `mien cot` wrote.
    """
    torch.manual_seed(settings.seed)
    faces = faces_of(dataset, settings.size)
    lessons = make(faces, chains, settings.side**2, settings.unverified_weight)
    checks = None if valid is None else held_out(valid, settings.size)
    model = small(
        encoder_config(settings),
        lessons.tokenizer,
        hidden_size=settings.hidden,
        intermediate_size=settings.intermediate,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=512,
        attention_dropout=settings.dropout,
    )
    if settings.after:
        _take_over(model, lessons.tokenizer, Run(Path(settings.after)))
    else:
        _learn_to_see(model, faces, lessons, settings, folder / STAGES[0], valid, resume)
    for stage in _stages(settings)[bool(settings.after) * 3 :]:
        model = _learn(model, stage, faces, lessons, checks, folder, resume)
    run = Run(folder)
    model.save_pretrained(folder)
    (folder / TOKENIZER).write_text(lessons.tokenizer.to_json(), encoding="utf-8")
    run.keep_settings(settings)
    run.keep_priors(priors(faces, settings))
    run.keep_data(dataset)
    return model


def encoder_config(settings: Settings) -> FaceEncoderConfig:
    """The encoder's sizes; those of its residual stages are those of the run that it starts from."""
    stages: dict[str, Any] = {n: getattr(settings, n) for n in ("widths", "blocks", "strides", "squeeze")}
    if settings.start:
        given = Run(Path(settings.start)).values()
        if given.get("backbone", "mien") != "mien" or "blocks" not in given:
            raise InputError(f"{settings.start} has no residual backbone of mien; give a run of au-cues that has one")
        stages |= {n: given[n] for n in ("widths", "blocks", "strides", "stochastic_depth")}
        stages["squeeze"] = given.get("squeeze", True)
    return FaceEncoderConfig(
        settings.size,
        **stages,
        side=settings.side,
        layers=settings.encoder_layers,
        heads=settings.encoder_heads,
        dropout=settings.dropout,
    )


def _learn_to_see(
    model: ExpLlm,
    faces: Selection,
    lessons: Lessons,
    settings: Settings,
    folder: Path,
    valid: Sequence[Sample] | None,
    resume: bool,
) -> None:
    """Stage 0: the encoder learns expressions and action units, and is put into the model."""
    if settings.start:
        given = Run(Path(settings.start)).state()
        stem = "backbone."
        model.tower.stages.load_state_dict({k.removeprefix(stem): v for k, v in given.items() if k.startswith(stem)})
    # Without the gate: a run that did not pass may go on with a lower one.
    own = replace(
        settings,
        epochs=settings.vision_epochs,
        learning_rate=settings.vision_learning_rate,
        last_learning_rate=0.0,
        gate=0.0,
    )
    spread = action_units.spread(lessons.action_units, lessons.taught)
    watcher: Watcher = fit_faces(
        Watcher(model.tower),
        faces,
        own,
        folder,
        loss=lambda network, seen, taught: vision_loss(network, seen, taught, spread, settings.action_unit_weight),
        lessons=(lessons.action_units, lessons.taught),
        valid=valid,
        resume=resume,
    )
    model.tower.load_state_dict(watcher.encoder.state_dict())
    last = Run(folder).log()[-1]
    if last.get("accuracy", 1.0) < settings.gate:
        raise InputError(
            f"the encoder reads {100 * last['accuracy']:.1f} % of the valid faces, less than the gate of "
            f"{100 * settings.gate:.1f} %: give it more --vision-epochs or a run to --start from, or a lower --gate"
        )


class ModelStage(NamedTuple):
    """One of the stages that train the whole model.

    trained: the parts of a model that learn.   loss: of a batch, given the lessons.
    slower: those of the parts that learn encoder_share times as fast.   labels: whether faces are given labels.
    """

    name: str
    settings: Settings
    trained: Callable[[ExpLlm], list[nn.Module]]
    loss: Callable[[nn.Module, Batch, Lessons, Settings], Tensor]
    slower: Callable[[ExpLlm], list[nn.Module]] = lambda model: []
    labels: bool = False


def _stages(settings: Settings) -> list[ModelStage]:
    whole = replace(settings, mixup_share=0.0)
    text = replace(whole, epochs=settings.text_epochs, learning_rate=settings.text_learning_rate)
    align = replace(whole, epochs=settings.align_epochs, learning_rate=settings.align_learning_rate)
    label = replace(whole, epochs=settings.label_epochs, cot_share=0.0)

    def opened(model: ExpLlm) -> list[nn.Module]:
        count = settings.open_layers
        return [*model.tower.layers[len(model.tower.layers) - count :], model.tower.norm] if count else []

    def both(model: ExpLlm) -> list[nn.Module]:
        return [model.projector, model.language, *opened(model)]

    return [
        ModelStage(STAGES[1], text, lambda model: [model.language], text_loss),
        ModelStage(STAGES[2], align, lambda model: [model.projector], align_loss),
        ModelStage(STAGES[3], label, both, mixed_loss, opened, labels=True),
        ModelStage(STAGES[4], whole, both, mixed_loss, opened, labels=True),
    ]


def _learn(
    model: ExpLlm,
    stage: ModelStage,
    faces: Selection,
    lessons: Lessons,
    checks: Selection | None,
    folder: Path,
    resume: bool,
) -> ExpLlm:
    """One stage; the model it ends with."""
    model.requires_grad_(False)
    for part in stage.trained(model):
        part.requires_grad_(True)
    slow = [p for part in stage.slower(model) for p in part.parameters()]

    def accuracy(trained: nn.Module) -> dict[str, float]:
        if checks is None or not stage.labels:
            return {}
        return recalls(Labeller(cast(ExpLlm, trained), lessons.tokenizer), checks)

    learned = fit(
        model,
        loader(faces, stage.settings, (torch.arange(len(faces.samples)),)),
        lambda network, batch: stage.loss(network, batch, lessons, stage.settings),
        stage.settings,
        folder / stage.name,
        resume=resume,
        step=slower(slow, stage.settings.encoder_share),
        after_epoch=accuracy,
    )
    return cast(ExpLlm, learned)


def slower(parameters: list[nn.Parameter], share: float) -> Step:
    """A step that moves these parameters only a share of their way, as a smaller learning rate would.

    AdamW moves every parameter by its learning rate times something that does not depend on it.
    """

    def step(backward: Callable[[], Tensor], fabric: Any, model: nn.Module, optimizer: Any, clip: float) -> Tensor:
        before = [parameter.detach().clone() for parameter in parameters]
        loss = descend(backward, fabric, model, optimizer, clip)
        with torch.no_grad():
            for parameter, start in zip(parameters, before, strict=True):
                parameter.lerp_(start, 1 - share)
        return loss

    return step


def text_loss(network: nn.Module, batch: Batch, lessons: Lessons, settings: Settings) -> Tensor:
    """Stage 1a, without faces: half chains of thought, a quarter lists of action units, a quarter labels."""
    _, votes, index = batch
    half, slots = len(index) // 2, settings.side**2
    quarter = half + (len(index) - half) // 2
    parts = [(_chains(lessons, index[:half]), votes[:half])]
    parts.append((lessons.units.of(index[half:quarter]), votes[half:quarter]))
    parts.append((lessons.label.of(index[quarter:]), votes[quarter:]))
    losses = [
        conversation_losses(network, lines.without_image(slots), v, lessons.tokenizer) for lines, v in parts if len(v)
    ]
    return torch.cat(losses).mean()


def align_loss(network: nn.Module, batch: Batch, lessons: Lessons, settings: Settings) -> Tensor:
    """Stage 1b: which action units a face shows."""
    images, votes, index = batch
    seen = augmented(images, votes, _unerased(settings))
    return conversation_losses(network, lessons.units.of(index), votes, lessons.tokenizer, seen).mean()


def mixed_loss(network: nn.Module, batch: Batch, lessons: Lessons, settings: Settings) -> Tensor:
    """Stages 2a and 2b: a share of the batch with chains of thought in both orders, the rest with the label alone."""
    # Faces that have a text go first.
    order = torch.argsort(lessons.chains.weight[0][batch[2]] == 0, stable=True)
    images, votes, index = (part[order] for part in batch)
    count = round(settings.cot_share * len(index))
    losses = []
    if count:
        seen = augmented(images[:count], votes[:count], _unerased(settings))
        losses.append(
            conversation_losses(network, _chains(lessons, index[:count]), votes[:count], lessons.tokenizer, seen)
        )
    if count < len(index):
        seen = augmented(images[count:], votes[count:], settings)
        losses.append(
            conversation_losses(network, lessons.label.of(index[count:]), votes[count:], lessons.tokenizer, seen)
        )
    return torch.cat(losses).mean()


def _unerased(settings: Settings) -> Settings:
    # A text that speaks of what was painted over would teach to invent it.
    return replace(settings, erase_share=0.0)


def _chains(lessons: Lessons, index: Tensor) -> Lines:
    """For each face one of its two chains of thought, at random."""
    return lessons.chains.of(torch.randint(2, index.shape), index)


def conversation_losses(
    network: nn.Module, lines: Lines, votes: Tensor, tokenizer: Tokenizer, seen: AugmentedBatch | None = None
) -> Tensor:
    """(B,) weighted losses of conversations, about the faces seen if there are any.

    What a flip swaps, it swaps in the words too.
    """
    tokens = lines.tokens.long()
    if seen is not None:
        tokens = torch.where(augment.flipped(seen.matrix)[:, None], mirrored(tokens, tokenizer), tokens)
    logits = network(tokens, None if seen is None else seen.images).logits
    first = tokenizer.labels[0]
    return lines.weight * losses(logits, tokens, lines.answered, lines.slot, votes, first)


def _take_over(model: ExpLlm, tokenizer: Tokenizer, run: Run) -> None:
    """The weights with which another run went into its last stage."""
    run.need(TOKENIZER)
    if Tokenizer.read((run.folder / TOKENIZER).read_bytes()).tokens != tokenizer.tokens:
        raise InputError(f"{run.folder} has other words: it was trained on other chains of thought")
    model.load_state_dict(run.stage(STAGES[3]).state())
