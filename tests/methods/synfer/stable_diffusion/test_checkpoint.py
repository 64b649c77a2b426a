import pytest
import torch
from safetensors.torch import load_file, save_file

from mien.errors import InputError
from mien.methods.synfer.stable_diffusion.checkpoint import joined, load
from tests.methods.synfer.tiny import write_checkpoint

diffusers = pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def velocity(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("velocity"), "v_prediction")


@pytest.fixture
def model(checkpoint):
    return load(checkpoint, device="cpu")


def test_latents_and_noise_are_found_again_in_what_the_u_net_should_say(model, velocity):
    for each in (model, load(velocity, device="cpu")):
        clean, added = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
        time = 700
        alpha = float(each.scheduler.alphas_cumprod[time])
        noisy = joined(clean, added, alpha)
        torch.testing.assert_close(noisy, each.scheduler.add_noise(clean, added, torch.tensor([time, time])))
        parts = each.parted(each.target(clean, added, torch.tensor([time, time])), noisy, alpha)
        torch.testing.assert_close(parts, (clean, added), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_steps_down_and_up_are_those_of_diffusers(checkpoint, velocity, prediction):
    each = load({"epsilon": checkpoint, "v_prediction": velocity}[prediction], device="cpu")
    options = {"clip_sample": False, "set_alpha_to_one": False}
    down = diffusers.DDIMScheduler.from_config(each.scheduler.config, **options)
    up = diffusers.DDIMInverseScheduler.from_config(each.scheduler.config, **options)
    down.set_timesteps(10)
    up.set_timesteps(10)
    levels = each.levels(10)
    assert [level.time for level in levels] == down.timesteps.tolist() == up.timesteps.tolist()[::-1]
    assert [level.below for level in levels[:-1]] == [level.alpha for level in levels[1:]]
    for level in levels:
        noisy, said = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
        lower = joined(*each.parted(said, noisy, level.alpha), level.below)
        torch.testing.assert_close(lower, down.step(said, level.time, noisy).prev_sample, atol=1e-4, rtol=1e-4)
        higher = joined(*each.parted(said, noisy, level.below), level.alpha)
        torch.testing.assert_close(higher, up.step(said, level.time, noisy).prev_sample, atol=1e-4, rtol=1e-4)


def test_weights_in_half_precision_are_opened_in_single(checkpoint, tmp_path):
    half = write_checkpoint(tmp_path)
    for name in ("text_encoder/model", "vae/diffusion_pytorch_model", "unet/diffusion_pytorch_model"):
        path = half / f"{name}.safetensors"
        save_file({key: value.half() for key, value in load_file(path).items()}, path, {"format": "pt"})
    opened = load(half, device="cpu")
    for part in (opened.text_encoder, opened.vae, opened.unet):
        assert {p.dtype for p in part.parameters()} == {torch.float32}


def test_what_is_no_checkpoint_is_refused_with_a_word_on_what_is(tmp_path, checkpoint):
    with pytest.raises(InputError, match="cannot be opened as Stable Diffusion"):
        load(tmp_path, device="cpu")
    pickled = write_checkpoint(tmp_path / "pickled")
    weights = pickled / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(InputError, match="with safetensors in it"):
        load(pickled, device="cpu")


def test_a_checkpoint_that_predicts_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="predicts 'sample'"):
        load(write_checkpoint(tmp_path, "sample"), device="cpu")
