import dataclasses
import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mien.errors import InputError
from mien.training.loop import Schedule, decay, descend, faster_precision, fit

SCHEDULE = Schedule(epochs=4, learning_rate=0.02, average=0.8, precision="32-true")


class Stopped(BaseException):
    """What a kill looks like from inside."""


def network() -> nn.Module:
    """With running statistics and with draws of its own, as the real ones have."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))


def batches() -> DataLoader:
    points = torch.randn(96, 6, generator=torch.Generator().manual_seed(2))
    return DataLoader(TensorDataset(points, (points[:, 0] > points[:, 1]).long()), batch_size=16, shuffle=True)


def loss(model, batch):
    points, labels = batch
    noise = 0.1 * torch.randn_like(points)
    return nn.functional.cross_entropy(model(points + noise), labels)


def run(folder, schedule=SCHEDULE, loss_of=loss, model=None, **options):
    return fit(model or network(), batches(), loss_of, schedule, folder, **options)


def stopping_at(step: int):
    """The loss, until the process is killed at this step."""
    steps = 0

    def loss_of(model, batch):
        nonlocal steps
        steps += 1
        if steps == step:
            raise Stopped
        return loss(model, batch)

    return loss_of


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    other_state = other.state_dict()
    assert one.state_dict().keys() == other_state.keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other_state[name]), name


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return run(folder), folder


def test_the_loss_falls_and_the_trained_network_answers_right(uninterrupted):
    trained, folder = uninterrupted
    losses = [line["loss"] for line in lines(folder)]
    assert losses[-1] < 0.7 * losses[0]
    assert not trained.training
    points, labels = batches().dataset.tensors  # type: ignore[attr-defined]
    assert (trained(points).argmax(1) == labels).float().mean() > 0.8


def test_the_log_has_one_line_an_epoch(uninterrupted):
    _, folder = uninterrupted
    assert [line["epoch"] for line in lines(folder)] == [0, 1, 2, 3]
    assert all(line["precision"] == "32-true" and line["seconds"] > 0 for line in lines(folder))


def test_what_training_returns_is_left_in_the_folder_beside_its_settings(uninterrupted):
    trained, folder = uninterrupted
    saved = load_file(folder / "model.safetensors")
    assert saved.keys() == trained.state_dict().keys()
    assert all(torch.equal(saved[name], value) for name, value in trained.state_dict().items())
    assert json.loads((folder / "settings.json").read_text()) == dataclasses.asdict(SCHEDULE)


def test_the_same_seed_trains_the_same_network_and_another_seed_another(uninterrupted, tmp_path):
    trained, _ = uninterrupted
    assert_equal(run(tmp_path / "again"), trained)
    other = run(tmp_path / "other", dataclasses.replace(SCHEDULE, seed=1))
    assert not torch.equal(other[0].weight, trained[0].weight)


@pytest.mark.parametrize("step", [7, 15, 24])  # there are six steps an epoch
def test_a_killed_run_that_is_resumed_ends_with_exactly_the_same_weights(uninterrupted, tmp_path, step):
    with pytest.raises(Stopped):
        run(tmp_path, loss_of=stopping_at(step))
    assert len(lines(tmp_path)) == (step - 1) // 6
    assert_equal(run(tmp_path, resume=True), uninterrupted[0])
    assert [line["epoch"] for line in lines(tmp_path)] == [0, 1, 2, 3]


def test_a_run_killed_twice_ends_the_same_too(uninterrupted, tmp_path):
    for step in (9, 11):
        with pytest.raises(Stopped):
            run(tmp_path, loss_of=stopping_at(step), resume=True)
    assert_equal(run(tmp_path, resume=True), uninterrupted[0])


@pytest.mark.parametrize("step", [3, 10])
def test_checkpoints_by_steps_lose_less_of_an_epoch_and_end_the_same(uninterrupted, tmp_path, step):
    often, seen = dataclasses.replace(SCHEDULE, save_steps=2), []
    with pytest.raises(Stopped):
        run(tmp_path, often, loss_of=stopping_at(step))
    trained = run(tmp_path, often, loss_of=lambda *given: seen.append(1) or loss(*given), resume=True)
    assert_equal(trained, uninterrupted[0])
    assert len(seen) == 24 - (step - 1) // 2 * 2, "what was done before the last checkpoint is not done again"
    assert [line["loss"] for line in lines(tmp_path)] == [line["loss"] for line in lines(uninterrupted[1])]


def test_a_run_killed_before_its_first_checkpoint_starts_again(uninterrupted, tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, loss_of=stopping_at(3))
    assert_equal(run(tmp_path), uninterrupted[0])


def test_a_kill_between_the_log_and_the_checkpoint_leaves_no_second_line(uninterrupted, tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, loss_of=stopping_at(8))
    # The second epoch had come to its log, but not to its checkpoint.
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(json.dumps({"epoch": 1, "loss": 0.5, "precision": "32-true"}) + "\n")
    assert_equal(run(tmp_path, resume=True), uninterrupted[0])
    assert [line["epoch"] for line in lines(tmp_path)] == [0, 1, 2, 3]


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    short = dataclasses.replace(SCHEDULE, epochs=1)
    trained = run(tmp_path, short)
    assert_equal(run(tmp_path, short, resume=True, loss_of=stopping_at(1)), trained)
    assert len(lines(tmp_path)) == 1


def test_a_folder_with_a_run_is_not_written_over(tmp_path):
    short = dataclasses.replace(SCHEDULE, epochs=1)
    run(tmp_path, short)
    before = (tmp_path / "last.ckpt").read_bytes()
    with pytest.raises(InputError, match="holds a run already; give --resume"):
        run(tmp_path, short)
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_other_settings_are_refused_by_name(tmp_path):
    run(tmp_path, dataclasses.replace(SCHEDULE, epochs=1))
    with pytest.raises(InputError, match=r"begun with other settings \(epochs, learning_rate\)"):
        run(tmp_path, dataclasses.replace(SCHEDULE, epochs=2, learning_rate=0.1), resume=True)


def test_a_setting_that_the_run_had_and_the_new_one_has_not_is_named(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Longer(Schedule):
        dropout: float = 0.5

    short = dataclasses.replace(SCHEDULE, epochs=1)
    longer = Longer(**dataclasses.asdict(short))
    fit(network(), batches(), loss, longer, tmp_path)
    with pytest.raises(InputError, match=r"other settings \(dropout\)"):
        run(tmp_path, short, resume=True)


def test_what_is_measured_after_an_epoch_goes_into_the_log(tmp_path):
    modes = []

    def measure(model):
        modes.append(model.training)
        return {"accuracy": 0.5}

    run(tmp_path, dataclasses.replace(SCHEDULE, epochs=2), after_epoch=measure)
    assert [line["accuracy"] for line in lines(tmp_path)] == [0.5, 0.5]
    assert modes == [False, False]


def test_training_returns_the_moving_average_of_weights_and_running_statistics(tmp_path):
    model, seen = network(), []

    def now():
        return {name: value.detach().clone() for name, value in model.state_dict().items() if value.is_floating_point()}

    def watch(training, batch):
        seen.append(now())
        return loss(training, batch)

    trained = run(tmp_path, dataclasses.replace(SCHEDULE, epochs=5), loss_of=watch, model=model).state_dict()
    first, *others = [*seen[1:], now()]  # after each step
    for name, average in first.items():
        for n, state in enumerate(others, 1):
            kept = min(0.8, (1 + n) / (10 + n))
            average = kept * average + (1 - kept) * state[name]
        assert torch.allclose(trained[name], average, atol=1e-6), name
        assert not torch.allclose(trained[name], model.state_dict()[name], atol=1e-6), name


def test_the_untrained_network_is_soon_no_part_of_the_average(tmp_path):
    model = nn.Linear(6, 2, bias=False)

    def jump(backward, fabric, model, optimizer, clip):
        with torch.no_grad():
            model.weight.fill_(0.002)
        optimizer.step()
        return backward()

    model.weight.data.fill_(1.0)
    slow = dataclasses.replace(SCHEDULE, epochs=90, average=0.999, learning_rate=0.0)
    trained = run(tmp_path, slow, model=model, step=jump)
    assert trained.weight.detach().numpy() == pytest.approx(0.002, rel=0.01)


def test_an_average_spans_no_more_than_a_fifth_of_the_steps():
    assert decay(Schedule(epochs=28, average=0.9995), 443) == 0.9995
    assert decay(Schedule(epochs=4, average=0.9995), 443) == pytest.approx(1 - 1 / 354.4)
    assert decay(Schedule(epochs=1), 1) == 0


def test_the_learning_rate_warms_up_and_then_falls_to_nothing(tmp_path):
    rates = watched(tmp_path, dataclasses.replace(SCHEDULE, epochs=5, warmup=1.0, learning_rate=1.0))[0]
    assert len(rates) == 30
    assert rates[0] == pytest.approx(0.01)
    assert rates[:7] == sorted(rates[:7])
    assert max(rates) == pytest.approx(1.0)
    assert rates[6:] == sorted(rates[6:], reverse=True)
    assert rates[-1] < 0.01


def test_a_warm_up_may_be_a_fraction_of_an_epoch(tmp_path):
    rates = watched(tmp_path, dataclasses.replace(SCHEDULE, epochs=2, warmup=0.5, learning_rate=1.0))[0]
    assert rates.index(max(rates)) == 3, "of six steps an epoch"


def test_weights_decay_but_biases_and_normalization_do_not(tmp_path):
    decayed, others = watched(tmp_path, dataclasses.replace(SCHEDULE, epochs=1, weight_decay=0.05))[1]
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.05, 0)
    assert [tuple(p.shape) for p in decayed["params"]] == [(16, 6), (2, 16)]
    assert len(others["params"]) == 4


def watched(folder, schedule):
    """The learning rate of every step, and the groups of parameters."""
    rates, groups = [], []

    def step(backward, fabric, model, optimizer, clip):
        rates.append(optimizer.param_groups[0]["lr"])
        groups[:] = optimizer.param_groups
        return descend(backward, fabric, model, optimizer, clip)

    run(folder, schedule, step=step)
    return rates, groups


def test_timing_the_precisions_leaves_the_network_as_it_was():
    model = network()
    batch = next(iter(batches()))
    assert faster_precision(model, batch, loss, steps=1) in ("32-true", "bf16-mixed")
    assert_equal(model, network())
    assert all(p.grad is None for p in model.parameters())


def test_stochastic_gradient_descent_learns_and_an_unknown_optimizer_is_refused(uninterrupted, tmp_path):
    plain = dataclasses.replace(SCHEDULE, optimizer="sgd", learning_rate=0.1)
    run(tmp_path / "sgd", plain)
    losses = [line["loss"] for line in lines(tmp_path / "sgd")]
    assert losses[-1] < 0.8 * losses[0]
    with pytest.raises(InputError, match="adamw or sgd, not 'lion'"):
        run(tmp_path / "lion", dataclasses.replace(SCHEDULE, optimizer="lion"))


def test_a_part_with_a_rate_of_nothing_stays_as_it_started(tmp_path):
    start = network()
    trained = run(tmp_path, model=network(), rates={"0.": 0.0})
    assert torch.equal(trained[0].weight, start[0].weight)
    assert not torch.equal(trained[4].weight, start[4].weight)


PLAIN = """
import sys
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from mien.training.loop import Schedule, fit

