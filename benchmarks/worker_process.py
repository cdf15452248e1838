"""A worker under measurement: a process of its own, watched from outside."""

import json
import os
import resource
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

START_SECONDS = 90
STALL_SECONDS = 120
STOP_SECONDS = 12
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a worker says of itself."""

    ready: bool
    events: int
    """Processed since it started."""
    waiting: int
    """Records that are not settled yet; 0 where the worker does not know."""
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Measure:
    """One run of one side."""

    events: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    requests: int

    @property
    def cpu_per_100k(self) -> float:
        """CPU seconds (user and system, all threads) for 100,000 events."""
        return self.cpu_seconds / self.events * 100_000

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


class Worker:
    """A worker's process; a context manager that ends it."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        url: str,
        read: Callable[[Any], Reading],
    ) -> None:
        self._command = [sys.executable, *command]
        self._environ = {**_bare_environment(), **environ}
        self._folder = folder
        self._url = url
        self._read = read
        self._log = folder / "worker.log"
        self.started_at = 0.0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._children_before = _children_cpu()
        self.started_at = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it as an operator does, and wait until it has ended."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where its status is."""
        return self._url

    def seconds_since_start(self) -> float:
        """Return how long ago its process was started."""
        return time.monotonic() - self.started_at

    def kill(self) -> None:
        """End it at once; for a worker whose rest does not count."""
        self._process.kill()
        self._process.wait()

    def reading(self) -> Reading | None:
        """Return what the worker says now; None while it does not answer."""
        if self._process.poll() is not None:
            words = self._log.read_text(errors="replace")[-3000:]
            raise SystemExit(f"{' '.join(self._command)} ended by itself:\n{words}")
        try:
            with urllib.request.urlopen(self._url, timeout=10) as answer:
                return self._read(json.load(answer))
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return None

    def wait(self, until: Callable[[Reading], bool], pause: float = 0.03) -> Reading:
        """Return the first reading of which this is true."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            reading = self.reading()
            if reading is not None and until(reading):
                return reading
            time.sleep(pause)
        words = self._log.read_text(errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(self._command)} did not start to work:\n{words}")

    def work_off(self, events: int) -> Measure:
        """Measure from the first processed events to the last of ``events``, start-up left out."""
        first = self.wait(lambda reading: reading.events > 0)
        began, cpu = time.monotonic(), self.cpu_seconds()
        last, moved_at = first, began
        while last.events < events or last.waiting:
            done = last.events - first.events
            rest = (events - last.events) * (time.monotonic() - began) / done if done else 1.0
            time.sleep(min(0.25, max(0.02, rest / 2)))
            reading = self.reading() or last
            if reading.events > last.events or reading.waiting < last.waiting:
                moved_at = time.monotonic()
            if time.monotonic() - moved_at > STALL_SECONDS:
                raise SystemExit(f"{' '.join(self._command)} stands still at {reading}")
            last = reading
        seconds, used = time.monotonic() - began, self.cpu_seconds()
        done = last.events - first.events
        peak = self.peak_bytes()
        if used is None or cpu is None:
            # No /proc: the whole life of the process, its start included.
            self.stop()
            return Measure(last.events, seconds, self._lifetime_cpu(), peak, last.requests)
        return Measure(done, seconds, used - cpu, peak, last.requests - first.requests)

    def cpu_seconds(self) -> float | None:
        """Return user and system time of all its threads so far; None where no /proc tells."""
        return cpu_seconds(self._process.pid)

    def peak_bytes(self) -> int:
        """Return the most memory it had in use; where no /proc tells, the greatest of all ended."""
        return peak_bytes(self._process.pid)

    def _lifetime_cpu(self) -> float:
        return _children_cpu() - self._children_before


def cpu_seconds(pid: int) -> float | None:
    """Return user and system time of all threads of a process; None where no /proc tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_bytes(pid: int) -> int:
    """Return the most memory a process had in use; without /proc, the most of all that ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _bare_environment() -> dict[str, str]:
    """Keep what a Python process needs, and no setting of the person who measures."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
    return {name: os.environ[name] for name in kept if name in os.environ}
