"""Conditions of a measurement; a number without them is not a result."""

import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mien
from mien.evaluation.result import Result

_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "torch")


def conditions() -> Result:
    """Return the date, machine and mien version of a measurement."""
    return {"date": date.today().isoformat(), "machine": machine(), "mien": mien.__version__}


def machine() -> dict[str, str | int]:
    """Return processor, cores, system and library versions, without the name of machine or user."""
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
