"""Name a checkpoint: a folder, or a repository of the Hugging Face hub that the call asks for by its name."""

from pathlib import Path
from typing import Any, NamedTuple


class Checkpoint(NamedTuple):
    """Where a checkpoint lies, for from_pretrained of transformers.

    name: a folder or a repository's name.   options: for configurations, processors and tokenizers; no code of a
    checkpoint is run, and nothing is asked of the hub for a folder.   weights: options for networks besides: tensors
    alone, never pickles.
    """

    name: str
    options: dict[str, Any]

    @property
    def weights(self) -> dict[str, Any]:
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
