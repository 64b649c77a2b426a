"""A process that writes parts of a study, one after the other, ordered on standard input.

Each message is a line of JSON. In: first the plan, then parts. Out: what write_part tells, {"warning": text}, and at
last {"finished": true} or {"failed": why}. It ends when its standard input is closed, or nobody reads what it says.
"""

import json
import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import cv2

from mien.batch.parts import write_part
from mien.batch.plan import Input, StudyPart, StudyPlan
from mien.batch.reading import InputReader, ReadingOptions
from mien.core.zoo import DEFAULT
from mien.errors import InputWarning, MienError
from mien.results.record import Record


def task(plan: StudyPlan, folder: Path) -> Record:
    """The first message: all that is the same for every part."""
    reading = asdict(plan.reading)
    reading["options"] |= {"model": str(plan.reading.options.get("model", DEFAULT))}
    return {"folder": str(folder), "reading": reading, "part_size": plan.part_size, "has_clips": plan.has_clips}


def order(part: StudyPart, crashed: dict[str, str]) -> Record:
    """The message that asks for a part."""
    return {"number": part.number, "inputs": part.inputs, "crashed": crashed}


def main() -> None:
    """Write parts until there are no more."""
    messages = os.fdopen(os.dup(1), "w", buffering=1, encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints is no message
    try:
        _work(sys.stdin, messages)
    except BrokenPipeError:
        os._exit(1)


def _work(orders: IO[str], messages: IO[str]) -> None:
    def say(**message: Any) -> None:
        messages.write(json.dumps(message) + "\n")

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, InputWarning):
            say(warning=str(message))

    warnings.showwarning = show
    first = json.loads(orders.readline())
    options = ReadingOptions(**first["reading"])
    folder = Path(first["folder"])
    plan = StudyPlan((), options, first["part_size"], first["has_clips"])
    cv2.setNumThreads(int(options.options.get("threads", 1)))
    read = InputReader(options)
    for line in orders:
        ordered = json.loads(line)
        part = StudyPart(ordered["number"], tuple(Input(*given) for given in ordered["inputs"]))
        try:
            write_part(folder, plan, part, read, ordered["crashed"], say)
        except BrokenPipeError:
            raise
        except OSError as error:
            say(failed=f"cannot be written ({error.strerror or error})")
        except MienError as error:
            say(failed=str(error))
        else:
            say(finished=True)


if __name__ == "__main__":
    main()
