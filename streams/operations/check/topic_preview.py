"""``streams check --mapping topic:NAME``: what becomes of the newest records of a topic."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from msgspec.structs import asdict

from streams.core.errors import InvalidEvent, SettingsError, SetupError
from streams.core.ingest.outcomes import (
    IngestOutcome,
    IngestRecord,
    IngestRefusal,
    SkippedRecord,
    Unmapped,
    written_record,
)
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.outcome import Outcome
from streams.core.records import TopicRecord
from streams.kafka.reader import LogReader, Tell, connect
from streams.operations.check.mapping_preview import (
    MALFORMED_ROW,
    MappingPreview,
    MappingRow,
    Previewed,
)
from streams.operations.ingest.mappings import joined_mappings, prepare
from streams.operations.produce import raw_topics
from streams.replay.rows import Rows
from streams.settings import Settings

_PARTS = ("page", "campaign", "content")
_LEFT_OUT = "left_out"


@dataclass(slots=True)
class Coverage:
    """How one section of the settings, or one of our own topics, reads its records."""

    name: str
    """``[ingest.NAME]``, or the topic."""
    fields: tuple[str, ...] = ()
    """Those that its field map names; they are shown also where no record has them."""
    records: int = 0
    """Events and rows, the refused ones included."""
    present: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    """By field: how often it is out of shape, or its expression fails."""
    reasons: dict[str, str] = field(default_factory=dict)
    """By field: why, of the first record that is refused over it."""
    unmapped: int = 0
    """Records that no section took, or whose ``each`` gives nothing."""

    def refuse(self, error_field: str | None, detail: str | None) -> None:
        """Count a record that is refused over a field, or as a whole."""
        name = error_field or "the record"
        self.failed[name] += 1
        self.reasons.setdefault(name, detail or "")

    def count_left_out(self, notes: Sequence[str]) -> None:
        """Count the fields that were left out of a record."""
        for note in notes:
            what, _, name = note.partition(":")
            if what == _LEFT_OUT:
                self.failed[name.removeprefix("users.").removeprefix("products.")] += 1


class SampledRow(MappingRow, frozen=True):
    """What becomes of one record of a topic at one vendor."""

    source: str = ""
    """``topic/partition/offset``."""


@dataclass(slots=True)
class TopicPreview:
    """What became of a sample."""

    topic: str
    sampled: int
    coverages: list[Coverage]
    rows: list[SampledRow]
    """One for each record and vendor, or each record that no vendor hears of."""


async def preview_topic(
    settings: Settings,
    vendors: Previewed,
    name: str,
    sample: int,
    *,
    now_ms: int,
    tell: Tell,
) -> TopicPreview:
    """Look at the newest records of a topic, of all partitions about the same number.

    Users and products are as they are now. Raises SettingsError for a topic that nothing reads,
    SetupError where it is missing or empty, or its schemas cannot be had.
    """
    async with connect(settings.kafka) as reader:
        mapping = (await joined_mappings(settings, reader, tell)).get(name)
        topic = name if mapping is not None else _own_topic(settings, name)
        records = await newest(reader, topic, sample, tell)
        if mapping is not None:
            await prepare(mapping, records)
        made = list(_made(settings, mapping, records))
        visitors, product_ids = _keys(settings, made)
        rows = Rows(
            settings.topics,
            keep_email=settings.keeps_email(plan.vendor for plan in vendors.plans),
            visitors=visitors,
            product_ids=product_ids,
        )
        await rows.follow(reader, tell)
    preview = MappingPreview(settings, vendors.plans, now_ms, rows=rows)
    look = _Look(settings, preview, topic, mapping)
    sampled = [row for one in made for row in look.judge(one)]
    return TopicPreview(topic, len(records), list(look.coverages.values()), sampled)


def _own_topic(settings: Settings, name: str) -> str:
    topics = settings.topics
    for role, topic in raw_topics(topics).items():
        if name in (role, topic, topics.without_prefix(topic)):
            return topic
    ours = ", ".join(raw_topics(topics).values())
    words = f'no section [ingest.NAME] reads {name}: add one with topic = "{name}", or name one of'
    raise SettingsError([f"--mapping: {words} {ours}."])


async def newest(reader: LogReader, topic: str, count: int, tell: Tell) -> list[ConsumerRecord]:
    """Return the newest records of a topic, earliest first; raises SetupError for none."""
    tps = (await reader.partitions([topic]))[topic]
    if not tps:
        raise SetupError(f"Topic {topic} does not exist: correct its name, or create it.")
    begins, ends = await reader.starts(tps), await reader.ends(tps)
    starts = newest_starts({tp: (begins[tp], ends[tp]) for tp in tps}, count)
    found: list[ConsumerRecord] = []
    async for _, records in reader.read(starts, ends, tell):
        found += records
    if not found:
        raise SetupError(f"Topic {topic} has no records: try again when it has some.")
    return sorted(found, key=lambda record: (record.timestamp, record.partition, record.offset))


def newest_starts(
    logs: Mapping[TopicPartition, tuple[int, int]], count: int
) -> dict[TopicPartition, int]:
    """Return where to begin so that about ``count`` records are read, shared out evenly.

    ``logs``: where each begins and ends. What a short one lacks the others give; pure.
    """
    left, starts = count, {}
    shortest_first = sorted(logs, key=lambda tp: logs[tp][1] - logs[tp][0])
    for number, tp in enumerate(shortest_first):
        begin, end = logs[tp]
        share = -(-left // (len(shortest_first) - number))
        starts[tp] = max(begin, end - share)
        left -= end - starts[tp]
    return starts


class _Made(NamedTuple):
    """One of the sampled records, or one outcome of it."""

    number: int
    record: TopicRecord
    outcome: IngestOutcome | None
    """None: the record lies on one of our own topics."""
    ours: TopicRecord | None
    """What lies, or would be written, on one of our own topics."""


def _made(
    settings: Settings, mapping: TopicMapping | None, records: Sequence[TopicRecord]
) -> Iterator[_Made]:
    for number, record in enumerate(records, start=1):
        if mapping is None:
            yield _Made(number, record, None, record)
            continue
        place = record.partition, record.offset, record.timestamp
        for outcome in mapping.read(record.key, record.value, *place):
            ours = None
            if isinstance(outcome, IngestRecord):
                ours = written_record(settings.topics, record, outcome)
            yield _Made(number, record, outcome, ours)


def _keys(settings: Settings, made: Iterable[_Made]) -> tuple[set[bytes], set[bytes]]:
    """Return the keys of the users and products that the sample's events are joined with."""
    parsers = settings.event_parsers()
    users: set[bytes] = set()
    products: set[bytes] = set()
    for record in (one.ours for one in made if one.ours and one.ours.topic in parsers):
        place = record.partition, record.offset, record.timestamp
        try:
            event = parsers[record.topic].parse(record.key, record.value, *place)
        except InvalidEvent:
            continue
        users.add(event.anonymous_id.encode())
        products.update(one.product_id.encode() for one in event.named() if one.product_id)
    return users, products


