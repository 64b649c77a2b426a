from collections import namedtuple
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mien.core.align import align, to_crop_frame
from mien.core.detect import whole_picture
from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.guidance import Guidance
from mien.methods.synfer.stable_diffusion import generator as sd
from mien.methods.synfer.stable_diffusion.checkpoint import joined
from mien.methods.synfer.stable_diffusion.tune import squared
from mien.results.face import Face
from tests.helpers import noise
from tests.methods.synfer.tiny import HAPPY, SIDE, pipeline_of, random_adapter, write_checkpoint, write_pairs

pytest.importorskip("diffusers")

FREE = sd.unit_vector(None)
QUICK = sd.Sampling(steps=5, text_scale=2.0, unit_scale=1.5)
DARK, LIGHT = noise(SIDE, SIDE, 3, seed=1) // 4, noise(SIDE, SIDE, 3, seed=2) // 4 + 180


def ask(expression=None, caption="", units=FREE, identity=0):
    return sd.Request(expression, units, caption, identity)


class Guide(nn.Module):
    """Takes light faces for happy, and the lightness for AU12."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, faces):
        self.seen.append(faces.detach())
        light = faces.mean(dim=(1, 2, 3))
        logits = torch.stack([-light, light], dim=1) @ torch.eye(2, 8)
        return namedtuple("Answers", "logits action_units")(logits, light[:, None].expand(-1, VECTOR))  # type: ignore[call-arg]


def guides(mode="tokens", share=1.0, step=0.1, detect=whole_picture, size=8, **networks):
    """Both networks unless some are named."""
    guidance = Guidance(mode, share, token_step=step, estimate_step=step)
    return sd.Guides(
        **networks or {"expression": Guide(), "units": Guide()}, guidance=guidance, size=size, detect=detect
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def model(checkpoint):
    return sd.load(checkpoint, device="cpu")


@pytest.fixture(scope="module")
def adapter(checkpoint, tmp_path_factory):
    """A run of the second stage."""
    folder = tmp_path_factory.mktemp("adapter")
    settings = sd.AdapterSettings(checkpoint=str(checkpoint), epochs=1, batch_size=4, precision="32-true")
    sd.train_adapter(write_pairs(folder / "faces"), settings, folder / "run")
    return folder / "run"


def test_without_action_units_and_guides_faces_are_those_that_diffusers_draws(model, checkpoint):
    settings = sd.Sampling(steps=6, text_scale=3.0, negative="blurry", seed=8)
    (face,) = sd.generate(checkpoint, [ask(caption="a light face", identity=3)], settings, device="cpu")
    start = torch.from_numpy(np.random.default_rng([8, 3]).standard_normal((1, 4, 8, 8), np.float32))
    theirs = pipeline_of(model)(
        "a light face", negative_prompt="blurry", latents=start, num_inference_steps=6, guidance_scale=3.0,
        height=SIDE, width=SIDE, output_type="np",
    ).images  # fmt: skip
    np.testing.assert_allclose(face, 255 * theirs[0], atol=1)


def test_a_request_gives_the_same_face_whatever_is_drawn_with_it(checkpoint, adapter):
    requests = [ask(Expression.HAPPINESS, identity=4), ask(Expression.FEAR, "a dark face", HAPPY, identity=5)]
    together, apart = (
        np.array(list(sd.generate(checkpoint, requests, settings, adapter=adapter, device="cpu")), int)
        for settings in (replace(QUICK, batch_size=2), replace(QUICK, batch_size=1))
    )
    assert together.shape == (2, SIDE, SIDE, 3)
    np.testing.assert_allclose(together, apart, atol=1)
    assert np.abs(together[0] - together[1]).max() > 1


def test_action_units_change_a_face_and_so_does_its_identity(model):
    told = random_adapter(model)
    faces = sd.draw(told, [ask(), ask(units=HAPPY), ask(identity=1)], QUICK).astype(int)
    assert np.abs(faces[0] - faces[1]).max() > 1
    assert np.abs(faces[0] - faces[2]).max() > 1


def test_without_a_caption_the_expression_is_named(model):
    (named,) = sd.draw(model, [ask(Expression.FEAR)], QUICK)
    (said,) = sd.draw(model, [ask(caption="a photo of a face that shows fear")], QUICK)
    (free,) = sd.draw(model, [ask()], QUICK)
    np.testing.assert_array_equal(named, said)
    assert np.abs(named.astype(int) - free).max() > 1


@pytest.mark.parametrize(("text_scale", "unit_scale"), [(0.0, 0.0), (1.0, 1.0), (2.0, 1.5), (7.5, 7.5)])
def test_guidance_goes_beyond_caption_and_action_units_as_far_as_the_scales_say(model, text_scale, unit_scale):
    adapted = random_adapter(model)
    no_words, no_units = adapted.words([""])[0], adapted.adapter.tokens.unknown

    def by_condition(noisy, time, context):
        texts = [not torch.equal(row[:77], no_words) for row in context]
        units = [not torch.equal(row[77:], no_units) for row in context]
        noise = [0.4 if u else 0.2 if t else 0.1 for t, u in zip(texts, units, strict=True)]
        return SimpleNamespace(sample=torch.tensor(noise)[:, None, None, None].expand_as(noisy))

    def drawn(predict):
        request = ask(caption="a face", units=HAPPY)
        return sd.draw(replace(adapted, unet=unet_like(model, predict)), [request], settings).astype(int)

    settings = sd.Sampling(steps=5, negative="", text_scale=text_scale, unit_scale=unit_scale)
    composed = 0.1 + text_scale * (0.2 - 0.1) + unit_scale * (0.4 - 0.2)
    np.testing.assert_allclose(drawn(by_condition), drawn(always(composed)), atol=1)
    assert np.abs(drawn(by_condition) - drawn(always(composed + 0.5))).max() > 1


def always(noise):
    """A U-Net's answer that is the same everywhere."""
    return lambda noisy, time, context: SimpleNamespace(sample=torch.full_like(noisy, noise))


