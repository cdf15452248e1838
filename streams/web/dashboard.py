"""The dashboard's pulse: looks at the pipeline, keeps the hour, and hands each view to all."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from streams.settings import ENRICH, Settings
from streams.status.known import Known
from streams.web.history import STEP_SECONDS, History, Point
from streams.web.vendors import VendorSummary
from streams.web.view import settled_rate, summaries, view

log = logging.getLogger("streams.web")

PULSE_SECONDS = 1.0

_encode = msgspec.json.Encoder().encode


class FindingsSource(Protocol):
    """Who knows how the pipeline is."""

    async def refresh(self) -> None:
        """Read what is new."""

    def known(self) -> Known:
        """Return what is known as of now."""

    def note_expired(self, lately: Callable[[], dict[str, int]]) -> None:
        """Take what tells, by stage, how many records retention deleted within the hour."""


class Dashboard:
    """One worker's view of the whole pipeline, made once a second while somebody looks."""

    def __init__(
        self, settings: Settings, watch: FindingsSource, *, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self.viewers = 0
        self.pulse = 0
        """How many views have been made."""
        self._watch = watch
        self._clock = clock
        self._history = History()
        watch.note_expired(self._history.expired_lately)
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
        known = self._watch.known()
        return view(self._settings, known, summaries(known), self._history)

    async def _beat(self) -> None:
        await self._watch.refresh()
        now = self._clock()
        due = now - self._sampled_at >= STEP_SECONDS - 0.1
        if not (due or self.viewers):
            return
        known = self._watch.known()
        vendors = summaries(known)
        self._note(known, vendors, now)
        if due:
            self._sample(known, vendors, now)
        if self.viewers:
            self._view = _encode(view(self._settings, known, vendors, self._history))
            self.pulse += 1
            made, self._next = self._next, asyncio.Event()
            made.set()

    def _note(self, known: Known, vendors: Mapping[str, VendorSummary], now: float) -> None:
        for stage in known.stages:
            waiting = known.waiting(stage)
            if stage.key in vendors and waiting is not None:
                self._history.note_waiting(now, stage.key, waiting)
        if known.alive(ENRICH):
            for key, vendor in vendors.items():
                self._history.note_skipped(now, key, vendor.skipped_by_enrich)

    def _sample(self, known: Known, vendors: Mapping[str, VendorSummary], now: float) -> None:
        self._sampled_at = now
        self._samples += 1
        points = {}
        for stage in known.stages:
            alive = [worker.snapshot for worker in known.alive(stage.key)]
            # What was deleted is known once partitions are assigned: not of a worker that starts.
            if alive and all(one.ready for one in alive):
                lost = sum(number for one in alive for number in one.expired.values())
                self._history.note_expired(stage.key, lost)
            if stage.key in vendors:
                vendor = vendors[stage.key]
                rate = settled_rate(vendor, self._history) if vendor.workers else None
                points[stage.key] = Point(
                    None if rate is None else round(rate, 2), known.waiting(stage)
                )
        self._history.sample(known.now_ms, points)
        self._curves = _encode(self._history.to_json())
