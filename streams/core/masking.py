"""What people are shown of requests and records: enough to see what is wrong, and nobody's data.

Pure. Keys and personal data are left out by what a field is called and by what a text looks like;
ids of people show a short tag, fields that nobody listed show nothing.
"""

from base64 import b32encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

import msgspec

from streams.core.addresses import MASK, without_addresses
from streams.core.dead_letter import mask_secrets, masked_ip
from streams.core.strict_json import MAX_LEVELS

MAX_TEXT_CHARS = 200
MAX_NAMES = 5_000
MIN_NAME_CHARS = 6
"""Masking what is shorter would only garble the words."""
_TAG_CHARS = 4
"""20 bits: equal ids can be recognised, and among millions of ids many have the same tag."""

SHOWN = frozenset(
    {
        *("action", "type", "event_type", "status", "method", "code", "error", "errors", "reason"),
        *("sku", "skus", "product_id", "product_ids", "product_group_ids", "productSku"),
        *("productName", "category", "brand", "price", "currency", "quantity", "quantities"),
        *("timestamp", "createdDate", "schemaId", "locale", "region", "title"),
        *("event_id", "eventId", "uuid", "consent", "stage", "detail", "field", "msg", "loc"),
        *("message", "errorCode", "errorMessage", "data", "context", "interact", "payload"),
        *("source", "medium", "term", "content", "product", "page", "campaign"),
    }
)
"""Fields whose text is shown, e-mail addresses and IP addresses in it excepted."""
_IDS = frozenset(
    {"anonymous_id", "anonymousId", "user_id", "userId", "contact_id", "contactId", "visitor"}
)
_ADDRESSES = frozenset({"url", "referrer", "referer"})
_IPS = frozenset({"ip", "truncated_ip"})


def masked_id(text: str) -> str:
    """Return a short tag in place of a person's id, such as ``#k7f2``; equal ids have equal tags.

    It is the same in every worker and after every restart, and holds nothing of the id.
    """
    digest = blake2b(text.encode("utf-8", "replace"), digest_size=5, person=b"streams-tag").digest()
    return f"#{b32encode(digest).decode().lower()[:_TAG_CHARS]}"


def masked_text(text: str, secrets: Sequence[str] = (), limit: int = MAX_TEXT_CHARS) -> str:
    """Return text without secrets, e-mail addresses and the last part of IP addresses, cut."""
    text = without_addresses(mask_secrets(text[: 4 * limit], secrets))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def masked_url(text: str) -> str:
    """Return scheme, host and path; what follows can hold anything."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return MASK
    shown = f"{parts.scheme}://{host}{parts.path}" if host else parts.path
    return masked_text(shown) + ("?…" if parts.query or parts.fragment else "")


def masked_json(
    value: Any, secrets: Sequence[str] = (), field: str = "", levels: int = MAX_LEVELS
) -> Any:
    """Return a JSON value fit to be shown; of a list only the first few, of nesting ``levels``."""
    if type(value) in {dict, list} and not levels:
        return "…"
    if type(value) is dict:
        # Names of fields can be a stranger's, too.
        return {
            masked_text(str(name), secrets): masked_json(item, secrets, str(name), levels - 1)
            for name, item in value.items()
        }
    if type(value) is list:
        shown = [masked_json(item, secrets, field, levels - 1) for item in value[:5]]
        return [*shown, f"… {len(value) - 5:,} more"] if len(value) > 5 else shown
    if type(value) is not str:
        return (
            value if field in SHOWN or type(value) in {bool, type(None)} else _masked_number(value)
        )
    if field in _IPS:
        return masked_ip(value)
    if field in _ADDRESSES:
        return masked_url(value)
    if field in _IDS:
        return masked_id(value)
    return masked_text(value, secrets) if field in SHOWN else MASK


def masked_body(body: bytes, secrets: Sequence[str], limit: int) -> str:
    """Return a request's or an answer's body as text of at most ``limit`` characters."""
    if not body:
        return ""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = masked_text(body[: 4 * limit].decode("utf-8", "replace"), secrets, limit)
    else:
        text = msgspec.json.encode(masked_json(first_of_batch(value), secrets)).decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def names_in(value: Any) -> list[str]:
    """Return what a request says of people: texts of fields that are not to be shown.

    An answer that repeats them is masked by them.
    """
    found: list[str] = []
    _collect_names(value, "", found, MAX_LEVELS)
    return found


def _collect_names(value: Any, field: str, found: list[str], levels: int) -> None:
    if len(found) >= MAX_NAMES or not levels:
        return
    if type(value) is dict:
        for name, item in value.items():
            _collect_names(item, str(name), found, levels - 1)
    elif type(value) is list:
        for item in value:
            _collect_names(item, field, found, levels - 1)
    elif type(value) is str and field not in SHOWN and len(value) >= MIN_NAME_CHARS:
        found.append(value)


def first_of_batch(value: Any) -> Any:
    """Return a request that carries many events with the first of them only, and their number."""
    if type(value) is dict and type(value.get("data")) is list and len(value["data"]) > 1:
        more = len(value["data"]) - 1
        return value | {"data": [value["data"][0], f"… {more:,} more"]}
    return value


def _masked_number(value: Any) -> Any:
    return MASK if type(value) in {int, float} and abs(value) >= 1000 else value
