"""``streams topics rekey``: rows of ``shop.users`` that lie where their visitors' events do not.

When partitions are added, most keys stay where they are and the others get a new home; rows that
were written before lie on their old partition. Their visitors' new events do not find them there.

For each such row: the newest word about the visitor comes to lie on the home partition, and the old
one is taken away. A plain tombstone would do more than that: it says that the visitor is forgotten,
and all events that are older than it would never be sent. So it carries the header ``moved``, by
which tables take the row away and nothing else (``core.records.is_moved``). And it is written only
once the events that lie on the old partition are settled, for their consent is looked up there.

A copy must not win over what the shop writes at the same moment. It has the same header, and yields
to any row that is there already; and where one has come between, that one is written once more, so
that compaction keeps it. Times of records stay as they were.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import TopicPartition

from streams.core.records import MOVED, is_moved
from streams.engine.partitioner import home_of
from streams.kafka.group_ids import group_id
from streams.kafka.reader import LogReader, Offsets, Tell, connect, silent
from streams.kafka.topics import required_topics
from streams.kafka.writer import connect_writer, writing_failed
from streams.settings import ENRICH, Settings
from streams.vendors import VENDORS

LOOK_SECONDS = 1.0
Headers = tuple[tuple[str, bytes | None], ...]
_OF_MOVED: Headers = ((MOVED, b"1"),)


class RekeyRow(NamedTuple):
    """A record of ``shop.users``; without a value a tombstone."""

    offset: int
    timestamp: int
    value: bytes | None
    headers: Headers = ()


class Write(NamedTuple):
    """A record that is to be written."""

    partition: int
    key: bytes
    value: bytes | None
    timestamp: int | None
    """In ms; None: now."""
    headers: Headers


@dataclass(slots=True)
class RekeyPlan:
    """What is to be written."""

    rows: int = 0
    """Rows, of all partitions."""
    copies: list[Write] = field(default_factory=list)
    """Rows for the home partitions, and what is newer there for the old ones."""
    removals: list[Write] = field(default_factory=list)
    """What takes rows off their old partitions."""

    @property
    def old_partitions(self) -> list[int]:
        """Those from which rows are to be taken."""
        return sorted({write.partition for write in self.removals})


class RowPlacement:
    """Which rows lie where, from the records of ``shop.users``. Pure."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._home: dict[bytes, int] = {}
        self._newest: dict[bytes, dict[int, RekeyRow]] = {}
        """Key → partition → what a table holds of it: never a copy over something else."""
        self._hidden: set[tuple[int, bytes]] = set()
        """Where a copy lies behind what it has to yield to."""

    def add(self, partition: int, key: bytes, row: RekeyRow) -> None:
        """Take the next record of a partition, in log order."""
        places = self._newest.setdefault(key, {})
        if is_moved(row.headers):
            if row.value is None:
                places.pop(partition, None)
                self._hidden.discard((partition, key))
                return
            known = places.get(partition)
            if known is not None and not is_moved(known.headers):
                self._hidden.add((partition, key))
                return
        self._hidden.discard((partition, key))
        places[partition] = row

    def plan(self) -> RekeyPlan:
        """Return what brings each visitor's newest word home and leaves it nowhere else."""
        plan = RekeyPlan()
        for key, places in self._newest.items():
            plan.rows += sum(row.value is not None for row in places.values())
            home = self._home_of(key)
            here = places.get(home)
            if here is not None and (home, key) in self._hidden:
                plan.copies.append(Write(home, key, here.value, here.timestamp, here.headers))
            if all(row.value is None for at, row in places.items() if at != home) and (
                here is None or here.value is None
            ):
                continue
            newest_at = max(places, key=lambda at: (places[at].timestamp, at == home))
            newest = places[newest_at]
            headers = tuple(header for header in newest.headers if header[0] != MOVED)
            if newest_at != home and (here is not None or newest.value is not None):
                moved = _OF_MOVED if here is None else ()
                plan.copies.append(
                    Write(home, key, newest.value, newest.timestamp, (*headers, *moved))
                )
            for at, row in places.items():
                if at == home or row.value is None:
                    continue
                if newest.value is None or row.value != newest.value:
                    # Events that still wait there must hear the newest word, too.
                    plan.copies.append(Write(at, key, newest.value, newest.timestamp, headers))
                if newest.value is not None:
                    plan.removals.append(Write(at, key, None, None, _OF_MOVED))
        return plan

    def _home_of(self, key: bytes) -> int:
        return home_of(key, self._partitions)


