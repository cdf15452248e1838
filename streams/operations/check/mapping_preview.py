"""What each vendor would get for records, and why not: no broker, network or clock.

The same parser, rows, consent and mappings as enrichment; a row acts on what is given after it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, get_args

import msgspec
from msgspec.structs import replace
from pydantic import SecretStr

from streams.core.consent import NO_TO_ALL, Ground, Malformed
from streams.core.enrich import (
    Decision,
    Enricher,
    Send,
    Skip,
    VendorPlan,
    differing_ids,
    rows_named,
)
from streams.core.errors import InvalidEvent, SettingsError
from streams.core.event_types import Event
from streams.core.ingest.outcomes import (
    IngestOutcome,
    IngestRecord,
    IngestRefusal,
    SkippedRecord,
)
from streams.core.ingest.visitors import VisitorIndex
from streams.core.outcome import SKIP_MEANING, Outcome
from streams.core.rows import InvalidRow, Product, User, decode_product, decode_user
from streams.core.strict_json import BYTE_ORDER_MARK
from streams.operations.ingest.mappings import json_mappings_of
from streams.operations.own_topics import NotNamedError, parse_own_line
from streams.operations.produce import Outgoing, parse_line
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


class Place(NamedTuple):
    """Where a record lies in its topic, and its Kafka time."""

    partition: int
    offset: int
    kafka_ms: int


class _TableRow(NamedTuple):
    """A row as the tables of ``ingest`` take it."""

    key: bytes
    value: bytes | None
    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


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
    """The tables and the decisions of one file; lines are given in order."""

    def __init__(
        self,
        settings: Settings,
        plans: Iterable[VendorPlan],
        now_ms: int,
        bare_lines_of: str | None = None,
    ) -> None:
        """Start with empty tables; ``now_ms`` is taken for the Kafka time of every record.

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
        self._enricher = Enricher(plans, settings.consent.mode)
        self._keeps_email = any(
            getattr(settings.vendors.get(plan.vendor), "lookup_email", False) for plan in plans
        )
        self._parsers = settings.event_parsers()
        self._users: dict[bytes, User | Malformed] = {}
        self._products: dict[bytes, Product] = {}
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
        own = self._of_shop(line)
        try:
            outgoing = own or parse_line(line, self._topics)
        except ValueError as problem:
            yield MappingRow(number, UNREADABLE, detail=str(problem))
            return
        place = Place(0, self._offsets[outgoing.topic], self._now_ms)
        self._offsets[outgoing.topic] += 1
        if own is None:
            yield from self.preview_record(number, outgoing, place)
            return
        for outcome in self._mappings[own.topic].read(own.key, own.value, *place):
            yield from self.preview_outcome(number, own.topic, outcome, place)

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
        self, number: int, topic: str, made: IngestOutcome, place: Place
    ) -> Iterator[MappingRow]:
        """Yield what becomes of an outcome of a record of this topic of the shop."""
        if isinstance(made, IngestRecord):
            outgoing = Outgoing(self._topics.of_shop(made.to), made.key, made.value)
            for row in self.preview_record(number, outgoing, place):
                # What ingest has put right can no longer be seen in what it writes.
                yield replace(row, notes=tuple(dict.fromkeys((*made.notes, *row.notes))))
        elif isinstance(made, IngestRefusal):
            error = made.error
            yield MappingRow(
                number,
                Outcome.DEAD_LETTERED,
                topic,
                made.event_id,
                reason=error.reason,
                field=error.field,
                detail=error.detail,
            )
        elif isinstance(made, SkippedRecord):
            yield MappingRow(number, Outcome.SKIPPED, topic, reason=made.reason)
        else:
            detail = "no section of this topic takes the record, or its `each` gives nothing"
            yield MappingRow(number, Outcome.SKIPPED, topic, reason=UNMAPPED, detail=detail)

    def preview_record(self, number: int, outgoing: Outgoing, place: Place) -> Iterator[MappingRow]:
        """Yield what becomes of a record that lies, or would lie, on one of our own topics."""
        if outgoing.topic in self._parsers:
            yield from self._judge(number, outgoing, place)
        else:
            yield from self._fill(number, outgoing)

    def _fill(self, number: int, outgoing: Outgoing) -> Iterator[MappingRow]:
        topic = self._topics.without_prefix(outgoing.topic)
        key, value = outgoing.key, outgoing.value
        if key is None:
            yield MappingRow(number, MALFORMED_ROW, topic, detail="the row has no key")
            return
        is_user = outgoing.topic == self._topics.users
        row = _TableRow(key, value, number, self._now_ms)
        if outgoing.topic == self._topics.visitors:
            self._visitors.apply_link(0, row)
            yield MappingRow(number, ROW, topic)
            return
        if is_user:
            self._visitors.apply_user(0, row)
        try:
            notes = self._set_user(key, value) if is_user else self._set_product(key, value)
        except InvalidRow as problem:
            if is_user:
                self._users[key] = NO_TO_ALL
                effect = "it gives no vendor consent until a valid row or a tombstone is written"
            else:
                self._products.pop(key, None)
                effect = "the product counts as absent"
            yield MappingRow(number, MALFORMED_ROW, topic, detail=f"{problem}; {effect}")
        else:
            self.rows_taken += 1
            yield MappingRow(number, ROW, topic, notes=notes)

    def _set_user(self, key: bytes, value: bytes | None) -> tuple[str, ...]:
        # After a tombstone the visitor is a new one: the lines that follow are later than it.
        if value is None:
            self._users.pop(key, None)
            return ()
        user = decode_user(value, VENDORS)
        self._users[key] = user if self._keeps_email else replace(user, email=None)
        return user.notes

    def _set_product(self, key: bytes, value: bytes | None) -> tuple[str, ...]:
        if value is None:
            self._products.pop(key, None)
            return ()
        product = self._products[key] = decode_product(value)
        return product.notes

    def _judge(self, number: int, outgoing: Outgoing, place: Place) -> Iterator[MappingRow]:
        topic = self._topics.without_prefix(outgoing.topic)
        parser = self._parsers[outgoing.topic]
        inspection = parser.inspect(outgoing.value)
        self.events[outgoing.topic] += 1
        self.fields[outgoing.topic].update(inspection.fields)
        try:
            event = parser.parse(outgoing.key, outgoing.value, *place)
        except InvalidEvent as error:
            yield MappingRow(
                number,
                Outcome.DEAD_LETTERED,
                topic,
                reason=error.reason,
                field=error.field,
                detail=error.detail,
            )
            return
        if event.event_id == f"{topic}-{place.partition}-{place.offset}":
            notes = (*event.notes, "made_event_id")
        else:
            notes = event.notes
        user = self._users.get(event.anonymous_id.encode())
        notes = tuple(dict.fromkeys((*notes, *differing_ids(event, user))))
        product, products = rows_named(event, lambda id_: self._products.get(id_.encode()))
        decisions = self._enricher.decide(
            event, user, None, product, place.kafka_ms, self._now_ms, products=products
        )
        for decision in decisions:
            yield _row(number, topic, event, notes, decision, "; ".join(inspection.remarks))


def _row(
    number: int,
    topic: str,
    event: Event,
    notes: tuple[str, ...],
    decision: Decision,
    remarks: str,
) -> MappingRow:
    row = MappingRow(
        number,
        SENT,
        topic,
        event.event_id,
        event.event_type,
        event.anonymous_id,
        decision.vendor,
        notes=notes,
    )
    if isinstance(decision, Send):
        sent = _decode_sent(decision.value)
        return replace(
            row,
            detail=remarks or None,
            consent=decision.consent,
            payload=sent.payload,
            contact=sent.contact,
            notes=tuple(dict.fromkeys((*notes, *decision.notes))),
        )
    if isinstance(decision, Skip):
        reason = decision.reason
        return replace(row, outcome=Outcome.SKIPPED, reason=reason, detail=SKIP_MEANING[reason])
    error = decision.error
    return replace(
        row,
        outcome=Outcome.DEAD_LETTERED,
        reason=error.reason,
        field=error.field,
        detail=error.detail,
    )
