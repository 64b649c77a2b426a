import dataclasses
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from mien.cli import commands
from mien.datasets import Folder, Sample, pseudo_labels
from mien.datasets.pseudo_labels import MeshReading, PseudoLabels
from mien.errors import InputError
from mien.evaluation.protocols import Selection
from mien.facs.blendshapes import ShapeCalibration
from mien.facs.landmarks import mean_face
from mien.facs.vocabulary import Expression
from mien.methods.au_cues.attention import (
    SIX,
    agreement,
    agreements,
    baselines,
    cosines,
    from_zero,
    looked,
    measure,
    six_maps,
)
from mien.methods.au_cues.loss import reduced
from mien.methods.au_cues.maps import GENERIC, union_map
from mien.methods.au_cues.model import ReaderOutput
from mien.methods.au_cues.removal import blurred, drops, enlarged, most_attended, pieced, ranks, removals, rolled
from mien.methods.au_cues.settings import Settings
from mien.methods.au_cues.train import Taught, build
from mien.training.faces import MEAN, STD
from tests.helpers import drawn_face, noise

HAPPY, SAD, NEUTRAL, CONTEMPT = Expression.HAPPINESS, Expression.SADNESS, Expression.NEUTRAL, Expression.CONTEMPT
SETTINGS = Settings(widths=(4, 8), blocks=(1, 1), strides=(2, 2), attention_stages=(2,))
MAPS = torch.from_numpy(six_maps(mean_face(), SETTINGS))  # (6, 224, 224)


def drawn(pattern: str) -> torch.Tensor:
    """Rows of digits, separated by blanks, as a (1, h, w) look."""
    return torch.tensor([[[float(digit) for digit in row] for row in pattern.split()]])


# ---- agreement ----


def test_a_look_agrees_fully_with_a_map_of_its_shape_and_not_at_all_with_one_elsewhere():
    maps = torch.cat([drawn("10 00"), drawn("03 00"), drawn("44 00")])[None]
    assert cosines(2 * drawn("10 00"), maps)[0].tolist() == pytest.approx([1, 0, np.sqrt(0.5)])


def test_a_look_at_nothing_or_at_no_number_agrees_with_no_map():
    for empty in (torch.zeros(1, 224, 224), torch.full((1, 224, 224), torch.nan)):
        assert cosines(empty, MAPS[None])[0].tolist() == [0] * 6


@pytest.mark.parametrize(
    ("name", "expected"), [("uniform", 0.49), ("gaussian", 0.61), ("generic_map", 0.72), ("mean_of_six_maps", 0.78)]
)
def test_looks_that_know_nothing_agree_as_much_as_computed_beforehand(name, expected):
    generic = torch.from_numpy(union_map(mean_face(), GENERIC))
    look = baselines(MAPS[None], generic[None])[name].expand(6, -1, -1)
    values = cosines(look, MAPS.expand(6, -1, -1, -1)).numpy()
    assert agreement(values, np.array(SIX), 10)["cosine"]["value"] == pytest.approx(expected, abs=0.01)


def test_maps_are_those_of_the_paper_in_the_paper_code():
    happy = SIX.index(HAPPY)
    assert MAPS[happy].mean() == pytest.approx(0.133, abs=0.01)
    assert not six_maps(mean_face() + 5, SETTINGS).any()


def test_agreement_is_the_mean_over_classes_however_many_faces_each_has():
    values = np.zeros((4, 6))
    values[:3, SIX.index(HAPPY)] = 0.2, 0.4, 0.6
    values[3, SIX.index(SAD)] = 1.0
    found = agreement(values, np.array([HAPPY, HAPPY, HAPPY, SAD]))
    assert found["cosine"]["value"] == pytest.approx((0.4 + 1.0) / 2)
    assert found["per_class"]["happiness"] == {"cosine": pytest.approx(0.4), "n": 3}
    assert found["per_class"]["fear"] == {"cosine": None, "n": 0}
    # The low end comes from resamples without the sad face.
    assert 0.2 <= found["cosine"]["low"] < 0.6
    assert 0.7 < found["cosine"]["high"] <= 0.8


