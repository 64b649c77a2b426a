"""Name a checkpoint: a folder, or a repository of the Hugging Face hub that the call asks for by its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mien.errors import InputError


class Checkpoint(NamedTuple):
    """Where a checkpoint lies, for from_pretrained of transformers.

    name: a folder or a repository's name.   options: for configurations, processors and tokenizers; no code of a
    checkpoint is run, and nothing is asked of the hub for a folder.   weights: options for networks besides: tensors
    alone, never pickles.
    """

    name: str
    options: dict[str, bool | str]

    @property
    def weights(self) -> dict[str, bool | str]:
        """The options with which networks are opened."""
        return self.options | {"use_safetensors": True}


def checkpoint(name: str | Path) -> Checkpoint:
    """Read a folder's path, "owner/model", or "owner/model@revision", which names one state of the repository.

    What others write under a name may change; a commit's hash as the revision may not.
    """
    text = str(name)
    if Path(text).exists():
        return Checkpoint(text, {"trust_remote_code": False, "local_files_only": True})
    repository, _, revision = text.partition("@")
    return Checkpoint(repository, {"trust_remote_code": False} | ({"revision": revision} if revision else {}))


@contextmanager
def asking_the_hub(name: str) -> Iterator[None]:
    """Raise InputError, which says what to do, where the weights of this name are neither here nor to be had."""
    try:
        yield
    except OSError as error:  # what huggingface_hub raises is one, whether the hub or the model is not there
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise InputError(
            f"{name}: its weights are not on this computer and did not come from the hub of models ({reason}); run "
            "this once where the hub can be reached, copy that computer's HF_HOME, or start from other weights",
            "missing",
        ) from error
