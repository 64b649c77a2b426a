"""The epoch loop of the methods, on Lightning Fabric: precision, schedule, moving average, resume after a kill."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import torch._inductor.config as inductor
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from mien.errors import InputError
from mien.progress import shown
from mien.training.run import Run

log = logging.getLogger(__name__)
Batch = tuple[Tensor, ...]
LossOf = Callable[[nn.Module, Batch], Tensor]
# In names of parameters: positions and class tokens of transformers, which are values rather than matrices.
_TABLES = ("position", "pos_embed", "cls")
_MOMENTUM = 0.9
# An average over more than this share of the steps would still hold their beginning.
_HORIZON = 0.2


@dataclass(frozen=True)
class Schedule:
    """Length and learning rate of a training: one linear warm-up, then a cosine to last_learning_rate.

    epochs: passes over the training faces.
    warmup: length of the linear warm-up in epochs, which may be a fraction; at least one step.
    optimizer: "adamw", or "sgd" with Nesterov's momentum of 0.9.
    learning_rate: highest learning rate, reached after the warm-up.
    last_learning_rate: learning rate at the end of the cosine.
    weight_decay: weight decay of kernels and matrices.
    clip: largest norm of a gradient; 0 for no clipping.
    precision: "32-true", "bf16-mixed", or "auto", which times a few steps of both first.
    average: decay of the exponential moving average of the weights, which training returns; lowered where it would span
    more than a fifth of the steps; 0 for no average.
    compile: compile the network with torch.compile.
    accumulate: batches whose mean gradient makes one step.
    devices: devices, such as GPUs, that each take batches of their own and average their gradients.
    nodes: machines with so many devices each.
    strategy: how devices work together: "ddp", "ddp_find_unused_parameters_true", or "auto" to choose.
    save_steps: also write a checkpoint after so many steps; 0 for after each epoch alone.
    seed: seed of weights, order and augmentation.
    """

    epochs: int = 25
    warmup: float = 1.0
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    last_learning_rate: float = 0.0
    weight_decay: float = 0.05
    clip: float = 0.0
    average: float = 0.999
    precision: str = "auto"
    compile: bool = False
    accumulate: int = 1
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    save_steps: int = 0
    seed: int = 0

    @property
    def together(self) -> int:
        """Batches that make one step, over all devices."""
        return self.devices * self.nodes * self.accumulate


# Settings that may change when a run is resumed, as long as as many batches make one step.
_MAY_CHANGE = frozenset({"accumulate", "devices", "nodes", "strategy", "save_steps", "workers"})


def descend(backward: Callable[[], Tensor], fabric: Fabric, model: nn.Module, optimizer: Any, clip: float) -> Tensor:
    """One step down the gradient of the loss, which is returned.

    backward: adds the gradient of the loss on the step's batches, and returns that loss.
    """
    optimizer.zero_grad()
    loss = backward()
    if clip:
        fabric.clip_gradients(model, optimizer, max_norm=clip, error_if_nonfinite=False)
    optimizer.step()
    return loss


Step = Callable[[Callable[[], Tensor], Fabric, nn.Module, Any, float], Tensor]


def fit(
    model: nn.Module,
    loader: DataLoader[Batch],
    loss_of: LossOf,
    schedule: Schedule,
    folder: Path,
    *,
    resume: bool = False,
    step: Step = descend,
    after_epoch: Callable[[nn.Module], dict[str, float]] = lambda model: {},
    rates: Mapping[str, float] | None = None,
) -> nn.Module:
    """Train, and return the moving average of the weights in evaluation mode.

    loss_of: model and batch to a scalar loss.   schedule: a method's settings extend it.
    step: how one step changes the weights, as `descend`; it may ask for the gradient more than once.
    after_epoch: called with the averaged model; its numbers go into the log beside the loss.
    rates: by the first part of a parameter's name, what its learning rate is multiplied by; 1 for all others.
    folder: of the run, which receives the settings, the log, a checkpoint after every epoch and the weights at the end.
    With `resume` a killed run goes on after its last checkpoint and ends as the uninterrupted one would have, also on
    another number of devices. With several devices each runs the calling program again, as Lightning Fabric starts
    them.
    Raise InputError when the folder holds a run and `resume` is not given, or a run with other settings.
    """
    run = Run(folder)
    run.check(schedule, resume=resume, begun=False, may_change=_MAY_CHANGE)
    _check_together(run, schedule, resume)
    torch.manual_seed(schedule.seed)
    # Channels last is the layout that CPU convolutions want, and no slower elsewhere.
    model = model.to(memory_format=torch.channels_last)
    precision = schedule.precision
    if precision == "auto":
        precision = _precision_so_far(run) or _fitting_precision(model, loader, loss_of, schedule)
    fabric = _launched(schedule, precision)
    if fabric.is_global_zero:
        run.keep_settings(schedule)
    training = _Training(fabric, run, schedule, model, loader, rates or {})
    training.restore(resume)
    for epoch in range(training.epochs_done, schedule.epochs):
        started = time.monotonic()
        loss = training.train_epoch(loss_of, step)
        numbers = {"epoch": epoch, "loss": loss, "seconds": time.monotonic() - started}
        numbers |= after_epoch(training.averaged_model())
        if fabric.is_global_zero:
            _log(run, numbers | {"precision": precision})
        training.finish_epoch()
    trained = training.averaged_model()
    if fabric.is_global_zero:
        run.save(trained)
    return trained


class _Training:
    """What changes while a network is trained, as a checkpoint holds it, and the steps that change it."""

    def __init__(
        self,
        fabric: Fabric,
        run: Run,
        schedule: Schedule,
        model: nn.Module,
        loader: DataLoader[Batch],
        rates: Mapping[str, float],
    ) -> None:
        self._fabric, self._run, self._schedule, self._model = fabric, run, schedule, model
        optimizer = _optimizer(parameter_groups(model, schedule, rates), schedule)
        self._wrapped, self._optimizer = fabric.setup(model, optimizer)
        self._batches: Any = fabric.setup_dataloaders(loader)
        self._steps = max(1, len(self._batches) // schedule.accumulate)  # of an epoch
        self._scheduler = _schedule(self._optimizer, schedule, self._steps)
        self._average = AveragedModel(model, multi_avg_fn=_moving(decay(schedule, self._steps)), use_buffers=True)
        self._forward: Any = _compiled(self._wrapped) if schedule.compile else self._wrapped
        # epoch: how many are done.   step: how many of the next one's steps are done.   loss: the sum of their losses.
        self._state: dict[str, Any] = {
            "model": self._wrapped, "average": self._average, "optimizer": self._optimizer,
            "scheduler": self._scheduler, "epoch": 0, "step": 0, "loss": 0.0,
        }  # fmt: skip

    @property
    def epochs_done(self) -> int:
        return int(self._state["epoch"])

    def averaged_model(self) -> nn.Module:
        """The moving average of the weights, in evaluation mode."""
        return self._average.module.eval()

    def restore(self, resume: bool) -> None:
        """Fill the state from the last checkpoint, if there is one to resume from."""
        if resume and self._run.checkpoint.is_file():
            self._fabric.load(self._run.checkpoint, self._state, weights_only=True)
        # A kill between the log and the checkpoint leaves the line of an epoch that is trained again.
        if self._fabric.is_global_zero and len(lines := self._run.log()) > self.epochs_done:
            self._run.write_log(lines[: self.epochs_done])

    def train_epoch(self, loss_of: LossOf, step: Step) -> float:
        """Take a step with each group of batches, but for those that are done; return the mean loss.

        The order of an epoch depends on its number alone, the draws of a step on its number and device, so that a
        resumed run repeats them.
        """
        epoch, done = self.epochs_done, self._state["step"]
        first = self._schedule.seed * 100_003 + epoch
        self._wrapped.train()
        torch.manual_seed(first)
        batches = shown(self._batches, f"epoch {epoch}", len(self._batches))
        for number, group in enumerate(_grouped(batches, self._schedule.accumulate)):
            if number >= done:
                torch.manual_seed((first * 1_000_003 + number) * 1_009 + self._fabric.global_rank)
                self._take(group, loss_of, step)
        mean = torch.tensor(self._state["loss"] / self._steps, device=self._fabric.device)
        return float(cast(Tensor, self._fabric.all_reduce(mean, reduce_op="mean")))

    def finish_epoch(self) -> None:
        """Count the epoch as done, and write a checkpoint."""
        self._state |= {"epoch": self.epochs_done + 1, "step": 0, "loss": 0.0}
        _save(self._fabric, self._run.checkpoint, self._state)

    def _take(self, group: Sequence[Batch], loss_of: LossOf, step: Step) -> None:
        state, save_steps = self._state, self._schedule.save_steps
        backward = partial(self._backward, group, loss_of)
        state["loss"] += step(backward, self._fabric, self._wrapped, self._optimizer, self._schedule.clip).item()
        self._scheduler.step()
        self._average.update_parameters(self._model)
        state["step"] += 1
        if save_steps and state["step"] % save_steps == 0 and state["step"] < self._steps:
            _save(self._fabric, self._run.checkpoint, state)

    def _backward(self, group: Sequence[Batch], loss_of: LossOf) -> Tensor:
        """Add the gradient of the mean loss on a group of batches, and return that loss."""
        total = torch.zeros((), device=self._fabric.device)
        for number, batch in enumerate(group, 1):
            # Devices exchange gradients with the last batch alone.
            with self._fabric.no_backward_sync(self._wrapped, enabled=number < len(group)):
                loss = loss_of(self._forward, batch) / len(group)
                self._fabric.backward(loss)
            total += loss.detach()
        return total


def _launched(schedule: Schedule, precision: str) -> Fabric:
    fabric = Fabric(
        devices=schedule.devices,
        num_nodes=schedule.nodes,
        strategy=schedule.strategy,
        precision=precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def _optimizer(groups: list[dict[str, Any]], schedule: Schedule) -> torch.optim.Optimizer:
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=schedule.learning_rate)
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=schedule.learning_rate, momentum=_MOMENTUM, nesterov=True)
    raise InputError(f"optimizer is adamw or sgd, not {schedule.optimizer!r}")


def _check_together(run: Run, schedule: Schedule, resume: bool) -> None:
    if not (resume and run.checkpoint.is_file()):
        return
    before = run.values(run.checkpoint.name)
    together = math.prod(before.get(name, 1) for name in ("devices", "nodes", "accumulate"))
    if together != schedule.together:
        raise InputError(
            f"a step of {run.folder} is made of {together} batches, but devices x nodes x accumulate is now "
            f"{schedule.together}; resume with as many"
        )


def _grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Batches in groups; those that fill no group are left out, unless they are the only ones."""
    group: list[Batch] = []
    whole = False
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group, whole = [], True
    if group and not whole:
        yield group


