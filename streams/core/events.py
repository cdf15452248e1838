"""Raw events: a record of ``shop.clicks`` or ``shop.add-to-carts`` becomes an event or is invalid.

One typed decode reads a record that is in shape. Any other is decoded without types and converted
field by field with the very same field types, so there is one definition of each field's shape.
"""

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from streams.core.errors import InvalidEvent
from streams.core.fields import Failed, FieldMap
from streams.core.outcome import DeadLetterReason
from streams.core.quick_expressions import Quick, SlowPathNeeded
from streams.core.strict_json import StrictJsonError, decode_repaired
from streams.core.time_formats import OutOfRangeTimeError, epoch_ms
from streams.core.times import CLOCK_TOLERANCE_MS, MAX_MS, YEAR_2000_MS, to_ms
from streams.core.uuids import UUID_PATTERN
from streams.core.values import (
    MAX_ID_CHARS,
    NIL_UUID,
    SUSPICIOUS_IDS,
    id_text,
    integral,
    is_absent,
)

MAX_EVENT_BYTES = 256 * 1024

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
EventId = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(min_length=1, max_length=4096)]
Uuid = Annotated[str, Meta(pattern=UUID_PATTERN)]
Price = Annotated[float, Meta(ge=0, le=1e13)]
"""Above the limit a double can no longer hold the cents."""
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Quantity = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Page(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """The page on which it happened."""

    url: Text | None = None
    referrer: Text | None = None
    title: Text | None = None


class Campaign(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True
):
    """The campaign that brought the visitor."""

    name: Text | None = None
    source: Text | None = None
    medium: Text | None = None
    term: Text | None = None
    content: Text | None = None


class Content(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The 8SELECT content in which it happened."""

    type: Literal["customSet", "matchingProductClusters", "similarProducts"]
    id: Id


class Event(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What clicks and add-to-carts share; fields as in the raw record unless said otherwise."""

    event_type: ClassVar[str]
    """``click`` or ``add_to_cart``."""

    anonymous_id: Id
    timestamp: str | Int64
    """As the shop wrote it; ``timestamp_ms`` is what counts."""
    product_id: Id
    event_id: EventId = ""
    """Never empty in a parsed event."""
    user_id: Id | None = None
    sku: Id | None = None
    price: Price | None = None
    currency: Currency | None = None
    page: Page | None = None
    user_agent: Text | None = None
    locale: Text | None = None
    region: Text | None = None
    ip: Text | None = None
    """A valid IPv4 or IPv6 address; no vendor ever gets it whole."""
    campaign: Campaign | None = None
    miso_id: Uuid | None = None
    content: Content | None = None
    eightselect_user_id: Uuid | None = None
    consent: dict[str, bool] | None = None

    # Set by the parser; the limits keep a record from bringing them along.
    timestamp_ms: Annotated[int, Meta(ge=0, le=0)] = 0
    """When it happened, ms since the epoch, a browser's wrong clock put right."""
    notes: Annotated[tuple[str, ...], Meta(max_length=0)] = ()
    """What was put right or is odd, to be counted.

    ``left_out:<field>``, ``lone_surrogate``, ``suspicious_id``, ``items_left``, ``dst``,
    ``clock_ahead``.
    """


class Click(Event, frozen=True, gc=False, forbid_unknown_fields=True):
    """A visitor clicked a product."""

    event_type: ClassVar[str] = "click"


class AddToCart(Event, frozen=True, gc=False, forbid_unknown_fields=True):
    """A visitor put a product into the cart."""

    event_type: ClassVar[str] = "add_to_cart"

    quantity: Quantity = 1


EVENT_TYPES: Mapping[str, type[Event]] = {kind.event_type: kind for kind in (Click, AddToCart)}
_BY_PARSER = {"timestamp_ms", "notes"}
_REQUIRED = ("anonymous_id", "timestamp", "product_id")
_MISSING = "it is required and missing"
MISSING, OUT_OF_RANGE, EXPRESSION = "missing", "out of range", "expression"
"""Faults of a field that are others than a value out of shape: each has a fingerprint."""
_MUST_BE_IN_SHAPE = frozenset({*_REQUIRED, "event_id", "quantity", "consent"})
_PARTS: Mapping[str, type[msgspec.Struct]] = {
    "page": Page,
    "campaign": Campaign,
    "content": Content,
}
_LEFT_OUT_BY_PART = ("page", "campaign")
_FIELD_TYPES: Mapping[type[msgspec.Struct], Mapping[str, Any]] = {
    kind: {f.name: f.type for f in msgspec.structs.fields(kind) if f.name not in _BY_PARSER}
    for kind in (Click, AddToCart, Page, Campaign, Content)
}
_NO_PAGE, _NO_CAMPAIGN = Page(), Campaign()
_NO_OBJECT: dict[str, Any] = {}
_UUIDS = frozenset({"miso_id", "eightselect_user_id"})
_INTEGERS = frozenset({"timestamp", "quantity"})
_set = msgspec.structs.force_setattr


class Reading(msgspec.Struct):
    """What a close look at a record finds beside the event itself."""

    known: dict[str, Any]
    """The fields that are present, as they are to be converted."""
    notes: list[str]
    moment_ms: int | None = None
    """Where the source has time formats of its own."""
    has_failed: bool = False
    """Whether an expression of the field map failed."""


class Inspection(msgspec.Struct, frozen=True):
    """What a person should know of a record beyond the event that it becomes."""

    fields: tuple[str, ...]
    """The fields that it has, under our names; parts dotted."""
    remarks: tuple[str, ...]
    """What is odd about them, one clause each."""


class EventParser:
    """Reads the records of one raw topic."""

    def __init__(
        self,
        kind: Literal["click", "add_to_cart"],
        topic_without_prefix: str,
        fields: FieldMap | None = None,
        *,
        vendors: Collection[str] | None = None,
    ) -> None:
        """Take the vendors for which an event may state consent; None: of any name."""
        self._type = EVENT_TYPES[kind]
        self._decode = msgspec.json.Decoder(self._type).decode
        self.topic = topic_without_prefix
        more = frozenset() if fields is None else fields.names_read()
        own = _FIELD_TYPES[self._type]
        self._needed = None if more is None else (*own, *sorted(more - own.keys()))
        self._fields = fields
        self._has_formats = fields is not None and fields.has_time_formats
        self._vendors = None if vendors is None else frozenset(vendors)
        self._objects: list[tuple[int, str]] = []
        """The objects within a record that paths lead through: in which one, and its name there."""
        self._plan = tuple(
            (name, *self._way_to(name), reads, name in _UUIDS) for name, reads in _READS[self._type]
        )

    def _way_to(self, field: str) -> tuple[int, str, Quick | None, bool]:
        """Return in which object a field is and under which name, or else what finds it.

        And whether a field map says so.
        """
        fields = self._fields
        quick = None if fields is None else fields.quick_of(field)
        if fields is None or quick is None:
            return 0, field, None, False
        path = fields.path_of(field)
        if path is None:
            return 0, field, quick, True
        number = 0
        for name in path[:-1]:
            place = (number, name)
            if place not in self._objects:
                self._objects.append(place)
            number = 1 + self._objects.index(place)
        return number, path[-1], None, True

    # One path, though a long one: whatever is called in it costs every event.
    def parse(  # noqa: C901
        self, key: bytes | None, value: bytes | None, partition: int, offset: int, kafka_ms: int
    ) -> Event:
        """Return the event that the record holds; ``kafka_ms`` is the record's own Kafka time.

        Raises InvalidEvent, and nothing else, whatever the bytes.
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
            if self._fields is not None:
                event, notes, moment = self._parse_closely(value)
            else:
                event = self._decode(value)
                if _has_odd_text(event):
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
        """Return the fields of a decoded record under our names, each that can be read in shape.

        A timestamp in one of the source's formats is in ms. Optional fields whose expression fails
        are left out and noted; raises InvalidEvent for others.
        """
        try:
            reading = Reading(self._read_quickly(record), [])
        except SlowPathNeeded:
            reading = self._read_record(record)
        known = reading.known
        if self._fields is not None and "timestamp" in known:
            self._read_time(self._fields, reading)
        if reading.has_failed:
            for name, given in list(known.items()):
                if type(given) is Failed or (type(given) is dict and name in _PARTS):
                    self._leave_out_failed(name, given, reading)
        return reading

    # What _read_record does, in one go: it costs ingest half of what it has for an event.
    def _read_quickly(self, record: dict[str, Any]) -> dict[str, Any]:  # noqa: C901
        objects = [record]
        for number, name in self._objects:
            value = objects[number].get(name)
            if type(value) is not dict:
                if type(value) is StrictJsonError:
                    raise SlowPathNeeded
                value = _NO_OBJECT
            objects.append(value)
        known: dict[str, Any] = {}
        for field, number, name, quick, is_mapped, reads, is_uuid in self._plan:
            value = objects[number].get(name) if quick is None else quick(record)
            if value is None:
                continue
            if type(value) is str:
                if not value or value.isspace() or (is_uuid and value == NIL_UUID):
                    continue
            elif is_mapped and type(value) is StrictJsonError:
                raise SlowPathNeeded
            elif reads is not None:
                value = reads(value)
                if value is None:
                    continue
            known[field] = value
        return known

    def _leave_out_failed(self, name: str, given: Any, reading: Reading) -> None:
        if type(given) is not Failed:
            for part, item in list(given.items()):
                if type(item) is Failed:
                    del given[part]
                    reading.notes.append(f"left_out:{name}.{part}")
            if not given:
                del reading.known[name]
        elif name in _MUST_BE_IN_SHAPE:
            raise _invalid(name, given.why, EXPRESSION)
        else:
            del reading.known[name]
            reading.notes.append(f"left_out:{name}")

    def inspect(self, value: bytes | None) -> Inspection:
        """Return what a person should know of a record; nothing of one that is no JSON object."""
        try:
            reading = self._read(value or b"")
        except InvalidEvent:
            return Inspection((), ())
        fields, remarks = [], []
        for name, given in reading.known.items():
            parts = given.items() if name in _PARTS and type(given) is dict else ()
            fields += [f"{name}.{part}" for part, _ in parts] or [name]
            for part, item in [("", given), *parts]:
                shown = f"{name}.{part}" if part else name
                if type(item) is Failed:
                    remarks.append(f"{shown}: {item.why}")
                elif _is_id(shown) and type(item) is str and item in SUSPICIOUS_IDS:
                    remarks.append(f'{shown} reads "{item}": who has it is many people at once')
        return Inspection(tuple(fields), tuple(remarks))

    def _parse_closely(self, value: bytes) -> tuple[Event, Sequence[str], int | None]:
        reading = self._read(value)
        if self._fields is not None and "timestamp" in reading.known:
            self._read_time(self._fields, reading)
        try:
            event = msgspec.convert(reading.known, self._type)
        except msgspec.ValidationError:
            event = self._convert_by_field(reading)
        if not SUSPICIOUS_IDS.isdisjoint(_ids_of(event)):
            reading.notes.append("suspicious_id")
        return event, reading.notes, reading.moment_ms

    def _read(self, value: bytes) -> Reading:
        """Return the fields that a record has, under our names; raises InvalidEvent."""
        try:
            record, was_repaired = decode_repaired(value, self._needed)
        except StrictJsonError as problem:
            raise InvalidEvent(DeadLetterReason.INVALID_JSON, str(problem)) from None
        if type(record) is not dict:
            raise InvalidEvent(
                DeadLetterReason.INVALID_JSON, f"a JSON {json_name(record)}, not an object"
            )
        reading = self._read_record(record)
        if was_repaired:
            reading.notes.append("lone_surrogate")
        return reading

    def _read_record(self, record: dict[str, Any]) -> Reading:
        if self._fields is None:
            return Reading(_present(record, self._type), [])
        record, notes, has_failed = self._fields.apply(record)
        return Reading(_present(record, self._type), [*notes], has_failed=has_failed)

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
        for name, wanted in _FIELD_TYPES[self._type].items():
            if name not in known:
                if name in _REQUIRED:
                    raise _invalid(name, _MISSING, MISSING)
                continue
            given = known[name]
            if name in _LEFT_OUT_BY_PART and type(given) is dict:
                values[name] = _convert_parts(name, given, notes)
                continue
            try:
                values[name] = msgspec.convert(given, wanted)
            except msgspec.ValidationError as problem:
                if name in _MUST_BE_IN_SHAPE:
                    raise _invalid(name, *_why(given, problem)) from None
                notes.append(f"left_out:{name}")
        return self._type(**values)


def _unknown_vendor(consent: Mapping[str, bool], vendors: Collection[str]) -> InvalidEvent:
    unknown = next(name for name in consent if name not in vendors)
    known = ", ".join(sorted(vendors))
    return _invalid("consent", f'there is no vendor "{unknown[:64]}", only {known}')


def _present(record: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the known fields that are present: neither null nor blank."""
    known: dict[str, Any] = {}
    for name, reads in _READS[kind]:
        value = record.get(name)
        if value is None:
            continue
        if type(value) is str:
            if not value or value.isspace() or (name in _UUIDS and value == NIL_UUID):
                continue
        elif reads is not None:
            value = reads(value)
            if value is None:
                continue
        known[name] = value
    return known


def _read_object(kind: type[msgspec.Struct]) -> Callable[[Any], Any]:
    """Return what reads an object with parts; one without any is absent, as PHP's empty array."""

    def read(value: Any) -> Any:
        return _present(value, kind) or None if type(value) is dict else _no_empty_array(value)

    return read


def _read_consent(value: Any) -> Any:
    if type(value) is dict:
        return {vendor: says for vendor, says in value.items() if not is_absent(says)}
    return _no_empty_array(value)


def _no_empty_array(value: Any) -> Any:
    return None if value == [] else value


def _is_id(name: str) -> bool:
    return name.endswith("_id") or name in {"sku", "content.id"}


def _read_of(name: str, kind: type[msgspec.Struct]) -> Callable[[Any], Any] | None:
    """Return what makes of a value that is no text what it stands for."""
    if name in _PARTS:
        return _read_object(_PARTS[name])
    if name == "consent":
        return _read_consent
    if _is_id(name) or (kind is Content and name == "id"):
        return id_text
    return integral if name in _INTEGERS else None


_READS = {
    kind: tuple((name, _read_of(name, kind)) for name in types)
    for kind, types in _FIELD_TYPES.items()
}


def _ids_of(event: Event) -> tuple[str | None, ...]:
    content = event.content
    return (
        event.anonymous_id,
        event.product_id,
        event.event_id,
        event.user_id,
        event.sku,
        None if content is None else content.id,
    )


def _has_odd_text(event: Event) -> bool:
    """Return whether a text of the event is blank, or an id suspicious: reasons to look closely."""
    visitor, product, id_ = event.anonymous_id, event.product_id, event.event_id
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
    kind = _PARTS[name]
    parts: dict[str, Any] = {}
    for part, wanted in _FIELD_TYPES[kind].items():
        if part in given:
            try:
                parts[part] = msgspec.convert(given[part], wanted)
            except msgspec.ValidationError:
                notes.append(f"left_out:{name}.{part}")
    return kind(**parts)


def _why(given: Any, problem: msgspec.ValidationError) -> tuple[str, str]:
    """Return what is wrong with a field's value, in words, and which kind of fault it is."""
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
    """Return what JSON calls this value."""
    if value is None:
        return "null"
    names = {dict: "object", list: "array", str: "string", bool: "boolean"}
    return names.get(type(value), "number")
