"""Which visitor a user or an order belongs to: the newest of the rows that say so.

Rows of ``shop.users`` say it of users, rows of ``shop.visitors`` of orders and users. The newest
row of a key counts, whatever their times; of several visitors of a user the newest by Kafka time.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from streams.core.event_types import Id
from streams.core.records import is_moved
from streams.core.rows import InvalidRow, decode_user
from streams.core.topics import LINK_DAYS
from streams.core.values import SUSPICIOUS_IDS, is_blank

MAX_VISITORS = 1_000
"""An id with more visitors belongs to no single person, and finds nobody."""
_LINK_MS = LINK_DAYS * 24 * 60 * 60 * 1000
_OF_LINKS = b"\xff"
"""Before keys of ``shop.visitors``: since it is in no UTF-8, none is a key of ``shop.users``."""


class Link(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A row of ``shop.visitors``: an order or a user, and the visitor."""

    anonymous_id: Id
    timestamp: int
    """When the visitor had it, in ms."""
    order_id: Id | None = None
    user_id: Id | None = None
    """Only where there is no ``order_id``."""

    def key(self) -> bytes:
        """Return its Kafka key: one for each order, and one for each visitor who is a user."""
        if self.order_id is not None:
            return f"order_id:{self.order_id}".encode()
        return _visitors_key(self.anonymous_id)


_decode = msgspec.json.Decoder(Link).decode


def decode_link(value: bytes | None) -> Link | None:
    """Return the row; None: it is a tombstone, or none of ours."""
    try:
        return None if value is None else _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def names_visitor(value: bytes | None, visitor: str) -> bool:
    """Return whether a row of ``shop.visitors`` is about this visitor."""
    link = decode_link(value)
    return link is not None and link.anonymous_id == visitor