def test_a_look_is_discriminating_when_of_the_six_maps_it_is_most_like_that_of_the_label():
    values = np.full((4, 6), 0.5)
    values[0, SIX.index(HAPPY)] = values[1, SIX.index(HAPPY)] = 0.6
    values[2, SIX.index(SAD)] = 0.6
    values[3] = 0  # at nothing: like none
    found = agreement(values, np.array([HAPPY, SAD, SAD, HAPPY]), 10)
    assert found["discriminativeness"]["value"] == pytest.approx(2 / 4)
    found = agreement(values[:3], np.array([HAPPY, SAD, SAD]), 10)
    assert found["discriminativeness"]["value"] == pytest.approx(2 / 3)
    assert found["discriminativeness_macro"]["value"] == pytest.approx((1 + 1 / 2) / 2)


def test_of_no_faces_there_is_no_agreement_and_no_error():
    found = agreement(np.zeros((0, 6)), np.zeros(0, int), 10)
    assert found["n"] == 0
    assert found["cosine"] == found["discriminativeness"] == {"value": None, "low": None, "high": None}


def test_a_negative_look_is_lifted_to_0_and_a_positive_one_is_left():
    assert torch.equal(
        from_zero(torch.cat([drawn("01 23") - 2, drawn("12 34")])), torch.cat([drawn("01 23"), drawn("12 34")])
    )


@pytest.mark.parametrize("center", [(20, 30), (36, 12)])
def test_a_look_that_equals_a_reduced_map_lies_over_that_map_when_enlarged(center):
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    au_map = torch.exp(-((y - center[0]) ** 2 + (x - center[1]) ** 2) / 50)[None]
    look = enlarged(reduced(au_map, (12, 12)), 48)
    found = [float((look[0] * at).sum() / look.sum()) for at in (y, x)]
    assert found == pytest.approx(center, abs=0.5)


def taught(found: list[bool]) -> Taught:
    count = len(found)
    landmarks = torch.from_numpy(mean_face()).float().expand(count, -1, -1)
    nothing = torch.zeros(count)
    return Taught(nothing, nothing, torch.tensor(found), nothing, landmarks, nothing, nothing)


def test_only_faces_that_have_a_map_and_that_the_teacher_found_can_agree():
    labels = np.array([NEUTRAL, HAPPY, SAD, CONTEMPT, SAD])
    looks = {"attention": MAPS[[0, SIX.index(HAPPY), 0, 0, SIX.index(SAD)]]}
    rows, values = agreements(looks, labels, taught([True, True, False, True, True]), SETTINGS)
    assert rows.tolist() == [1, 4]
    found = agreement(values["attention"], labels[rows], 10)
    assert found["cosine"]["value"] == pytest.approx(1, abs=1e-5)
    assert found["discriminativeness"]["value"] == 1
    assert values.keys() == {"attention", "uniform", "gaussian", "generic_map", "mean_of_six_maps"}


def test_negative_attention_is_given_shifted_and_as_it_is():
    looks = {"attention": MAPS[SIX.index(HAPPY)][None] - 0.5}
    _, values = agreements(looks, np.array([HAPPY]), taught([True]), SETTINGS)
    happy = SIX.index(HAPPY)
    assert values["attention"][0, happy] == pytest.approx(1, abs=1e-5)
    assert values["attention_as_is"][0, happy] < 0.5


# ---- deletion and insertion ----


def test_pixels_are_ranked_by_attention_and_equal_ones_by_the_order_given():
    tie_order = torch.tensor([3, 2, 1, 0])
    assert ranks(drawn("19 35"), tie_order).tolist() == [[[3, 0], [2, 1]]]
    assert ranks(drawn("09 00"), tie_order).tolist() == [[[3, 0], [2, 1]]]
    assert ranks(drawn("09 00"), torch.arange(4)).tolist() == [[[1, 0], [2, 3]]]


def test_the_most_attended_share_has_so_many_pixels():
    rank = ranks(torch.rand(2, 10, 10), torch.randperm(100))
    assert most_attended(rank, 0.2).sum(dim=(1, 2)).tolist() == [20, 20]
    assert most_attended(drawn("30 12").long(), 0.5).tolist() == [[[False, True], [True, False]]]


