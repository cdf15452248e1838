"""Dead letters: built, masked and cut to size."""

import base64
import hashlib
import ipaddress
import json
import re
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from streams.core.addresses import MASK, without_addresses
from streams.core.fields import FieldMap
from streams.core.records import DeadLetter, Origin
from streams.core.strict_json import StrictJsonError, decode_fields, may_have_many_values
from streams.core.values import id_text, is_blank

MAX_LETTER_BYTES = 256 * 1024
MAX_ANSWER_CHARS = 2_000
MAX_DETAIL_CHARS = 1_000
MAX_KEY_BYTES = 64 * 1024
MIN_SECRET_CHARS = 4

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""No letter or digit that is easily taken for another."""
_FINGERPRINT_CHARS = 8
_MAX_EVENT_ID_CHARS = 128

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_letter = msgspec.json.Decoder(DeadLetter).decode
_decode_text = msgspec.json.Decoder(str).decode
_MAX_SHOWN_IPS = 100
"""Of one record: what is no address takes microseconds to tell."""
_MAX_ESCAPE = len(r"\u0000")
_BASE64_BYTES = 16
"""What stands around the text of bytes that are no UTF-8."""


class _Named(msgspec.Struct):
    event_id: Any = None


_decode_named = msgspec.json.Decoder(_Named).decode


def fingerprint(reason: str, field: str | None = None, vendor_message: str | None = None) -> str:
    """Return eight characters that are equal for equal causes.

    A cause is the reason, the field, and the vendor's message without the values in it.
    """
    cause = "\0".join((reason, field or "", without_values(vendor_message or "").lower()))
    number = int.from_bytes(hashlib.blake2s(cause.encode(), digest_size=8).digest(), "big")
    letters = []
    for _ in range(_FINGERPRINT_CHARS):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\([^()]*\)""")
_DIGIT = re.compile(r"[0-9]")


def without_values(message: str) -> str:
    """Return a vendor's message without what differs from event to event.

    That is what stands in quotes or parentheses, and each word with a digit: ids, times, numbers.
    """
    words = _QUOTED.sub("#", message[:MAX_ANSWER_CHARS]).split()
    return " ".join("#" if _DIGIT.search(word) else word for word in words)


