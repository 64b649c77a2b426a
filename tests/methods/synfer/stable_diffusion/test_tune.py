import itertools
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import ActionUnit
from mien.methods.synfer.stable_diffusion.adapter import Adapter
from mien.methods.synfer.stable_diffusion.checkpoint import load
from mien.methods.synfer.stable_diffusion.tune import (
    AdapterSettings,
    LoraSettings,
    Tensors,
    noise_loss,
    shaken,
    train_adapter,
    train_lora,
    withheld,
)
from tests.methods.synfer.tiny import HAPPY, Interrupted, pipeline_of, predicted, write_checkpoint, write_pairs

pytest.importorskip("diffusers")
pytest.importorskip("peft")

ONCE = {
    "epochs": 1, "batch_size": 4, "precision": "32-true", "learning_rate": 1e-2, "last_learning_rate": 1e-2,
    "average": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def velocity(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("velocity"), "v_prediction")


@pytest.fixture
def model(checkpoint):
    return load(checkpoint, device="cpu")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs") / "faces")


@pytest.fixture(scope="module")
def lora_run(checkpoint, pairs, tmp_path_factory):
    """Two steps of the first stage."""
    folder = tmp_path_factory.mktemp("lora")
    return train_lora(pairs, LoraSettings(checkpoint=str(checkpoint), **ONCE), folder), folder


@pytest.fixture(scope="module")
def adapter_run(checkpoint, pairs, lora_run, tmp_path_factory):
    """Two steps of the second stage, on top of the first."""
    folder, lora = tmp_path_factory.mktemp("adapter"), str(lora_run[1])
    settings = AdapterSettings(checkpoint=str(checkpoint), lora=lora, **ONCE)
    return train_adapter(pairs, settings, folder), folder


def test_two_steps_of_the_first_stage_leave_low_rank_changes_and_nothing_else(lora_run, checkpoint):
    lora, folder = lora_run
    kept = load_file(folder / "model.safetensors")
    assert set(kept) == set(lora.state_dict())
    assert all(torch.equal(value, kept[key]) for key, value in lora.state_dict().items())
    assert {min(value.shape) for value in kept.values()} == {4}
    assert len((folder / "log.jsonl").read_text().splitlines()) == 1
    before = load(checkpoint, device="cpu")
    after = load(checkpoint, lora=folder, device="cpu")
    words = before.words(["a light face"])
    assert (predicted(before, words) - predicted(after, words)).abs().max() > 1e-4


def test_diffusers_loads_what_the_first_stage_learnt(lora_run, checkpoint):
    _, folder = lora_run
    tuned = load(checkpoint, lora=folder, device="cpu")
    plain = load(checkpoint, device="cpu")
    pipeline = pipeline_of(plain)
    pipeline.load_lora_weights(folder, weight_name="pytorch_lora_weights.safetensors")
    words = plain.words(["a light face"])
    torch.testing.assert_close(predicted(replace(plain, unet=pipeline.unet), words), predicted(tuned, words))


def test_two_steps_of_the_second_stage_leave_the_adapter_and_nothing_else(adapter_run, checkpoint):
    adapter, folder = adapter_run
    kept = load_file(folder / "model.safetensors")
    assert set(kept) == set(adapter.state_dict())
    assert all(torch.equal(value, kept[key]) for key, value in adapter.state_dict().items())
    told = load(checkpoint, adapter=folder, device="cpu").adapter
    assert all(layer.values.weight.abs().max() > 0 for layer in told.layers)


@pytest.mark.parametrize("stage", ["first", "second"])
def test_what_is_withheld_from_all_faces_has_no_say(checkpoint, tmp_path, stage):
    def trained(number, **said):
        pairs = write_pairs(tmp_path / f"{number}", 4, **said)
        if stage == "first":
            settings = LoraSettings(checkpoint=str(checkpoint), no_caption=1.0, **ONCE)
            return train_lora(pairs, settings, tmp_path / f"run{number}").state_dict()
        settings = AdapterSettings(checkpoint=str(checkpoint), no_caption=0, no_units=0, no_condition=1.0, **ONCE)
        return train_adapter(pairs, settings, tmp_path / f"run{number}").state_dict()

    one = trained(1, caption="one", action_units={"AU12": 1})
    other = trained(2, caption="another", action_units={"AU04": 0.5})
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_an_adapter_brings_along_the_low_rank_changes_it_was_trained_with(adapter_run, lora_run, checkpoint):
    _, folder = adapter_run
    words = load(checkpoint, device="cpu").words(["a light face"])
    units = torch.tensor(HAPPY)[None]
    by_itself, named, without = (
        predicted(load(checkpoint, adapter=folder, device="cpu", **lora), words, units)
        for lora in ({}, {"lora": lora_run[1]}, {"lora": ""})
    )
    assert torch.equal(by_itself, named)
    assert (by_itself - without).abs().max() > 1e-4


def test_runs_of_both_stages_can_be_moved_together(adapter_run, lora_run, checkpoint, tmp_path):
    words = load(checkpoint, device="cpu").words(["a light face"])
    units = torch.tensor(HAPPY)[None]
    before = predicted(load(checkpoint, adapter=adapter_run[1], device="cpu"), words, units)
    for _, folder in (lora_run, adapter_run):
        shutil.copytree(folder, tmp_path / folder.name)
    shutil.move(lora_run[1], tmp_path / "elsewhere")
    try:
        moved = load(checkpoint, adapter=tmp_path / adapter_run[1].name, device="cpu")
        assert torch.equal(predicted(moved, words, units), before)
    finally:
        shutil.move(tmp_path / "elsewhere", lora_run[1])


def test_a_run_that_was_killed_goes_on_and_ends_as_one_that_was_not(checkpoint, tmp_path):
    pairs = write_pairs(tmp_path / "faces")
    settings = AdapterSettings(checkpoint=str(checkpoint), **ONCE | {"epochs": 2})
    whole = train_adapter(pairs, settings, tmp_path / "whole")
    reads = itertools.count(1)
    with pytest.raises(KeyboardInterrupt):  # in the second epoch of eight pictures
        train_adapter(Interrupted(tmp_path / "faces", lambda: next(reads) > 12), settings, tmp_path / "killed")
    resumed = train_adapter(pairs, settings, tmp_path / "killed", resume=True)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[key], value)