class _Look:
    """One sample on its way: judged, and its fields counted."""

    def __init__(
        self, settings: Settings, preview: MappingPreview, topic: str, mapping: TopicMapping | None
    ) -> None:
        self._preview = preview
        self._parsers = settings.event_parsers()
        self._topic = topic
        self._mapping = mapping
        sections = () if mapping is None else mapping.sections
        self.coverages: dict[str, Coverage] = {
            s.name: Coverage(f"[ingest.{s.name}]", tuple(_flat(settings.ingest[s.name].fields)))
            for s in sections
        } or {topic: Coverage(topic)}

    def judge(self, made: _Made) -> Iterator[SampledRow]:
        """Yield what becomes of a record at each vendor, and count its fields."""
        number, record, outcome, _ = made
        if outcome is None:
            rows = list(self._preview.preview_record(number, record))
        else:
            rows = list(self._preview.preview_outcome(number, record, outcome))
        self._cover(made, rows)
        source = f"{record.topic}/{record.partition}/{record.offset}"
        for row in rows:
            yield SampledRow(**asdict(row), source=source)

    def _cover(self, made: _Made, rows: Sequence[MappingRow]) -> None:
        outcome = made.outcome
        if isinstance(outcome, SkippedRecord):
            return
        coverage = self.coverages[self._topic if outcome is None else outcome.section]
        if isinstance(outcome, Unmapped):
            coverage.unmapped += 1
            return
        if not isinstance(outcome, IngestRecord) or outcome.value is not None:
            coverage.records += 1
            coverage.present.update(self._fields(made.record, outcome))
        if isinstance(outcome, IngestRecord):
            coverage.count_left_out(outcome.notes)
        elif rows:
            coverage.count_left_out(rows[0].notes)
        for row in rows:
            if row.vendor is None and row.outcome in (Outcome.DEAD_LETTERED, MALFORMED_ROW):
                coverage.refuse(row.field, row.detail)

    def _fields(
        self, record: TopicRecord, outcome: IngestRecord | IngestRefusal | None
    ) -> Sequence[str]:
        """Return the fields that a record has under our names, parts dotted.

        Of the shop's own record, whatever comes of it: what is missing is not what is refused.
        """
        if outcome is not None:
            assert self._mapping is not None
            return self._mapping.fields_of(outcome.section, record.value, outcome.element)
        parser = self._parsers.get(record.topic)
        if parser is not None:
            return parser.inspect(record.value).fields
        try:
            row = msgspec.json.decode(record.value or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ()
        return (
            [name for name, value in row.items() if value is not None] if type(row) is dict else ()
        )


def _flat(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, str):
            yield name
        else:
            yield from (f"{name}.{part}" for part in value)
