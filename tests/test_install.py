"""What a user gets who installs the wheel somewhere else; builds environments, so these are slow tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The python of an environment that holds the wheel and what its core requires, and nothing else."""
    folder = tmp_path_factory.mktemp("install")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder / "dist"), str(ROOT)], check=True)
    (wheel,) = (folder / "dist").glob("mien-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "--quiet", "install", str(wheel)], check=True)
    return python


def run(python, *arguments, cwd):
    return subprocess.run([str(python), *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout


def test_the_wheel_reads_a_photo_outside_the_repository(installed, tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes((ROOT / "examples" / "astronaut.png").read_bytes())
    answer = json.loads(run(installed, "-m", "mien", "analyze", "photo.png", cwd=tmp_path))
    assert [face["expression"]["top"] for face in answer["faces"]] == ["happiness"]
    run(installed, "-m", "mien", "analyze", "photo.png", "-o", "report.html", "-o", "faces.csv", cwd=tmp_path)
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_core_install_has_no_torch_and_stays_under_400_mb(installed, tmp_path):
    packages = Path(run(installed, "-c", "import mien; print(mien.__file__)", cwd=tmp_path).strip()).parents[1]
    assert not (packages / "torch").exists()
    # pip is not ours, and neither are the byte-code files that Python writes later.
    ours = [
        p
        for p in packages.rglob("*")
        if p.is_file() and p.suffix != ".pyc" and "pip" not in p.relative_to(packages).parts
    ]
    assert sum(p.stat().st_size for p in ours) < 400e6


def test_what_a_core_install_lacks_is_named_with_the_extra_that_brings_it(installed, tmp_path):
    command = [str(installed), "-m", "mien", "analyze", str(ROOT / "examples" / "astronaut.png"), "-o", "t.parquet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'mien[parquet]'" in done.stderr


def test_the_wheel_carries_weights_cards_and_licences(installed, tmp_path):
    code = (
        "from importlib.resources import files; from importlib.metadata import distribution as d;"
        "print([f.name for f in files('mien.weights').iterdir()], [str(f) for f in d('mien').files])"
    )
    listed = run(installed, "-c", code, cwd=tmp_path)
    for name in ("reader.onnx", "CARDS.md", "LICENSE", "NOTICE", "py.typed"):
        assert name in listed