def test_faces_can_be_drawn_larger_than_the_checkpoint_has_them(checkpoint):
    (face,) = sd.generate(checkpoint, [ask(Expression.ANGER)], replace(QUICK, size=24), device="cpu")
    assert face.shape == (24, 24, 3)


def test_half_precision_draws_nearly_the_same_face(model):
    exact, rough = (sd.draw(model, [ask()], replace(QUICK, precision=name)) for name in ("32-true", "bf16-mixed"))
    assert 0 < np.abs(exact.astype(int) - rough).mean() < 10


@pytest.mark.parametrize(
    ("request_", "options", "said"),
    [
        (ask(units=HAPPY), {}, "request 1 asks for action units, which needs an adapter"),
        (ask(), {"layouts": []}, "1 requests and 0 layouts"),
        (ask(), {"settings": replace(QUICK, steps=2000)}, "from 1 to 1000"),
        (ask(), {"settings": replace(QUICK, size=15)}, "a multiple of 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(checkpoint, request_, options, said):
    with pytest.raises(InputError, match=said):
        list(sd.generate(checkpoint, [request_], **{"settings": QUICK} | options, device="cpu"))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="32-true or bf16-mixed"):
        sd.Sampling(precision="half")
    with pytest.raises(InputError, match="batch_size"):
        sd.Sampling(batch_size=0)


# Inversion


def test_an_inverted_picture_is_drawn_again(model, checkpoint):
    settings = sd.Sampling(steps=50, depth=0.5, text_scale=1.0)
    requests = [ask(Expression.NEUTRAL), ask(Expression.NEUTRAL)]
    again = np.stack(list(sd.generate(checkpoint, requests, settings, layouts=[DARK, LIGHT], device="cpu")))
    decoded = model.decode(model.encode(torch.stack([squared(p, SIDE) for p in (DARK, LIGHT)])))
    expected = 255 * decoded.detach().permute(0, 2, 3, 1).numpy()
    off = np.abs(again[:, None] - expected[None]).mean(axis=(2, 3, 4))
    assert off[0, 0] < 0.1 * off[0, 1]
    assert off[1, 1] < 0.1 * off[1, 0]


def test_inversion_is_exact_where_the_u_net_does_not_look_at_the_latents(model):
    def unet(noisy, time, context):
        return SimpleNamespace(sample=torch.full_like(noisy, 0.3 + time / 1000))

    fake, settings = replace(model, unet=unet), sd.Sampling(steps=8, depth=0.5, size=SIDE)
    latents = sd.inverted(fake, [DARK], settings)
    for level in fake.levels(8)[-4:]:
        latents = joined(*fake.parted(unet(latents, level.time, None).sample, latents, level.alpha), level.below)  # type: ignore[call-arg]
    torch.testing.assert_close(latents, model.encode(squared(DARK, SIDE)[None]), atol=1e-4, rtol=1e-4)


def test_a_layout_is_taken_over_and_the_identity_has_no_say(checkpoint):
    requests = [ask(Expression.FEAR, identity=1), ask(Expression.FEAR, identity=2), ask(Expression.FEAR)]
    one, two, other = sd.generate(checkpoint, requests, QUICK, layouts=[LIGHT, LIGHT, DARK], device="cpu")
    np.testing.assert_allclose(one.astype(int), two, atol=1)
    assert np.abs(one.astype(int) - other).max() > 1


def test_inverted_pictures_are_latents_as_far_on_the_way_to_noise_as_was_asked(checkpoint, model):
    pictures = [noise(20, 30, 3, seed=s) for s in range(3)]
    near, far = (
        sd.invert(checkpoint, pictures, sd.Sampling(steps=10, depth=depth, batch_size=2), device="cpu")
        for depth in (0.1, 0.9)
    )
    assert near.shape == far.shape == (3, 4, 8, 8)
    clean = model.encode(torch.stack([squared(p, SIDE) for p in pictures]))
    assert (near - clean).abs().mean() < 0.2 * (far - clean).abs().mean()


# Guides


def test_guides_look_only_at_what_was_asked_for():
    pictures = torch.rand(2, 3, SIDE, SIDE)
    labels, units = torch.tensor([1, -100]), torch.full((2, VECTOR), torch.nan)
    expression = guides().loss(pictures, labels, units)
    assert expression[0] > 0
    assert expression[1] == 0
    units[1, 0] = 0.9
    both, alone = guides().loss(pictures, labels, units), guides(units=Guide()).loss(pictures, labels, units)
    assert both[0] == expression[0]
    assert both[1] == alone[1] > 0
    assert alone[0] == 0


def test_action_units_count_as_much_as_the_guidance_says():
    pictures, labels = torch.rand(1, 3, SIDE, SIDE), torch.tensor([-100])
    once = guides(units=Guide())
    twice = replace(once, guidance=replace(once.guidance, unit_weight=2 * once.guidance.unit_weight))
    losses = [each.loss(pictures, labels, torch.tensor(HAPPY)[None]).item() for each in (once, twice)]
    assert losses[1] == pytest.approx(2 * losses[0])


def test_the_guides_are_shown_the_crop_that_the_reader_would_be_shown():
    picture = noise(40, 40, 3, seed=3)
    points = np.array([[12, 14], [27, 13], [20, 21], [14, 28], [27, 28]], np.float32)
    turned = Face(np.array([8, 6, 32, 34], np.float32), points, 1.0)
    by_box = Face(np.array([2, 1, 34, 33], np.float32), None, 1.0)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    for face, size in ((turned, 8), (turned, 24), (by_box, 4), (by_box, 48)):
        shown = guides(detect=lambda _, face=face: [face], size=size)
        shown.loss(tensor, torch.tensor([1]), torch.tensor(HAPPY)[None])
        seen = (shown.expression.seen[0][0, 0].numpy() * 0.255 + 0.508) * 255
        # OpenCV interpolates to the nearest of 32 places between two pixels.
        np.testing.assert_allclose(seen, align(picture, [to_crop_frame(face)], size)[0], atol=4)


@pytest.mark.parametrize(("mode", "step"), [("tokens", 3.0), ("estimate", 0.05)])
@pytest.mark.parametrize("networks", [{"expression": Guide()}, {"units": Guide()}])
def test_faces_are_drawn_closer_to_what_the_guides_want(model, mode, step, networks):
    adapted, guide = random_adapter(model), guides(mode, step=step, **networks)
    requests = [ask(Expression.HAPPINESS, units=HAPPY, identity=i) for i in range(4)]
    plain, guided = (sd.draw(adapted, requests, QUICK, guides=each) for each in (None, guide))
    labels, units = torch.full((4,), int(Expression.HAPPINESS)), torch.tensor(HAPPY).expand(4, -1)

    def loss(faces):
        return guide.loss(torch.from_numpy(faces).permute(0, 3, 1, 2) / 255, labels, units)

    assert (loss(guided) < loss(plain)).all()


@pytest.mark.parametrize("mode", ["tokens", "estimate"])
def test_only_the_last_steps_are_guided(model, mode):
    guide = guides(mode, share=0.4, expression=Guide())
    sd.draw(model, [ask(Expression.HAPPINESS)], QUICK, guides=guide)
    assert len(guide.expression.seen) == 2
    assert not guide.expression.training


def test_words_that_were_moved_stay_where_they_went(model):
    start, seen = model.words(["a face"]), []

    def unet(noisy, time, context):
        if context.requires_grad:
            seen.append((context.detach() - start).norm().item())
        return model.unet(noisy, time, context)

    sd.draw(
        replace(model, unet=unet_like(model, unet)), [ask(Expression.FEAR, "a face")], QUICK, guides=guides(step=0.1)
    )
    assert seen[0] == 0
    assert seen[1] == pytest.approx(0.1, rel=1e-2)
    assert seen[2] > seen[1]


def unet_like(model, call):
    """A U-Net that answers by a function."""
    return type("UNet", (), {"__call__": staticmethod(call), "config": model.unet.config})()


@pytest.mark.parametrize(("mode", "step"), [("tokens", 30.0), ("estimate", 0.2)])
def test_guides_change_a_face_unless_they_see_none_or_nothing_is_asked(model, mode, step):
    plain = sd.draw(model, [ask(Expression.HAPPINESS)], QUICK)
    guided = sd.draw(model, [ask(Expression.HAPPINESS)], QUICK, guides=guides(mode, step=step))
    assert np.abs(guided.astype(int) - plain).max() > 1
    blind = guides(mode, step=step, detect=lambda picture: [])
    np.testing.assert_array_equal(sd.draw(model, [ask(Expression.HAPPINESS)], QUICK, guides=blind), plain)
    idle = sd.draw(model, [ask()], QUICK, guides=guides(mode, step=step, units=Guide()))
    np.testing.assert_array_equal(idle, sd.draw(model, [ask()], QUICK))
