"""What an audit says: the books of each vendor, and how they compare with a vendor's ledger."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One example of what should not be."""

    where: str
    """``topic/partition/offset`` of the record that is meant, or ``topic/partition/first-last``."""
    detail: str


@dataclass(frozen=True, slots=True)
class VendorBooks:
    """Both sides of one vendor's sum, each counted by itself; nothing here is a remainder."""

    vendor: str
    raw: int
    """Raw records read, and those that are gone."""
    gone: int
    """Of these, deleted by retention before they were read, or unsent: counted by offsets."""
    enrich_dead_lettered: int
    """Of these, given up on before any vendor was concerned."""
    off: int
    """Of these, read by enrichment while the vendor was off: on neither side."""
    accepted: int
    dead_lettered: Mapping[str, int]
    """By reason."""
    skipped: Mapping[str, int]
    """By reason; ``expired``: raw records that retention deleted before they were read, and vendor
    records that it deleted before they were sent, ever, as far as no window is asked for."""
    waiting_for_enrichment: int
    """At or above enrichment's committed offset, without a trace."""
    waiting_for_vendor: int
    """Vendor records without a receipt, at or above the sink's committed offset."""
    missing: int
    """Below the committed offsets and without the trace that must then exist."""
    missing_among_expired: int
    """Of these, lie between records that expired: how many there are is known, not which."""
    missing_offsets: Mapping[str, Sequence[tuple[int, int]]]
    """All others: ``topic/partition`` → (first, last) raw offset of each run, in order."""
    contradicting: int
    """Enrichment's dead letters that went to the vendor all the same."""
    unexplained: int = 0
    """Vendor records, receipts and dead letters about records that do not exist."""
    unreadable: int = 0
    """Records that do not have the form they must have."""
    vendor_records: int = 0
    repeated_records: int = 0
    """Vendor records beyond the first of a raw record: repeats after a crash."""
    receipts: int = 0
    repeated_receipts: int = 0
    """Live receipts beyond the first of a raw record; a replay's are its own."""
    letters: int = 0
    repeated_letters: int = 0
    """Dead letters beyond the first of a raw record."""
    examples: tuple[Discrepancy, ...] = ()

    @property
    def waiting(self) -> int:
        """Events whose last word is still to come."""
        return self.waiting_for_enrichment + self.waiting_for_vendor

    @property
    def owed(self) -> int:
        """The left side: what the vendor's books must explain."""
        return self.raw - self.enrich_dead_lettered - self.off

    @property
    def explained(self) -> int:
        """The right side: accepted, dead-lettered, skipped and waiting."""
        return (
            self.accepted
            + sum(self.dead_lettered.values())
            + sum(self.skipped.values())
            + self.waiting
            + self.contradicting
        )

    @property
    def balanced(self) -> bool:
        """Whether both sides are equal and nothing is missing, unexplained or unreadable."""
        troubles = self.missing + self.contradicting + self.unexplained + self.unreadable
        return self.owed == self.explained and troubles == 0


