"""The records that go through both settings: of topics in the order of time, or a file's lines."""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import ConsumerRecord, TopicPartition

from streams.core.errors import SetupError
from streams.core.records import TopicRecord
from streams.core.strict_json import BYTE_ORDER_MARK
from streams.core.topics import Topics
from streams.kafka.reader import STALL_SECONDS, LogReader, Offsets, Tell, stalled
from streams.operations.diff.side import TABLES, SideBatch
from streams.operations.own_topics import own_record
from streams.operations.produce import Outgoing, parse_line, raw_topics
from streams.settings import Settings

BATCH_RECORDS = 1_000
TAKEN_RECORDS = 5_000
"""At once, of the partitions whose next record is not known."""
FETCH_BYTES = 1024 * 1024
"""Of a partition; all partitions are read at the same time."""


Roles = dict[str, str | None]
"""By topic: which of our own it is; None: one of the shop's."""


def traffic_roles(old: Settings, new: Settings) -> Roles:
    """Return our own topics, and those of the shop that one of the settings reads."""
    ours: Roles = {name: role for role, name in raw_topics(old.topics).items()}
    if any(side.topics.visitors in side.topics.of_join for side in (old, new)):
        ours[old.topics.visitors] = "visitors"
    return ours | dict.fromkeys((*old.topics.shop, *new.topics.shop))


@dataclass(slots=True)
class LogTraffic:
    """The records of topics: all rows, then the events since a moment, earliest first."""

    reader: LogReader
    roles: Roles
    since_ms: int
    tps: dict[str, list[TopicPartition]] = field(default_factory=dict)
    events: int = 0
    """Records of the topics with events that were read."""

    @property
    def user_partitions(self) -> int:
        """The number of partitions of ``shop.users``."""
        return max(1, sum(len(self.tps[n]) for n, role in self.roles.items() if role == "users"))

    async def open(self, old: Settings, new: Settings) -> None:
        """Find the topics. Raises SetupError where one is missing that is needed."""
        # Nobody may have named a visitor yet.
        fed = {*old.topics.fed} & {*new.topics.fed} | {"visitors"}
        ours = [name for name, role in self.roles.items() if role is not None and role not in fed]
        self.tps = await self.reader.partitions(self.roles, needed=ours)
        if names := [n for n, role in self.roles.items() if role is None and not self.tps[n]]:
            raise SetupError(
                f"Topics are missing: {', '.join(names)}. Correct `topic` in the sections "
                "[ingest.NAME] that name them."
            )

    async def batches(
        self, with_rows: Mapping[str, int | None], with_events: Collection[str], tell: Tell
    ) -> AsyncIterator[SideBatch]:
        """Yield the records of these topics; a topic may have both rows and events.

        ``with_rows``: by topic since when (ms) rows are read; None: all.
        """
        # Ours first: what the shop's own topics no longer hold is there.
        for topic in (name for name in self.roles if name in with_rows):
            async for _, records in self.reader.read_topic(topic, with_rows[topic], tell):
                for part in _parts(map(_topic_record, records)):
                    yield SideBatch(part, with_rows=True, with_events=False)
        tps = [tp for name in with_events for tp in self.tps[name]]
        ends, starts = await self.reader.ends(tps), await self.reader.starts(tps, self.since_ms)
        batch: list[TopicRecord] = []
        async for record in _Merge(self.reader, starts, ends, tell).records():
            # A record's time is its producer's, and not quite in the order of the log.
            if record.timestamp < self.since_ms:
                continue
            self.events += 1
            batch.append(_topic_record(record))
            if len(batch) == BATCH_RECORDS:
                yield SideBatch(batch, with_rows=False, with_events=True)
                batch = []
        if batch:
            yield SideBatch(batch, with_rows=False, with_events=True)


def _topic_record(record: ConsumerRecord) -> TopicRecord:
    place = record.topic, record.partition, record.offset, record.timestamp
    return TopicRecord(*place, record.key, record.value, record.headers)


