"""Rows of the tables ``users`` and ``products``, decoded at each look-up.

Rows are read as events are: a typed decode reads a valid row at once. Any other row is read field
by field with the same types; an invalid field is left out and noted. Some fields cannot be left
out, so the row is malformed if they are invalid: a user's consent, a product's SKU.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from streams.core.errors import StreamsError
from streams.core.event_types import Currency, Id, Int64, Price
from streams.core.masking import masked_text
from streams.core.strict_json import StrictJsonError, decode_fields
from streams.core.times import MAX_MS, YEAR_2000_MS, to_ms
from streams.core.uuids import UUID_PATTERN
from streams.core.values import NIL_UUID, SUSPICIOUS_IDS, id_text, is_absent, is_blank

_Uuid = Annotated[str, Meta(pattern=UUID_PATTERN)]
_Text = Annotated[str, Meta(min_length=1)]
Timestamp = str | Int64
"""RFC 3339 with an offset, or ms since the epoch."""


class InvalidRow(StreamsError, ValueError):
    """A malformed row: a user says no to every vendor, a product counts as absent."""


class User(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What the shop knows of a visitor."""

    user_id: Id | None = None
    contact_id: _Uuid | None = None
    """Voyado Engage's id of the contact."""
    custom_key: Id | None = None
    email: Id | None = None
    consent: dict[str, bool | None] | None = None
    updated_at: Timestamp | None = None
    eightselect_user_id: _Uuid | None = None
    """8SELECT's id of the visitor."""
    consent_since: Timestamp | dict[str, Timestamp | None] | None = None
    """As the shop wrote it; ``yes_from_ms`` counts."""

    # Set by decode_user; the limits keep a row from bringing them along.
    yes_from_ms: Annotated[dict[str, int], Meta(max_length=0)] = {}
    """Vendor → a yes counts for events from this moment (ms) on; no entry: for all."""
    notes: Annotated[tuple[str, ...], Meta(max_length=0)] = ()
    """What was put right or is odd: ``left_out:<field>``, ``lone_surrogate``, ``suspicious_id``."""


