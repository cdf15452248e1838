"""A soak: hours of live traffic without a fault, and whether anything drifts meanwhile."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.drift import (
    FILES,
    MEMORY,
    REMEMBERED,
    START,
    THREADS,
    Drift,
    Tolerance,
    drift,
)
from tests.chaos.fleet import Worker
from tests.chaos.run import Run

SOAK_RATE = 50.0
RESTARTED = "eightselect"
"""The sink that is ended and started again and again; the others run through."""
SAMPLES = 24
LONGEST_PAUSE = 180.0
SHORTEST_PAUSE = 20.0
LEAST_HOURS = 0.1
WARM_UP_SECONDS = 720.0
"""Enrichment remembers ten minutes of event ids: until then it grows as it should."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process had at one moment."""

    at: float
    """Seconds from the soak's begin."""
    worker: str
    memory: float
    """MiB, resident."""
    threads: int
    files: int
    """Open ones, sockets included."""


WATCHED: tuple[tuple[str, Callable[[Sample], float], Tolerance], ...] = (
    ("memory, MiB", lambda one: one.memory, MEMORY),
    ("threads", lambda one: one.threads, THREADS),
    ("open files", lambda one: one.files, FILES),
)

OF: Mapping[tuple[str, str], Tolerance] = {("voyado", "memory, MiB"): REMEMBERED}
"""Other tolerances, by worker and what is watched."""


class Soak(Run):
    """One soak; ``go`` returns when it is over, with its books closed as a run's are."""

    def __init__(
        self, hours: float, *, rate: float, folder: Path, say: Callable[[str], None]
    ) -> None:
        super().__init__((), rate=rate, folder=folder, say=say)
        self.seconds = hours * 3600
        self.pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, self.seconds / SAMPLES))
        self.warm_up = min(WARM_UP_SECONDS, self.seconds / 4)
        self.samples: list[Sample] = []
        self.starts: list[tuple[float, float]] = []
        """When the sink was restarted, and how many seconds it took to be ready."""

    async def _work(self) -> None:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < self.seconds and not self._is_enough:
            await asyncio.sleep(min(self.pause, self.seconds - passed))
            at = time.monotonic() - began
            workers = self._site.fleet.workers.values()
            new = [sampled(worker, at) for worker in workers]
            self.samples += new
            took = await self._restart()
            self.starts.append((at, took))
            await self._site.logs.read()
            shown = ", ".join(
                f"{one.worker} {one.memory:.0f} MiB {one.threads} threads {one.files} files"
                for one in new
            )
            self._say(f"{at:6.0f} s: {shown}; {RESTARTED} ready after {took:.1f} s")
        self.result.broken += [one.words for one in self.drifts() if one.is_broken]

    def drifts(self) -> list[Drift]:
        """Return what has become of each thing that is watched."""
        found = []
        for worker in dict.fromkeys(one.worker for one in self.samples):
            own = [one for one in self.samples if one.worker == worker and one.at >= self.warm_up]
            found += [
                drift(worker, what, [value(one) for one in own], OF.get((worker, what), tolerance))
                for what, value, tolerance in WATCHED
            ]
        starts = [seconds for at, seconds in self.starts if at >= self.warm_up]
        return [*found, drift(RESTARTED, "start, s", starts, START)]

    async def _restart(self) -> float:
        """End the sink in order and start it; return the seconds until it was ready."""
        worker = self._site.fleet.worker(RESTARTED)
        code = await worker.terminate()
        if code != 0:
            self.result.broken.append(f"{RESTARTED} ended with exit code {code} instead of 0")
        worker.start()
        await self._site.fleet.ready(worker)
        return time.monotonic() - worker.started_at


def sampled(worker: Worker, at: float) -> Sample:
    """Read what Linux knows of a process."""
    assert worker.process is not None
    folder = Path("/proc") / str(worker.process.pid)
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text(encoding="ascii").splitlines()
    )
    memory = int(status["VmRSS"].split()[0]) / 1024
    files = sum(1 for _ in (folder / "fd").iterdir())
    return Sample(at, worker.name, memory, int(status["Threads"]), files)


def drift_rows(drifts: list[Drift]) -> list[list[str]]:
    """Return the rows of the table that a soak prints, for ``DRIFT_HEAD``."""
    return [
        [
            *(one.worker, one.what, f"{one.first:.1f}", f"{one.last:.1f}", f"{one.limit:.1f}"),
            "drifts" if one.is_broken else "holds",
        ]
        for one in drifts
    ]


DRIFT_HEAD = ("worker", "what", "first quarter", "last quarter", "at most", "verdict")
