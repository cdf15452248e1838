"""``streams check --mapping topic:NAME``: what becomes of the newest records of a topic."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from msgspec.structs import asdict

from streams.core.errors import InvalidEvent, SettingsError, SetupError
from streams.core.ingest.outcomes import (
    IngestOutcome,
    IngestRecord,
    IngestRefusal,
    Unmapped,
)
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.outcome import Outcome
from streams.kafka.reader import LogReader, Tell, connect
from streams.operations.check.mapping_preview import (
    MALFORMED_ROW,
    MappingPreview,
    MappingRow,
    Place,
    Previewed,
)
from streams.operations.ingest.mappings import joined_mappings, prepare
from streams.operations.produce import Outgoing, raw_topics
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
        look = _Look(settings, MappingPreview(settings, vendors.plans, now_ms), topic, mapping)
        if mapping is not None:
            await prepare(mapping, records)
        look.map(records)
        await look.read_rows(reader, tell)
        rows = list(look.judge())
    return TopicPreview(topic, len(records), list(look.coverages.values()), rows)


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


class _Look:
    """One sample on its way: mapped, joined with the rows that it needs, judged."""

    def __init__(
        self, settings: Settings, preview: MappingPreview, topic: str, mapping: TopicMapping | None
    ) -> None:
        self._topics = settings.topics
        self._preview = preview
        self._parsers = settings.event_parsers()
        self._topic = topic
        self._mapping = mapping
        sections = {} if mapping is None else {s.name: s for s in mapping.sections}
        self.coverages: dict[str, Coverage] = {
            name: Coverage(f"[ingest.{name}]", tuple(_flat(settings.ingest[name].fields)))
            for name in sections
        } or {topic: Coverage(topic)}
        self._made: list[tuple[int, ConsumerRecord, IngestOutcome | Outgoing]] = []

    def map(self, records: Sequence[ConsumerRecord]) -> None:
        """Take the sample."""
        for number, record in enumerate(records, start=1):
            if self._mapping is None:
                self._made.append((number, record, Outgoing(self._topic, record.key, record.value)))
                continue
            outcomes = self._mapping.read(
                record.key, record.value, record.partition, record.offset, record.timestamp
            )
            self._made += [(number, record, outcome) for outcome in outcomes]

    async def read_rows(self, reader: LogReader, tell: Tell) -> None:
        """Read the rows of users and products that the sample's events are joined with."""
        users, products = self._keys()
        for topic, keys in ((self._topics.users, users), (self._topics.products, products)):
            if not keys:
                continue
            async for _, records in reader.read_topic(topic, tell=tell):
                for record in records:
                    if record.key in keys:
                        outgoing = Outgoing(topic, record.key, record.value)
                        list(self._preview.preview_record(0, outgoing, _place(record)))

    def _keys(self) -> tuple[set[bytes], set[bytes]]:
        users: set[bytes] = set()
        products: set[bytes] = set()
        for _, record, made in self._made:
            outgoing = self._outgoing(made)
            parser = None if outgoing is None else self._parsers.get(outgoing.topic)
            if outgoing is None or parser is None:
                continue
            try:
                event = parser.parse(outgoing.key, outgoing.value, *_place(record))
            except InvalidEvent:
                continue
            users.add(event.anonymous_id.encode())
            products.update(one.product_id.encode() for one in event.named() if one.product_id)
        return users, products

    def _outgoing(self, made: IngestOutcome | Outgoing) -> Outgoing | None:
        if isinstance(made, IngestRecord):
            return Outgoing(self._topics.of_shop(made.to), made.key, made.value)
        return made if isinstance(made, Outgoing) else None

    def judge(self) -> Iterator[SampledRow]:
        """Yield what becomes of each record at each vendor, and count the fields."""
        for number, record, made in self._made:
            source = f"{record.topic}/{record.partition}/{record.offset}"
            for row in self._judge(number, record, made):
                yield SampledRow(**asdict(row), source=source)

    def _judge(
        self, number: int, record: ConsumerRecord, made: IngestOutcome | Outgoing
    ) -> Iterator[MappingRow]:
        place = _place(record)
        if isinstance(made, Outgoing):
            rows = list(self._preview.preview_record(number, made, place))
            self._cover(self.coverages[self._topic], record, made, made, rows)
        else:
            rows = list(self._preview.preview_outcome(number, self._topic, made, place))
        if isinstance(made, IngestRecord):
            outgoing = self._outgoing(made)
            assert outgoing is not None
            self._cover(self.coverages[made.section], record, made, outgoing, rows)
        elif isinstance(made, IngestRefusal):
            error, coverage = made.error, self.coverages[made.section]
            coverage.records += 1
            coverage.present.update(self._fields(record, made))
            coverage.refuse(error.field, error.detail)
        elif isinstance(made, Unmapped):
            self.coverages[made.section].unmapped += 1
        yield from rows

    def _cover(
        self,
        coverage: Coverage,
        record: ConsumerRecord,
        made: IngestOutcome | Outgoing,
        outgoing: Outgoing,
        rows: Sequence[MappingRow],
    ) -> None:
        if outgoing.value is not None or isinstance(made, Outgoing):  # a tombstone has no fields
            coverage.records += 1
            coverage.present.update(self._fields(record, made))
        notes = made.notes if isinstance(made, IngestRecord) else rows[0].notes if rows else ()
        coverage.count_left_out(notes)
        for row in rows:
            if row.vendor is None and row.outcome in (Outcome.DEAD_LETTERED, MALFORMED_ROW):
                coverage.refuse(row.field, row.detail)

    def _fields(self, record: ConsumerRecord, made: IngestOutcome | Outgoing) -> Sequence[str]:
        """Return the fields that a record has under our names, parts dotted.

        Of the shop's own record, whatever comes of it: what is missing is not what is refused.
        """
        if isinstance(made, IngestRecord | IngestRefusal):
            assert self._mapping is not None
            return self._mapping.fields_of(made.section, record.value, made.element)
        assert isinstance(made, Outgoing)
        parser = self._parsers.get(made.topic)
        if parser is not None:
            return parser.inspect(made.value).fields
        try:
            row = msgspec.json.decode(made.value or b"{}")
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


def _place(record: ConsumerRecord) -> Place:
    return Place(record.partition, record.offset, record.timestamp)
