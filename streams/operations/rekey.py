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
that compaction keeps it, and that what takes a row away takes nothing newer with it. Times of
records stay as they were.

Until then new rows are followed: events that still wait on the old partition must hear a no that
their visitor says on the new one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import TopicPartition

from streams.core.errors import SetupError
from streams.core.records import MOVED, is_moved
from streams.engine.partitioner import home_of
from streams.kafka.group_ids import group_id
from streams.kafka.reader import Following, LogReader, Offsets, Tell, connect, silent
from streams.kafka.topics import required_topics, topic_config
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
        self._newest: dict[bytes, dict[int, RekeyRow]] = {}
        """Key → partition → what a table holds of it: never a copy over something else."""
        self._hidden: set[tuple[int, bytes]] = set()
        """Where a copy lies behind what it has to yield to."""
        self._strays: set[bytes] = set()
        """Keys that had a row on a wrong partition, or were copied; the others need nothing."""

    def add(self, partition: int, key: bytes, row: RekeyRow) -> None:
        """Take the next record of a partition, in log order."""
        if partition != self._home_of(key) or is_moved(row.headers):
            self._strays.add(key)
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
        everywhere = self._newest.values()
        plan = RekeyPlan(sum(row.value is not None for at in everywhere for row in at.values()))
        for key in self._strays:
            places = self._newest[key]
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
    all. Meanwhile new rows come home, too, and are told to the old partitions; what comes after
    that time is left where it lies. ``dry_run`` only looks.

    Raises:
        SetupError: the broker does not answer, or refuses a write; the topics do not fit together,
            or the brokers would give the copies of rows another time.
    """
    topics = settings.topics
    counts = await required_topics(settings, [*topics.raw, topics.users])
    async with connect(settings.kafka) as reader:
        rows = _UserRows(settings, reader, RowPlacement(counts[topics.users]))
        plan = await rows.plan(tell)
        if dry_run:
            return Rekeyed(plan.rows, len(plan.copies), 0, len(plan.removals))
        if plan.copies or plan.removals:
            await _require_create_time(settings)
        waits, waiting = _OldPartitions(settings, reader), dict[str, str]()
        found, copied, removed = plan.rows, 0, 0
        deadline = time.monotonic() + wait_seconds
        while plan.copies or plan.removals:
            await rows.write(plan.copies)
            copied += len(plan.copies)
            plan = await rows.plan()
            waiting = {} if remove_now else await waits.unsettled(plan.old_partitions)
            if not waiting:
                # A row written meanwhile is copied to its partition before the old one is removed.
                not_home = {write.key for write in plan.copies}
                removals = [write for write in plan.removals if write.key not in not_home]
                await rows.write(removals)
                removed += len(removals)
            elif waiting.keys().isdisjoint(settings.stages()):
                break
            if time.monotonic() >= deadline:
                break  # also where a producer keeps writing rows to old partitions
            if waiting:
                await asyncio.sleep(LOOK_SECONDS)
            plan = await rows.plan()
    left = len(plan.removals) if waiting else 0
    return Rekeyed(found, copied, removed, left, tuple(waiting.values()) if left else ())


class _UserRows:
    """The rows of ``shop.users``: read on again and again, and written."""

    def __init__(self, settings: Settings, reader: LogReader, placement: RowPlacement) -> None:
        self._settings = settings
        self._reader = reader
        self._placement = placement
        self._following: Following | None = None

    async def plan(self, tell: Tell = silent) -> RekeyPlan:
        """Return what is to be written, by the rows as they are now."""
        async for _ in self._news(tell):
            pass
        return self._placement.plan()

    async def write(self, writes: Sequence[Write]) -> None:
        """Write these, and whatever somebody else wrote just before them once more."""
        while writes:
            written = await _write(self._settings, writes)
            writes = repairs(written, [new async for new in self._news()])

    async def _news(self, tell: Tell = silent) -> AsyncIterator[tuple[int, bytes, RekeyRow]]:
        if self._following is None:
            topic = self._settings.topics.users
            tps = (await self._reader.partitions([topic]))[topic]
            self._following = Following(await self._reader.starts(tps))
        async for records in self._following.news(self._reader, tell):
            for record in records:
                if record.key is not None:
                    new = record.partition, record.key, _as_row(record)
                    self._placement.add(*new)
                    yield new


async def _require_create_time(settings: Settings) -> None:
    """Raise SetupError if the brokers set the times of rows: a copy would be newer than its row."""
    topic = settings.topics.users
    if await topic_config(settings, topic, "message.timestamp.type") == "LogAppendTime":
        alter = f"--alter --entity-type topics --entity-name {topic} --add-config"
        raise SetupError(
            f"{topic} has message.timestamp.type=LogAppendTime, so the copy of an old row would "
            "count as newer than what its visitor has said since. Nothing was changed. Set it to "
            f"CreateTime (kafka-configs.sh {alter} message.timestamp.type=CreateTime), run this "
            "again, then set it back."
        )


def _as_row(record: object) -> RekeyRow:
    headers = tuple(record.headers)  # type: ignore[attr-defined]
    return RekeyRow(record.offset, record.timestamp, record.value, headers)  # type: ignore[attr-defined]


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


class _OldPartitions:
    """What lay on partitions when rows were to be taken from them, until all stages settled it.

    What comes later does not count: producers know the new partitions by then. A vendor that is off
    settles nothing, so it is not waited for; once it is on again its events need their rows.
    """

    def __init__(self, settings: Settings, reader: LogReader) -> None:
        topics = settings.topics
        self._settings = settings
        self._reader = reader
        self._stages = {ENRICH: [*topics.raw]}
        self._stages |= {v: [topics.events(v), topics.redelivery(v)] for v in VENDORS}
        self._ends: dict[str, Offsets] = {}
        """By stage. Those of vendors are not known before enrichment has settled everything."""

    async def unsettled(self, partitions: Sequence[int]) -> dict[str, str]:
        """Return by stage what it still has to settle on these partitions, as a clause."""
        waiting: dict[str, str] = {}
        on = self._settings.stages()
        for stage, names in self._stages.items():
            found = await self._reader.partitions(names)
            tps = [tp for name in names for tp in found[name]]
            ends = self._ends.get(stage) or await self._reader.ends(tps)
            if ENRICH not in waiting:
                self._ends[stage] = ends
            old = [tp for tp in tps if tp.partition in partitions]
            open_ = await _unsettled(self._settings, self._reader, stage, old, ends)
            if open_:
                off = " and is off: switch it on, or give --now if it stays off"
                clause = f"{stage} has not settled all of {open_}"
                waiting[stage] = clause if stage in on else clause + off
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
    ends = {tp: ends[tp] for tp in tps}
    # Above the commit there may be nothing but markers of transactions.
    async for tp, records in reader.read(starts, ends):
        if records:
            return f"{tp.topic}/{tp.partition}"
    return None
