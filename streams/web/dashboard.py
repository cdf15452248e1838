"""The dashboard's pulse: reads the status topic, keeps the hour, and hands each view to all."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from streams.core.snapshot import WorkerSnapshot
from streams.operations.status.status import StatusBoard, WorkerStatus
from streams.settings import ENRICH
from streams.web.history import STEP_SECONDS, History
from streams.web.vendors import VendorSummary
from streams.web.view import Frame, summaries, view

log = logging.getLogger("streams.web")

PULSE_SECONDS = 1.0
SILENT_BROKER_SECONDS = 10.0
"""Workers speak every second: after so long without a word the page says so."""

_encode = msgspec.json.Encoder().encode


class Dashboard:
    """One worker's view of the whole pipeline, made once a second while somebody looks."""

    def __init__(
        self,
        frame: Frame,
        board: StatusBoard,
        *,
        own: Callable[[], WorkerSnapshot | None],
        refresh: Callable[[], Awaitable[None]],
        silent_seconds: Callable[[], float],
        wall_ms: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        """Take the seams; ``own`` is this worker's own snapshot, for a broker that is away."""
        self.frame = frame
        self.viewers = 0
        self.pulse = 0
        """How many views have been made."""
        self._board = board
        self._own = own
        self._refresh = refresh
        self._silent_seconds = silent_seconds
        self._wall_ms = wall_ms
        self._clock = clock
        self._history = History()
        self._sampled_at = float("-inf")
        self._samples = 0
        self._view = b"{}"
        self._curves = _encode(self._history.to_json())
        self._next = asyncio.Event()
        self._wanted = asyncio.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Make views once a second as long as this lasts, and one at once."""
        self.viewers += 1
        self._wanted.set()
        try:
            yield
        finally:
            self.viewers -= 1

    async def run(self) -> None:
        """Go on for as long as the worker lives: fast while somebody looks, else for the curves."""
        while True:
            try:
                await self._beat()
            except asyncio.CancelledError:
                raise
            except Exception:
                # The page is for looking at: it must never end a worker.
                log.exception("the dashboard's view could not be made")
            pause = PULSE_SECONDS if self.viewers else float(STEP_SECONDS)
            self._wanted.clear()
            try:
                await asyncio.wait_for(self._wanted.wait(), pause)
            except TimeoutError:
                continue

    async def next_view(self, after: int) -> tuple[int, bytes]:
        """Return the newest view as JSON with its number, once there is one after ``after``."""
        while self.pulse <= after:
            await self._next.wait()
        return self.pulse, self._view

    def history(self) -> tuple[int, bytes]:
        """Return the hour's curves as JSON, and how many samples have been taken."""
        return self._samples, self._curves

    def current(self) -> dict[str, Any]:
        """Return the view as of now."""
        workers = self._workers()
        return self._make(workers, summaries(self.frame, workers))

    async def _beat(self) -> None:
        await self._refresh()
        now = self._clock()
        due = now - self._sampled_at >= STEP_SECONDS - 0.1
        if not (due or self.viewers):
            return
        workers = self._workers()
        vendors = summaries(self.frame, workers)
        for vendor in vendors:
            if vendor.workers:
                self._history.note_waiting(now, vendor.key, vendor.waiting)
        if due:
            self._sample(workers, vendors, now)
        if self.viewers:
            self._view = _encode(self._make(workers, vendors))
            self.pulse += 1
            made, self._next = self._next, asyncio.Event()
            made.set()

    def _sample(
        self, workers: list[WorkerStatus], vendors: list[VendorSummary], now: float
    ) -> None:
        self._sampled_at = now
        self._samples += 1
        enrich = [w.snapshot for w in workers if w.snapshot.stage == ENRICH and not w.is_stale]
        self._history.sample(self._wall_ms(), sum(one.rate for one in enrich), vendors)
        # What was deleted is known once partitions are assigned: not of a worker that starts.
        if enrich and all(one.ready for one in enrich):
            total = sum(number for one in enrich for number in one.expired.values())
            self._history.note_expired(ENRICH, total)
        for vendor in vendors:
            if vendor.workers and not vendor.not_ready:
                self._history.note_expired(vendor.key, vendor.expired)
        self._curves = _encode(self._history.to_json())

    def _workers(self) -> list[WorkerStatus]:
        own = self._own()
        if own is not None:
            self._board.snapshots[own.worker] = own
        return self._board.workers(self._wall_ms())

    def _make(self, workers: list[WorkerStatus], vendors: list[VendorSummary]) -> dict[str, Any]:
        silent = self._silent_seconds()
        return view(
            self.frame,
            workers,
            vendors,
            self._history,
            self._wall_ms(),
            silent if silent > SILENT_BROKER_SECONDS else None,
        )
