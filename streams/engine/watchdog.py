"""Ends a worker that makes no progress for no outside reason, or that uses too much memory.

A new process starts from the last commit and works, whatever the cause was. Reasons outside: a
parked vendor, brokers that do not respond or do not accept writes. The brokers concerned are asked
twice, with a while in between, before a worker is ended. If they refuse the worker itself, it logs
that and ends as well.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable
from time import monotonic
from typing import Any, NamedTuple, Protocol

from faust.types import TP

from streams.engine.failure import leave
from streams.engine.inquiry import BrokerAnswer, BrokerInquiry
from streams.engine.memory import container_limit, memory_bytes
from streams.engine.standstill import Standing, What, standings

log = logging.getLogger("streams.engine")

LOOK_SECONDS = 1.0
SECOND_LOOK = 0.25
"""The time from the warning to the end, as a part of the set time."""


class Still(NamedTuple):
    """Work without progress for too long."""

    what: What
    words: str
    seconds: float
    for_good: bool
    """The warning was logged a while ago: end the worker."""

    def sentence(self, answer: BrokerAnswer | None) -> str:
        """Return what has happened, as the start of a sentence."""
        why = "and the brokers answer" if answer is None else answer.words
        joint = ", " if answer is None else ": "
        return f"{self.words} has made no progress for {self.seconds:.0f} s{joint}{why}"


class Brokers(Protocol):
    """Asks the brokers before a worker is ended."""

    def observe(self) -> None:
        """Record the pending requests of the worker; called once a second."""

    async def about(self, kind: str, tp: TP | None) -> BrokerAnswer | None:
        """Return why the brokers stop this kind of work; None: they do not."""


class StandstillLimits:
    """How long each piece of work has made no progress. Pure."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[What, tuple[Hashable, float]] = {}
        self._warned_at: dict[What, float] = {}

    def overdue(self, seen: Iterable[Standing], now: float) -> list[Still]:
        """Return work without progress for too long: new, or a while after its warning.

        Work that is no longer listed, or has made progress, is forgotten.
        """
        known, self._since = self._since, {}
        warned, self._warned_at = self._warned_at, {}
        still = []
        for what, state, words in seen:
            before = known.get(what)
            since = now if before is None or before[0] != state else before[1]
            self._since[what] = state, since
            if now - since < self._seconds:
                continue
            if what not in warned:
                still.append(Still(what, words, now - since, for_good=False))
                continue
            self._warned_at[what] = warned[what]
            if now - warned[what] >= SECOND_LOOK * self._seconds:
                still.append(Still(what, words, now - since, for_good=True))
        return still

    def record_warning(self, what: What, now: float) -> None:
        """Record that a warning about this work was logged."""
        self._warned_at[what] = now

    def restart(self, kind: str) -> None:
        """Restart the time for work of this kind: the brokers were the reason."""
        self._since = {what: at for what, at in self._since.items() if what[0] != kind}
        self._warned_at = {what: at for what, at in self._warned_at.items() if what[0] != kind}


class Watchdog:
    """Watches one worker, from within its event loop."""

    def __init__(
        self,
        app: Any,
        *,
        stall_seconds: float,
        memory_limit: int | None,
        brokers: Brokers | None = None,
        leave: Callable[[str], object] = leave,
        memory: Callable[[], int] = memory_bytes,
    ) -> None:
        """``memory_limit`` in bytes; None: that of the container, if it has one."""
        self._app = app
        self._limits = StandstillLimits(stall_seconds)
        self._memory_limit = container_limit() if memory_limit is None else memory_limit
        self._brokers = brokers or BrokerInquiry(app)
        self._leave = leave
        self._memory = memory

    async def run(self) -> str:
        """Check once a second; return a message once the worker uses too much memory."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if (words := self.too_large()) is not None:
                return words
            if producer_has_ended(self._app):
                self._leave("the Kafka producer stopped by itself; starting again")
            await self.check(monotonic())

    def too_large(self) -> str | None:
        """Return a message if the worker uses more memory than it may."""
        used, limit = self._memory(), self._memory_limit
        if limit is None or used <= limit:
            return None
        return (
            f"{used / 2**20:,.0f} MiB of memory are in use, more than the {limit / 2**20:,.0f} MiB "
            "that a worker may take (STREAMS_WATCHDOG_MEMORY_MB, or 90 % of the container's "
            "limit); starting again"
        )

    async def check(self, now: float) -> None:
        """End the process if work makes no progress without a reason outside."""
        self._brokers.observe()
        still = self._limits.overdue(standings(self._app), now)
        # One inquiry for each kind of work: all of it waits for the same brokers.
        worst: dict[str, Still] = {}
        for found in sorted(still, key=lambda found: (found.for_good, found.seconds)):
            worst[found.what[0]] = found
        for kind, found in worst.items():
            answer = await self._brokers.about(*found.what)
            sentence = found.sentence(answer)
            if answer is not None and not answer.is_final:
                self._limits.restart(kind)
                log.warning("%s; this worker waits", sentence)
            elif found.for_good:
                self._leave(f"{sentence}; starting again")
            else:
                self._limits.record_warning(found.what, now)
                log.warning("%s; if it does not go on, this worker starts again", sentence)


def producer_has_ended(app: Any) -> bool:
    """Return whether the producer's sender has ended: it raises no error until the next write."""
    producer = app.started_producer
    return producer is not None and bool(producer._sender.sender_task.done())
