"""What is known of each raw record of a window at each vendor: its last word, or that it waits.

A record is a place in arrays, not an object, so that a million of them take a few megabytes.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from aiokafka import TopicPartition

from streams.core.json_decoder import json_decoder
from streams.core.outcome import Outcome, SkipReason
from streams.core.topics import Topics
from streams.kafka.group_ids import group_id
from streams.kafka.reader import LogReader, Tell, silent
from streams.replay.window import Window
from streams.settings import ENRICH

SKEW_MS = 60 * 60 * 1000
"""Receipts are read from this much before the window: clocks differ."""
USUAL_SKEW_MS = 5 * 60 * 1000
"""The same for a sample, and for what happened just now."""

_ACCEPTED, _DEAD, _SKIPPED, _WAITING = 1, 2, 4, 8
_BITS = {Outcome.ACCEPTED: _ACCEPTED, Outcome.DEAD_LETTERED: _DEAD, Outcome.SKIPPED: _SKIPPED}


class _RecordFacts(msgspec.Struct, frozen=True, gc=False):
    outcome: str
    source: str
    reason: str | None = None
    run_id: str | None = None


_decode = json_decoder(_RecordFacts)


class Last(NamedTuple):
    """An event's last word at a vendor."""

    outcome: str | None
    """``accepted`` before ``dead_lettered`` before ``skipped``; None: no receipt is there."""
    reason: str | None = None

    @property
    def is_duplicate(self) -> bool:
        """Whether another record of the same event was passed on instead."""
        return self.outcome == Outcome.SKIPPED and self.reason == SkipReason.DUPLICATE


_NOTHING = Last(None)
_ACCEPTANCE = Last(Outcome.ACCEPTED)


class DeliveryHistory:
    """The receipts of one window, by vendor and place; ``read_history`` fills it."""

    def __init__(
        self, vendors: Sequence[str], offsets: Mapping[TopicPartition, Sequence[int]]
    ) -> None:
        """``offsets``: those of which something may be asked, sorted."""
        self._offsets = dict(offsets)
        self._by_name = {f"{tp.topic}/{tp.partition}": tp for tp in offsets}
        sizes = {tp: len(known) for tp, known in offsets.items()}
        self._bits = {v: {tp: bytearray(size) for tp, size in sizes.items()} for v in vendors}
        self._reason = {v: {tp: bytearray(size) for tp, size in sizes.items()} for v in vendors}
        self._reasons: list[str | None] = [None]
        self._enriched_to: dict[TopicPartition, int] = {}
        self._redelivered: dict[str, dict[str, set[str]]] = {vendor: {} for vendor in vendors}
        """Vendor → source → the runs by which it waits on the redelivery topic."""
        self.receipts = 0
        """Read so far."""
        self.unreadable = 0

    def add_receipts(self, vendor: str, values: Iterable[bytes | None]) -> None:
        """Enter receipts of a vendor, in any order."""
        bits_of, reason_of = self._bits[vendor], self._reason[vendor]
        redelivered = self._redelivered[vendor]
        for value in values:
            self.receipts += 1
            try:
                facts = _decode(value or b"")
                name, _, offset = facts.source.rpartition("/")
                bit = _BITS[facts.outcome]  # type: ignore[index]
                tp = self._by_name.get(name)
                if tp is None:
                    continue
                place = self._place(tp, int(offset))
            except (ValueError, KeyError):
                self.unreadable += 1
                continue
            if facts.run_id is not None:
                # It settles its own run's record; one that waits in the live lane has none yet.
                redelivered.get(facts.source, set()).discard(facts.run_id)
            if place is None:
                continue
            bits = bits_of[tp]
            before = bits[place] & ~_WAITING
            bits[place] = (bits[place] | bit) & ~_WAITING
            # The reason is that of the word that counts; a smaller bit counts more.
            if not before or bit <= (before & -before):
                reason_of[tp][place] = self._number(facts.reason)

    def add_waiting(self, vendor: str, source: str) -> None:
        """Note that an event waits in the live lane, unless a receipt settles it."""
        name, _, offset = source.rpartition("/")
        tp = self._by_name.get(name)
        if tp is None or not offset.isdecimal():
            return
        place = self._place(tp, int(offset[:18]))
        if place is not None:
            self._bits[vendor][tp][place] |= _WAITING

    def add_redelivered(self, vendor: str, source: str, run_id: str) -> None:
        """Note that a run's event waits on the redelivery topic, unless its receipt comes."""
        self._redelivered[vendor].setdefault(source, set()).add(run_id)

    def enriched_to(self, tp: TopicPartition, committed: int) -> None:
        """Note up to where enrichment has read: what lies beyond waits for every vendor."""
        self._enriched_to[tp] = committed

    def is_waiting(self, vendor: str, tp: TopicPartition, offset: int) -> bool:
        """Return whether the event is still on its way, live or by a run."""
        if offset >= self._enriched_to.get(tp, offset + 1):
            return True
        runs = self._redelivered[vendor]
        if runs and runs.get(f"{tp.topic}/{tp.partition}/{offset}"):
            return True
        place = self._place(tp, offset)
        return place is not None and bool(self._bits[vendor][tp][place] & _WAITING)

    def last(self, vendor: str, tp: TopicPartition, offset: int) -> Last:
        """Return the last word on a raw record of the window."""
        place = self._place(tp, offset)
        if place is None or not (bits := self._bits[vendor][tp][place]):
            return _NOTHING
        if bits & _ACCEPTED:
            return _ACCEPTANCE
        reason = self._reasons[self._reason[vendor][tp][place]]
        if bits & _DEAD:
            return Last(Outcome.DEAD_LETTERED, reason)
        return Last(Outcome.SKIPPED, reason) if bits & _SKIPPED else _NOTHING

    def _place(self, tp: TopicPartition, offset: int) -> int | None:
        known = self._offsets[tp]
        if isinstance(known, range):
            return offset - known.start if offset in known else None
        place = bisect_left(known, offset)
        return place if place < len(known) and known[place] == offset else None

    def _number(self, reason: str | None) -> int:
        """Return a byte for a reason; strangers' beyond the 255th share one."""
        try:
            return self._reasons.index(reason)
        except ValueError:
            if len(self._reasons) < 255:
                self._reasons.append(reason)
                return len(self._reasons) - 1
            if len(self._reasons) == 255:
                self._reasons.append("other")
            return 255