def test_a_rolled_mask_keeps_its_shape_and_comes_in_at_the_other_side():
    masks, shift = torch.rand(3, 6, 6) < 0.3, torch.tensor([[0, 0], [2, -1], [5, 3]])
    wanted = [np.roll(mask, tuple(by), axis=(0, 1)) for mask, by in zip(masks.numpy(), shift.numpy(), strict=True)]
    np.testing.assert_array_equal(rolled(masks, shift), wanted)


def test_a_blurred_face_keeps_its_light_and_loses_its_features():
    face = torch.from_numpy(drawn_face(smiling=True))[None, None]
    soft = blurred(face)
    assert (soft.shape, soft.dtype) == (face.shape, torch.uint8)
    assert soft.float().mean() == pytest.approx(face.float().mean().item(), abs=6)
    assert soft.float().std() < 0.3 * face.float().std()


def test_a_face_of_two_pieces_has_one_inside_the_mask():
    mask = drawn("10 00").bool()
    assert pieced(mask, torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)).flatten().tolist() == [1, 0, 0, 0]


class SeesTexture(nn.Module):
    """Happy where the square in one corner is rough, else neutral."""

    def forward(self, faces: torch.Tensor) -> ReaderOutput:
        rough = (faces * STD + MEAN)[:, 0, 2:8, 2:8].flatten(1).std(dim=1) > 0.15
        return ReaderOutput(nn.functional.one_hot(torch.where(rough, int(HAPPY), int(NEUTRAL)), 8).float(), [])


@pytest.fixture(scope="module")
def noisy() -> tuple[torch.Tensor, np.ndarray, torch.Tensor]:
    """Forty faces of noise, their label, and a look at the corner where SeesTexture sees it."""
    look = torch.zeros(40, 20, 20)
    look[:, :9, :9] = 1
    return torch.from_numpy(noise(40, 1, 20, 20)), np.full(40, int(HAPPY)), look


def test_blurring_what_decides_the_answer_changes_it_and_blurring_elsewhere_does_not(noisy):
    found = removals(SeesTexture(), *noisy, draws=8)
    assert found.deleted.shape == found.inserted.shape == (40, 9)
    # The corner is 20.25 % of the pixels, so 30 % cover it.
    assert not found.deleted[:, 2:].any()
    assert found.inserted[:, 2:].all()
    assert not found.blurred.any()
    assert 0.5 < found.moved.mean() < 1
    # All faces have the same look, so another's mask is as good.
    np.testing.assert_array_equal(found.other, found.deleted[:, 1])


def test_a_look_elsewhere_deletes_nothing_that_matters_until_late(noisy):
    crops, labels, look = noisy
    found = removals(SeesTexture(), crops, labels, look.flip(1, 2))
    assert found.deleted[:, :3].all()
    assert not found.inserted[:, :3].any()


@pytest.mark.parametrize("seed", range(4))
def test_the_mask_of_another_face_is_never_the_own_one(noisy, seed):
    crops, labels, look = noisy
    here, elsewhere = look[0], look[0].flip(0, 1)
    found = removals(SeesTexture(), crops[:2], labels[:2], 10 * torch.stack([here, elsewhere]), draws=1, seed=seed)
    assert found.deleted[:, 2].tolist() == [False, True]
    assert found.other.tolist() == [True, found.deleted[0, 1]]


def test_the_same_seed_moves_masks_to_the_same_places(noisy):
    one, same, other = (removals(SeesTexture(), *noisy, draws=1, seed=seed).moved for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_more_faces_than_a_part_stay_in_order():
    crops = torch.full((150, 1, 20, 20), 128, dtype=torch.uint8)
    crops[100:] = torch.from_numpy(noise(50, 1, 20, 20))
    look = torch.rand(150, 5, 5, generator=torch.Generator().manual_seed(0))
    found = removals(SeesTexture(), crops, np.full(150, int(HAPPY)), look)
    assert not found.inserted[:100].any()
    assert found.inserted[100:, -1].mean() > 0.9


def test_the_fall_of_accuracy_is_held_against_that_of_the_control():
    right = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 0], bool)
    removed = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], bool)  # 60 points fewer
    control = np.array([1, 1, 1, 1, 1, 1, 0.5, 0.5, 0, 0.0])  # 10 points fewer
    found = drops(right, removed, control)
    assert found["drop"]["value"] == pytest.approx(0.6)
    assert found["control_drop"]["value"] == pytest.approx(0.1)
    assert found["ratio"]["value"] == pytest.approx(6)
    assert found["excess"]["value"] == pytest.approx(0.6 - 1.5 * 0.1)
    assert found["accepted"] is True
    assert 0 < found["excess"]["low"] < found["excess"]["value"] < found["excess"]["high"]


