"""Raw events: parses the record of a raw topic into an event.

A typed decode reads a valid record at once. Any other record is decoded without types, and its
fields are converted one by one to the same types, so each field is defined once.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from streams.core.errors import InvalidEvent
from streams.core.event_types import (
    EVENT_TYPES,
    MAX_LINES,
    Campaign,
    ContentView,
    Event,
    Order,
    OrderLine,
    Page,
    Scalar,
    Search,
    ShopEvent,
)
from streams.core.fields import Failed, FieldMap
from streams.core.outcome import DeadLetterReason
from streams.core.present_fields import (
    FIELD_TYPES,
    PART_TYPES,
    REQUIRED,
    FieldWays,
    is_id,
    present,
)
from streams.core.quick_expressions import SlowPathNeeded
from streams.core.strict_json import StrictJsonError, decode_repaired
from streams.core.time_formats import OutOfRangeTimeError, epoch_ms
from streams.core.times import CLOCK_TOLERANCE_MS, MAX_MS, YEAR_2000_MS, to_ms
from streams.core.values import (
    SUSPICIOUS_IDS,
    is_absent,
)

MAX_EVENT_BYTES = 256 * 1024

_MISSING = "it is required and missing"
MISSING, OUT_OF_RANGE, EXPRESSION = "missing", "out of range", "expression"
"""Faults of a field other than an invalid value; each gets its own fingerprint."""
_LEFT_OUT_BY_PART: Mapping[str, type[msgspec.Struct]] = {
    "page": Page,
    "campaign": Campaign,
    "search": Search,
}
_FLAT = ("properties", "custom_context")
_NO_PAGE, _NO_CAMPAIGN = Page(), Campaign()
_set = msgspec.structs.force_setattr


class Reading(msgspec.Struct):
    """The fields of a record before they are converted to an event."""

    known: dict[str, Any]
    """The fields that are present."""
    notes: list[str]
    moment_ms: int | None = None
    """The time of the event, if the source has time formats of its own."""
    has_failed: bool = False
    """Whether an expression of the field map failed."""


class Inspection(msgspec.Struct, frozen=True):
    """What ``streams check --mapping`` shows of a record besides the event."""

    fields: tuple[str, ...]
    """The fields that it has, under the relay's names; parts with a dot."""
    remarks: tuple[str, ...]
    """What looks wrong with them, one clause each."""


