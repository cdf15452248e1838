"""What becomes of one of the shop's records: the closed list."""

from typing import NamedTuple

import msgspec

from streams.core.errors import InvalidEvent
from streams.core.records import TopicRecord
from streams.core.topics import Topics


class SourceRecord(msgspec.Struct, frozen=True, gc=False):
    """What sections need to know of a record of the shop beside its value."""

    kafka_ms: int
    repaired: bool
    """As ``Decoded.repaired`` of its value."""


class IngestRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to be written to one of our raw topics or tables."""

    section: str
    to: str
    """As in ``[ingest.NAME] to``."""
    key: bytes
    value: bytes | None
    """None: a tombstone."""
    element: int | None = None
    """The number of the element of ``each`` of which it is made."""
    notes: tuple[str, ...] = ()
    """What was corrected or left out, as for events."""


class IngestRefusal(NamedTuple):
    """A record, or an element of it, that becomes a dead letter."""

    section: str
    error: InvalidEvent
    element: int | None = None
    event_id: str | None = None
    is_whole: bool = False
    """The record could not be read, so no section has seen it. It is counted for the topic's first
    section."""


class Unmapped(NamedTuple):
    """No section's ``when`` was true, or a section's ``each`` gave nothing."""

    section: str
    """For a record that no section takes: the topic's first, so that it is counted once."""


class SkippedRecord(NamedTuple):
    """Nothing is written for the record, and nothing is wrong."""

    reason: str


IngestOutcome = IngestRecord | IngestRefusal | Unmapped | SkippedRecord


def written_record(topics: Topics, source: TopicRecord, made: IngestRecord) -> TopicRecord:
    """Return what is written of a record of the shop; its place is that of the record."""
    return TopicRecord(
        topics.of_shop(made.to),
        source.partition,
        source.offset,
        source.timestamp,
        made.key,
        made.value,
    )
