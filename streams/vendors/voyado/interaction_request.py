"""A vendor record read back: what the sink knows of an interaction before it is sent."""

from typing import Any, NamedTuple

import msgspec

from streams.core.times import to_ms


class Body(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """The body of a POST; in the order of the mapping's."""

    schema_id: str
    created_date: str
    payload: dict[str, Any]
    contact_id: str | None = None


class _InteractionRecord(msgspec.Struct, frozen=True, gc=False):
    event_id: str
    event_type: str
    timestamp: str
    payload: Body
    contact: dict[str, str] | None = None


SCHEMA_SETTINGS = {"click": "click_schema_id", "add_to_cart": "add_to_cart_schema_id"}
"""By event type; that of a named event stands in its own section."""


class InteractionRequest(NamedTuple):
    """One interaction that is to be stored."""

    event_id: str
    event_type: str
    at_ms: int
    body: Body
    key: str
    """``customKey`` or ``email``; empty where the contact id is known."""
    value: str

    @property
    def is_click(self) -> bool:
        """Whether it is one of those that are thinned."""
        return self.event_type == "click"

    @property
    def schema_setting(self) -> str:
        """The setting that names its schema."""
        return SCHEMA_SETTINGS.get(self.event_type, "[events.NAME] voyado_schema_id")

    @property
    def sku(self) -> str:
        """The SKU, by which clicks are thinned."""
        return str(self.body.payload.get("productSku", ""))


_decode = msgspec.json.Decoder(_InteractionRecord).decode
_encode = msgspec.json.Encoder().encode


def read_interaction(record: bytes) -> InteractionRequest:
    """Return what a vendor record asks for; raises ValueError where it is none of ours."""
    try:
        found = _decode(record)
    except UnicodeDecodeError as error:
        raise ValueError("no UTF-8") from error
    key, value = next(iter((found.contact or {"": ""}).items()))
    if not found.payload.contact_id and not (key and value):
        raise ValueError("neither contactId nor a key to look it up by")
    return InteractionRequest(
        found.event_id,
        found.event_type,
        to_ms(found.timestamp),
        found.payload,
        "" if found.payload.contact_id else key,
        "" if found.payload.contact_id else value,
    )


def encode_body(body: Body, contact_id: str, unlisted: list[str]) -> bytes:
    """Return the body for this contact, without the properties that the schema does not have."""
    payload = {name: value for name, value in body.payload.items() if name not in unlisted}
    return _encode(Body(body.schema_id, body.created_date, payload, contact_id))
