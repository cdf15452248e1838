"""What the topics say of one raw record: read from the records that mention it. Pure."""

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from streams.core.json_decoder import json_decoder
from streams.core.receipts import decode_receipt
from streams.core.records import DeadLetter, Receipt, Source, VendorRecord
from streams.kafka.topic_search import FoundRecord
from streams.operations.ingest.trail import IngestTrail, read_trail


class RawRecord(NamedTuple):
    """The shop's record itself."""

    at_ms: int
    """Its Kafka time."""
    key: bytes | None
    value: bytes | None
    trail: IngestTrail | None = None
    """Of which record of the shop's own topics it was made; None: it is the shop's own."""


class ShopRecord(NamedTuple):
    """The record on the shop's own topic."""

    at_ms: int
    """Its Kafka time."""
    value: bytes | None


class SentRecord(NamedTuple):
    """A vendor record about it, on one of the two lanes."""

    place: Source
    at_ms: int
    record: VendorRecord
    source: Source
    is_redelivery: bool
    run_id: str | None
    consent: str


class Received(NamedTuple):
    """A receipt about it."""

    place: Source
    at_ms: int
    receipt: Receipt
    source: Source


class Lettered(NamedTuple):
    """A dead letter about it."""

    place: Source
    at_ms: int
    letter: DeadLetter
    source: Source


class Resolved(NamedTuple):
    """What somebody did about a dead letter."""

    place: Source
    at_ms: int
    resolves: str
    """The letter's place: topic-partition-offset."""
    action: str
    run_id: str | None


@dataclass(slots=True)
class TraceLane:
    """How far a stage has come on the partition."""

    committed: int | None = None
    """None: nothing is committed yet."""
    end: int = 0
    says: str = ""
    """How the stage is, in a sentence; empty where nobody has looked."""


@dataclass(slots=True)
class VendorFacts:
    """All that one vendor's topics say."""

    was_on: bool = True
    """Whether the vendor was on when enrichment read the record, or is on while it waits."""
    sent: list[SentRecord] = field(default_factory=list)
    receipts: list[Received] = field(default_factory=list)
    letters: list[Lettered] = field(default_factory=list)
    resolved: list[Resolved] = field(default_factory=list)
    row_says: str = ""
    """Of a skip for want of consent: what the visitor's row says today, in a sentence."""
    live: TraceLane = field(default_factory=TraceLane)
    redelivery: TraceLane = field(default_factory=TraceLane)

    @property
    def is_settled(self) -> bool:
        """Whether any receipt says what became of it."""
        return bool(self.receipts)


@dataclass(slots=True)
class EventFacts:
    """All that is known of one raw record."""

    source: Source
    raw: RawRecord | None = None
    """None: retention has deleted it."""
    shop: ShopRecord | None = None
    """Of which ``ingest`` made it, where it is still there."""
    letters: list[Lettered] = field(default_factory=list)
    """Enrichment's, of a record that is no event at all."""
    resolved: list[Resolved] = field(default_factory=list)
    enrich: TraceLane = field(default_factory=TraceLane)
    is_source_off: bool = False
    """Whether enrichment does not read its topic."""
    vendors: dict[str, VendorFacts] = field(default_factory=dict)

    @property
    def is_enriched(self) -> bool:
        """Whether enrichment is done with it."""
        return self.enrich.committed is not None and self.source.offset < self.enrich.committed


class _TracedResolution(msgspec.Struct, frozen=True):
    resolves: str
    action: str = ""
    run_id: str | None = None


_decode_record = json_decoder(VendorRecord)
_decode_letter = json_decoder(DeadLetter)
_decode_resolution = json_decoder(_TracedResolution)


def place_of(record: FoundRecord) -> Source:
    """Return where a record lies."""
    return Source(record.tp.topic, record.tp.partition, record.offset)


def read_sent(record: FoundRecord, *, is_redelivery: bool) -> SentRecord | None:
    """Return what a vendor record says; None where it is none."""
    headers = dict(record.headers)
    try:
        source = Source.parse(_text(headers.get("source")))
        value = _decode_record(record.value or b"")
    except ValueError:
        return None
    run_id = _text(headers.get("run-id")) or None
    consent = _text(headers.get("consent"))
    place = place_of(record)
    return SentRecord(place, record.timestamp, value, source, is_redelivery, run_id, consent)


def read_receipt(record: FoundRecord) -> Received | None:
    """Return what a receipt says; None where it is none."""
    try:
        receipt = decode_receipt(record.value or b"")
        source = Source.parse(receipt.source)
    except ValueError:
        return None
    return Received(place_of(record), record.timestamp, receipt, source)


def raw_of(record: FoundRecord) -> RawRecord:
    """Return a record of a raw topic."""
    return RawRecord(record.timestamp, record.key, record.value, read_trail(record.headers))


def read_letter(record: FoundRecord) -> Lettered | None:
    """Return what a dead letter says; None where it is none."""
    try:
        letter = _decode_letter(record.value or b"")
    except ValueError:
        return None
    source = Source(letter.source.topic, letter.source.partition, letter.source.offset)
    return Lettered(place_of(record), record.timestamp, letter, source)


def read_resolution(record: FoundRecord) -> Resolved | None:
    """Return what the note about a letter says; None where it is none."""
    try:
        note = _decode_resolution(record.value or b"")
    except ValueError:
        return None
    return Resolved(place_of(record), record.timestamp, note.resolves, note.action, note.run_id)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
