"""What a section writes: raw events or rows of a table, by the fields of docs/reference.md."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from streams.core.errors import InvalidEvent
from streams.core.events import MAX_EVENT_BYTES, MISSING, EventParser
from streams.core.fields import Failed, FieldMap
from streams.core.ingest.visitors import Link
from streams.core.kinds import KINDS, EventKind
from streams.core.outcome import DeadLetterReason
from streams.core.rows import (
    ROW_FIELDS,
    InvalidRow,
    Product,
    User,
    decode_product,
    present_value,
)
from streams.core.times import YEAR_2000_MS, to_ms
from streams.core.values import MAX_ID_CHARS, id_text, is_absent

_encode = msgspec.json.Encoder().encode
_LINK_FIELDS = ("anonymous_id", "order_id", "user_id", "timestamp")
"""Of ``to = "visitors"``: whose an order is, or who a visitor is."""
_REPAIRED = "\ufffd"
"""What half a surrogate pair became."""


class Keyed(msgspec.Struct, frozen=True, gc=False):
    """A key and a value as they are written."""

    key: bytes
    value: bytes
    notes: tuple[str, ...]


class TargetReader(Protocol):
    """Makes the records of one section."""

    def read(self, context: dict[str, Any]) -> "Draft":
        """Return the fields of a record under our names; raises InvalidEvent."""

    def finish(self, draft: "Draft", key: str | None, kafka_ms: int) -> Keyed:
        """Return the record with this key, or its own where None; raises InvalidEvent."""


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A record's fields under our names, before its id and key are settled."""

    fields: dict[str, Any]
    notes: list[str]
    own_key: Any
    """What stands in the key's field."""


class EventReader:
    """Makes raw events that enrichment can read: it reads each as enrichment will."""

    def __init__(self, mapped: EventParser, plain: EventParser) -> None:
        self._mapped = mapped
        self._parse = plain.parse

    def read(self, context: dict[str, Any]) -> Draft:
        """See ``TargetReader``."""
        reading = self._mapped.read_fields(context)
        return Draft(reading.known, reading.notes, reading.known.get("anonymous_id"))

    def finish(self, draft: Draft, key: str | None, kafka_ms: int) -> Keyed:
        """See ``TargetReader``."""
        fields, notes = draft.fields, draft.notes
        if key is not None:
            fields.setdefault("anonymous_id", key)
        visitor = fields.get("anonymous_id") if key is None else key
        wire_key = visitor.encode() if type(visitor) is str else b""
        value = _encode(fields)
        event = self._parse(wire_key, value, 0, 0, kafka_ms)
        if event.notes:
            put_right = False
            for note in dict.fromkeys(event.notes):
                what, _, field = note.partition(":")
                if note == "clock_ahead":
                    fields["timestamp"] = event.timestamp_ms
                elif what == "left_out" and getattr(event, field, None) is None:
                    _leave_out(fields, field)
                else:
                    # Enrichment will find and count it; it keeps the rest of such an object.
                    continue
                notes.append(note)
                put_right = True
            if put_right:
                value = _encode(fields)
        return Keyed(wire_key, value, tuple(notes))


class RowReader:
    """Makes rows of one table."""

    def __init__(self, kind: type[User] | type[Product], key_field: str, fields: FieldMap) -> None:
        self._kind = kind
        self._key_field = key_field
        self._fields = fields

    def read(self, context: dict[str, Any]) -> Draft:
        """See ``TargetReader``."""
        ours = self._fields.apply(context).record
        row: dict[str, Any] = {}
        notes: list[str] = []
        for name in ROW_FIELDS[self._kind]:
            given = ours.get(name)
            if type(given) is Failed:
                if name in ("consent", "consent_since"):
                    # The row says no to all then: what it said before must not go on counting.
                    row[name] = given.why
                else:
                    notes.append(f"left_out:{self._table}.{name}")
                continue
            value = present_value(name, given)
            if value is not None:
                row[name] = self._in_ms(name, value, notes)
        return Draft(row, notes, ours.get(self._key_field))

    @property
    def _table(self) -> str:
        return "users" if self._kind is User else "products"

    def _in_ms(self, name: str, value: Any, notes: list[str]) -> Any:
        """Return a time in ms, read by the section's formats; what cannot be read is unchanged."""
        if name not in ("updated_at", "consent_since") or not self._fields.has_time_formats:
            return value
        if type(value) is dict:
            return {vendor: self._in_ms(name, at, notes) for vendor, at in value.items()}
        try:
            found = self._fields.read_time(value)
        except ValueError:
            return value
        if found is None:
            return value
        if found.is_dst_change:
            notes.append("dst")
        return found.ms

    def finish(
        self,
        draft: Draft,
        key: str | None,
        kafka_ms: int,  # noqa: ARG002 - a row is as old as its record
    ) -> Keyed:
        """See ``TargetReader``."""
        if key is None:
            key = key_text(draft.own_key, self._key_field)
        value = _encode(draft.fields)
        if len(value) > MAX_EVENT_BYTES:
            raise InvalidEvent(
                DeadLetterReason.TOO_LARGE,
                f"the row has {len(value)} bytes, more than the {MAX_EVENT_BYTES} of a row",
            )
        if self._kind is Product:
            try:
                decode_product(value)
            except InvalidRow as problem:
                raise InvalidEvent(DeadLetterReason.INVALID_FIELD, str(problem), "sku") from None
        return Keyed(key.encode(), value, tuple(draft.notes))