class _TableRecord(Protocol):
    """A record of one of the two topics, whoever read it."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int: ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class _Said(NamedTuple):
    """What one row says."""

    of: str
    """The user or order: the field, ``:`` and the id."""
    visitor: str
    at: tuple[int, int]
    """Kafka time in ms, and offset."""
    partition: int


class VisitorIndex:
    """Both topics in memory; rows are given in the order of each partition."""

    def __init__(self, vendors: Collection[str]) -> None:
        """``vendors`` are those that a user row's consent may name."""
        self._vendors = vendors
        self._rows: dict[bytes, _Said] = {}
        self._said_by: dict[str, bytes | set[bytes]] = {}
        """User or order → the keys of the rows that name its visitor."""
        self._forgotten: dict[str, int] = {}
        """Visitor → Kafka time of the newest tombstone, in ms."""
        self._orders: dict[bytes, int] = {}
        """The keys of rows about orders in the order in which they came, with their Kafka times."""
        self._links = 0

    def apply_user(self, partition: int, record: _TableRecord, came_ms: int | None = None) -> None:
        """Apply a record of ``shop.users``; ``came_ms`` counts instead of its Kafka time."""
        key, value = record.key, record.value
        ms = record.timestamp if came_ms is None else came_ms
        visitor = _text(key)
        if key is None or visitor is None:
            return
        moved = is_moved(record.headers) if record.headers else False
        if value is None and not moved:
            self._forgotten[visitor] = max(ms, self._forgotten.get(visitor, ms))
        old = self._rows.get(key)
        if old is not None and old.partition != partition:
            # Where partitions were added, a row and its copy, of the same time, lie on two.
            if (value is None and moved) or (ms, moved) <= (old.at[0], False):
                return
        elif old is not None and moved and value is not None:
            return  # a copy yields to what is there
        self._put(key, self._of_user(visitor, value, (ms, record.offset), partition))

    def apply_link(self, partition: int, record: _TableRecord, came_ms: int | None = None) -> None:
        """Apply a record of ``shop.visitors``; ``came_ms`` counts instead of its Kafka time."""
        if record.key is None:
            return
        key = _OF_LINKS + record.key
        ms = record.timestamp if came_ms is None else came_ms
        link, said = decode_link(record.value), None
        if link is not None and _is_one(link.anonymous_id):
            name = "order_id" if link.order_id is not None else "user_id"
            at = min(link.timestamp, ms), record.offset
            said = _said(name, getattr(link, name), link.anonymous_id, at, partition)
        self._put(key, said)
        self._orders.pop(key, None)
        if said is not None and record.key.startswith(b"order_id:"):
            self._orders[key] = ms
            self._drop_orders(before_ms=ms - _LINK_MS)

    def find(self, name: str, id_: str) -> str | None:
        """Return the newest visitor of a ``user_id`` or ``order_id``; None: none is known.

        A visitor who was forgotten after the row was written does not count; nor does one whose
        newest row is another user's.
        """
        found = self._said_by.get(f"{name}:{id_}", set())
        keys = found if isinstance(found, set) else {found}
        if len(keys) > MAX_VISITORS:
            return None
        known = [said for said in map(self._rows.__getitem__, keys) if self._counts(said)]
        newest = max(known, key=lambda said: (said.at, said.visitor), default=None)
        return None if newest is None else newest.visitor

    @property
    def links(self) -> int:
        """How many rows of ``shop.visitors`` are in memory."""
        return self._links

    @property
    def users(self) -> int:
        """How many visitors are users, by ``shop.users``."""
        return len(self._rows) - self._links

    def _counts(self, said: _Said) -> bool:
        if said.at[0] <= self._forgotten.get(said.visitor, -1):
            return False
        if said.of.startswith("order_id:"):
            return True
        keys = said.visitor.encode(), _OF_LINKS + _visitors_key(said.visitor)
        others = (self._rows.get(key) for key in keys)
        return not any(one and one.of != said.of and one.at > said.at for one in others)

    def _of_user(
        self, visitor: str, value: bytes | None, at: tuple[int, int], partition: int
    ) -> _Said | None:
        if value is None or not _is_one(visitor):
            return None
        try:
            return _said(
                "user_id", decode_user(value, self._vendors).user_id, visitor, at, partition
            )
        except InvalidRow:
            return None  # the visitor says no to all

    def _put(self, key: bytes, said: _Said | None) -> None:
        old = self._rows.pop(key, None)
        is_link = key[:1] == _OF_LINKS
        self._links += is_link * ((said is not None) - (old is not None))
        if old is not None:
            keys = self._said_by[old.of]
            if isinstance(keys, bytes):
                del self._said_by[old.of]
            else:
                keys.remove(key)
                if len(keys) == 1:
                    self._said_by[old.of] = keys.pop()
        if said is not None:
            self._rows[key] = said
            keys = self._said_by.setdefault(said.of, key)
            if isinstance(keys, set):
                keys.add(key)
            elif keys != key:
                self._said_by[said.of] = {keys, key}

    def _drop_orders(self, before_ms: int) -> None:
        """Forget orders as old as those that the topic does not keep."""
        while self._orders:
            key, ms = next(iter(self._orders.items()))
            if ms >= before_ms:
                return
            del self._orders[key]
            self._put(key, None)


def id_in(fields: Mapping[str, Any], name: str) -> str | None:
    """Return the id that a visitor is looked up by; None: there is none that can be one."""
    id_ = fields.get(name)
    return id_ if type(id_) is str and _is_one(id_) else None


def _is_one(id_: str) -> bool:
    """Return whether an id can be one person's or order's."""
    return not is_blank(id_) and id_ not in SUSPICIOUS_IDS and "\ufffd" not in id_


def _said(
    name: str, id_: str | None, visitor: str, at: tuple[int, int], partition: int
) -> _Said | None:
    return (
        None if id_ is None or not _is_one(id_) else _Said(f"{name}:{id_}", visitor, at, partition)
    )


def _visitors_key(visitor: str) -> bytes:
    return f"anonymous_id:{visitor}".encode()


def _text(key: bytes | None) -> str | None:
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        return None