class Product(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A product of the shop's catalogue."""

    sku: Id
    product_group_id: Id | None = None
    name: _Text | None = None
    brand: _Text | None = None
    category: list[str] | None = None
    """From broad to narrow."""
    price: Price | None = None
    currency: Currency | None = None
    attributes: dict[str, str | bool | float] | None = None

    # Set by decode_product; the limit keeps a row from bringing it along.
    notes: Annotated[tuple[str, ...], Meta(max_length=0)] = ()
    """What was put right or is odd: ``left_out:<field>``, ``lone_surrogate``, ``suspicious_id``."""


MALFORMED_USER = b"null"
"""Kept instead of a malformed user row if e-mails are not kept: it says no to every vendor."""

_BY_DECODER = {"yes_from_ms", "notes"}
_TYPES: Final[Mapping[type[msgspec.Struct], Mapping[str, Any]]] = {
    kind: {f.name: f.type for f in msgspec.structs.fields(kind) if f.name not in _BY_DECODER}
    for kind in (User, Product)
}
ROW_FIELDS: Final[Mapping[type[msgspec.Struct], tuple[str, ...]]] = {
    kind: tuple(types) for kind, types in _TYPES.items()
}
"""The fields of each table's rows."""
_IDS = frozenset({"user_id", "custom_key", "sku", "product_group_id"})
_UUIDS = frozenset({"contact_id", "eightselect_user_id"})
_BY_VENDOR = frozenset({"consent", "consent_since"})
_YEAR_2100_MS = 4_102_444_800_000
_SHOWN_NAMES = 6
_SAYS_NOTHING = User()

_decode_user = msgspec.json.Decoder(User).decode
_decode_product = msgspec.json.Decoder(Product).decode
_encode = msgspec.json.Encoder().encode
_set = msgspec.structs.force_setattr
_PROBLEMS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_user(value: bytes, vendors: Collection[str]) -> User:
    """Return the row; raises InvalidRow, and nothing else, whatever the bytes.

    ``vendors`` are the keys that consent may name: a misspelt one would hide a no.
    """
    try:
        if not value.isascii():
            value.decode()  # also what msgspec passes over
        user = _decode_user(value)
        if user.updated_at is not None:
            to_ms(user.updated_at)
    except (*_PROBLEMS, ValueError):
        return _read_user(value, vendors)
    # Unrolled, since this is done to each row of a table.
    consent = user.consent
    if (
        ((text := user.user_id) is not None and (text.isspace() or text in SUSPICIOUS_IDS))
        or ((text := user.custom_key) is not None and (text.isspace() or text in SUSPICIOUS_IDS))
        or ((text := user.email) is not None and text.isspace())
        or (user.consent_since is not None and is_blank(user.consent_since))
        or (consent is None and user == _SAYS_NOTHING)
    ):
        return _read_user(value, vendors)
    if user.consent_since is not None:
        return _finished(user, vendors)
    if consent is not None:
        for vendor in consent:
            if vendor not in vendors:
                raise _unknown_vendor("consent", vendor, vendors)
    return user


def person_in(value: bytes) -> User:
    """Return the valid ids of a row, also of a malformed one, without consent.

    Raises InvalidRow if it is not a JSON object.
    """
    fields, _ = _fields(_object(value, User, "user")[0], User, (), "user")
    return User(**{name: fields[name] for name in fields.keys() & (_IDS | _UUIDS)})


def decode_product(value: bytes) -> Product:
    """Return the row; raises InvalidRow, and nothing else, whatever the bytes."""
    try:
        if not value.isascii():
            value.decode()
        product = _decode_product(value)
    except _PROBLEMS:
        return _read_product(value)
    category = product.category
    if (
        (text := product.sku).isspace()
        or text in SUSPICIOUS_IDS
        or (
            (text_ := product.product_group_id) is not None
            and (text_.isspace() or text_ in SUSPICIOUS_IDS)
        )
        or ((text_ := product.name) is not None and text_.isspace())
        or ((text_ := product.brand) is not None and text_.isspace())
        or (category is not None and (not category or any(map(is_blank, category))))
    ):
        return _read_product(value)
    return product


def strip_email(value: bytes, vendors: Collection[str]) -> bytes:
    """Return the user row without its e-mail and without unknown fields.

    A malformed row becomes ``MALFORMED_USER``, because its text may contain an address anywhere.
    """
    try:
        user = decode_user(value, vendors)
    except InvalidRow:
        return MALFORMED_USER
    kept = msgspec.structs.replace(user, email=None, yes_from_ms={}, notes=())
    if kept == _SAYS_NOTHING:  # and not malformed, as it would be without any field
        kept = msgspec.structs.replace(kept, consent={})
    return _encode(kept)


def _moment(given: Timestamp) -> int:
    """Return the moment in ms; raises ValueError where it is none, or was meant in another unit."""
    moment = to_ms(given)
    if not YEAR_2000_MS <= moment <= (_YEAR_2100_MS if type(given) is int else MAX_MS):
        raise ValueError("it lies before 2000 or, in milliseconds, after 2100: is it another unit?")
    return moment


def _finished(user: User, vendors: Collection[str]) -> User:
    """Judge what must be in shape, and read since when a yes counts."""
    for name, said in (("consent", user.consent), ("consent_since", user.consent_since)):
        if isinstance(said, dict):
            for vendor in said:
                if vendor not in vendors:
                    raise _unknown_vendor(name, vendor, vendors)
    since = user.consent_since
    if since is not None:
        try:
            if isinstance(since, dict):
                yes_from = {
                    name: _moment(at)
                    for name, at in since.items()
                    if at is not None and not is_blank(at)
                }
            else:
                yes_from = dict.fromkeys(vendors, _moment(since))
        except ValueError as problem:
            words = f"{problem}{_shown('consent_since', since)}"
            raise _malformed_user(f"consent_since: {words}") from None
        _set(user, "yes_from_ms", yes_from)
    return user


# -- field by field


def _read_user(value: bytes, vendors: Collection[str]) -> User:
    row, odd = _object(value, User, "user")
    fields, notes = _fields(row, User, {"consent", "consent_since"}, "user")
    if not fields:
        found = ", ".join(masked_text(name, limit=40) for name in list(row)[:_SHOWN_NAMES])
        raise _malformed_user(
            f"it has none of the fields {', '.join(_TYPES[User])}"
            + (f", but {found}" if found else "")
        )
    return _finished(User(**fields, notes=odd + notes), vendors)


def _read_product(value: bytes) -> Product:
    row, odd = _object(value, Product, "product")
    fields, notes = _fields(row, Product, {"sku"}, "product")
    if "sku" not in fields:
        raise InvalidRow("the product row is out of shape: it has no sku")
    return Product(**fields, notes=odd + notes)


def _object(
    value: bytes, kind: type[msgspec.Struct], what: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the JSON object, and a note where half a surrogate pair was in it.

    A field that strict JSON refuses, such as a number out of range, holds the StrictJsonError.
    """
    try:
        decoded = decode_fields(value, _TYPES[kind])
    except StrictJsonError as problem:
        raise InvalidRow(f"the {what} row is out of shape: {problem}") from None
    return decoded.value, ("lone_surrogate",) if decoded.repaired else ()


def _fields(
    row: Mapping[str, Any], kind: type[msgspec.Struct], needed: Collection[str], what: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the fields that are there and in shape, and a note for each that is left out."""
    fields: dict[str, Any] = {}
    notes: list[str] = []
    for name, wanted in _TYPES[kind].items():
        given = present_value(name, row.get(name))
        if given is None:
            continue
        try:
            if isinstance(given, StrictJsonError):
                raise given
            fields[name] = msgspec.convert(given, wanted)
            if name == "updated_at":
                to_ms(fields[name])
        except ValueError as problem:  # msgspec's is one
            if name in needed:
                words = f"{problem}{_shown(name, given)}"
                raise InvalidRow(f"the {what} row is out of shape: {name}: {words}") from None
            fields.pop(name, None)
            notes.append(f"left_out:{name}")
    if any(fields.get(name) in SUSPICIOUS_IDS for name in _IDS):
        notes.append("suspicious_id")
    return fields, tuple(notes)


def present_value(name: str, given: Any) -> Any:
    """Return a field's value as its field's type reads it; None: it counts as absent."""
    if is_absent(given) or (name in _UUIDS and given == NIL_UUID):
        return None
    if type(given) is list:
        return [item for item in given if not is_blank(item)] or None
    if type(given) is dict:
        if name in _BY_VENDOR:  # a misspelt vendor is one whatever is said about it
            return {vendor: None if is_blank(said) else said for vendor, said in given.items()}
        return {key: item for key, item in given.items() if not is_absent(item)}
    return id_text(given) if name in _IDS else given


def _shown(name: str, given: Any) -> str:
    """Return what a text reads: ``ingest`` writes why an expression failed in place of consent."""
    if name not in _BY_VENDOR or type(given) is not str:
        return ""
    return f': "{masked_text(given, limit=500)}"'


def _malformed_user(problem: str) -> InvalidRow:
    return InvalidRow(f"the user row is out of shape: {problem}")


def _unknown_vendor(field: str, vendor: str, vendors: Collection[str]) -> InvalidRow:
    return _malformed_user(
        f'{field}: "{masked_text(vendor)}" is no vendor; vendors are {", ".join(vendors)}'
    )
