"""Ends a worker that stands still although nothing outside of it does, or that grows too large.

Whatever the reason, known or not: a fresh process starts from the last commit, and works. A vendor
that is closed is no such reason, nor are brokers that do not answer; these are asked, by
connections of their own, before a worker is ended, twice with a while in between.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.engine.failure import leave
from streams.engine.memory import container_limit, memory_bytes
from streams.engine.standstill import Standing, standings
from streams.engine.tail import reader

log = logging.getLogger("streams.engine")

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 10.0
SECOND_LOOK = 0.25
"""Of the set time: so much longer it must still stand still, with brokers that answer."""


class Still(NamedTuple):
    """Something that has stood still for too long."""

    what: Hashable
    words: str
    seconds: float
    for_good: bool
    """It was warned of a while ago."""

    def sentence(self) -> str:
        """Return what has happened, as the beginning of a sentence."""
        return f"{self.words} has stood still for {self.seconds:.0f} s, and the brokers answer"


class Patience:
    """Since when each thing has stood still. Pure."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[Hashable, tuple[Hashable, float]] = {}
        self._warned_at: dict[Hashable, float] = {}

    def look(self, seen: Iterable[Standing], now: float) -> list[Still]:
        """Return what has stood still for too long and was not warned of, or a while ago.

        What is not seen any more, or has moved, is forgotten.
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

    def warned(self, what: Hashable, now: float) -> None:
        """Note that this stands still although the brokers answer."""
        self._warned_at[what] = now

    def begin_anew(self) -> None:
        """Count from now on: the brokers were away."""
        self._since.clear()
        self._warned_at.clear()


class Watchdog:
    """Looks after one worker, from within its event loop."""

    def __init__(
        self,
        app: Any,
        *,
        stall_seconds: float,
        memory_limit: int | None,
        brokers_answer: Callable[[], Awaitable[bool]] | None = None,
        leave: Callable[[str], object] = leave,
        memory: Callable[[], int] = memory_bytes,
    ) -> None:
        """``memory_limit`` in bytes; None: that of the container, if it has one."""
        self._app = app
        self._patience = Patience(stall_seconds)
        self._memory_limit = container_limit() if memory_limit is None else memory_limit
        self._brokers_answer = brokers_answer or self._ask
        self._leave = leave
        self._memory = memory

    async def run(self) -> str:
        """Look again and again; return what to say once the worker has grown too large."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if (words := self.too_large()) is not None:
                return words
            if producer_has_ended(self._app):
                self._leave("the Kafka producer stopped by itself; starting again")
            await self.look(monotonic())

    def too_large(self) -> str | None:
        """Return what to say where the worker uses more memory than it may."""
        used, limit = self._memory(), self._memory_limit
        if limit is None or used <= limit:
            return None
        return (
            f"{used / 2**20:,.0f} MiB of memory are in use, more than the {limit / 2**20:,.0f} MiB "
            "that a worker may take (STREAMS_WATCHDOG_MEMORY_MB, or 90 % of the container's "
            "limit); starting again"
        )

    async def look(self, now: float) -> None:
        """Leave, if anything has stood still for too long and for no reason outside."""
        still = self._patience.look(standings(self._app), now)
        if not still:
            return
        worst = max(still, key=lambda found: (found.for_good, found.seconds))
        if not await self._brokers_answer():
            self._patience.begin_anew()
        elif worst.for_good:
            self._leave(f"{worst.sentence()}; starting again")
        else:
            self._patience.warned(worst.what, now)
            log.warning("%s; if it does not go on, this worker starts again", worst.sentence())

    async def _ask(self) -> bool:
        """Return whether each partition of this stage's topics has a leader, and all answer."""
        options = self._app.options
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await leaders_answer(options.client_options, options.topics)
        except (KafkaError, OSError, TimeoutError) as error:
            log.info("the brokers do not answer: %r", error)
            return False


async def leaders_answer(client_options: Mapping[str, Any], topics: Sequence[str]) -> bool:
    """Return whether each partition of these topics has a leader, once all of them have answered.

    Raises KafkaError or OSError where one does not.
    """
    admin = AIOKafkaAdminClient(**client_options, client_id="streams-watchdog")
    try:
        await admin.start()
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    partitions = [(topic["topic"], p) for topic in described for p in topic["partitions"]]
    if any(p["leader"] < 0 for _, p in partitions):
        return False
    async with reader(client_options) as consumer:
        await consumer.end_offsets([TopicPartition(name, p["partition"]) for name, p in partitions])
    return True


def producer_has_ended(app: Any) -> bool:
    """Return whether what sends batches has ended: it tells nobody until somebody writes."""
    producer = None if app._producer is None else app._producer._producer
    return producer is not None and bool(producer._sender.sender_task.done())