class _Merge:
    """The records of all partitions by their Kafka times, each partition's in its order."""

    def __init__(self, reader: LogReader, starts: Offsets, ends: Offsets, tell: Tell) -> None:
        self._reader = reader
        self._ends = ends
        self._tell = tell
        self._starts = {tp: starts[tp] for tp in ends if starts[tp] < ends[tp]}
        self._total = sum(ends[tp] - start for tp, start in self._starts.items())
        self._buffers: dict[TopicPartition, deque[ConsumerRecord]] = {
            tp: deque() for tp in self._starts
        }
        self._heads: list[tuple[int, str, int]] = []
        """Of each buffer that has records the time of the first."""
        self._wanted = set(self._starts)
        """Partitions that are not read to their ends and have nothing in their buffers."""

    async def records(self) -> AsyncIterator[ConsumerRecord]:
        """Yield them. Raises SetupError where reading does not go on."""
        if not self._starts:
            return
        self._reader.open(self._starts)
        read = 0
        while self._wanted or self._heads:
            if self._wanted:
                await self._fill()
                continue
            yield self._next()
            read += 1
            if read % TAKEN_RECORDS == 0 or not (self._wanted or self._heads):
                self._tell(next(iter(self._starts)).topic, min(read, self._total), self._total)

    def _next(self) -> ConsumerRecord:
        _, topic, partition = heapq.heappop(self._heads)
        tp = TopicPartition(topic, partition)
        record = self._buffers[tp].popleft()
        if self._buffers[tp]:
            self._note_head(tp)
        elif record.offset + 1 < self._ends[tp]:
            self._wanted.add(tp)
        return record

    async def _fill(self) -> None:
        """Wait until each wanted partition has records, or is at its end."""
        loop = asyncio.get_running_loop()
        at: Offsets = {}
        progress_at = loop.time()
        while self._wanted:
            found = await self._reader.fetch(list(self._wanted), TAKEN_RECORDS)
            for tp, records in found.items():
                self._buffers[tp].extend(r for r in records if r.offset < self._ends[tp])
            for tp in list(self._wanted):
                # Positions move over transaction markers and compacted records, records do not.
                position = await self._reader.position(tp)
                if position != at.get(tp):
                    at[tp], progress_at = position, loop.time()
                if self._buffers[tp]:
                    self._note_head(tp)
                if self._buffers[tp] or position >= self._ends[tp]:
                    self._wanted.discard(tp)
            if self._wanted and loop.time() - progress_at > STALL_SECONDS:
                raise stalled(self._wanted)

    def _note_head(self, tp: TopicPartition) -> None:
        heapq.heappush(self._heads, (self._buffers[tp][0].timestamp, tp.topic, tp.partition))


@dataclass(slots=True)
class FileTraffic:
    """The lines of a file, as ``streams produce`` takes them; rows act on the lines after them."""

    lines: Iterable[bytes]
    roles: Roles
    ours: Settings
    now_ms: int
    events: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Line numbers, from 1, and why each was left out."""
    user_partitions: int = 1

    def batches(self) -> Iterator[SideBatch]:
        """Yield the lines as records of topics."""
        for part in _parts(self._records()):
            yield SideBatch(part, with_rows=True, with_events=True)

    def _records(self) -> Iterator[TopicRecord]:
        shop = [name for name, role in self.roles.items() if role is None]
        for number, line in enumerate(self.lines, start=1):
            if not line.strip():
                continue
            try:
                topic, key, value = _outgoing(line, self.ours.topics, shop)
            except ValueError as problem:
                self.bad.append((number, str(problem)))
                continue
            self.events += self.roles[topic] not in TABLES
            yield TopicRecord(topic, 0, number, self.now_ms, key, value)


class _OwnLine(msgspec.Struct):
    topic: Any = None
    key: msgspec.Raw = msgspec.Raw(b"null")
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_own = msgspec.json.Decoder(_OwnLine).decode


def _outgoing(line: bytes, topics: Topics, shop: Sequence[str]) -> Outgoing:
    """Return the record of a line; raises ValueError with one clause.

    ``shop``: topics of the shop. A line that names no topic is a record of the only one of them,
    where there is one.
    """
    if not shop:
        return parse_line(line, topics)
    line = line.strip().removeprefix(BYTE_ORDER_MARK).strip()
    try:
        content = _decode_own(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return parse_line(line, topics)  # which says what is wrong
    if content.value is not msgspec.UNSET and type(content.topic) is str:
        if content.topic in shop:
            return own_record(content.topic, content.key, content.value)
        return parse_line(line, topics)
    if len(shop) > 1:
        raise ValueError(f"does not say of which topic it is: {', '.join(shop)}")
    return Outgoing(shop[0], None, line)


def _parts(records: Iterable[TopicRecord]) -> Iterator[list[TopicRecord]]:
    part: list[TopicRecord] = []
    for record in records:
        part.append(record)
        if len(part) == BATCH_RECORDS:
            yield part
            part = []
    if part:
        yield part


def topics_with(wanted: Collection[str], roles: Roles, *sides: Settings) -> set[str]:
    """Return the names of the topics whose records can become records of these roles."""
    by_shop = {s.topic for side in sides for s in side.ingest.values() if s.to in wanted}
    return {name for name, role in roles.items() if (role in wanted if role else name in by_shop)}
