"""What each vendor would get under one settings file: batches of records in, payloads out."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from streams.core.enrich import Refuse, Send, Skip
from streams.core.errors import InvalidEvent
from streams.core.ingest.outcomes import IngestRecord, IngestRefusal, Unmapped, written_record
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.ingest.visitors import VisitorIndex
from streams.core.kinds import KINDS
from streams.core.outcome import DeadLetterReason
from streams.core.records import SECTION, TopicRecord
from streams.operations.check.mapping_preview import previewed_vendors
from streams.operations.diff.compare import Made, NotSent
from streams.operations.ingest.mappings import mappings_of, prepare
from streams.replay.planner import Judgement, ReplayDeduplicator
from streams.replay.rows import Rows
from streams.settings import load_settings
from streams.vendors import VENDORS

TABLES = ("users", "products", "visitors")
"""Those of our topics with rows that events are joined with."""
OFF = "vendor is off"
REMEMBERED_EVENTS = 250_000
"""Among so many events a repeated one is found, of about 200 bytes each."""


class SideOptions(NamedTuple):
    """How payloads are made."""

    environ: Mapping[str, str]
    """Of the settings; ``STREAMS_CONFIG`` names the file."""
    vendors: list[str]
    """In the order of all answers."""
    on: list[str]
    """Those that the settings are to be judged for."""
    roles: dict[str, str | None]
    """By topic whose records are given: which of our own it is; None: one of the shop's."""
    user_partitions: int
    now_ms: int | None
    """When all records are read; None: each when it was written, as by a worker that is up to
    date."""


class SideBatch(msgspec.Struct, array_like=True):
    """Records in order."""

    records: list[TopicRecord]
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
    without_visitor: int = 0
    """How many events name no visitor, and none is known of their ids."""


encode_made = msgspec.msgpack.Encoder().encode
decode_made: Callable[[bytes], list[list[Made]]] = msgspec.msgpack.Decoder(list[list[Made]]).decode