batch, accumulate, devices, epochs, resume, folder = *map(int, sys.argv[1:6]), sys.argv[6]
torch.manual_seed(1)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
points = torch.randn(96, 6, generator=torch.Generator().manual_seed(2))
sampler = torch.utils.data.WeightedRandomSampler(torch.ones(96), 96)
data = DataLoader(TensorDataset(points, (points[:, 0] > points[:, 1]).long()), batch_size=batch, sampler=sampler)
schedule = Schedule(
    epochs=4, learning_rate=0.02, average=0.8, precision="32-true", accumulate=accumulate, devices=devices
)
done = iter(range(epochs))


def after(network):
    if next(done, None) is None:
        raise SystemExit(9)
    return {}


def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


from pathlib import Path
fit(model, data, loss, schedule, Path(folder), resume=bool(resume), after_epoch=after)
"""


def plain(folder, *, batch: int, accumulate: int = 1, devices: int = 1, epochs: int = 4, resume: bool = False):
    """Train a network without draws of its own in a program of its own; return its exit code."""
    program = folder.parent / "program.py"
    program.write_text(PLAIN)
    numbers = [batch, accumulate, devices, epochs, int(resume)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(program), *map(str, numbers), str(folder)], env=environment, capture_output=True
    ).returncode


def alike(one, other) -> bool:
    same = all(a["loss"] == pytest.approx(b["loss"], rel=1e-5) for a, b in zip(lines(one), lines(other), strict=True))
    weights = [load_file(folder / "model.safetensors") for folder in (one, other)]
    return same and all(torch.allclose(value, weights[1][name], atol=1e-6) for name, value in weights[0].items())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "whole"
    assert plain(folder, batch=16) == 0
    return folder


def test_gradients_of_two_batches_together_are_those_of_one_twice_as_large(whole, tmp_path):
    assert plain(tmp_path / "run", batch=8, accumulate=2) == 0
    assert alike(tmp_path / "run", whole)


def test_two_processes_train_as_one_with_twice_the_batch(whole, tmp_path):
    assert plain(tmp_path / "run", batch=8, devices=2) == 0
    assert alike(tmp_path / "run", whole)


def test_one_process_goes_on_with_what_two_began(whole, tmp_path):
    assert plain(tmp_path / "run", batch=8, devices=2, epochs=2) != 0
    assert len(lines(tmp_path / "run")) == 2
    assert plain(tmp_path / "run", batch=8, accumulate=2, resume=True) == 0
    assert alike(tmp_path / "run", whole)


def test_a_run_that_goes_on_with_other_steps_is_refused(tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, loss_of=stopping_at(8))
    with pytest.raises(InputError, match="made of 1 batches, but devices x nodes x accumulate is now 2"):
        run(tmp_path, dataclasses.replace(SCHEDULE, accumulate=2), resume=True)
