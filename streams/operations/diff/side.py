"""What each vendor would get under one settings file: batches of records in, payloads out."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from aiokafka import TopicPartition

from streams.core.enrich import VendorPlan
from streams.core.errors import InvalidEvent
from streams.core.ingest.outcomes import IngestRecord, IngestRefusal, Unmapped
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.kinds import KINDS
from streams.core.records import MOVED
from streams.operations.diff.compare import Made, NotSent
from streams.operations.ingest.mappings import mappings_of, prepare
from streams.operations.produce import raw_topics
from streams.replay.planner import Mapper, PlannedSend, Refused, ReplayDeduplicator, Skipped
from streams.replay.rows import Rows
from streams.settings import Settings

EVENTS, TABLES = tuple(KINDS), ("users", "products")
"""Our own topics by their roles, which are those of ``[ingest.NAME] to``."""
OFF = "vendor is off"
REMEMBERED_EVENTS = 250_000
"""Among so many events a repeated one is found, of about 200 bytes each."""


class TrafficTopic(msgspec.Struct, frozen=True, array_like=True):
    """A topic whose records go through both settings."""

    name: str
    """As the broker calls it."""
    role: str | None
    """Which of our own topics it is; None: one of the shop's."""


class TrafficRecord(msgspec.Struct, array_like=True, gc=False):
    """A record as it lies on its topic."""

    topic: int
    """Its number in the list of topics."""
    partition: int
    offset: int
    timestamp: int
    """Its Kafka time."""
    key: bytes | None
    value: bytes | None
    by_ingest: bool = False
    """Written by the stage ``ingest``: what it was made of is read, too."""
    moved: bool = False
    """Written by ``streams topics rekey``."""


class SideBatch(msgspec.Struct, array_like=True):
    """Records in order."""

    records: list[TrafficRecord]
    with_rows: bool
    """Rows in them are taken into the tables."""
    with_events: bool
    """Events in them are judged."""


class Payloads(msgspec.Struct, array_like=True):
    """What one settings file makes of a batch."""

    sent: list[int]
    """By vendor, the number of payloads."""
    made: list[bytes]
    """By vendor, encoded: for each record what is made of each of its events."""


class _Row(NamedTuple):
    """A row as tables take it."""

    partition: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class _Place(NamedTuple):
    """A raw record as far as duplicates go."""

    key: bytes | None
    offset: int
    timestamp: int


encode_made = msgspec.msgpack.Encoder().encode
decode_made: Callable[[bytes], list[list[Made]]] = msgspec.msgpack.Decoder(list[list[Made]]).decode


