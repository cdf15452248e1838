"""Raw events: a record of ``shop.clicks`` or ``shop.add-to-carts`` becomes an event or is invalid.

One typed decode reads a record that is in shape. Any other is decoded without types and converted
field by field with the very same field types, so there is one definition of each field's shape.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from streams.core.errors import InvalidEvent
from streams.core.fields import FieldMap
from streams.core.outcome import DeadLetterReason
from streams.core.strict_json import StrictJsonError, decode_strict
from streams.core.times import CLOCK_TOLERANCE_MS, MAX_MS, YEAR_2000_MS, to_ms

MAX_EVENT_BYTES = 256 * 1024

Id = Annotated[str, Meta(min_length=1, max_length=512)]
EventId = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(min_length=1, max_length=4096)]
Uuid = Annotated[
    str,
    Meta(pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\Z"),
]
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
    """What was put right, to be counted: ``left_out:<field>``, ``clock_ahead``."""


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
_MUST_BE_IN_SHAPE = frozenset({*_REQUIRED, "event_id", "quantity", "consent"})
_PARTS: Mapping[str, type[msgspec.Struct]] = {
    "page": Page,
    "campaign": Campaign,
    "content": Content,
}
_LEFT_OUT_BY_PART = ("page", "campaign")
_ABSENT = (None, "")
_FIELD_TYPES: Mapping[type[msgspec.Struct], Mapping[str, Any]] = {
    kind: {f.name: f.type for f in msgspec.structs.fields(kind) if f.name not in _BY_PARSER}
    for kind in (Click, AddToCart, Page, Campaign, Content)
}
_set = msgspec.structs.force_setattr


class EventParser:
    """Reads the records of one raw topic."""

    def __init__(
        self,
        kind: Literal["click", "add_to_cart"],
        topic_without_prefix: str,
        fields: FieldMap | None = None,
    ) -> None:
        self._type = EVENT_TYPES[kind]
        self._decode = msgspec.json.Decoder(self._type).decode
        self.topic = topic_without_prefix
        self._fields = fields

    def parse(
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
        if self._fields is None:
            try:
                event = self._decode(value)
                notes: tuple[str, ...] = ()
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                event, notes = self._parse_closely(value)
        else:
            event, notes = self._parse_closely(value)
        if event.ip is not None and not _is_ip(event.ip):
            _set(event, "ip", None)
            notes = (*notes, "left_out:ip")
        moment = _moment(event.timestamp)
        if moment > kafka_ms + CLOCK_TOLERANCE_MS and kafka_ms >= YEAR_2000_MS:
            moment = kafka_ms
            notes = (*notes, "clock_ahead")
        if moment > MAX_MS:
            raise _invalid("timestamp", "it lies after the year 9999")
        if key is None or key != event.anonymous_id.encode():
            raise InvalidEvent(
                DeadLetterReason.KEY_MISMATCH,
                "the record has no key, so it lies on no visitor's partition"
                if key is None
                else "the record's key is not its anonymous_id, so its user row cannot be joined",
                "anonymous_id",
            )
        _set(event, "timestamp_ms", moment)
        _set(event, "notes", notes)
        if not event.event_id:
            _set(event, "event_id", f"{self.topic}-{partition}-{offset}")
        return event

    def _parse_closely(self, value: bytes) -> tuple[Event, tuple[str, ...]]:
        try:
            record = decode_strict(value)
        except StrictJsonError as problem:
            raise InvalidEvent(DeadLetterReason.INVALID_JSON, str(problem)) from None
        if type(record) is not dict:
            raise InvalidEvent(
                DeadLetterReason.INVALID_JSON, f"a JSON {_json_name(record)}, not an object"
            )
        if self._fields is not None:
            record = self._fields.apply(record)
        known = _present(record, self._type)
        try:
            return msgspec.convert(known, self._type), ()
        except msgspec.ValidationError:
            return self._convert_by_field(known)

    def _convert_by_field(self, known: dict[str, Any]) -> tuple[Event, tuple[str, ...]]:
        values: dict[str, Any] = {}
        notes: list[str] = []
        for name, wanted in _FIELD_TYPES[self._type].items():
            if name not in known:
                if name in _REQUIRED:
                    raise _invalid(name, "it is required and missing")
                continue
            given = known[name]
            if name in _LEFT_OUT_BY_PART and type(given) is dict:
                values[name] = _convert_parts(name, given, notes)
                continue
            try:
                values[name] = msgspec.convert(given, wanted)
            except msgspec.ValidationError as problem:
                if name in _MUST_BE_IN_SHAPE:
                    raise _invalid(name, str(problem)) from None
                notes.append(f"left_out:{name}")
        return self._type(**values), tuple(notes)


def _present(record: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the known fields that are present: neither null nor empty."""
    known: dict[str, Any] = {}
    for name in _FIELD_TYPES[kind]:
        value = record.get(name)
        if value is None or value == "":
            continue
        if type(value) is dict:
            parts = _PARTS.get(name)
            if parts is not None:
                value = _present(value, parts)
            else:
                value = {key: item for key, item in value.items() if item not in _ABSENT}
        known[name] = value
    return known


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


def _moment(timestamp: str | int) -> int:
    try:
        moment = to_ms(timestamp)
    except ValueError as problem:
        raise _invalid("timestamp", str(problem)) from None
    if moment < YEAR_2000_MS:
        raise _invalid("timestamp", "it lies before the year 2000")
    return moment


def _invalid(field: str, detail: str) -> InvalidEvent:
    return InvalidEvent(DeadLetterReason.INVALID_FIELD, f"{field}: {detail}", field)


_IPV4 = re.compile(
    r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    r"(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}"
)


def _is_ip(text: str) -> bool:
    if _IPV4.fullmatch(text) is not None:
        return True
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _json_name(value: object) -> str:
    if value is None:
        return "null"
    names = {list: "array", str: "string", bool: "boolean"}
    return names.get(type(value), "number")
