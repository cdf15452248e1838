"""What becomes of one of the shop's records: the closed list."""

from typing import NamedTuple

import msgspec

from streams.core.errors import InvalidEvent
from streams.core.strict_json import Decoded


class SourceRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as it lies on the shop's topic, its value decoded."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    kafka_ms: int
    value: Decoded | None
    """None: the record has no value."""


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
    """What was put right or left out, as of events."""


class IngestRefusal(NamedTuple):
    """A record, or an element of it, that becomes a dead letter."""

    section: str
    error: InvalidEvent
    element: int | None = None
    event_id: str | None = None
    is_whole: bool = False
    """The record could not be read at all, so no section has had a look at it; ``section`` is the
    topic's first, under which it counts."""


class Unmapped(NamedTuple):
    """No section's ``when`` was true, or a section's ``each`` gave nothing."""

    section: str
    """Of records that no section took the first section of the topic: in sums they count once."""


class SkippedRecord(NamedTuple):
    """The record gives nothing, and need not."""

    reason: str


IngestOutcome = IngestRecord | IngestRefusal | Unmapped | SkippedRecord