@pytest.mark.parametrize(("tokens", "rate"), [("units", 0.05), ("one", 0.02)])
def test_the_adapter_learns_what_an_action_unit_looks_like(velocity, tokens, rate):
    def encode(pictures):
        latents = pictures.mean(dim=(1, 2, 3), keepdim=True).expand(-1, 4, 8, 8)
        return SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda: latents))

    light = SimpleNamespace(encode=encode, config=SimpleNamespace(scaling_factor=2.0))
    model = replace(load(velocity, device="cpu"), vae=light)
    torch.manual_seed(0)
    adapter = Adapter(model.unet, tokens)
    optimizer = torch.optim.Adam(adapter.parameters(), rate)
    # Dark without AU12 and light with it.
    pictures = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 16, 16)
    units = torch.full((2, VECTOR), torch.nan)
    units[:, list(ActionUnit).index(12)] = torch.tensor([0.0, 1.0])

    def loss(told):
        return noise_loss(model, adapter, pictures, model.ids(["a face"] * 2), "32-true", told)

    def mean_loss(told):
        torch.manual_seed(1)
        with torch.no_grad():
            return np.mean([loss(told).item() for _ in range(10)])

    before = mean_loss(units)
    for _ in range(40):
        optimizer.zero_grad()
        loss(units).backward()
        optimizer.step()
    assert all(p.grad is None for name, p in model.unet.named_parameters() if "processor" not in name)
    assert mean_loss(units) < before - 0.2
    assert mean_loss(1 - units) > mean_loss(units) + 0.2


def test_working_inner_values_out_twice_gives_the_same_network(checkpoint, pairs, lora_run, tmp_path):
    settings = LoraSettings(checkpoint=str(checkpoint), checkpointing=True, **ONCE)
    twice = train_lora(pairs, settings, tmp_path)
    for key, value in lora_run[0].state_dict().items():
        torch.testing.assert_close(twice.state_dict()[key], value)


def test_mirrored_faces_have_mirrored_asymmetries_unless_their_caption_names_a_side(model, tmp_path):
    said = {"AU12": 0.5, "AU12_asymmetry": 0.25}
    kept = write_pairs(tmp_path / "sides", caption="the left brow is up", action_units=said)
    turned = write_pairs(tmp_path / "plain", caption="the brows are up", action_units=said)
    torch.manual_seed(0)
    first, second = ([Tensors(each, model, 0)[0] for _ in range(40)] for each in (kept, turned))
    assert len({(tuple(t[0].flatten().tolist()), float(t[2][-3])) for t in first}) == 1
    pictures = {float(t[2][-3]): t[0] for t in second}
    assert set(pictures) == {0.25, -0.25}
    assert torch.equal(pictures[0.25], pictures[-0.25].flip(-1))
    assert {float(t[2][list(ActionUnit).index(12)]) for t in second} == {0.5}
    assert 8 < sum(float(t[2][-3]) < 0 for t in second) < 32


def test_captions_and_action_units_are_withheld_as_often_as_the_settings_say():
    torch.manual_seed(0)
    settings = AdapterSettings(no_caption=0.2, no_units=0.1, no_condition=0.3)
    caption, units = withheld(20_000, settings)
    shares = [(caption & ~units), (units & ~caption), (caption & units)]
    assert [share.float().mean().item() for share in shares] == pytest.approx([0.2, 0.1, 0.3], abs=0.015)


def test_shaken_action_units_stay_in_their_range_and_free_ones_free():
    torch.manual_seed(0)
    units = torch.cat([torch.zeros(500, 21), torch.full((500, 3), -1.0)], dim=1)
    units[:, 5] = torch.nan
    moved = shaken(units, 0.03)
    assert moved[:, 5].isnan().all()
    assert moved[:, 0].min() == 0
    assert moved[:, 0].std() > 0.01
    assert moved[:, -1].min() == -1
    assert moved[:, -1].max() < -0.8


def test_an_adapter_is_not_trained_without_action_units(checkpoint, tmp_path):
    blind = write_pairs(tmp_path / "faces", action_units=None)
    with pytest.raises(InputError, match="no pair has action units"):
        train_adapter(blind, AdapterSettings(checkpoint=str(checkpoint)), tmp_path / "run")


def test_a_run_of_another_checkpoint_or_of_the_other_stage_is_refused(adapter_run, lora_run, checkpoint, tmp_path):
    wide = write_checkpoint(tmp_path, width=24)
    with pytest.raises(InputError, match="was trained on another kind of checkpoint"):
        load(wide, adapter=adapter_run[1], lora="", device="cpu")
    with pytest.raises(InputError, match="its settings have no 'tokens'"):
        load(checkpoint, adapter=lora_run[1], lora="", device="cpu")
    with pytest.raises(InputError, match="its settings have no 'rank'"):
        load(checkpoint, lora=adapter_run[1], device="cpu")