class EventParser:
    """Parses the records of one raw topic."""

    def __init__(
        self,
        kind: str,
        topic_without_prefix: str,
        fields: FieldMap | None = None,
        *,
        vendors: Collection[str] | None = None,
        is_read: bool = False,
    ) -> None:
        """``kind``: the event type; ``vendors``: those that ``consent`` may name; None: any.

        ``is_read``: the records have the fields that ``read_fields`` returned. None is blank, and
        ids that look wrong need no note.
        """
        self._type = EVENT_TYPES[kind]
        self.is_about_one_product = self._type.is_about_one_product
        """As in the events that it returns."""
        self._decode = msgspec.json.Decoder(self._type).decode
        self.topic = topic_without_prefix
        own = FIELD_TYPES[self._type]
        more = frozenset() if fields is None else fields.names_read(own.keys())
        # For the most frequent kinds the typed decode alone shows whether a record is valid.
        self._is_quick = fields is None and self.is_about_one_product
        self._may_be_odd = not is_read
        self._keeps_record = self._type is ShopEvent
        self._must_be_in_shape = REQUIRED[self._type] | {"event_id", "quantity", "consent"}
        self._needed = None if more is None else (*own, *sorted(more - own.keys()))
        self._fields = fields
        self._has_formats = fields is not None and fields.has_time_formats
        self._vendors = None if vendors is None else frozenset(vendors)
        self._ways = FieldWays(self._type, fields)

    # One long function, because each call in it costs time for every event.
    def parse(  # noqa: C901
        self, key: bytes | None, value: bytes | None, partition: int, offset: int, kafka_ms: int
    ) -> Event:
        """Return the event of a record; ``kafka_ms`` is the record's Kafka time.

        Raises InvalidEvent and no other error, whatever the bytes are.
        """
        if not value:
            raise InvalidEvent(DeadLetterReason.EMPTY, "the record has no value")
        if len(value) > MAX_EVENT_BYTES:
            raise InvalidEvent(
                DeadLetterReason.TOO_LARGE,
                f"the record has {len(value)} bytes, more than the {MAX_EVENT_BYTES} of an event",
            )
        notes: Sequence[str] = ()
        moment: int | None = None
        try:
            if self._is_quick:
                event = self._decode(value)
                if self._may_be_odd and _has_odd_text(event):
                    event, notes, moment = self._parse_closely(value)
            else:
                event, notes, moment = self._parse_closely(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            event, notes, moment = self._parse_closely(value)
        if event.ip is not None and not _is_ip(event.ip):
            if not event.ip.isspace():
                notes = (*notes, "left_out:ip")
            _set(event, "ip", None)
        if event.campaign == _NO_CAMPAIGN:
            _set(event, "campaign", None)
        if event.page == _NO_PAGE:
            _set(event, "page", None)
        consent, vendors = event.consent, self._vendors
        if consent is not None and vendors is not None and not vendors.issuperset(consent):
            raise _unknown_vendor(consent, vendors)
        if moment is None:
            try:
                moment = to_ms(event.timestamp)
            except ValueError as problem:
                raise _no_moment(event.timestamp, problem) from None
        if not YEAR_2000_MS <= moment <= kafka_ms + CLOCK_TOLERANCE_MS:
            if type(event.timestamp) is int and not self._has_formats:
                _check_unit(event.timestamp)
            if kafka_ms >= YEAR_2000_MS and moment >= YEAR_2000_MS:
                moment = kafka_ms
                notes = (*notes, "clock_ahead")
            if not YEAR_2000_MS <= moment <= MAX_MS:
                raise _out_of_range(moment)
        if key is None or key != event.anonymous_id.encode():
            raise _key_mismatch(
                "the record has no key, so it lies on no visitor's partition"
                if key is None
                else "the record's key is not its anonymous_id, so its user row cannot be joined"
            )
        _set(event, "timestamp_ms", moment)
        if self._keeps_record:
            _set(event, "record", value)
        if notes:
            if "lone_surrogate" in notes and "\ufffd" in event.anonymous_id:
                raise _key_mismatch(
                    "half a surrogate pair stands in anonymous_id, which is the key of no record"
                )
            _set(event, "notes", tuple(notes))
        if not event.event_id:
            _set(event, "event_id", f"{self.topic}-{partition}-{offset}")
        return event

    def read_fields(self, record: dict[str, Any]) -> Reading:
        """Return the fields of a decoded record under the relay's names.

        A timestamp in one of the source's formats is in ms. An optional field whose expression
        fails is left out and noted. Raises InvalidEvent if another expression fails.
        """
        try:
            reading = Reading(self._ways.read(record), [])
            has_time = self._has_formats
        except SlowPathNeeded:
            reading = self._read_record(record)
            has_time = True
        known = reading.known
        if has_time and self._fields is not None and "timestamp" in known:
            self._read_time(self._fields, reading)
        if reading.has_failed:
            for name, given in list(known.items()):
                if type(given) is Failed or (type(given) is dict and name in PART_TYPES):
                    self._leave_out_failed(name, given, reading)
        return reading

    def _leave_out_failed(self, name: str, given: Any, reading: Reading) -> None:
        if type(given) is not Failed:
            for part, item in list(given.items()):
                if type(item) is Failed:
                    del given[part]
                    reading.notes.append(f"left_out:{name}.{part}")
            if not given:
                del reading.known[name]
        elif name in self._must_be_in_shape:
            raise _invalid(name, given.why, EXPRESSION)
        else:
            del reading.known[name]
            reading.notes.append(f"left_out:{name}")

    def inspect(self, value: bytes | None) -> Inspection:
        """Return the fields and remarks of a record; none if it is not a JSON object."""
        try:
            reading = self._read(value or b"")
        except InvalidEvent:
            return Inspection((), ())
        fields, remarks = [], []
        for name, given in reading.known.items():
            parts = given.items() if name in PART_TYPES and type(given) is dict else ()
            fields += [f"{name}.{part}" for part, _ in parts] or [name]
            for part, item in [("", given), *parts]:
                shown = f"{name}.{part}" if part else name
                if type(item) is Failed:
                    remarks.append(f"{shown}: {item.why}")
                elif is_id(shown) and type(item) is str and item in SUSPICIOUS_IDS:
                    remarks.append(f'{shown} reads "{item}": who has it is many people at once')
        return Inspection(tuple(fields), tuple(remarks))

    def _parse_closely(self, value: bytes) -> tuple[Event, Sequence[str], int | None]:
        reading = self._read(value)
        if self._fields is not None and "timestamp" in reading.known:
            self._read_time(self._fields, reading)
        if self._type is ShopEvent:
            _lift_texts(reading.known)
        try:
            event = msgspec.convert(reading.known, self._type)
        except msgspec.ValidationError:
            event = self._convert_by_field(reading)
        if isinstance(event, Order):
            _check_currencies(event.lines)
        elif isinstance(event, ContentView) and event.content is None and not event.product_ids:
            raise _invalid("content", _nothing_seen(reading.notes), MISSING)
        if not SUSPICIOUS_IDS.isdisjoint(_ids_of(event)):
            reading.notes.append("suspicious_id")
        return event, reading.notes, reading.moment_ms

    def _read(self, value: bytes) -> Reading:
        """Return the fields that a record has, under our names; raises InvalidEvent."""
        try:
            decoded = decode_repaired(value, self._needed)
        except StrictJsonError as problem:
            raise InvalidEvent(DeadLetterReason.INVALID_JSON, str(problem)) from None
        record = decoded.value
        if type(record) is not dict:
            raise InvalidEvent(
                DeadLetterReason.INVALID_JSON, f"a JSON {json_name(record)}, not an object"
            )
        reading = self._read_record(record)
        if decoded.repaired:
            reading.notes.append("lone_surrogate")
        return reading

    def _read_record(self, record: dict[str, Any]) -> Reading:
        if self._fields is None:
            return Reading(present(record, self._type), [])
        record, notes, has_failed = self._fields.apply(record)
        return Reading(present(record, self._type), [*notes], has_failed=has_failed)

    def _read_time(self, fields: FieldMap, reading: Reading) -> None:
        given = reading.known["timestamp"]
        if type(given) is Failed:
            raise _invalid("timestamp", given.why, EXPRESSION)
        if type(given) is StrictJsonError:
            raise _invalid("timestamp", str(given))
        try:
            found = fields.read_time(given)
        except OutOfRangeTimeError as problem:
            raise _invalid("timestamp", str(problem), OUT_OF_RANGE) from None
        except ValueError as problem:
            raise _invalid("timestamp", str(problem)) from None
        if found is not None:
            reading.known["timestamp"] = reading.moment_ms = found.ms
            if found.is_dst_change:
                reading.notes.append("dst")

    def _convert_by_field(self, reading: Reading) -> Event:
        values: dict[str, Any] = {}
        known, notes = reading.known, reading.notes
        for name, wanted in FIELD_TYPES[self._type].items():
            if name not in known:
                if name in REQUIRED[self._type]:
                    raise _invalid(name, _MISSING, MISSING)
                continue
            given = known[name]
            if name in _FLAT and type(given) is dict:
                given = _without_nested(name, given, notes)
            if name in _LEFT_OUT_BY_PART and type(given) is dict:
                values[name] = _convert_parts(name, given, notes)
                continue
            try:
                values[name] = msgspec.convert(given, wanted)
            except msgspec.ValidationError as problem:
                if name == "lines":
                    _check_lines(given)
                if name in self._must_be_in_shape:
                    raise _invalid(name, *_why(given, problem)) from None
                notes.append(f"left_out:{name}")
        return self._type(**values)


def _unknown_vendor(consent: Mapping[str, bool], vendors: Collection[str]) -> InvalidEvent:
    unknown = next(name for name in consent if name not in vendors)
    known = ", ".join(sorted(vendors))
    return _invalid("consent", f'there is no vendor "{unknown[:64]}", only {known}')


def _ids_of(event: Event) -> tuple[str | None, ...]:
    content = event.content
    return (
        event.anonymous_id,
        event.event_id,
        event.user_id,
        event.order_id if isinstance(event, Order) else None,
        None if content is None else content.id,
        *(id_ for product in event.named() for id_ in product),
    )


def _has_odd_text(event: Event) -> bool:
    """Return whether a text is blank or an id suspicious, so that each field must be read."""
    visitor, product, id_ = event.anonymous_id, event.product_id or "", event.event_id
    if (
        visitor in SUSPICIOUS_IDS
        or product in SUSPICIOUS_IDS
        or id_ in SUSPICIOUS_IDS
        or visitor.isspace()
        or product.isspace()
        or id_.isspace()
        or ((text := event.user_id) is not None and (text.isspace() or text in SUSPICIOUS_IDS))
        or ((text := event.sku) is not None and (text.isspace() or text in SUSPICIOUS_IDS))
        or ((text := event.user_agent) is not None and text.isspace())
        or ((text := event.locale) is not None and text.isspace())
        or ((text := event.region) is not None and text.isspace())
    ):
        return True
    if (page := event.page) is not None and (
        ((text := page.url) is not None and text.isspace())
        or ((text := page.referrer) is not None and text.isspace())
        or ((text := page.title) is not None and text.isspace())
    ):
        return True
    if (content := event.content) is not None and (
        content.id.isspace() or content.id in SUSPICIOUS_IDS
    ):
        return True
    return event.campaign is not None and any(
        text is not None and text.isspace() for text in msgspec.structs.astuple(event.campaign)
    )


def _convert_parts(name: str, given: dict[str, Any], notes: list[str]) -> msgspec.Struct:
    kind = _LEFT_OUT_BY_PART[name]
    parts: dict[str, Any] = {}
    for part, wanted in FIELD_TYPES[kind].items():
        if part in given:
            try:
                parts[part] = msgspec.convert(given[part], wanted)
            except msgspec.ValidationError:
                notes.append(f"left_out:{name}.{part}")
    return kind(**parts)


def _nothing_seen(notes: Sequence[str]) -> str:
    given = [name for name in ("content", "product_ids") if f"left_out:{name}" in notes]
    if given:
        return f"{' and '.join(given)} cannot be read, so nothing is known of what was seen"
    return "neither content nor product_ids is given"


def _lift_texts(known: dict[str, Any]) -> None:
    """Turn texts into the lists and objects that they may stand for."""
    if type(category := known.get("category")) is str:
        known["category"] = [category]
    if type(search := known.get("search")) is str:
        known["search"] = {"keywords": search}


def _without_nested(field: str, given: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Return the members that are not nested."""
    kept: dict[str, Any] = {}
    for name, value in given.items():
        try:
            kept[name] = msgspec.convert(value, Scalar)
        except msgspec.ValidationError:
            notes.append(f"left_out:{field}")
    return kept


def _check_lines(given: Any) -> None:
    """Raise InvalidEvent for the first invalid line, if there is one."""
    if type(given) is not list:
        return
    if not 0 < len(given) <= MAX_LINES:
        words = f"an order has 1 to {MAX_LINES} lines, not {len(given):,}"
        raise _invalid("lines", words, "number of lines")
    for number, line in enumerate(given, start=1):
        if type(line) is not dict:
            words = f"line {number} is a JSON {json_name(line)}, not an object"
            raise _invalid("lines", words, "no object")
        for name, wanted in FIELD_TYPES[OrderLine].items():
            if name not in line:
                if name in REQUIRED[OrderLine]:
                    raise _invalid("lines", f"line {number}: {name}: {_MISSING}", f"{name} missing")
                continue
            try:
                msgspec.convert(line[name], wanted)
            except msgspec.ValidationError as problem:
                words = f"line {number}: {name}: {_why(line[name], problem)[0]}"
                raise _invalid("lines", words, name) from None


def _check_currencies(lines: Sequence[OrderLine]) -> None:
    found = {line.currency for line in lines if line.currency is not None}
    if len(found) > 1:
        words = f"an order has one currency, not {' and '.join(sorted(found)[:2])}"
        raise _invalid("lines", words, "currencies")


def _why(given: Any, problem: msgspec.ValidationError) -> tuple[str, str]:
    """Return what is wrong with a field's value, and the kind of fault."""
    if type(given) is Failed:
        return given.why, EXPRESSION
    if type(given) is StrictJsonError:
        return str(given), ""
    if type(given) is dict:
        for name, item in given.items():
            if type(item) is Failed:
                return f"{name}: {item.why}", EXPRESSION
    return str(problem), ""


def _no_moment(timestamp: str | int, problem: ValueError) -> InvalidEvent:
    if is_absent(timestamp):
        return _invalid("timestamp", _MISSING, MISSING)
    return _invalid("timestamp", str(problem))


def _check_unit(timestamp: int) -> None:
    try:
        epoch_ms(timestamp, "ms")
    except ValueError as problem:
        raise _invalid("timestamp", str(problem), OUT_OF_RANGE) from None


def _out_of_range(moment: int) -> InvalidEvent:
    where = "before the year 2000" if moment < YEAR_2000_MS else "after the year 9999"
    return _invalid("timestamp", f"it lies {where}", OUT_OF_RANGE)


def _invalid(field: str, detail: str, cause: str = "") -> InvalidEvent:
    return InvalidEvent(DeadLetterReason.INVALID_FIELD, f"{field}: {detail}", field, cause)


def _key_mismatch(detail: str) -> InvalidEvent:
    return InvalidEvent(DeadLetterReason.KEY_MISMATCH, detail, "anonymous_id")


_IPV4 = re.compile(
    r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    r"(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}"
)


# A visitor's events share their address, so the last ones are remembered.
@lru_cache(maxsize=8192)
def _is_ip(text: str) -> bool:
    if _IPV4.fullmatch(text) is not None:
        return True
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def json_name(value: object) -> str:
    """Return the JSON name of this value's type."""
    if value is None:
        return "null"
    names = {dict: "object", list: "array", str: "string", bool: "boolean"}
    return names.get(type(value), "number")