class Side:
    """One settings file; batches are given in order."""

    def __init__(
        self,
        settings: Settings,
        plans: Sequence[VendorPlan],
        vendors: Sequence[str],
        topics: Sequence[TrafficTopic],
        *,
        user_partitions: int,
        now_ms: int | None,
    ) -> None:
        """Start with empty tables.

        ``plans`` are of those of the ``vendors`` that are on. ``now_ms``: when all records are
        read; None: each when it was written, as by a worker that is up to date.
        """
        keep_email = any(getattr(settings.vendors[p.vendor], "lookup_email", False) for p in plans)
        self._rows = Rows(settings.topics, keep_email=keep_email, partitions=user_partitions)
        self._mapper = Mapper(settings, plans, self._rows)
        self._on = {plan.vendor for plan in plans}
        on = [plan.vendor for plan in plans]
        self._duplicates = ReplayDeduplicator(settings, on, REMEMBERED_EVENTS)
        self._vendors = tuple(vendors)
        self._now_ms = now_ms
        self._raw = raw_topics(settings.topics)
        self._asyncio = asyncio.new_event_loop()
        mappings = mappings_of(settings)
        self._fed = {section.to for section in settings.ingest.values()}
        self._topics = [
            (topic.role, mappings.get(topic.name) if topic.role is None else None)
            for topic in topics
        ]
        self._read_count = 0

    def process(self, batch: SideBatch) -> Payloads:
        """Return what is made of the batch. Raises SetupError where the registry is away."""
        self._prepare(batch)
        columns: list[list[list[Made]]] = [[] for _ in self._vendors]
        for record in batch.records:
            self._read_count += 1
            made: list[list[Made]] = [[] for _ in self._vendors]
            role, mapping = self._topics[record.topic]
            if role is not None:
                if not (record.by_ingest and role in self._fed):
                    tp = TopicPartition(self._raw[role], record.partition)
                    self._take(role, tp, record, batch, made)
            elif mapping is not None:
                self._map(mapping, record, batch, made)
            if batch.with_events:
                for column, of_record in zip(columns, made, strict=True):
                    column.append(of_record)
        return Payloads(
            [sum(type(m) is bytes for made in column for m in made) for column in columns],
            [encode_made(column) for column in columns],
        )

    def close(self) -> None:
        """Close what is waited on."""
        self._asyncio.close()

    def _prepare(self, batch: SideBatch) -> None:
        for number, (_, mapping) in enumerate(self._topics):
            if mapping is None:
                continue
            records = [record for record in batch.records if record.topic == number]
            self._asyncio.run_until_complete(prepare(mapping, records))

    def _take(
        self,
        role: str,
        tp: TopicPartition,
        record: TrafficRecord,
        batch: SideBatch,
        made: list[list[Made]],
    ) -> None:
        """Take what lies, or would be written, on one of our own topics."""
        if role in EVENTS:
            if batch.with_events:
                self._judge(tp, record.offset, record.key, record.value, record.timestamp, made)
        elif batch.with_rows:
            headers = ((MOVED, b""),) if record.moved else ()
            row = _Row(record.partition, record.timestamp, record.key, record.value, headers)
            self._apply(role, row)

    def _apply(self, role: str, row: _Row) -> None:
        apply = self._rows.apply_users if role == "users" else self._rows.apply_products
        apply([row])

    def _map(
        self,
        mapping: TopicMapping,
        record: TrafficRecord,
        batch: SideBatch,
        made: list[list[Made]],
    ) -> None:
        """Take what the stage ``ingest`` would write."""
        outcomes = mapping.read(
            record.key, record.value, record.partition, record.offset, record.timestamp
        )
        for number, outcome in enumerate(outcomes):
            if isinstance(outcome, IngestRecord):
                if outcome.to in EVENTS and batch.with_events:
                    # One partition stands for all: whatever it is, a visitor has one.
                    tp = TopicPartition(self._raw[outcome.to], 0)
                    place = self._read_count << 16 | number
                    self._judge(tp, place, outcome.key, outcome.value, record.timestamp, made)
                elif outcome.to in TABLES and batch.with_rows:
                    home = self._rows.home_of(outcome.key)
                    self._apply(
                        outcome.to, _Row(home, record.timestamp, outcome.key, outcome.value)
                    )
            elif isinstance(outcome, IngestRefusal):
                self._tell_all(_letter(outcome.error), made, outcome.event_id)
            elif isinstance(outcome, Unmapped):
                self._tell_all("unmapped", made)

    def _judge(
        self,
        tp: TopicPartition,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        kafka_ms: int,
        made: list[list[Made]],
    ) -> None:
        try:
            event = self._mapper.parse(tp, offset, key, value, kafka_ms)
        except InvalidEvent as error:
            self._tell_all(_letter(error), made)
            return
        now_ms = kafka_ms if self._now_ms is None else self._now_ms
        decisions = list(self._mapper.decide(event, kafka_ms, now_ms))
        by_vendor = dict(
            self._duplicates.without(tp, _Place(key, offset, kafka_ms), event, decisions)
        )
        for vendor, of_vendor in zip(self._vendors, made, strict=True):
            judgement = by_vendor.get(vendor)
            if isinstance(judgement, PlannedSend):
                of_vendor.append(judgement.value)
            elif isinstance(judgement, Skipped):
                of_vendor.append(NotSent(f"skipped: {judgement.reason}", event.event_id))
            elif isinstance(judgement, Refused):
                of_vendor.append(NotSent(_letter(judgement.error), event.event_id))
            else:
                why = OFF if judgement is None else f"skipped: {judgement.why}"
                of_vendor.append(NotSent(why, event.event_id))

    def _tell_all(self, why: str, made: list[list[Made]], event_id: str | None = None) -> None:
        for vendor, of_vendor in zip(self._vendors, made, strict=True):
            of_vendor.append(NotSent(why if vendor in self._on else OFF, event_id))


def _letter(error: InvalidEvent) -> str:
    field = "" if error.field is None else f" ({error.field})"
    return f"dead letter: {error.reason}{field}"