class LinkReader:
    """Makes rows of ``shop.visitors``."""

    def __init__(self, fields: FieldMap) -> None:
        self._fields = fields

    def read(self, context: dict[str, Any]) -> Draft:
        """See ``TargetReader``."""
        ours = self._fields.apply(context).record
        return Draft({name: ours.get(name) for name in _LINK_FIELDS}, [], None)

    def finish(self, draft: Draft, key: str | None, kafka_ms: int) -> Keyed:  # noqa: ARG002 - no key
        """See ``TargetReader``."""
        fields = draft.fields
        name = next((one for one in ("order_id", "user_id") if not is_absent(fields[one])), None)
        if name is None:
            words = "order_id: neither order_id nor user_id is given"
            raise InvalidEvent(DeadLetterReason.INVALID_FIELD, words, "order_id", MISSING)
        link = Link(
            key_text(fields["anonymous_id"], "anonymous_id"),
            min(self._ms(fields["timestamp"], draft.notes, kafka_ms), kafka_ms),
            **{name: key_text(fields[name], name)},
        )
        return Keyed(link.key(), _encode(link), tuple(draft.notes))

    def _ms(self, given: Any, notes: list[str], kafka_ms: int) -> int:
        """Return the event's time in ms; the record's Kafka time if it cannot be read."""
        if is_absent(given):
            return kafka_ms
        try:
            found = self._fields.read_time(given)
            ms = to_ms(given) if found is None else found.ms
        except ValueError:
            ms = 0
        if ms >= YEAR_2000_MS:
            return ms
        notes.append("left_out:visitors.timestamp")
        return kafka_ms


@dataclass(frozen=True, slots=True)
class Target:
    """What one ``to`` asks of a record."""

    what: str
    """As people call what is written."""
    key_field: str
    """The field that is the key where the section names no other."""
    known: Collection[str]
    """The fields that a map may name."""
    reader: Callable[[FieldMap | None, Collection[str]], TargetReader]
    """Map of a section, keys of vendors → what makes the section's records."""
    writes_events: bool = False
    """Whether records get an event id; else they are rows of a table."""
    has_tombstones: bool = False


def _events(kind: EventKind) -> Target:
    def reader(fields: FieldMap | None, vendors: Collection[str]) -> TargetReader:
        return EventReader(
            EventParser(kind.event_type, "", fields, vendors=vendors),
            EventParser(kind.event_type, "", vendors=vendors, is_read=True),
        )

    return Target("events", "anonymous_id", kind.fields, reader, writes_events=True)


def _rows(what: str, kind: type[User] | type[Product], key_field: str) -> Target:
    known = (*ROW_FIELDS[kind], key_field)

    def reader(fields: FieldMap | None, _vendors: Collection[str]) -> TargetReader:
        return RowReader(kind, key_field, fields or FieldMap({}, known=known))

    return Target(what, key_field, known, reader, has_tombstones=True)


def _read_links(fields: FieldMap | None, _vendors: Collection[str]) -> TargetReader:
    return LinkReader(fields or FieldMap({}, known=_LINK_FIELDS))


TARGETS: Mapping[str, Target] = {
    **{source: _events(kind) for source, kind in KINDS.items()},
    "users": _rows("rows of users", User, "anonymous_id"),
    "products": _rows("rows of products", Product, "product_id"),
    "visitors": Target("rows of visitors", "anonymous_id", _LINK_FIELDS, _read_links),
}
"""By ``to``."""
TABLES = tuple(to for to, target in TARGETS.items() if not target.writes_events)
"""Targets of which the newest record of a key counts."""


def key_text(value: Any, field: str) -> str:
    """Return a key's value as the text of the key; raises InvalidEvent, led by ``field``."""
    text = id_text(value)
    if type(text) is Failed:
        raise InvalidEvent(
            DeadLetterReason.INVALID_FIELD, f"{field}: {text.why}", field, "expression"
        )
    if is_absent(text):
        problem, cause = "it is required and missing", "missing"
    elif type(text) is not str:
        problem, cause = "a key is text or an integer", ""
    elif len(text) > MAX_ID_CHARS:
        problem, cause = f"it has {len(text)} characters, more than {MAX_ID_CHARS}", ""
    else:
        return text
    raise InvalidEvent(DeadLetterReason.INVALID_FIELD, f"{field}: {problem}", field, cause)


def _leave_out(fields: dict[str, Any], path: str) -> None:
    name, _, part = path.partition(".")
    if part:
        del fields[name][part]
    if not part or not fields[name]:
        del fields[name]


def check_not_repaired(key: bytes, field: str) -> None:
    """Raise InvalidEvent for a key in which half a surrogate pair stood: it is no record's key."""
    if _REPAIRED in key.decode():
        raise InvalidEvent(
            DeadLetterReason.KEY_MISMATCH,
            f"half a surrogate pair stands in {field}, which is the key of no record",
            field,
        )
