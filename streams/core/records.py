"""The records that the relay reads and writes: vendor records, receipts and dead letters."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec


class Source(NamedTuple):
    """Where a raw record lies; its text form is the header ``source``."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Parse the text form; raises ValueError."""
        topic, partition, offset = text.rsplit("/", 2)
        return cls(topic, int(partition), int(offset))


class TopicRecord(NamedTuple):
    """A record as it lies on a topic; aiokafka's records have these attributes, too."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Its Kafka time in ms."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class VendorRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One event, mapped for one vendor: the value of a ``vendor.<v>.events`` record."""

    event_id: str
    event_type: str
    """``click``, ``add_to_cart``, ``order``, ``content_view`` or ``event``."""
    timestamp: str
    """When it happened in the shop: RFC 3339 UTC, milliseconds, ``Z``."""
    anonymous_id: str
    payload: Any
    """What the vendor receives; readers that only pass it on decode it as ``msgspec.Raw``."""
    contact: dict[str, str] | None = None
    """Voyado only: the key to look the contact up by."""


VISITOR = "visitor"
"""Header of a receipt with a ``vendor_ref``: the visitor's id, for ``streams forget``."""


SECTION = "section"
"""Header of a raw record of the stage ``ingest``: NAME of ``[ingest.NAME]``, or ``NAME/0``."""


OWN_KEY = "own-key"
"""Header of a vendor record: ``Event.own_key``, to recognise duplicates after a restart."""


MOVED = "moved"
"""Header of what ``streams topics rekey`` writes to ``shop.users`` for a key with a new partition.

With a row: a copy on the new partition, which never replaces a row that is there. Without a row: it
removes the row from the old partition, and the visitor is not forgotten."""


def is_moved(headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Return whether a row or tombstone was written by ``streams topics rekey``."""
    return any(name == MOVED for name, _ in headers)


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The outcome of one event at one vendor."""

    event_id: str
    outcome: str
    at: str
    attempts: int
    """Requests that carried it; 0 if enrichment decided."""
    source: str
    lane: str
    """``live`` or ``redelivery``."""
    position: int | None
    """Offset of the vendor record; None if enrichment decided. Always written."""
    reason: str | None = None
    status: int | None = None
    vendor_ref: str | None = None
    run_id: str | None = None
    detail: str | None = None
    """For ``no_consent``: why (``core.consent.NoConsent``)."""


class Origin(msgspec.Struct, frozen=True):
    """Where the raw record of a dead letter lies, and its Kafka time in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record that could not be delivered, with the reason."""

    stage: str
    """``ingest``, ``enrich`` or ``deliver``."""
    reason: str
    detail: str
    fingerprint: str
    """Equal for equal causes; short enough to type."""
    attempts: int
    at: str
    source: Origin
    record: str | dict[str, str]
    """As text, or ``{"base64": …}`` if the bytes are not UTF-8; cut to fit."""
    record_bytes: int
    """Size of the whole record."""
    event_id: str | None = None
    vendor: str | None = None
    status: int | None = None
    answer: str | None = None
    """The vendor's words, at most 2,000 characters, secrets masked."""
    section: str | None = None
    """Stage ``ingest``: NAME of ``[ingest.NAME]``; None if the record could not be read."""
    element: int | None = None
    """Stage ``ingest``: the number of the element of ``each``, if it is about one."""
