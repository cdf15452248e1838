"""What each vendor would get for records, and why not: no broker, network or clock.

The same parser, rows, consent and mappings as enrichment; a row acts on what is given after it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, get_args

import msgspec
from msgspec.structs import replace
from pydantic import SecretStr

from streams.core.consent import Ground
from streams.core.enrich import Refuse, Send, Skip, VendorPlan, differing_ids
from streams.core.errors import InvalidEvent, SettingsError
from streams.core.event_types import Event
from streams.core.ingest.outcomes import (
    IngestOutcome,
    IngestRecord,
    IngestRefusal,
    SkippedRecord,
    written_record,
)
from streams.core.ingest.visitors import VisitorIndex
from streams.core.outcome import SKIP_MEANING, Outcome, SkipReason
from streams.core.records import TopicRecord
from streams.core.rows import InvalidRow, decode_product, decode_user
from streams.core.strict_json import BYTE_ORDER_MARK
from streams.operations.ingest.mappings import json_mappings_of
from streams.operations.own_topics import NotNamedError, parse_own_line
from streams.operations.produce import Outgoing, parse_line
from streams.replay.planner import Judgement, ReplayDeduplicator
from streams.replay.rows import Rows
from streams.settings import Settings, variable
from streams.vendors import VENDORS, plan_for
from streams.vendors.base import VendorSettings

SENT = "sent"
"""The event goes to the vendor, as far as enrichment decides it."""
UNREADABLE = "unreadable"
"""The line is nothing that ``streams produce`` would write."""
ROW = "row"
"""The row stands in its table; the lines after it see it."""
MALFORMED_ROW = "malformed_row"
"""The row would be written and then counted as none (products) or as a no (users)."""

UNMAPPED = "unmapped"
"""The reason of a record of the shop of which no section makes anything."""

_MADE_UP = SecretStr("streams check --mapping")


class MappingRow(msgspec.Struct, frozen=True):
    """What becomes of one line at one vendor, or of a line that no vendor hears of.

    As ``--json`` writes it, with null for what there is not.
    """

    line: int
    """Counted from 1."""
    outcome: str
    """``sent``, ``skipped``, ``dead_lettered``, ``unreadable``, ``malformed_row`` or ``row``."""
    topic: str | None = None
    """As the contract calls it, without a prefix."""
    event_id: str | None = None
    event_type: str | None = None
    anonymous_id: str | None = None
    vendor: str | None = None
    """None: the line goes to no vendor at all."""
    reason: str | None = None
    """A word of ``streams reasons``."""
    field: str | None = None
    detail: str | None = None
    """One clause or sentence for a person; where it is sent: what is odd about it."""
    consent: Ground | None = None
    """What the yes rests on, where it is sent."""
    payload: msgspec.Raw | None = None
    """Exactly what the vendor receives for this event."""
    contact: dict[str, str] | None = None
    """What the sink looks the contact up by first; its id then joins the payload."""
    notes: tuple[str, ...] = ()
    """What enrichment put right or found odd, as ``Event.notes``; and ``made_event_id``."""


class Previewed(NamedTuple):
    """The vendors of a preview."""

    plans: tuple[VendorPlan, ...]
    remarks: tuple[str, ...]
    """Which vendors are not shown, or shown although something is missing, one sentence each."""


class _Sent(msgspec.Struct):
    """The part of a vendor record that is shown."""

    payload: msgspec.Raw
    contact: dict[str, str] | None = None


_decode_sent = msgspec.json.Decoder(_Sent).decode


def previewed_vendors(settings: Settings) -> Previewed:
    """Return every vendor but those switched off; a mapping needs no credentials."""
    plans, remarks = [], []
    on = settings.enabled_vendors()
    for key, vendor in VENDORS.items():
        section = settings.vendors[key]
        if section.enabled is False:
            switch = variable(key, "enabled")
            remarks.append(f"{vendor.name} is switched off ({switch}=false) and not shown.")
            continue
        try:
            plans.append(plan_for(vendor, section, settings.events))
        except SettingsError as error:
            remarks.append(
                f"{vendor.name} is shown with secrets made up for this: {' '.join(error.problems)}"
            )
            plans.append(plan_for(vendor, _with_made_up_secrets(section), settings.events))
        if key not in on:
            missing = " and ".join(
                variable(key, name) for name in vendor.credentials if getattr(section, name) is None
            )
            remarks.append(
                f"{vendor.name} is off until {missing} is given; it is shown anyway, because "
                "a mapping needs no credentials."
            )
    return Previewed(tuple(plans), tuple(remarks))


def _with_made_up_secrets(section: VendorSettings) -> VendorSettings:
    """Return the section with a value for each secret it lacks: mappings may sign ids with one."""
    missing = [
        name
        for name, field in type(section).model_fields.items()
        if SecretStr in get_args(field.annotation) and getattr(section, name) is None
    ]
    return section.model_copy(update=dict.fromkeys(missing, _MADE_UP))


class MappingPreview:
    """The tables and the decisions of one file or sample; records are given in order."""

    def __init__(
        self,
        settings: Settings,
        plans: Iterable[VendorPlan],
        now_ms: int,
        bare_lines_of: str | None = None,
        rows: Rows | None = None,
    ) -> None:
        """Start with these tables, or empty ones; ``now_ms`` is the Kafka time of every line.

        ``bare_lines_of``: the topic of the shop whose values lines without an envelope are; None:
        they are events of our own topics. Raises SettingsError for a topic that no section reads.
        """
        plans = tuple(plans)
        self._now_ms = now_ms
        self._topics = settings.topics
        self._visitors = VisitorIndex(VENDORS)
        self._mappings = json_mappings_of(settings, self._visitors)
        if bare_lines_of is not None and bare_lines_of not in self._mappings:
            read = ", ".join(self._mappings) or "none"
            words = f"no section [ingest.NAME] reads {bare_lines_of}; topics that are read: {read}."
            raise SettingsError([f"--topic: {words}"])
        self._bare_lines_of = bare_lines_of
        keep_email = settings.keeps_email(plan.vendor for plan in plans)
        self._rows = rows or Rows(settings.topics, keep_email=keep_email)
        self._mapper = settings.record_mapper(plans, self._rows)
        self._duplicates = ReplayDeduplicator(settings, [plan.vendor for plan in plans])
        self._parsers = self._mapper.parsers
        self._offsets: Counter[str] = Counter()
        self.rows_taken = 0
        """User and product rows, and tombstones, that now stand in the tables."""
        self.fields: dict[str, Counter[str]] = {topic: Counter() for topic in self._parsers}
        """By raw topic: how many of its records had each field, under our names."""
        self.events: Counter[str] = Counter()
        """Records by raw topic."""

    def preview_line(self, number: int, line: bytes) -> Iterator[MappingRow]:
        """Yield what becomes of a line: one row a vendor for an event, one for a table's row.

        A line that names a topic which a section reads is a record of the shop.
        """
        try:
            topic, key, value = self._of_shop(line) or parse_line(line, self._topics)
        except ValueError as problem:
            yield MappingRow(number, UNREADABLE, detail=str(problem))
            return
        record = TopicRecord(topic, 0, self._offsets[topic], self._now_ms, key, value)
        self._offsets[topic] += 1
        mapping = self._mappings.get(topic)
        if mapping is None:
            yield from self.preview_record(number, record)
            return
        for outcome in mapping.read(key, value, 0, record.offset, self._now_ms):
            yield from self.preview_outcome(number, record, outcome)

    def _of_shop(self, line: bytes) -> Outgoing | None:
        """Return the record of the shop that a line is; None: it is none."""
        if not self._mappings:
            return None
        try:
            record = parse_own_line(line)
        except NotNamedError:
            value = line.strip().removeprefix(BYTE_ORDER_MARK)
            topic = self._bare_lines_of
            return None if topic is None else Outgoing(topic, None, value)
        return record if record.topic in self._mappings else None

    def preview_outcome(
        self, number: int, source: TopicRecord, made: IngestOutcome
    ) -> Iterator[MappingRow]:
        """Yield what becomes of an outcome of this record of the shop."""
        if isinstance(made, IngestRecord):
            # One partition stands for all: whatever it is, a visitor has one.
            place = number << 16 | (made.element or 0)
            ours = written_record(self._topics, source, made)._replace(partition=0, offset=place)
            for row in self.preview_record(number, ours):
                # What ingest has put right can no longer be seen in what it writes.
                yield replace(row, notes=tuple(dict.fromkeys((*made.notes, *row.notes))))
        elif isinstance(made, IngestRefusal):
            yield _refused(MappingRow(number, SENT, source.topic, made.event_id), made.error)
        elif isinstance(made, SkippedRecord):
            yield MappingRow(number, Outcome.SKIPPED, source.topic, reason=made.reason)
        else:
            detail = "no section of this topic takes the record, or its `each` gives nothing"
            yield MappingRow(number, Outcome.SKIPPED, source.topic, reason=UNMAPPED, detail=detail)

    def preview_record(self, number: int, record: TopicRecord) -> Iterator[MappingRow]:
        """Yield what becomes of a record that lies, or would lie, on one of our own topics."""
        if record.topic in self._parsers:
            yield from self._judge(number, record)
        else:
            yield self._apply(number, record)

    def _apply(self, number: int, record: TopicRecord) -> MappingRow:
        """Apply a row to its table, and return what becomes of it."""
        topic = self._topics.without_prefix(record.topic)
        if record.key is None:
            return MappingRow(number, MALFORMED_ROW, topic, detail="the row has no key")
        # All lines have the same Kafka time, and events are later than the rows before them.
        record = record._replace(offset=number, timestamp=record.timestamp - 1)
        if record.topic == self._topics.visitors:
            self._visitors.apply_link(0, record)
            return MappingRow(number, ROW, topic)
        if record.topic == self._topics.users:
            self._visitors.apply_user(0, record)
            self._rows.apply_users([record])
            effect = "it gives no vendor consent until a valid row or a tombstone is written"
        else:
            self._rows.apply_products([record])
            effect = "the product counts as absent"
        try:
            notes = self._notes_of(record)
        except InvalidRow as problem:
            return MappingRow(number, MALFORMED_ROW, topic, detail=f"{problem}; {effect}")
        self.rows_taken += 1
        return MappingRow(number, ROW, topic, notes=notes)

    def _notes_of(self, row: TopicRecord) -> tuple[str, ...]:
        """Return what was put right in a row; raises InvalidRow."""
        if row.value is None:
            return ()
        if row.topic == self._topics.users:
            return decode_user(row.value, VENDORS).notes
        return decode_product(row.value).notes

    def _judge(self, number: int, record: TopicRecord) -> Iterator[MappingRow]:
        topic = self._topics.without_prefix(record.topic)
        inspection = self._parsers[record.topic].inspect(record.value)
        self.events[record.topic] += 1
        self.fields[record.topic].update(inspection.fields)
        try:
            event = self._mapper.parse(record)
        except InvalidEvent as error:
            yield _refused(MappingRow(number, SENT, topic), error)
            return
        notes = event.notes
        if event.event_id == f"{topic}-{record.partition}-{record.offset}":
            notes = (*notes, "made_event_id")
        user = self._rows.user(event.anonymous_id.encode())
        notes = tuple(dict.fromkeys((*notes, *differing_ids(event, user))))
        decisions = self._mapper.decide(event, record.timestamp, self._now_ms)
        for judgement in self._duplicates.without(record, event, decisions):
            yield _row(number, topic, event, notes, judgement, "; ".join(inspection.remarks))


def _refused(row: MappingRow, error: InvalidEvent) -> MappingRow:
    return replace(
        row,
        outcome=Outcome.DEAD_LETTERED,
        reason=error.reason,
        field=error.field,
        detail=error.detail,
    )


def _row(
    number: int,
    topic: str,
    event: Event,
    notes: tuple[str, ...],
    judgement: Judgement,
    remarks: str,
) -> MappingRow:
    row = MappingRow(
        number,
        SENT,
        topic,
        event.event_id,
        event.event_type,
        event.anonymous_id,
        judgement.vendor,
        notes=notes,
    )
    if isinstance(judgement, Send):
        sent = _decode_sent(judgement.value)
        return replace(
            row,
            detail=remarks or None,
            consent=judgement.consent,
            payload=sent.payload,
            contact=sent.contact,
            notes=tuple(dict.fromkeys((*notes, *judgement.notes))),
        )
    if isinstance(judgement, Refuse):
        return _refused(row, judgement.error)
    reason = judgement.reason if isinstance(judgement, Skip) else SkipReason(judgement.why)
    return replace(row, outcome=Outcome.SKIPPED, reason=reason, detail=SKIP_MEANING[reason])
