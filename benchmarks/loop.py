"""A loop by hand under measurement, in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from worker_process import Measure, cpu_seconds, peak_bytes


class Loop:
    """A loop by hand, in a process of its own."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        self._command = [sys.executable, *command]
        self._environ = {**os.environ, **environ}
        self._folder = folder

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise SystemExit((self._folder / "log").read_text()[-2000:])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def work_off(self, events: int) -> Measure:
        """Measure from what it fetched first to the last of ``events``, which it was told to count.

        It says each in a line of its own: how many events it has then, and how many requests.
        """
        first, first_requests = self._next_progress()
        began, cpu = time.monotonic(), cpu_seconds(self.pid) or 0.0
        last, last_requests = self._next_progress()
        seconds, used = time.monotonic() - began, (cpu_seconds(self.pid) or 0.0) - cpu
        if last < events:
            raise SystemExit(f"a loop by hand counted {last} of {events} events")
        peak = peak_bytes(self.pid)
        return Measure(last - first, seconds, used, peak, last_requests - first_requests)

    def _next_progress(self) -> tuple[int, int]:
        assert self._process.stdout is not None
        told = self._process.stdout.readline().split()
        if not told:
            raise SystemExit((self._folder / "log").read_text()[-2000:])
        return int(told[0]), int(told[1])


class Progress:
    """What a loop says of itself: after the first events, and when all that are expected came."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._events = self._requests = 0
        self._said = 0

    def add(self, events: int, requests: int = 0) -> None:
        """Count what is done."""
        self._events += events
        self._requests += requests
        if (not self._said and self._events) or (
            self._said == 1 and self._events >= self._expected
        ):
            self._said += 1
            print(self._events, self._requests, flush=True)
