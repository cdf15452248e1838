"""Rows of the tables ``users`` and ``products``, decoded at each look-up."""

from typing import Annotated

import msgspec
from msgspec import Meta

from streams.core.errors import StreamsError
from streams.core.events import Id, Price

_Guid = Annotated[
    str,
    Meta(
        pattern=r"^(?:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})?\Z"
    ),
]
_MaybeId = Annotated[str, Meta(max_length=512)]


class InvalidRow(StreamsError, ValueError):
    """A table row out of shape: a user says no to every vendor, a product counts as absent."""


class User(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What the shop knows of a visitor; an empty string counts as absent."""

    user_id: _MaybeId | None = None
    contact_id: _Guid | None = None
    """Voyado Engage's id of the contact."""
    custom_key: _MaybeId | None = None
    email: _MaybeId | None = None
    consent: dict[str, bool | None] | None = None
    updated_at: str | int | None = None


class Product(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A product of the shop's catalogue; an empty string counts as absent."""

    sku: Id
    product_group_id: _MaybeId | None = None
    name: str | None = None
    brand: str | None = None
    category: list[str] | None = None
    """From broad to narrow."""
    price: Price | None = None
    currency: str | None = None


MALFORMED_USER = b"null"
"""What is kept of a user row that is out of shape where e-mails are not: it says no to all."""

_decode_user = msgspec.json.Decoder(User).decode
_decode_product = msgspec.json.Decoder(Product).decode
_encode = msgspec.json.Encoder().encode
_PROBLEMS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_user(value: bytes) -> User:
    """Return the row; raises InvalidRow."""
    try:
        if not value.isascii():
            value.decode()
        return _decode_user(value)
    except _PROBLEMS as problem:
        raise InvalidRow(f"the user row is out of shape: {problem}") from None


def decode_product(value: bytes) -> Product:
    """Return the row; raises InvalidRow."""
    try:
        if not value.isascii():
            value.decode()
        return _decode_product(value)
    except _PROBLEMS as problem:
        raise InvalidRow(f"the product row is out of shape: {problem}") from None


def strip_email(value: bytes) -> bytes:
    """Return the user row without its e-mail, and without fields that are none of ours.

    A row out of shape becomes ``MALFORMED_USER``: its text might hold an address anywhere.
    """
    try:
        user = decode_user(value)
    except InvalidRow:
        return MALFORMED_USER
    return _encode(msgspec.structs.replace(user, email=None))
