"""No connection, also none by the libraries that mien stands on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mien.telemetry import SWITCHES, is_off, switch_off
from tests.helpers import ASTRONAUT

SOURCE = Path(__file__).parents[1] / "src" / "mien"
# So many pictures take long enough for ONNX Runtime to send what it has gathered.
PICTURES = 300


def without_switches(home: Path) -> dict[str, str]:
    """An environment in which nothing is switched off, with a home of its own."""
    bare = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    return bare | {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}


def test_importing_mien_switches_every_telemetry_off(tmp_path):
    code = "import os, mien; print(*(f'{name}={os.environ.get(name)}' for name in mien.telemetry.SWITCHES))"
    done = subprocess.run([sys.executable, "-c", code], env=without_switches(tmp_path), capture_output=True, text=True)
    assert done.stdout.split() == [f"{name}={value}" for name, value in SWITCHES.items()]


@pytest.mark.parametrize("variable", SWITCHES)
def test_what_the_user_has_set_stays(monkeypatch, variable):
    monkeypatch.setenv(variable, "mine")
    switch_off()
    assert os.environ[variable] == "mine"
    assert not is_off(variable)


def test_onnx_runtime_is_imported_in_one_place():
    imports = [
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if any(line.lstrip().startswith(("import onnxruntime", "from onnxruntime")) for line in lines(file))
    ]
    assert imports == ["core/session.py"]


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def test_reading_a_picture_writes_nothing_into_the_home_folder(tmp_path):
    command = [sys.executable, "-m", "mien", "analyze", str(ASTRONAUT)]
    subprocess.run(command, env=without_switches(tmp_path), cwd=tmp_path, check=True, capture_output=True)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.slow
def test_three_hundred_pictures_make_no_connection(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    home, folder, log = tmp_path / "home", tmp_path / "photos", tmp_path / "trace.log"
    home.mkdir()
    folder.mkdir()
    photo = shutil.copy(ASTRONAUT, folder / "0.png")
    for i in range(1, PICTURES):
        (folder / f"{i}.png").hardlink_to(photo)
    tracing = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(log)]
    command = [*tracing, sys.executable, "-m", "mien", "analyze", str(folder), "-o", str(tmp_path / "faces.csv")]
    subprocess.run(command, env=without_switches(home), check=True, capture_output=True)
    # A pair of sockets within one process reaches nobody.
    calls = [line for line in log.read_text().splitlines() if "AF_INET" in line or "connect(" in line]
    assert calls == []
    assert list(home.rglob("*")) == []