def test_a_fall_of_less_than_one_and_a_half_times_the_controls_is_not_enough():
    right = np.ones(10, bool)
    removed, control = np.arange(10) >= 4, np.arange(10) >= 3
    assert drops(right, removed, control, 10)["ratio"]["value"] == pytest.approx(4 / 3)
    assert drops(right, removed, control, 10)["accepted"] is False


def test_against_a_control_that_did_not_fall_there_is_no_ratio_but_an_excess():
    right, removed = np.ones(10, bool), np.arange(10) >= 4
    found = drops(right, removed, right, 10)
    assert found["ratio"]["value"] is None
    assert found["excess"]["value"] == pytest.approx(0.4)
    assert found["accepted"] is True
    assert drops(right, right, right, 10)["accepted"] is False


# ---- all of it ----


def sample(expression: Expression, seed: int, **options: object) -> Sample:
    gray = drawn_face(expression is HAPPY, seed)
    return Sample(np.stack([gray] * 3, axis=-1), expression, source=f"faces:{seed}", **options)


def taught_by(samples: list[Sample], missed: int | None = None) -> PseudoLabels:
    """A teacher that sees the mean face in all faces but one."""

    def teach(image: np.ndarray) -> MeshReading | None:
        if missed is not None and np.array_equal(image, samples[missed].image):
            return None
        return MeshReading((mean_face() * 48).astype(np.float32), np.zeros(52, np.float32), np.zeros(3, np.float32), 0)

    return pseudo_labels.label(samples, teach, ShapeCalibration(np.zeros(52), np.ones(52)))


@pytest.fixture(scope="module")
def faces() -> list[Sample]:
    """Two happy, two sad, two neutral, one contemptuous, and a happy one of another split."""
    shown = (HAPPY, SAD, NEUTRAL, HAPPY, SAD, NEUTRAL, CONTEMPT)
    return [*(sample(e, i) for i, e in enumerate(shown)), sample(HAPPY, 7, duplicate=True)]


@pytest.fixture(scope="module")
def result(faces):
    torch.manual_seed(0)
    options = {"cams": ["gradcam"], "draws": 2, "resamples": 20}
    return measure(build(SETTINGS), SETTINGS, faces, taught_by(faces, missed=0), **options)


def test_faces_without_a_map_count_in_accuracy_and_deletion_alone(result):
    assert (result["n"], result["with_map"], result["teacher_failed"]) == (7, 3, 1)
    splits = result["agreement"]["attention"]
    assert splits["all"]["n"] == splits["right"]["n"] + splits["wrong"]["n"] == 3
    assert splits["all"]["per_class"]["happiness"]["n"] == 1


def test_looks_and_baselines_are_measured_on_the_same_faces(result):
    assert list(result["agreement"]) == [
        "attention", "cam_of_label", "cam_of_prediction", "gradcam_of_label", "gradcam_of_prediction",
        "uniform", "gaussian", "generic_map", "mean_of_six_maps",
    ]  # fmt: skip
    assert {look["all"]["n"] for look in result["agreement"].values()} == {3}
    happy = result["agreement"]["uniform"]["all"]["per_class"]["happiness"]
    assert happy["cosine"] == pytest.approx(0.44, abs=0.01)


def test_curves_go_from_the_face_to_nothing_and_back(result):
    for name in ("attention", "cam_of_prediction"):
        removal = result["removal"][name]
        deletion, insertion = (removal[kind]["points"] for kind in ("deletion", "insertion"))
        assert [point["share"] for point in deletion] == pytest.approx(np.linspace(0, 1, 11))
        assert deletion[0]["value"] == insertion[-1]["value"] == result["accuracy"]["value"]
        assert deletion[-1]["value"] == insertion[0]["value"]
        assert removal["top"]["accuracy"] == deletion[2]["value"]
        values = [point["value"] for point in deletion]
        assert removal["deletion"]["area"]["value"] == pytest.approx(sum(values) / 10 - (values[0] + values[-1]) / 20)


