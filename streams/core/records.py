"""The records this project writes: vendor records, receipts and dead letters."""

from collections.abc import Iterable
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
        """Read the text form back; raises ValueError where it is none."""
        topic, partition, offset = text.rsplit("/", 2)
        return cls(topic, int(partition), int(offset))


class VendorRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One event, mapped for one vendor: the value of a ``vendor.<v>.events`` record."""

    event_id: str
    event_type: str
    """``click`` or ``add_to_cart``."""
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
"""Header of a raw record that the stage ``ingest`` has written: NAME of ``[ingest.NAME]``."""


OWN_KEY = "own-key"
"""Header of a vendor record: ``Event.own_key``, by which a repeat is told after a restart."""


MOVED = "moved"
"""Header of what ``streams topics rekey`` writes to ``shop.users``, where a key has got another
partition. With a row: a copy for the new partition, which yields to whatever is there already.
Without one: takes the row off the old partition; the visitor is not forgotten."""


def is_moved(headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Return whether a row or tombstone was written by ``streams topics rekey``."""
    return any(name == MOVED for name, _ in headers)


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The fate of one event at one vendor."""

    event_id: str
    outcome: str
    at: str
    attempts: int
    """Requests made for it; 0 where enrichment decided."""
    source: str
    lane: str
    """``live`` or ``redelivery``."""
    position: int | None
    """Offset of the vendor record, or None for a skip decided in enrichment; always written."""
    reason: str | None = None
    status: int | None = None
    vendor_ref: str | None = None
    run_id: str | None = None
    detail: str | None = None
    """Of ``no_consent``: which (``core.consent.NoConsent``)."""


class Origin(msgspec.Struct, frozen=True):
    """Where a dead letter's raw record lies and its Kafka time in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event given up on, with its reason and the record itself."""

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
    """Text, or ``{"base64": …}`` where the bytes are no UTF-8; cut to fit."""
    record_bytes: int
    """Size of the whole record."""
    event_id: str | None = None
    vendor: str | None = None
    status: int | None = None
    answer: str | None = None
    """The vendor's words, at most 2,000 characters, secrets masked."""
    section: str | None = None
    """Of stage ``ingest``: NAME of ``[ingest.NAME]``; None where the record could not be read."""
    element: int | None = None
    """Of stage ``ingest``: the number of the element of ``each``, where one is meant."""
