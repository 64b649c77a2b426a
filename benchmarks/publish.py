"""What all benchmarks end with: the result, and the conditions that it was measured under."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from mien.evaluation.machine import conditions


def publish(result: dict[str, Any], output: Path | None) -> None:
    """Print a result, and write it to a file where one is named; paths in the command are cut to their last part."""
    whole = json.dumps(result | {"command": command()} | conditions(), indent=1)
    print(whole)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(whole + "\n")


def command() -> str:
    """How this was called, without the folders of this machine."""
    script, *words = sys.argv
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *map(_last, words)])


def _last(word: str) -> str:
    kind, colon, path = word.partition(":")
    return f"{kind}:{Path(path).name}" if colon else Path(word).name if "/" in word else word
