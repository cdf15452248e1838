"""The shop's own records through today's sections once more: what a rewrite would do, and doing it.

A replay takes a window of the shop's topic, a resend the records of open dead letters. What was
written is known by the headers of our raw records. An event that was written is left out: replays
of raw events are for those. A row is left out where a later record of the shop stands over it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from streams.core.errors import SetupError
from streams.core.ingest.outcomes import (
    IngestOutcome,
    IngestRecord,
    IngestRefusal,
    SkippedRecord,
    Unmapped,
)
from streams.core.ingest.targets import TABLES
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.records import Source
from streams.core.topics import Topics
from streams.engine.partitioner import home_of
from streams.kafka.reader import LogReader, Tell, connect
from streams.kafka.writer import connect_writer
from streams.operations.ingest.mappings import joined_mappings, prepare
from streams.operations.ingest.trail import IngestTrail, read_trail
from streams.settings import Settings

WRITTEN_AT_ONCE = 500

WRITE = "would_write"
ALREADY_WRITTEN = "already_written"
CHANGED = "changed"
"""Written before with another content."""
SUPERSEDED = "superseded"
"""A later record of the shop stands in the table."""
UNMAPPED, REFUSED = "unmapped", "refused"


class RewriteItem(NamedTuple):
    """An outcome of one of the shop's records."""

    topic: str
    partition: int
    offset: int
    outcome: IngestOutcome

    @property
    def place(self) -> tuple[str, int, int, int | None]:
        """Of which record and element it is made."""
        return self.topic, self.partition, self.offset, getattr(self.outcome, "element", None)


@dataclass(slots=True)
class RewriteCounts:
    """What a rewrite of one section comes to."""

    section: str
    to: str
    records: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """By ``would_write`` and why others are left out."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Of those that are refused."""

    def to_json(self) -> dict[str, Any]:
        """Return a row of ``--json``."""
        names = (WRITE, ALREADY_WRITTEN, CHANGED, SUPERSEDED, UNMAPPED, REFUSED)
        return {
            "section": self.section,
            "to": self.to,
            "records": self.records,
            **{name: self.kinds[name] for name in names},
            "reasons": dict(self.reasons),
        }


