"""Check a release: `make release-check`, in an environment with `build`.

Builds wheel and sdist, checks size, metadata, licences and the changelog, installs the wheel in a fresh environment,
verifies the weights there and reads one photograph.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[1]
# PyPI takes files of up to 100 MB; the embedded models need half of that.
LARGEST = 60_000_000


def main() -> None:
    """Run every check; exit with the first that fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "dist"
        run(sys.executable, "-m", "build", "--outdir", str(out), str(ROOT))
        [wheel], [sdist] = list(out.glob("*.whl")), list(out.glob("*.tar.gz"))
        version = check_wheel(wheel)
        check_sdist(sdist)
        check_changelog(version)
        check_installed(wheel, Path(folder) / "venv")
    print(f"mien {version}: wheel, sdist, changelog and installation are fine")


def check_wheel(wheel: Path) -> str:
    """Return the version; exit if the wheel is too large or lacks metadata or files."""
    refuse(wheel.stat().st_size > LARGEST, f"{wheel.name} has {wheel.stat().st_size / 1e6:.1f} MB")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        text = file.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    about = Parser().parsestr(text)
    for field in ("Name", "Version", "Summary", "Requires-Python", "License-Expression", "Description-Content-Type"):
        refuse(not about[field], f"{wheel.name}: no {field} in the metadata")
    for needed in ("mien/py.typed", "mien/weights/reader.onnx", "mien/weights/CARDS.md"):
        refuse(needed not in names, f"{wheel.name}: {needed} is missing")
    for licence in ("LICENSE", "NOTICE"):
        refuse(not any(name.endswith(f"licenses/{licence}") for name in names), f"{wheel.name}: {licence} is missing")
    return str(about["Version"])


def check_sdist(sdist: Path) -> None:
    """Exit if the sdist lacks what the tests and the documentation need."""
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    for needed in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "tests/conftest.py", "docs/index.md"):
        refuse(needed not in names, f"{sdist.name}: {needed} is missing")


def check_changelog(version: str) -> None:
    """Exit if the newest entry of the changelog is not about this version or has no text."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entry = re.search(r"^## (\S+?),? .*\n+- ", text, flags=re.MULTILINE)
    refuse(entry is None or entry[1] != version, f"CHANGELOG.md: the first entry is not about {version}")


def check_installed(wheel: Path, place: Path) -> None:
    """Exit if the wheel does not install and work outside the checkout."""
    venv.create(place, with_pip=True)
    binaries = place / ("Scripts" if sys.platform == "win32" else "bin")
    run(str(binaries / "python"), "-m", "pip", "install", "--quiet", str(wheel))
    run(str(binaries / "mien"), "weights", cwd=place)
    run(str(binaries / "mien"), "analyze", str(ROOT / "examples" / "astronaut.png"), "-o", "report.html", cwd=place)


def run(*command: str, cwd: Path = ROOT) -> None:
    """Run a command; exit with its code if it fails."""
    print("$", *command, flush=True)
    done = subprocess.run(command, cwd=cwd, check=False)
    refuse(done.returncode != 0, f"{command[0]} ended with {done.returncode}")


def refuse(wrong: bool, message: str) -> None:
    """Exit with a message if something is wrong."""
    if wrong:
        sys.exit(f"release-check: {message}")


if __name__ == "__main__":
    main()
