"""The rows that events are joined with; a row is decoded once while it stays the same."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from streams.core.consent import NO_TO_ALL, Malformed
from streams.core.rows import Product, User, decode_product, decode_user, strip_email
from streams.engine.tables import MALFORMED
from streams.vendors import VENDORS

CACHED_ROWS = 100_000


class JoinedRows:
    """Decoded rows of both tables, at most ``CACHED_ROWS`` of each."""

    def __init__(self) -> None:
        self._products: dict[bytes, tuple[Any, Product | None]] = {}
        self._users: dict[bytes, tuple[Any, User | Malformed | None]] = {}

    def user(self, rows: Mapping[bytes, Any], key: bytes) -> User | Malformed | None:
        """Return the visitor's row; None: there is none."""
        row = rows.get(key)
        if row is None:
            return None
        if row is MALFORMED:
            return NO_TO_ALL
        known = self._users.get(key)
        if known is not None and known[0] is row:
            return known[1]
        if len(self._users) >= CACHED_ROWS:
            self._users.clear()
        user = decode_user(row, VENDORS)
        self._users[key] = (row, user)
        return user

    def product(self, rows: Mapping[bytes, Any], product_id: str) -> Product | None:
        """Return the product's row; None: there is none, or it is malformed."""
        key = product_id.encode()
        row = rows.get(key)
        if row is None or row is MALFORMED:
            return None
        known = self._products.get(key)
        if known is not None and known[0] is row:
            return known[1]
        if len(self._products) >= CACHED_ROWS:
            self._products.clear()
        product = decode_product(row)
        self._products[key] = (row, product)
        return product


def admit_user(notes: Counter[str], *, keep_email: bool) -> Callable[[bytes], bytes]:
    """Return a function: row → what the table ``users`` keeps; InvalidRow if it is malformed.

    Values that were left out or corrected are counted in ``notes``.
    """

    def admit(value: bytes) -> bytes:
        user = decode_user(value, VENDORS)
        if user.notes:
            notes.update(_of_table("users", user.notes))
        if keep_email:
            return value
        return strip_email(value, VENDORS) if b"email" in value else value

    return admit


def admit_product(notes: Counter[str]) -> Callable[[bytes], bytes]:
    """Return a function: row → what the table ``products`` keeps; InvalidRow if it is malformed.

    Values that were left out or corrected are counted in ``notes``.
    """

    def admit(value: bytes) -> bytes:
        product = decode_product(value)
        if product.notes:
            notes.update(_of_table("products", product.notes))
        return value

    return admit


def _of_table(table: str, notes: Iterable[str]) -> Iterator[str]:
    """Yield ``left_out:price`` of a row as ``left_out:products.price``."""
    for note in notes:
        what, colon, field = note.partition(":")
        yield f"{what}:{table}.{field}" if colon else note