def test_a_result_is_json_without_anything_that_json_lacks(result):
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_limit_measures_so_many_faces_and_the_same_seed_the_same_ones(faces):
    network = build(SETTINGS)
    options = {"limit": 4, "draws": 1, "resamples": 10}
    once, again = (measure(network, SETTINGS, faces, taught_by(faces), **options) for _ in range(2))
    assert once["n"] == 4
    assert once == again


def test_the_cam_of_the_prediction_is_that_of_the_label_where_the_answer_is_right(faces):
    network = build(SETTINGS)
    with torch.no_grad():
        network.expression.bias[HAPPY] = 100
    chosen = Selection(faces[:2], np.eye(8, dtype=np.float32)[[HAPPY, SAD]], "majority", {})
    cropped = [dataclasses.replace(face, image=face.image[:, :, 0]) for face in chosen.samples]
    logits, looks = looked(network, dataclasses.replace(chosen, samples=cropped), ["cam"], 2)
    assert logits.argmax(1).tolist() == [HAPPY, HAPPY]
    assert torch.equal(looks["cam_of_label"][0], looks["cam_of_prediction"][0])
    assert not torch.allclose(looks["cam_of_label"][1], looks["cam_of_prediction"][1], atol=0.01)


def test_a_stage_that_the_network_lacks_and_data_without_faces_are_refused(faces):
    network = build(SETTINGS)
    with pytest.raises(InputError, match="stages 1 to 2, not 4"):
        measure(network, SETTINGS, faces, taught_by(faces), stage=4)
    with pytest.raises(InputError, match="no face is left"):
        measure(network, SETTINGS, faces[-1:], taught_by(faces))


# ---- the command ----


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder of faces, its pseudo-labels, and what a finished run leaves."""
    folder = tmp_path_factory.mktemp("attention")
    for seed, kind in enumerate(("happy", "sad", "happy", "sad", "neutral", "neutral")):
        (folder / "faces" / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn_face(kind == "happy", seed)).save(folder / "faces" / kind / f"{seed}.png")
    pseudo_labels.write(taught_by(list(Folder(folder / "faces"))), folder / "labels.parquet")
    (folder / "run").mkdir()
    (folder / "run" / "settings.json").write_text(json.dumps(dataclasses.asdict(SETTINGS)))
    save_file(build(SETTINGS).state_dict(), folder / "run" / "model.safetensors")
    return folder


def command(run, *options: str):
    data = ["--data", f"folder:{run / 'faces'}", "--pseudo-labels", str(run / "labels.parquet")]
    return CliRunner().invoke(commands, ["attention", "au-cues", str(run / "run"), *data, *options])


def test_the_command_prints_a_table_and_writes_a_result_that_says_how_it_was_made(run):
    options = ["--cam", "layercam", "--draws", "1", "--resamples", "10", "--figures", "-o", str(run / "result.json")]
    done = command(run, *options)
    assert done.exit_code == 0, done.output
    result = json.loads((run / "result.json").read_text())
    assert done.stdout == "", "a file was asked for"
    assert {"command", "seed", "date", "machine", "mien", "run", "data", "pseudo_labels"} <= result.keys()
    assert "layercam_of_label" in result["agreement"]
    assert all(word in done.stderr for word in ("attention", "layercam of label", "mean of six maps", "ratio"))
    for kind in ("curves", "faces"):
        assert Image.open(run / f"result.{kind}.png").width > 300


def test_a_run_that_is_not_finished_is_refused(run, tmp_path):
    data = ["--data", f"folder:{run / 'faces'}", "--pseudo-labels", str(run / "labels.parquet")]
    done = CliRunner().invoke(commands, ["attention", "au-cues", str(tmp_path), *data])
    assert isinstance(done.exception, InputError)
    assert "finished" in str(done.exception)


def test_figures_without_a_result_to_put_them_beside_are_refused(run):
    done = command(run, "--figures")
    assert done.exit_code == 2
    assert "-o result.json" in done.output
