"""How far the demo's events are, seen from outside: from the topics' ends and commits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from streams.kafka.group_ids import group_id
from streams.kafka.reader import connect
from streams.settings import ENRICH, Settings


class DemoProgress(NamedTuple):
    """A measure for bars: exact only as long as nothing was repeated."""

    written: int
    enriched: int
    settled: Mapping[str, int]
    """By vendor: events with a last word."""


OnProgress = Callable[[DemoProgress], None]
Gauge = Callable[[int], Awaitable[DemoProgress]]
"""(events written so far) → how far they are, counted from when the gauge was made."""


@asynccontextmanager
async def gauge(settings: Settings) -> AsyncIterator[Gauge]:
    """Connect a gauge that starts at zero."""
    topics, vendors = settings.topics, settings.enabled_vendors()
    raw_names = topics.raw
    settled_names = [topics.enrich_dead_letters, *map(topics.receipts, vendors)]
    group = group_id(topics.prefix, ENRICH)
    async with connect(settings.kafka) as reader:
        tps = await reader.partitions([*raw_names, *settled_names])
        raw = [tp for name in raw_names for tp in tps[name]]
        written_by_us = [tp for name in settled_names for tp in tps[name]]

        async def sums() -> tuple[int, dict[str, int]]:
            commits = await reader.commits(group, raw)
            ends = await reader.ends(written_by_us)
            totals = {name: sum(ends[tp] for tp in tps[name]) for name in settled_names}
            given_up = totals[topics.enrich_dead_letters]
            settled = {v: totals[topics.receipts(v)] + given_up for v in vendors}
            return sum(commit.offset for commit in commits.values()), settled

        enriched_before, settled_before = await sums()

        async def read(written: int) -> DemoProgress:
            enriched, settled = await sums()
            return DemoProgress(
                written,
                min(written, enriched - enriched_before),
                {v: min(written, n - settled_before[v]) for v, n in settled.items()},
            )

        yield read


async def follow(
    read: Gauge,
    writing: "asyncio.Task[Any]",
    written: Callable[[], int],
    tell: OnProgress,
    stall_seconds: float,
) -> None:
    """Tell how far it is until all that is written is settled or nothing moves any more.

    Raises what ended ``writing`` before its time.
    """
    loop = asyncio.get_running_loop()
    last, moved_at = None, loop.time()
    while True:
        is_written = writing.done()
        if is_written:
            writing.result()
        now = await read(written())
        tell(now)
        if is_written and all(n >= now.written for n in now.settled.values()):
            return
        if now != last:
            last, moved_at = now, loop.time()
        elif is_written and loop.time() - moved_at > stall_seconds:
            return
        await asyncio.sleep(0.1)