@dataclass(slots=True)
class SectionBooks:
    """One section's sum: events = written + unmapped + dead_lettered + waiting."""

    section: str
    topic: str
    to: str
    read: int = 0
    """Records of the shop's topic, those that wait included."""
    events: int = 0
    """Read times fan-out; a record of which nothing is made counts as one."""
    written: int = 0
    unmapped: int = 0
    """Records of which no section made anything count in the topic's first section."""
    dead_lettered: int = 0
    waiting: int = 0
    """Not committed yet, and not to be found."""
    missing: int = 0
    """Committed, and not to be found: lost, or mapped otherwise when they were read."""
    examples: list[str] = field(default_factory=list)
    """``topic/partition/offset`` of missing ones."""
    unknown: str = ""
    """Why none of these numbers is known, in one sentence; empty where they are."""

    @property
    def balanced(self) -> bool:
        """Whether the numbers are known, both sides are equal and nothing is missing."""
        found = self.written + self.unmapped + self.dead_lettered + self.waiting
        return self.events == found and not self.missing and not self.unknown

    def to_json(self) -> dict[str, Any]:
        """The books in JSON types; numbers that are not known are null."""
        row: dict[str, Any] = msgspec.to_builtins(self)
        if self.unknown:
            row |= {name: None for name, value in row.items() if isinstance(value, int)}
        return row | {"balanced": self.balanced}


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Exact sums over the topics, as of one moment."""

    since_ms: int | None
    """Only raw records of this Kafka time or later; None: all that the topics hold."""
    raw: Mapping[str, int]
    """Raw records by topic."""
    expired: Mapping[str, int]
    """By raw topic: offsets that retention ever deleted before enrichment read them."""
    enrich_dead_letters: Mapping[str, int]
    """By reason, each raw record once."""
    enrich_letters: int
    """Dead letters of enrichment, repeats included."""
    unexplained: int
    """Dead letters of enrichment about records that do not exist."""
    unreadable: int
    vendors: tuple[VendorBooks, ...]
    sections: tuple[SectionBooks, ...] = ()
    """Of the stage ``ingest``."""
    not_read: Mapping[str, int] = field(default_factory=dict)
    """Raw topic of a source that is off → offsets behind enrichment's commit: in no sum."""
    examples: tuple[Discrepancy, ...] = ()
    accepted_ids: Mapping[str, Mapping[str, int]] = field(default_factory=dict, repr=False)
    """Vendor → event id → events accepted under it; only where the audit was asked for ids."""

    @property
    def balanced(self) -> bool:
        """Whether every vendor's books balance and enrichment's dead letters are all explained."""
        return (
            self.unexplained + self.unreadable == 0
            and all(v.balanced for v in self.vendors)
            and all(one.balanced for one in self.sections)
        )

    def to_json(self) -> dict[str, Any]:
        """The report in JSON types, with the sums that are derived from it; without the ids."""
        text: dict[str, Any] = msgspec.json.decode(
            msgspec.json.encode(replace(self, accepted_ids={}))
        )
        del text["accepted_ids"]
        text["balanced"] = self.balanced
        text["sections"] = [section.to_json() for section in self.sections]
        for entry, books in zip(text["vendors"], self.vendors, strict=True):
            entry |= {
                "waiting": books.waiting,
                "owed": books.owed,
                "explained": books.explained,
                "balanced": books.balanced,
            }
        return text


@dataclass(frozen=True, slots=True)
class LedgerComparison:
    """What a vendor holds against what our receipts say it accepted."""

    vendor: str
    accepted: int
    """Events that the receipts call accepted."""
    in_ledger: int
    """Entries at the vendor, repeats included."""
    lacking: Mapping[str, int]
    """Event id → accepted events that the vendor lacks: a receipt that is not true."""
    without_receipt: Mapping[str, int]
    """Event id → entries under an id that no receipt calls accepted."""
    duplicates: Mapping[str, int]
    """Event id → entries beyond the accepted events of that id: repeats of a request."""

    @property
    def agrees(self) -> bool:
        """Whether the ledger holds each accepted event exactly once and nothing else."""
        return not (self.lacking or self.without_receipt or self.duplicates)


def compare_with_ledger(
    report: AuditReport, vendor: str, ledger_ids: Mapping[str, int]
) -> LedgerComparison:
    """Compare an audit that kept the ids with the vendor's own ledger (event id → entries).

    Raises ValueError for an audit without ids: it could not notice anything.
    """
    if vendor not in report.accepted_ids:
        raise ValueError(f"this audit kept no event ids of {vendor}")
    accepted, entries = Counter(report.accepted_ids[vendor]), Counter(ledger_ids)
    more = entries - accepted
    return LedgerComparison(
        vendor=vendor,
        accepted=accepted.total(),
        in_ledger=entries.total(),
        lacking=accepted - entries,
        without_receipt={id_: n for id_, n in more.items() if id_ not in accepted},
        duplicates={id_: n for id_, n in more.items() if id_ in accepted},
    )
