"""What the topics hold of one visitor, gathered record by record; pure.

Everything of a visitor lies on one partition, under the visitor's id as key. Receipts have another
key: they name the visitor in a header, or are found by the raw record that they are about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiokafka import ConsumerRecord

from streams.core.json_decoder import json_decoder
from streams.core.outcome import Outcome
from streams.core.receipts import decode_receipt
from streams.core.records import VISITOR, VendorRecord
from streams.core.rows import InvalidRow, person_in
from streams.core.topics import Topics
from streams.kafka.topic_search import FoundRecord
from streams.vendors.base import Trail, Vendor

_decode_record = json_decoder(VendorRecord)


LogRecord: TypeAlias = ConsumerRecord | FoundRecord
"""A record as it lies on its topic."""


@dataclass(slots=True)
class HeldRecords:
    """How much of the visitor a topic holds."""

    records: int = 0
    newest_ms: int = 0


@dataclass(slots=True)
class AtVendor:
    """What became of the visitor's events at one vendor, as far as the topics still say."""

    accepted: set[str] = field(default_factory=set)
    """Raw records, by their text form, that the vendor took."""
    subjects: dict[str, None] = field(default_factory=dict)
    contacts: dict[tuple[str, str], None] = field(default_factory=dict)
    references: dict[str, None] = field(default_factory=dict)
    open: dict[tuple[str, int], str] = field(default_factory=dict)
    """(topic, offset) of the vendor records without a receipt → raw record."""
    _sources: set[str] = field(default_factory=set)

    def close_below(self, committed: Mapping[str, int]) -> None:
        """Take note of the offsets, by topic, below which the stage is done."""
        done = [at for at in self.open if at[1] < committed.get(at[0], 0)]
        for at in done:
            del self.open[at]


class VisitorTraces:
    """What one visitor has left on the topics of this installation."""

    def __init__(self, visitor: str, topics: Topics, vendors: Mapping[str, Vendor]) -> None:
        self.visitor = visitor
        self.held: dict[str, HeldRecords] = {}
        """By topic that holds something."""
        self.user_ids: dict[str, None] = {}
        self.eightselect_user_ids: dict[str, None] = {}
        self.contacts: dict[tuple[str, str], None] = {}
        self.at_vendor = {key: AtVendor() for key in vendors}
        self._key = visitor.encode()
        self._vendors = vendors
        self._users = topics.users
        self._lanes = {
            (key, lane): topic(key)
            for key in vendors
            for lane, topic in (("live", topics.events), ("redelivery", topics.redelivery))
        }
        self._events = {topic: key for (key, _), topic in self._lanes.items()}
        self._receipts = {topics.receipts(key): key for key in vendors}
        raw = (topics.users, *topics.raw, *topics.off, topics.enrich_dead_letters)
        letters = (topics.dead_letters(key) for key in vendors)
        self.topics = (*raw, *self._events, *letters, *self._receipts)
        """What is to be read, in this order: a receipt is known by the vendor record before it."""

    def add(self, topic: str, records: Sequence[LogRecord]) -> None:
        """Take the next records of a topic, in log order."""
        if (vendor := self._receipts.get(topic)) is not None:
            for record in records:
                self._take_receipt(topic, vendor, record)
            return
        for record in records:
            if record.key != self._key:
                continue
            self._hold(topic, record)
            if topic == self._users:
                self._take_row(record)
            elif topic in self._events:
                self._take_event(topic, record)

    def trail(self, vendor: str) -> Trail:
        """Return what the vendor is to be asked to delete."""
        there = self.at_vendor[vendor]
        return Trail(
            self.visitor,
            tuple(self.user_ids),
            tuple(there.subjects),
            tuple(there.references),
            tuple(self.eightselect_user_ids),
            tuple(self.contacts | there.contacts),
        )

    def _hold(self, topic: str, record: LogRecord) -> None:
        held = self.held.setdefault(topic, HeldRecords())
        held.records += 1
        held.newest_ms = max(held.newest_ms, record.timestamp)

    def _take_row(self, record: LogRecord) -> None:
        if record.value is None:
            return
        try:
            user = person_in(record.value)
        except InvalidRow:
            return
        if user.user_id:
            self.user_ids[user.user_id] = None
        if user.eightselect_user_id:
            self.eightselect_user_ids[user.eightselect_user_id] = None
        for key, value in (("contactId", user.contact_id), ("customKey", user.custom_key)):
            if value:
                self.contacts[key, value] = None

    def _take_event(self, topic: str, record: LogRecord) -> None:
        vendor = self._events[topic]
        there = self.at_vendor[vendor]
        source = (dict(record.headers).get("source") or b"").decode("utf-8", "replace")
        there._sources.add(source)
        there.open[topic, record.offset] = source
        forgetting = self._vendors[vendor].forgetting
        if forgetting is None or record.value is None:
            return
        try:
            vendor_record = _decode_record(record.value)
        except ValueError:
            return  # not ours: the sink made a dead letter of it
        there.subjects.update(dict.fromkeys(forgetting.subjects(vendor_record)))
        there.contacts.update(dict.fromkeys((vendor_record.contact or {}).items()))

    def _take_receipt(self, topic: str, vendor: str, record: LogRecord) -> None:
        there = self.at_vendor[vendor]
        names_visitor = dict(record.headers).get(VISITOR) == self._key
        if names_visitor:
            self._hold(topic, record)
        if record.value is None or not (names_visitor or there._sources):
            return
        try:
            receipt = decode_receipt(record.value)
        except ValueError:
            return
        if not names_visitor and receipt.source not in there._sources:
            return
        if receipt.position is not None and (vendor, receipt.lane) in self._lanes:
            there.open.pop((self._lanes[vendor, receipt.lane], receipt.position), None)
        if receipt.outcome == Outcome.ACCEPTED:
            there.accepted.add(receipt.source)
            if receipt.vendor_ref:
                there.references[receipt.vendor_ref] = None


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long a topic keeps a record."""

    compacted: bool
    retention_ms: int | None
    """None: without end."""
    segment_ms: int
    """A record leaves with the last one of its segment, which is so long at most."""


@dataclass(frozen=True, slots=True)
class StillHeld:
    """A topic that holds the visitor for a while yet."""

    topic: str
    records: int
    gone_by_ms: int | None
    """At the latest; None: nobody can say."""
    note: str = ""


def still_held(held: Mapping[str, HeldRecords], keeping: Mapping[str, Keeping]) -> list[StillHeld]:
    """Return what stays where, and until when at the latest."""
    found = []
    for topic, here in held.items():
        kept = keeping[topic]
        if kept.compacted:
            note = "until Kafka compacts the topic; the tombstone hides it from all workers"
            found.append(StillHeld(topic, here.records, None, note))
        elif kept.retention_ms is None:
            note = "kept without end: the topic has no retention"
            found.append(StillHeld(topic, here.records, None, note))
        else:
            gone = here.newest_ms + kept.retention_ms + kept.segment_ms
            found.append(StillHeld(topic, here.records, gone))
    return found


def keeping_of(config: Mapping[str, Any]) -> Keeping:
    """Return how a topic with this configuration, as the broker tells it, keeps records."""
    retention = int(config.get("retention.ms") or -1)
    return Keeping(
        "compact" in str(config.get("cleanup.policy", "")),
        None if retention < 0 else retention,
        int(config.get("segment.ms") or 0),
    )
