"""Several processes that write the parts of a study; one that dies is replaced."""

import json
import queue
import signal
import subprocess
import sys
import threading
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mien.batch.plan import StudyPart, StudyPlan
from mien.batch.worker import order, task
from mien.core.interpreter import command
from mien.errors import InputWarning, MienError
from mien.results.record import Record

# How often the processes that read an input, or write a part, may die before it is given up.
DEATHS = 2


class CrewError(MienError, RuntimeError):
    """A study cannot go on: its parts cannot be written, or no process can be kept alive."""


class Crew:
    """Processes at work on the parts of a study; iterate over it once.

    Yields how many inputs are done, a number at a time. Raise CrewError where it cannot go on; what is written stays.
    keep_open: file descriptors that the processes inherit.
    """

    def __init__(
        self, plan: StudyPlan, folder: Path, parts: Iterable[StudyPart], workers: int, keep_open: tuple[int, ...] = ()
    ):
        self._parts = deque(parts)
        self._events: queue.Queue[int | Exception | None] = queue.Queue()
        self._workers = [_Worker(task(plan, folder), keep_open) for _ in range(max(1, min(workers, len(self._parts))))]
        self._folder = folder

    def __iter__(self) -> Iterator[int]:
        threads = [threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in self._workers]
        for thread in threads:
            thread.start()
        try:
            running = len(threads)
            while running:
                event = self._events.get()
                if isinstance(event, InputWarning):
                    warnings.warn(event, stacklevel=2)
                    continue
                if isinstance(event, Exception):
                    raise event
                if event is None:
                    running -= 1
                else:
                    yield event
        finally:
            self._parts.clear()
            for worker in self._workers:
                worker.end()
            for thread in threads:
                thread.join()

    def _work(self, worker: "_Worker") -> None:
        try:
            with suppress(IndexError):
                while True:
                    self._write(worker, self._parts.popleft())
        except Exception as error:
            self._events.put(error)
        finally:
            self._events.put(None)

    def _write(self, worker: "_Worker", part: StudyPart) -> None:
        deaths: Counter[str] = Counter()
        crashed: dict[str, str] = {}
        counted = 0
        while True:
            current, begun = "", 0
            for message in worker.write(part, crashed):
                if "failed" in message:
                    raise CrewError(f"{self._folder}: {message['failed']}")
                if "finished" in message:
                    self._events.put(len(part.inputs) - counted)
                    return
                if "warning" in message:
                    self._events.put(InputWarning(message["warning"]))
                elif "skip" in message:
                    begun = message["skip"]
                elif "reading" in message:
                    current, begun = message["reading"], begun + 1
                # All before the one that is being read are done.
                if (done := begun - bool(current)) > counted:
                    self._events.put(done - counted)
                    counted = done
            if worker.ended:
                return
            deaths[current] += 1
            if deaths[current] < DEATHS:
                continue
            if not current or current in crashed:
                raise CrewError(f"{self._folder}: the process that should write {part.file} ended ({worker.cause})")
            crashed[current] = f"{current}: the process that read it ended twice ({worker.cause})"


class _Worker:
    """One process, started when it is needed."""

    def __init__(self, task: Record, keep_open: tuple[int, ...]) -> None:
        self._task, self._keep_open = task, keep_open
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self.ended, self.cause = False, ""

    def write(self, part: StudyPart, crashed: dict[str, str]) -> Iterator[Record]:
        """What the process says while it writes a part; the last is that it has finished, or it is dead."""
        process = self._started()
        if process is None or process.stdin is None or process.stdout is None:
            return
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order(part, crashed)) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            message = json.loads(line)
            yield message
            if "finished" in message:
                return
        code = process.wait()
        self.cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """End the process, whatever it does; what it has written stays."""
        with self._lock:
            self.ended = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def _started(self) -> "subprocess.Popen[str] | None":
        with self._lock:
            if self.ended:
                return None
            if self._process is None or self._process.poll() is not None:
                self._process = _process(self._keep_open)
                if self._process.stdin is not None:
                    with suppress(BrokenPipeError):
                        self._process.stdin.write(json.dumps(self._task) + "\n")
                        self._process.stdin.flush()
            return self._process


def _process(keep_open: tuple[int, ...]) -> "subprocess.Popen[str]":
    # In a group of its own Ctrl-C does not reach it: who started it ends it.
    options: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0, "pass_fds": keep_open}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command("mien.batch.worker"), stdin=pipe, stdout=pipe, text=True, encoding="ascii", **options
    )