def mask_secrets(text: str, secrets: Sequence[str]) -> str:
    """Return the text with each of the secret values replaced by ``***``.

    What is shorter than a key can be is left: masking it would only garble the words.
    """
    keys = (secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS)
    for secret in sorted(keys, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def build_dead_letter(
    *,
    stage: str,
    reason: str,
    detail: str,
    source: Origin,
    record: bytes | None,
    at: str,
    attempts: int = 0,
    field: str | None = None,
    vendor: str | None = None,
    event_id: str | None = None,
    status: int | None = None,
    answer: str | None = None,
    vendor_message: str | None = None,
    cause: str = "",
    secrets: Sequence[str] = (),
    fields: FieldMap | None = None,
    section: str | None = None,
    element: int | None = None,
    addresses: Collection[str] = (),
) -> DeadLetter:
    """Return the letter, cut so that it encodes to at most ``MAX_LETTER_BYTES``.

    ``record`` is the raw or vendor record as it lies on its topic. ``vendor_message`` is what the
    vendor said of this very event; the fingerprint is made of it, or else of the answer, or of
    ``cause``, which tells faults of the same field apart. Without ``event_id`` the record's own is
    taken where it has one, under the name that ``fields``, the topic's field map, gives it.
    ``addresses`` are texts in the record that are masked as an ``ip`` is.
    """
    raw = record or b""
    text, found_id = _readable(raw, fields, addresses)
    letter = DeadLetter(
        stage=stage,
        reason=str(reason),
        detail=_readers_text(detail, secrets)[:MAX_DETAIL_CHARS],
        fingerprint=fingerprint(reason, field, vendor_message or answer or cause),
        attempts=attempts,
        at=at,
        source=source,
        record="",
        record_bytes=len(raw),
        event_id=event_id or found_id,
        vendor=vendor,
        section=section,
        element=element,
        status=status,
        answer=None if answer is None else _readers_text(answer, secrets)[:MAX_ANSWER_CHARS],
    )
    room = MAX_LETTER_BYTES - len(_encode(letter))
    kept: str | dict[str, str]
    if text is None:
        kept = {"base64": base64.b64encode(raw[: (room - _BASE64_BYTES) // 4 * 3]).decode()}
    else:
        kept = _cut(text, room)
    return msgspec.structs.replace(letter, record=kept)


def _readers_text(text: str, secrets: Sequence[str]) -> str:
    # Cut first: a stranger's text can be long, and what is looked for has no fixed place in it.
    return without_addresses(mask_secrets(text[: 4 * MAX_ANSWER_CHARS], secrets))


def letter_key(key: bytes | None) -> bytes | None:
    """Return the key of a letter: the record's own, cut where a stranger's would fit no batch."""
    return None if key is None else key[:MAX_KEY_BYTES]


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Return the letter as it is written to its topic."""
    return _encode(letter)


def shorten_letter(value: bytes, size: int) -> bytes | None:
    """Return an encoded letter whose ``record`` is cut so that it has at most ``size`` bytes.

    None where it cannot be made as small as that.
    """
    letter = _decode_letter(value)
    room = size - len(_encode(msgspec.structs.replace(letter, record="")))
    if room < 0:
        return None
    kept: str | dict[str, str]
    if isinstance(letter.record, str):
        kept = _cut(letter.record, room)
    else:
        kept = {"base64": letter.record["base64"][: max(0, room - _BASE64_BYTES) // 4 * 4]}
    return _encode(msgspec.structs.replace(letter, record=kept))


def _cut(text: str, room: int) -> str:
    """Return the longest beginning whose JSON string, without its quotes, fits ``room`` bytes."""
    text = text[:room]
    encoded = _encode(text)[1:-1]
    if len(encoded) <= room:
        return text
    # No further back than the longest escape that the cut may go through.
    for end in range(room, max(0, room - _MAX_ESCAPE), -1):
        try:
            return _decode_text(b'"' + encoded[:end] + b'"')
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return ""


def _readable(
    raw: bytes, fields: FieldMap | None, addresses: Collection[str]
) -> tuple[str | None, str | None]:
    """Return the record as text with its ip masked, and the event id it names.

    The text is None where the bytes are no UTF-8.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None, None
    may_hold_ip = b'"ip"' in raw or b"\\u" in raw or (fields is not None and fields.maps("ip"))
    may_hold_ip = may_hold_ip or bool(addresses)
    maps_id = fields is not None and fields.maps("event_id")
    try:
        if may_have_many_values(raw):
            return _readable_of_many(raw, text, fields)
        if not may_hold_ip and not maps_id:
            return text, _event_id(_decode_named(raw).event_id)
        document = _decode(raw)
        if type(document) is not dict:
            return text, None
        mapped = fields.value_of("ip", document) if fields is not None else None
        named = document.get("event_id")
        if fields is not None and maps_id:
            named = fields.value_of("event_id", document)
        shown = {*addresses, mapped} if type(mapped) is str else addresses
        if may_hold_ip and _mask_addresses(document, shown):
            text = _written(document)
    except (StrictJsonError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Damaged or nested too deep: what still looks like our field is masked as it stands.
        found = _ID_FIELD.search(text)
        return _masked_text(text), found and _event_id(found[1])
    return text, _event_id(named)


def _readable_of_many(
    raw: bytes, text: str, fields: FieldMap | None
) -> tuple[str | None, str | None]:
    """Return what ``_readable`` does of a record that may have too many values to look at each.

    The text is empty where the map's ip is found only by reading all of them.
    """
    text = _masked_text(text)
    maps_ip = fields is not None and fields.maps("ip")
    id_names = _names_of("event_id", fields)
    ip_names = _names_of("ip", fields) if maps_ip else frozenset()
    names = (id_names or frozenset()) | (ip_names or frozenset())
    record = decode_fields(raw, sorted(names)).value
    event_id = _event_id(_read_alone("event_id", id_names, record, fields))
    if maps_ip:
        ip = _read_alone("ip", ip_names, record, fields)
        if type(ip) is StrictJsonError:
            return "", event_id
        if type(ip) is str and ip:
            text = text.replace(_encode(ip).decode(), f'"{MASK}"')
    return text, event_id


def _names_of(field: str, fields: FieldMap | None) -> frozenset[str] | None:
    """Return of which fields of a record ours is made; None: of the record as a whole."""
    if fields is None or not fields.maps(field):
        return frozenset({field})
    return fields.names_read((field,))


def _read_alone(
    field: str, names: frozenset[str] | None, record: dict[str, Any], fields: FieldMap | None
) -> Any:
    """Return a field of a record; StrictJsonError where it is made of too many values."""
    if names is None:
        return StrictJsonError("made of the record as a whole")
    for name in names:
        if type(record.get(name)) is StrictJsonError:
            return record[name]
    if fields is None or not fields.maps(field):
        return record.get(field)
    return fields.value_of(field, record)


def _masked_text(text: str) -> str:
    """Return JSON with each value named ``ip`` masked as it stands."""
    return _IP_FIELD.sub(f'"ip":"{MASK}"', text)


def _written(document: Any) -> str:
    try:
        return _encode(document).decode()
    except OverflowError:
        # The standard library writes integers of any size.
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _event_id(value: Any) -> str | None:
    event_id = id_text(value)
    if type(event_id) is not str or is_blank(event_id) or len(event_id) > _MAX_EVENT_ID_CHARS:
        return None
    return event_id


_ID_FIELD = re.compile(r'"event_id"\s{0,9}:\s{0,9}"([^"\\]{1,128})"')
_IP_FIELD = re.compile(
    r'"(?:ip|i\\u0070|\\u0069p|\\u0069\\u0070)"\s{0,9}:\s{0,9}'
    r'(?:"(?:[^"\\]++|\\.)*+"?|\[[^\]]*+\]?|\{[^}]*+\}?|[^\s,}\]]++)'
)


def _mask_addresses(document: Any, mapped: Collection[str]) -> bool:
    """Mask, in place, each value named ``ip`` and each of ``mapped``; return if any was."""
    found = 0
    open_values = [document]
    while open_values:
        value = open_values.pop()
        for key, item in value.items() if type(value) is dict else enumerate(value):
            if (key == "ip" and item is not None) or (type(item) is str and item in mapped):
                value[key] = masked_ip(item) if found < _MAX_SHOWN_IPS else MASK
                found += 1
            elif type(item) in {dict, list}:
                open_values.append(item)
    return found > 0


def masked_ip(value: object) -> str:
    """Return an IPv4 address with the last octet 0, ``::`` for IPv6, and a mask for all else."""
    try:
        address = ipaddress.ip_address(value if type(value) is str else "")
    except ValueError:
        return MASK
    return f"{str(address).rpartition('.')[0]}.0" if address.version == 4 else "::"
