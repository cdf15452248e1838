"""Topics in memory, as a relay of two vendors would leave them, and the audit over them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from streams.core.records import DeadLetter, Origin, Receipt
from streams.operations.audit.books import Books
from streams.operations.audit.decode import OnRanges, read_letter, read_receipt
from streams.operations.audit.logs import RawLog, VendorLog
from streams.operations.audit.report import AuditReport

CLICKS, CARTS = "shop.clicks", "shop.add-to-carts"
SOURCE_MS = 10**14
"""What a dead letter says of its raw record's Kafka time: none of these logs begins later."""


def receipt(source: str, outcome: str, position: int | None, **more: Any) -> Receipt:
    """Return a receipt as a sink or enrichment writes it."""
    fields: dict[str, Any] = {
        "event_id": f"e-{source}",
        "at": "2026-05-01T08:00:00.000Z",
        "attempts": 1,
    }
    return Receipt(
        **(fields | {"lane": "live"} | more), source=source, outcome=outcome, position=position
    )


def letter(source: str, stage: str, reason: str) -> DeadLetter:
    """Return a dead letter about the raw record of this source."""
    topic, partition, offset = source.split("/")
    return DeadLetter(
        stage=stage,
        reason=reason,
        detail="price: must not be negative",
        fingerprint="f1",
        attempts=0,
        at="2026-05-01T08:00:00.000Z",
        source=Origin(topic, int(partition), int(offset), SOURCE_MS),
        record="{}",
        record_bytes=2,
    )


@dataclass
class Logs:
    """One partition of each topic and one vendor; offsets are keys, so that logs can have gaps."""

    raw: dict[str, dict[int, int]] = field(default_factory=lambda: {CLICKS: {}, CARTS: {}})
    """Topic → offset → Kafka time in ms."""
    raw_start: int = 0
    raw_end: dict[str, int] = field(default_factory=dict)
    """None given: one beyond the last record."""
    later_end: dict[str, int] = field(default_factory=dict)
    enrich_committed: dict[str, int | None] = field(default_factory=dict)
    on: dict[str, list[tuple[int, int | None]]] | None = None
    on_since: int = 0
    told: dict[str, int] = field(default_factory=dict)
    """What enrichment's commit of the first topic says of expired records."""
    sink_told: int = 0
    sink_gaps: Sequence[tuple[int, int, int]] = ()
    records: dict[int, str] = field(default_factory=dict)
    """Position → source."""
    records_start: int = 0
    sink_committed: int | None = None
    receipts: list[Receipt] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    enrich_letters: list[DeadLetter] = field(default_factory=list)
    since_ms: int | None = None
    raw_trimmed: int = 0
    events_end: int | None = None

    def audit(self) -> AuditReport:
        """Run the book-keeping over these logs as the scan over Kafka does."""
        raw = {}
        for topic, log in self.raw.items():
            end = self.raw_end.get(topic, max(log, default=-1) + 1)
            raw[topic, 0] = RawLog(
                log_start=self.raw_start,
                start=self.raw_start,
                end=end,
                later_end=self.later_end.get(topic, end),
                committed=self.enrich_committed.get(topic),
                on=None if self.on is None else OnRanges(self.on, self.on_since),
                told=self.told if topic == CLICKS else {},
            )
        end = max(self.records, default=self.records_start - 1) + 1
        end = end if self.events_end is None else self.events_end
        vendor = VendorLog(
            log_start=self.records_start,
            start=self.records_start,
            end=end,
            later_end=end,
            committed=self.sink_committed,
            redelivery_committed=5,
            told=self.sink_told,
            gaps=self.sink_gaps,
        )
        books = Books(raw, {"miso": {0: vendor}}, since_ms=self.since_ms, keep_ids=True)
        for topic, log in self.raw.items():
            for offset, timestamp in sorted(log.items()):
                books.raw_record(topic, 0, offset, timestamp)
            books.raw_trimmed(topic, 0, self.raw_trimmed)
        for position, source in sorted(self.records.items()):
            books.vendor_record("miso", 0, position, source)
        for offset, written in enumerate(self.receipts):
            books.receipt("miso", 0, offset, read_receipt(msgspec.json.encode(written)))
        for offset, kept in enumerate(self.letters):
            facts = read_letter(msgspec.json.encode(kept))
            assert facts is not None
            books.dead_letter("miso", 0, offset, facts)
        for offset, kept in enumerate(self.enrich_letters):
            facts = read_letter(msgspec.json.encode(kept))
            assert facts is not None
            books.dead_letter(None, 0, offset, facts)
        return books.report()


def numbers(report: AuditReport) -> dict[str, int]:
    """Return every number of a report that is not 0, flat, so that two reports can be compared."""
    (books,) = report.vendors
    flat = {f"dead_lettered.{k}": n for k, n in books.dead_lettered.items()}
    flat |= {f"skipped.{k}": n for k, n in books.skipped.items()}
    flat["enrich_letters"] = report.enrich_letters
    flat["enrich_unexplained"] = report.unexplained
    for name in books.__slots__:
        value = getattr(books, name)
        if isinstance(value, int):
            flat[name] = value
    return {name: n for name, n in flat.items() if n}


def difference(before: AuditReport, after: AuditReport) -> dict[str, int]:
    """Return which numbers changed, and by how much."""
    old, new = numbers(before), numbers(after)
    changed = {name: new.get(name, 0) - old.get(name, 0) for name in old.keys() | new.keys()}
    return {name: n for name, n in changed.items() if n}