class Side:
    """One settings file; batches are given in order."""

    def __init__(self, options: SideOptions) -> None:
        """Start with empty tables. Raises SettingsError."""
        settings = load_settings(options.environ)
        plans = [plan for plan in previewed_vendors(settings).plans if plan.vendor in options.on]
        self._options = options
        self._topics = settings.topics
        self._rows = Rows(
            settings.topics,
            keep_email=settings.keeps_email(options.on),
            partitions=options.user_partitions,
        )
        self._mapper = settings.record_mapper(plans, self._rows)
        self._duplicates = ReplayDeduplicator(settings, options.on, REMEMBERED_EVENTS)
        self._asyncio = asyncio.new_event_loop()
        self._visitors = VisitorIndex(VENDORS)
        self._mappings = mappings_of(settings, self._visitors)
        self._read_count = 0
        self._without_visitor = 0

    def process(self, batch: SideBatch) -> Payloads:
        """Return what is made of the batch. Raises SetupError where the registry is away."""
        self._prepare(batch)
        columns: list[list[list[Made]]] = [[] for _ in self._options.vendors]
        self._without_visitor = 0
        for record in batch.records:
            self._read_count += 1
            made: list[list[Made]] = [[] for _ in self._options.vendors]
            role, mapping = self._options.roles[record.topic], self._mappings.get(record.topic)
            if role is not None:
                # What ingest has written is made anew of the shop's own records. Links are kept for
                # longer than those.
                is_made_anew = role in self._topics.fed and _is_by_ingest(record)
                if role == "visitors" or not is_made_anew:
                    ours = record._replace(topic=self._topics.of_shop(role))
                    self._enter(role, ours, batch, made)
            elif mapping is not None:
                self._map(mapping, record, batch, made)
            if batch.with_events:
                for column, of_record in zip(columns, made, strict=True):
                    column.append(of_record)
        return Payloads(
            [sum(type(m) is bytes for made in column for m in made) for column in columns],
            [encode_made(column) for column in columns],
            self._without_visitor,
        )

    def close(self) -> None:
        """Close what is waited on."""
        self._asyncio.close()

    def _prepare(self, batch: SideBatch) -> None:
        for topic, mapping in self._mappings.items():
            records = [record for record in batch.records if record.topic == topic]
            self._asyncio.run_until_complete(prepare(mapping, records))

    def _map(
        self,
        mapping: TopicMapping,
        record: TopicRecord,
        batch: SideBatch,
        made: list[list[Made]],
    ) -> None:
        """Enter what the stage ``ingest`` would write."""
        outcomes = mapping.read(
            record.key, record.value, record.partition, record.offset, record.timestamp
        )
        for number, outcome in enumerate(outcomes):
            if isinstance(outcome, IngestRecord):
                ours = written_record(self._topics, record, outcome)._replace(
                    partition=self._rows.home_of(outcome.key),
                    offset=self._read_count << 16 | number,
                )
                self._enter(outcome.to, ours, batch, made)
            elif isinstance(outcome, IngestRefusal):
                is_unknown = outcome.error.reason == DeadLetterReason.UNKNOWN_VISITOR
                self._without_visitor += batch.with_events and is_unknown
                self._add_to_all(_letter(outcome.error), made, outcome.event_id)
            elif isinstance(outcome, Unmapped):
                self._add_to_all("unmapped", made)

    def _enter(
        self, role: str, record: TopicRecord, batch: SideBatch, made: list[list[Made]]
    ) -> None:
        """Enter what lies, or would be written, on one of our own topics."""
        if role in KINDS:
            if batch.with_events:
                self._judge(record, made)
        elif batch.with_rows and role in TABLES:
            self._apply(role, record)

    def _apply(self, role: str, record: TopicRecord) -> None:
        if self._options.now_ms is not None:
            # All lines have the same Kafka time, and events are later than the rows before.
            record = record._replace(timestamp=record.timestamp - 1)
        if role == "visitors":
            self._visitors.apply_link(record.partition, record)
        elif role == "products":
            self._rows.apply_products([record])
        else:
            self._rows.apply_users([record])
            if self._topics.joins:
                self._visitors.apply_user(record.partition, record)

    def _judge(self, record: TopicRecord, made: list[list[Made]]) -> None:
        if record.topic not in self._mapper.parsers:
            self._add_to_all("source is off", made)
            return
        try:
            event = self._mapper.parse(record)
        except InvalidEvent as error:
            self._add_to_all(_letter(error), made)
            return
        now_ms = self._options.now_ms or record.timestamp
        decisions = self._mapper.decide(event, record.timestamp, now_ms)
        judged = {one.vendor: one for one in self._duplicates.without(record, event, decisions)}
        for vendor, of_vendor in zip(self._options.vendors, made, strict=True):
            one = judged.get(vendor)
            if isinstance(one, Send):
                of_vendor.append(one.value)
            else:
                of_vendor.append(NotSent(OFF if one is None else _why(one), event.event_id))

    def _add_to_all(self, why: str, made: list[list[Made]], event_id: str | None = None) -> None:
        options = self._options
        for vendor, of_vendor in zip(options.vendors, made, strict=True):
            of_vendor.append(NotSent(why if vendor in options.on else OFF, event_id))


def _is_by_ingest(record: TopicRecord) -> bool:
    return any(name == SECTION for name, _ in record.headers)


def _why(judgement: Judgement) -> str:
    """Return why an event is not sent."""
    if isinstance(judgement, Refuse):
        return _letter(judgement.error)
    assert not isinstance(judgement, Send)
    return f"skipped: {judgement.reason if isinstance(judgement, Skip) else judgement.why}"


def _letter(error: InvalidEvent) -> str:
    field = "" if error.field is None else f" ({error.field})"
    return f"dead letter: {error.reason}{field}"
