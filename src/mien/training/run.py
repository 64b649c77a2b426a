"""The folder of a training run: which settings it was begun with, and whether a run may go on in it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mien.errors import InputError

SETTINGS = "settings.json"


def check_folder(folder: Path, settings: Any, *, resume: bool, begun: str = SETTINGS) -> None:
    """InputError when the folder holds a run and `resume` is not given, or a run with other settings.

    settings: a dataclass.   begun: the file that a run has once there is something to go on with.
    """
    kept = folder / SETTINGS
    if (folder / begun).is_file() and not resume:
        raise InputError(f"{folder} holds a run already; give --resume to go on with it, or name another folder")
    if resume and kept.is_file():
        before, now = json.loads(kept.read_text()), json.loads(json.dumps(asdict(settings)))
        if other := sorted(key for key in before.keys() | now.keys() if now.get(key) != before.get(key)):
            raise InputError(f"{folder} was begun with other settings ({', '.join(other)}); resume with the same")


def keep_settings(folder: Path, settings: Any) -> None:
    """Write the settings, a dataclass, into the folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS).write_text(json.dumps(asdict(settings), indent=2) + "\n")