async def read_history(
    reader: LogReader,
    topics: Topics,
    vendors: Sequence[str],
    window: Window,
    tell: Tell = silent,
    *,
    receipts_to_ms: int | None = None,
    skew_ms: int = SKEW_MS,
    passed_over: Collection[tuple[str, str]] = (),
) -> DeliveryHistory:
    """Read what enrichment and the sinks have left about a window's records.

    With ``receipts_to_ms`` no receipt of that Kafka time or later is looked for. ``passed_over``
    are vendors and runs of which nothing waits: those that were stopped, and the one that asks.

    The window's stops were taken before; the order of the requests here is what makes it right
    while the relay runs: whatever a commit has passed, its traces lie below an end taken later.
    """
    tps = list(window.starts)
    history = DeliveryHistory(vendors, {tp: window.offsets(tp) for tp in tps})
    numbers = {tp.partition for tp in tps}
    enriched = await reader.commits(group_id(topics.prefix, ENRICH), tps)
    for tp in tps:
        history.enriched_to(tp, enriched[tp].offset if tp in enriched else 0)
    for vendor in vendors:
        names = (topics.events(vendor), topics.redelivery(vendor), topics.receipts(vendor))
        found = await reader.partitions(names)
        events, again, receipts = (
            [tp for tp in found[name] if tp.partition in numbers] for name in names
        )
        served = [*events, *again]
        commits = await reader.commits(group_id(topics.prefix, vendor), served)
        ends = await reader.ends(served)
        begins = await reader.starts(served)
        open_from = {
            tp: min(ends[tp], max(begins[tp], commits[tp].offset if tp in commits else 0))
            for tp in served
        }
        receipt_ends = await reader.ends(receipts)
        if receipts_to_ms is not None:
            late = await reader.starts(receipts, receipts_to_ms)
            receipt_ends = {tp: min(late[tp], end) for tp, end in receipt_ends.items()}
        early = await reader.starts(receipts, max(0, window.earliest_ms - skew_ms))
        starts = {tp: min(early[tp], receipt_ends[tp]) for tp in receipts}
        async for tp, records in reader.read(open_from, ends, tell):
            for record in records:
                headers = dict(record.headers)
                source = (headers.get("source") or b"").decode("utf-8", "replace")
                run_id = (headers.get("run-id") or b"").decode("utf-8", "replace")
                if tp.topic != names[1]:
                    history.add_waiting(vendor, source)
                elif (vendor, run_id) not in passed_over:
                    history.add_redelivered(vendor, source, run_id)
        async for _, records in reader.read(starts, receipt_ends, tell):
            history.add_receipts(vendor, [record.value for record in records])
    return history
