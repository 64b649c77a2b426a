import ast
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from mien.errors import InputError
from mien.hub import checkpoint
from mien.methods.se_swin.model import swin_tiny
from mien.training.backbones import Timm

SOURCE = Path(__file__).parents[1] / "src" / "mien"


def test_a_folder_is_opened_without_asking_the_hub(tmp_path):
    name, options = checkpoint(tmp_path)
    assert name == str(tmp_path)
    assert options["local_files_only"] is True


def test_a_folder_may_have_an_at_sign_in_its_name(tmp_path):
    (tmp_path / "run@home").mkdir()
    assert checkpoint(tmp_path / "run@home").name == str(tmp_path / "run@home")


def test_a_revision_stands_behind_an_at_sign():
    assert checkpoint("owner/model@4f2a").name == "owner/model"
    assert checkpoint("owner/model@4f2a").options["revision"] == "4f2a"
    assert "revision" not in checkpoint("owner/model").options


@pytest.mark.parametrize("name", ["owner/model", "owner/model@4f2a", "."])
def test_no_code_of_a_checkpoint_is_run_and_no_pickle_is_read(name):
    assert checkpoint(name).options["trust_remote_code"] is False
    assert checkpoint(name).weights["use_safetensors"] is True
    assert checkpoint(name).weights["trust_remote_code"] is False


def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Every call of a function of this name in mien, and where it stands."""
    texts = {file: file.read_text(encoding="utf-8") for file in SOURCE.rglob("*.py")}
    return [
        (f"{file.relative_to(SOURCE)}:{node.lineno}", node)
        for file, text in texts.items()
        if f"{name}(" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == name
    ]


def test_every_load_says_where_it_may_look():
    assert len(calls("from_pretrained")) > 8
    for place, call in calls("from_pretrained"):
        # Either the options of a Checkpoint, or local files.
        words = {word.arg for word in call.keywords}
        assert None in words or "local_files_only" in words, place


def test_torch_reads_tensors_alone():
    loads = [(place, call) for place, call in calls("load") if ast.unparse(call.func) == "torch.load"]
    assert loads
    for place, call in loads:
        given = {word.arg: word.value for word in call.keywords}
        assert getattr(given.get("weights_only"), "value", None) is True, place


@pytest.mark.parametrize(
    "open_network",
    [
        lambda: Timm("resnet18", 48, pretrained=True),
        lambda: swin_tiny(224, 0.0, "timm/swin_tiny_patch4_window7_224.ms_in1k"),
    ],
)
def test_weights_that_the_hub_does_not_give_are_a_sentence(open_network, monkeypatch):
    def unreachable(*args, **kwargs):
        raise LocalEntryNotFoundError("An error happened while trying to locate the file on the Hub.")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", unreachable)
    with pytest.raises(InputError, match=r"not on this computer .* run this once where the hub can be reached"):
        open_network()