def _compiled(model: nn.Module) -> Any:
    # Its own generator of random numbers, on a CPU, takes as long for dropout as the convolutions take.
    inductor.fallback_random = True
    return torch.compile(model)


def _fitting_precision(model: nn.Module, loader: DataLoader[Batch], loss_of: LossOf, schedule: Schedule) -> str:
    """Return "bf16-mixed" where the device that trains computes with it, on a CPU where it is faster."""
    if torch.accelerator.is_available():
        return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"
    # Several processes that measure the time might disagree.
    return faster_precision(model, next(iter(loader)), loss_of) if schedule.devices * schedule.nodes == 1 else "32-true"


def faster_precision(model: nn.Module, batch: Batch, loss_of: LossOf, steps: int = 5) -> str:
    """ "bf16-mixed" where a step takes less time with it on this machine, else "32-true"; the model stays as it was."""
    trial = copy.deepcopy(model).train()
    seconds = {}
    for precision in ("32-true", "bf16-mixed"):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss_of(trial, batch).backward()  # type: ignore[no-untyped-call]
            started = time.monotonic()
            for _ in shown(range(steps), f"timing {precision}", steps):
                loss_of(trial, batch).backward()  # type: ignore[no-untyped-call]
        seconds[precision] = time.monotonic() - started
    log.info("seconds for %d steps: %s", steps, seconds)
    return min(seconds, key=lambda name: seconds[name])


