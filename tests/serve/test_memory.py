"""The memory of a whole server, with its processes, under requests that are made to cost it."""

import os
import sys

import pytest
from benchmarks.attacks import CASES, cost

pytest.importorskip("fastapi")
pytest.importorskip("multipart")
pytest.importorskip("uvicorn")

# Four gigabytes for two workers, and half of one for each further one.
MOST_MB = 4_000 + 500 * max(0, (os.cpu_count() or 1) - 2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", CASES)
def test_the_server_takes_no_more_memory_than_it_promises(name):
    found = cost(CASES[name]())
    assert found.memory_mb < MOST_MB, found
    assert found.before_mb < 500, found
    assert not [status for status in found.answers if 500 <= int(status) != 503], found