def repairs(
    written: Mapping[tuple[int, bytes], int], since: Iterable[tuple[int, bytes, RekeyRow]]
) -> list[Write]:
    """Return what somebody else wrote just before one of our copies and is to be written again.

    ``written``: the offset of our copy, by partition and key; ``since``: what came onto these
    partitions since the plan was made, in log order.
    """
    found: dict[tuple[int, bytes], Write] = {}
    for partition, key, row in since:
        ours = written.get((partition, key))
        if ours is not None and row.offset < ours:
            found[partition, key] = Write(partition, key, row.value, row.timestamp, row.headers)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What was found and done."""

    rows: int
    copied: int
    """Records that brought rows home, or what is newer there to the old place."""
    removed: int
    """Rows that were removed from their old partitions."""
    left: int
    """Rows that still lie on an old partition, because events there wait for them."""
    waiting: tuple[str, ...] = ()
    """For what they wait, one clause each."""


async def run_rekey(
    settings: Settings,
    *,
    wait_seconds: float,
    remove_now: bool = False,
    dry_run: bool = False,
    tell: Tell = silent,
) -> Rekeyed:
    """Bring the rows of ``shop.users`` home; can be repeated until nothing is left.

    Waits at most so long until what lies on the old partitions is settled; ``remove_now``: not at
    all. ``dry_run`` only looks.

    Raises:
        SetupError: the broker does not answer, or refuses a write; the topics do not fit together.
    """
    topics = settings.topics
    raw = topics.raw
    counts = await required_topics(settings, [*raw, topics.users])
    placement = RowPlacement(counts[topics.users])
    async with connect(settings.kafka) as reader:
        tps = (await reader.partitions([topics.users]))[topics.users]
        ends = await reader.ends(tps)
        async for tp, records in reader.read(await reader.starts(tps), ends, tell):
            for record in records:
                if record.key is not None:
                    placement.add(tp.partition, record.key, _as_row(record))
        plan = placement.plan()
        if dry_run:
            return Rekeyed(plan.rows, len(plan.copies), 0, len(plan.removals))
        await _write_copies(settings, reader, plan.copies, ends)
        waiting: list[str] = []
        if plan.removals and not remove_now:
            waiting = await _until_settled(settings, reader, plan.old_partitions, wait_seconds)
        if not waiting:
            await _write(settings, plan.removals)
    removed = 0 if waiting else len(plan.removals)
    left = len(plan.removals) - removed
    return Rekeyed(plan.rows, len(plan.copies), removed, left, tuple(waiting))


def _as_row(record: object) -> RekeyRow:
    headers = tuple(record.headers)  # type: ignore[attr-defined]
    return RekeyRow(record.offset, record.timestamp, record.value, headers)  # type: ignore[attr-defined]


async def _write_copies(
    settings: Settings, reader: LogReader, copies: Sequence[Write], since: Offsets
) -> None:
    """Write copies, and whatever came between once more, until nothing does."""
    while copies:
        written = await _write(settings, copies)
        partitions = {partition for partition, _ in written}
        starts = {tp: offset for tp, offset in since.items() if tp.partition in partitions}
        ends = await reader.ends(list(starts))
        news: list[tuple[int, bytes, RekeyRow]] = []
        async for tp, records in reader.read(starts, ends):
            news += [
                (tp.partition, record.key, _as_row(record))
                for record in records
                if record.key is not None
            ]
        since = {**since, **ends}
        copies = repairs(written, news)


async def _write(settings: Settings, writes: Sequence[Write]) -> dict[tuple[int, bytes], int]:
    """Write these in order; return the offset of each by partition and key."""
    if not writes:
        return {}
    topic = settings.topics.users
    then = "run `streams topics rekey` again: it continues where it stopped"
    async with connect_writer(
        settings.kafka, "streams-rekey", writing_failed(topic, then)
    ) as producer:
        sent = [
            await producer.send(
                topic,
                write.value,
                write.key,
                partition=write.partition,
                timestamp_ms=write.timestamp,
                headers=list(write.headers),
            )
            for write in writes
        ]
        done = await asyncio.gather(*sent)
    return {
        (write.partition, write.key): one.offset for write, one in zip(writes, done, strict=True)
    }


async def _until_settled(
    settings: Settings, reader: LogReader, partitions: Sequence[int], seconds: float
) -> list[str]:
    """Return what still waits on these partitions of all stages when time is up; nothing: good.

    What comes later does not count: producers know the new partitions by then. A vendor that is off
    settles nothing, so it is not waited for; once it is on again its events need their rows.
    """
    on = settings.stages()
    topics, deadline = settings.topics, time.monotonic() + seconds
    stages = {ENRICH: [*topics.raw]}
    stages |= {vendor: [topics.events(vendor), topics.redelivery(vendor)] for vendor in VENDORS}
    waiting = []
    for stage, names in stages.items():
        found = await reader.partitions(names)
        tps = [tp for name in names for tp in found[name] if tp.partition in partitions]
        ends = await reader.ends(tps)
        open_ = await _unsettled(settings, reader, stage, tps, ends)
        while open_ and stage in on and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            open_ = await _unsettled(settings, reader, stage, tps, ends)
        if open_:
            off = "" if stage in on else " and is off: switch it on, or give --now if it stays off"
            waiting.append(f"{stage} has not settled all of {open_}{off}")
    return waiting


async def _unsettled(
    settings: Settings,
    reader: LogReader,
    stage: str,
    tps: Sequence[TopicPartition],
    ends: Offsets,
) -> str | None:
    """Return one of these partitions on which something lies that the stage has not settled."""
    commits = await reader.commits(group_id(settings.topics.prefix, stage), tps) if tps else {}
    begins = await reader.starts(tps)
    starts = {tp: max(begins[tp], commits[tp].offset if tp in commits else 0) for tp in tps}
    # Above the commit there may be nothing but markers of transactions.
    async for tp, records in reader.read(starts, ends):
        if records:
            return f"{tp.topic}/{tp.partition}"
    return None