def parameter_groups(model: nn.Module, schedule: Schedule, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for matrices and kernels, none for biases, normalization and learned tables."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decayed = parameter.ndim > 1 and not any(word in name for word in _TABLES)
            rate = next((rate for start, rate in rates.items() if name.startswith(start)), 1.0)
            groups.setdefault((schedule.weight_decay if decayed else 0.0, rate), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "lr": rate * schedule.learning_rate}
        for (decay, rate), parameters in groups.items()
    ]


def decay(schedule: Schedule, per_epoch: int) -> float:
    """Return the decay of the moving average."""
    return min(schedule.average, 1 - 1 / max(1.0, _HORIZON * schedule.epochs * per_epoch))


def _moving(most: float) -> Callable[..., None]:
    """The updates of a moving average that keeps so much of itself at most.

    The n-th keeps no more than (1 + n) / (10 + n): else the untrained network, with running variances of 1 where those
    of features may be hundredths, would be a part of the average for most of the training.
    """

    def update(averages: Any, values: Any, updates: Tensor) -> None:
        n = int(updates)
        get_ema_multi_avg_fn(min(most, (1 + n) / (10 + n)))(averages, values, updates)  # type: ignore[no-untyped-call]

    return update


def _schedule(optimizer: Any, schedule: Schedule, per_epoch: int) -> SequentialLR:
    warmup = max(1, round(schedule.warmup * per_epoch))
    rest, last = max(1, schedule.epochs * per_epoch - warmup), schedule.last_learning_rate
    return SequentialLR(
        optimizer,
        [LinearLR(optimizer, start_factor=0.01, total_iters=warmup), CosineAnnealingLR(optimizer, rest, last)],
        milestones=[warmup],
    )


def _save(fabric: Fabric, checkpoint: Path, state: dict[str, Any]) -> None:
    # A kill while writing must not cost the run: write beside, then replace.
    beside = checkpoint.with_suffix(".part")
    fabric.save(beside, state)
    fabric.barrier()
    if fabric.is_global_zero:
        beside.replace(checkpoint)


def _precision_so_far(run: Run) -> str | None:
    """Return what the epochs before were trained with: timed anew, a resumed run might go on with the other."""
    lines = run.log()
    return str(lines[-1]["precision"]) if lines else None


def _log(run: Run, numbers: Mapping[str, float | str]) -> None:
    run.append_log(numbers)
    log.info("%s", "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items()))