class Written:
    """What the raw topics hold that ``ingest`` wrote: events by place, tables by their newest."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, tuple[str, int, int, int | None]], int] = {}
        self._rows: dict[tuple[str, bytes], tuple[IngestTrail | None, bytes | None]] = {}

    async def read(self, settings: Settings, reader: LogReader, tos: Iterable[str]) -> None:
        """Read these topics to their ends; raises SetupError."""
        topics = settings.topics
        for to in sorted(set(tos)):
            async for _, records in reader.read_topic(topics.of_shop(to)):
                for record in records:
                    self._take(to, record)

    def _take(self, to: str, record: ConsumerRecord) -> None:
        trail = read_trail(record.headers)
        if to in TABLES:
            if record.key is not None:
                self._rows[to, record.key] = trail, record.value
        elif trail is not None:
            self._events[trail.section, (*trail.source, trail.element)] = hash(record.value)

    def kind(self, item: RewriteItem) -> str:
        """Return what is to be done with an outcome."""
        outcome = item.outcome
        if isinstance(outcome, IngestRefusal):
            return REFUSED
        if not isinstance(outcome, IngestRecord):
            return UNMAPPED
        if outcome.to in TABLES:
            return self._kind_of_row(item, outcome)
        known = self._events.get((outcome.section, item.place))
        if known is None:
            return WRITE
        return ALREADY_WRITTEN if known == hash(outcome.value) else CHANGED

    def _kind_of_row(self, item: RewriteItem, outcome: IngestRecord) -> str:
        known = self._rows.get((outcome.to, outcome.key))
        if known is None:
            return WRITE if outcome.value is not None else ALREADY_WRITTEN
        trail, value = known
        if value == outcome.value:
            return ALREADY_WRITTEN
        if trail is None or trail.source[:2] != (item.topic, item.partition):
            return SUPERSEDED  # by whom or when is not known: it must not be written over
        return SUPERSEDED if trail.source.offset > item.offset else WRITE


async def read_window(
    settings: Settings, section: str, from_ms: int, to_ms: int, tell: Tell
) -> tuple[RewriteCounts, list[tuple[str, RewriteItem]]]:
    """Return what a replay of a section's records of this time (from ≤ t < to) comes to.

    The items are those that may be written, each with ``would_write`` or ``changed``. Raises
    SetupError.
    """
    one = settings.ingest[section]
    counts, items = RewriteCounts(section, one.to), list[tuple[str, RewriteItem]]()
    async with connect(settings.kafka) as reader:
        tps = (await reader.partitions([one.topic]))[one.topic]
        if not tps:
            raise SetupError(f"Topic {one.topic} of [ingest.{section}] does not exist.")
        mapping = (await joined_mappings(settings, reader, tell))[one.topic]
        written = Written()
        await written.read(settings, reader, [one.to])
        ends = await reader.ends(tps)
        starts = {tp: min(at, ends[tp]) for tp, at in (await reader.starts(tps, from_ms)).items()}
        async for _, records in reader.read(starts, ends, tell):
            inside = [record for record in records if from_ms <= record.timestamp < to_ms]
            await prepare(mapping, inside)
            counts.records += len(inside)
            for item in _items(mapping, inside):
                if getattr(item.outcome, "section", None) == section:
                    _count(counts, written.kind(item), item, items)
    _only_newest_rows(counts, items)
    return counts, items


def _items(mapping: TopicMapping, records: Iterable[ConsumerRecord]) -> Iterable[RewriteItem]:
    for record in records:
        place = record.partition, record.offset
        for outcome in mapping.read(record.key, record.value, *place, record.timestamp):
            if not isinstance(outcome, SkippedRecord):
                yield RewriteItem(mapping.topic, *place, outcome)


def _count(
    counts: RewriteCounts, kind: str, item: RewriteItem, items: list[tuple[str, RewriteItem]]
) -> None:
    counts.kinds[kind] += 1
    if isinstance(item.outcome, IngestRefusal):
        counts.reasons[item.outcome.error.reason] += 1
    elif kind in (WRITE, CHANGED) and not isinstance(item.outcome, Unmapped):
        items.append((kind, item))


def _only_newest_rows(counts: RewriteCounts, items: list[tuple[str, RewriteItem]]) -> None:
    """Of several rows of one key leave out all but the last."""
    if counts.to not in TABLES:
        return
    newest = {
        one.outcome.key: (kind, one) for kind, one in items if isinstance(one.outcome, IngestRecord)
    }
    counts.kinds[SUPERSEDED] += len(items) - len(newest)
    counts.kinds[WRITE] = len(newest)
    items[:] = newest.values()


class IngestWriter:
    """Writes outcomes as the stage does; ``ingest_writer`` connects it."""

    producer: AIOKafkaProducer

    def __init__(self, topics: Topics, rate: float | None) -> None:
        self._topics = topics
        self._rate = rate
        self.written = 0
        """Records."""

    async def write(self, items: Sequence[RewriteItem]) -> None:
        """Write in order."""
        waiting: list[asyncio.Future[Any]] = []
        for item in items:
            outcome = item.outcome
            if not isinstance(outcome, IngestRecord):
                continue
            to = self._topics.of_shop(outcome.to)
            partitions = await self.producer.partitions_for(to)
            source = f"{item.topic}/{item.partition}/{item.offset}"
            section = outcome.section
            if outcome.element is not None:
                section = f"{section}/{outcome.element}"
            waiting.append(
                await self.producer.send(
                    to,
                    outcome.value,
                    outcome.key,
                    partition=home_of(outcome.key, len(partitions)),
                    headers=[("source", source.encode()), ("section", section.encode())],
                )
            )
            self.written += 1
            if self._rate is not None:
                await asyncio.sleep(1 / self._rate)
            if len(waiting) >= WRITTEN_AT_ONCE:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)


@asynccontextmanager
async def ingest_writer(
    settings: Settings, rate: float | None = None
) -> AsyncIterator[IngestWriter]:
    """Connect for writing ``rate`` records a second at most.

    Raises SetupError where the broker refuses what is written.
    """
    writer = IngestWriter(settings.topics, rate)
    async with connect_writer(
        settings.kafka,
        "streams-ingest-rewrite",
        lambda error: (
            f"Writing stopped after {writer.written} records: {error}. Check what this user may "
            "write and whether the brokers are up, then run the command again: what was written "
            "is left out then."
        ),
        linger_ms=5,
    ) as writer.producer:
        yield writer


async def read_sources(reader: LogReader, places: Iterable[Source]) -> dict[Source, ConsumerRecord]:
    """Return the shop's records at these places, as far as they are still there."""
    wanted: dict[TopicPartition, list[int]] = {}
    for topic, partition, offset in places:
        wanted.setdefault(TopicPartition(topic, partition), []).append(offset)
    found: dict[Source, ConsumerRecord] = {}
    there = await reader.partitions({tp.topic for tp in wanted})
    for tp in (tp for tp in wanted if tp in there[tp.topic]):
        records = await reader.read_at(tp, wanted[tp])
        found |= {Source(tp.topic, tp.partition, at): one for at, one in records.items()}
    return found
