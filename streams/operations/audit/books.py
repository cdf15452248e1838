"""The book-keeping of an audit: facts from the topics in, sums out; no Kafka, no clock.

One module, though a long one: each kind of fact is one method over the same few maps.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streams.operations.audit.decode import LetterFacts, ReceiptFacts
from streams.operations.audit.logs import (
    ACCEPTED,
    CLOCK_SKEW_MS,
    DEAD,
    DEAD_DUE,
    ENRICH_LETTER,
    GIVEN_UP,
    LETTER,
    LIVE_RECEIPT,
    OUTSIDE_WINDOW,
    PRESENT,
    RECORD,
    RECORD_PASSED,
    SKIPPED,
    ExpiredSpan,
    LogTraces,
    NoSuchRecordError,
    RawLog,
    RawPart,
    VendorLog,
    VendorPartition,
)
from streams.operations.audit.outcomes import TROUBLES, AuditedOutcome, TroubledRun, tally, troubled
from streams.operations.audit.report import AuditReport, Discrepancy, VendorBooks

EXAMPLES = 10
"""Examples kept of each vendor's troubles."""

MAX_RUNS = 100_000
"""Runs of missing records that are named of a vendor: a report has to end somewhere."""

_OUTCOMES = {"accepted": ACCEPTED, "dead_lettered": DEAD, "skipped": SKIPPED}


@dataclass(slots=True)
class _Side:
    """One vendor's facts while they are collected."""

    parts: Mapping[int, VendorPartition]
    traces: list[LogTraces]
    """By the index of the raw partition."""
    numbers: Counter[str] = field(default_factory=Counter)
    """By their names in ``VendorBooks``."""
    examples: list[Discrepancy] = field(default_factory=list)
    accepted_ids: dict[tuple[str, str | None], str] = field(default_factory=dict)
    """Source and run → event id: each run sends an event once more."""
    _written_ms: dict[int, int] = field(default_factory=dict)
    """Partition → the latest Kafka time of its receipts so far."""

    def latest(self, partition: int, written_ms: int | None) -> int | None:
        """Return the latest Kafka time of the receipts of a partition up to this one.

        What was written behind a receipt of now is of now, too, whatever its writer's clock said.
        """
        times = (self._written_ms.get(partition), written_ms)
        latest = max((ms for ms in times if ms is not None), default=None)
        if latest is not None:
            self._written_ms[partition] = latest
        return latest

    def found(self, kind: str, where: str, detail: str) -> None:
        self.numbers[kind] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(Discrepancy(where, detail))


class Books:
    """Collects facts, raw records first, then vendor records, receipts and dead letters."""

    def __init__(
        self,
        raw: Mapping[tuple[str, int], RawLog],
        vendors: Mapping[str, Mapping[int, VendorLog]],
        *,
        since_ms: int | None = None,
        keep_ids: bool = False,
    ) -> None:
        self._since_ms = since_ms
        self._keep_ids = keep_ids
        self._raw = [RawPart(i, *key, log) for i, (key, log) in enumerate(raw.items())]
        self._by_name = {f"{r.topic}/{r.partition}": r for r in self._raw}
        self._sides = {
            vendor: _Side(
                parts={p: VendorPartition(log) for p, log in logs.items()},
                traces=[LogTraces(len(r.flags)) for r in self._raw],
            )
            for vendor, logs in vendors.items()
        }
        self._enrich = _Side({}, [])
        self._given_up: Counter[str] = Counter()
        self._reasons = ["unknown"]

    def raw_record(self, topic: str, partition: int, offset: int, timestamp: int) -> None:
        """Note that a raw record exists; ``timestamp`` is its Kafka time in ms."""
        raw = self._by_name[f"{topic}/{partition}"]
        place = offset - raw.log.start
        if 0 <= place < len(raw.flags):
            is_inside = self._since_ms is None or timestamp >= self._since_ms
            raw.flags[place] |= PRESENT if is_inside else OUTSIDE_WINDOW
            raw.oldest_ms = timestamp if raw.oldest_ms is None else min(raw.oldest_ms, timestamp)

    def raw_trimmed(self, topic: str, partition: int, log_start: int) -> None:
        """Note where a raw log starts after it was read."""
        raw = self._by_name[f"{topic}/{partition}"]
        raw.gone_below = max(raw.gone_below, log_start)

    def vendor_trimmed(self, vendor: str, partition: int, log_start: int) -> None:
        """Note where a vendor's events start after they were read."""
        self._sides[vendor].parts[partition].trimmed(log_start)

    def vendor_record(
        self,
        vendor: str,
        partition: int,
        position: int,
        source: str,
        source_ms: int | None = None,
    ) -> None:
        """Note a vendor record; the positions of a partition come in growing order.

        ``source_ms``: the raw record's Kafka time, where the vendor record says it.
        """
        side = self._sides[vendor]
        part = side.parts[partition]
        side.numbers["vendor_records"] += 1
        try:
            raw, offset = self._parse(source)
            is_former = source_ms is not None and self._is_former(raw, source_ms)
            part.hold(position, raw.code(offset), is_former=is_former)
            _check_partition(raw, partition)
            if is_former:
                return
            part.seen(position, raw.index, offset)
            place = raw.place(offset)
        except NoSuchRecordError as error:
            side.found("unexplained", f"{vendor} vendor record {partition}/{position}", str(error))
            return
        if place is None:
            return
        traces = side.traces[raw.index]
        if traces.state[place] & RECORD:
            side.numbers["repeated_records"] += 1
            return
        traces.state[place] |= RECORD
        if position < (part.log.committed or 0):
            traces.state[place] |= RECORD_PASSED

    def receipt(
        self,
        vendor: str,
        partition: int,
        offset: int,
        receipt: ReceiptFacts,
        written_ms: int | None = None,
    ) -> None:
        """Note the receipt at this place of the vendor's receipts topic, of this Kafka time."""
        side = self._sides[vendor]
        side.numbers["receipts"] += 1
        where = f"{vendor} receipt {partition}/{offset}"
        bit = _OUTCOMES.get(receipt.outcome)
        if bit is None or receipt.lane not in {"live", "redelivery"}:
            words = f"outcome {receipt.outcome[:80]!r}, lane {receipt.lane[:80]!r}"
            side.found("unreadable", where, f"unknown words: {words}")
            return
        try:
            raw, source = self._parse(receipt.source)
            written_ms = side.latest(partition, written_ms)
            is_former = written_ms is not None and self._is_former(raw, written_ms + CLOCK_SKEW_MS)
            if receipt.lane == "live":
                _check_partition(raw, partition)
                is_former = _check_position(side.parts[partition], raw, source, receipt, is_former)
            place = None if is_former else raw.place(source)
        except NoSuchRecordError as error:
            side.found("unexplained", where, str(error))
            return
        if bit == ACCEPTED and self._keep_ids:
            side.accepted_ids[receipt.source, receipt.run_id] = receipt.event_id
        if place is None:
            return
        traces = side.traces[raw.index]
        # A replay's receipt is one of its own, and no repeat after a crash.
        if receipt.lane == "live" and traces.state[place] & LIVE_RECEIPT:
            side.numbers["repeated_receipts"] += 1
        traces.state[place] |= bit | (LIVE_RECEIPT if receipt.lane == "live" else 0)
        if bit == SKIPPED:
            traces.skip[place] = traces.skip[place] or self._reason(receipt.reason)
        elif bit == DEAD:
            traces.dead[place] = traces.dead[place] or self._reason(receipt.reason)
            if _is_passed(side, raw, source, partition, receipt):
                traces.state[place] |= DEAD_DUE

    def dead_letter(
        self, vendor: str | None, partition: int, offset: int, letter: LetterFacts
    ) -> None:
        """Note a dead letter of a vendor's topic or, with ``vendor=None``, of enrichment's own."""
        side = self._enrich if vendor is None else self._sides[vendor]
        side.numbers["letters"] += 1
        origin = letter.source
        try:
            raw, source = self._parse(f"{origin.topic}/{origin.partition}/{origin.offset}")
            if origin.timestamp is not None and self._is_former(raw, origin.timestamp):
                return
            place = raw.place(source)
        except NoSuchRecordError as error:
            where = f"{vendor or 'enrich'} dead letter {partition}/{offset}"
            side.found("unexplained", where, str(error))
            return
        if place is None:
            return
        if vendor is None:
            if raw.flags[place] & GIVEN_UP:
                side.numbers["repeated_letters"] += 1
            else:
                self._given_up[letter.reason] += 1
            raw.flags[place] |= GIVEN_UP
            return
        traces = side.traces[raw.index]
        if traces.state[place] & LETTER:
            side.numbers["repeated_letters"] += 1
        traces.state[place] |= LETTER
        if letter.stage == "enrich":
            traces.state[place] |= ENRICH_LETTER
            traces.dead[place] = traces.dead[place] or self._reason(letter.reason)

    def unreadable(self, vendor: str | None, where: str, detail: str) -> None:
        """Note a record that could not be read; ``vendor=None``: one of enrichment."""
        (self._enrich if vendor is None else self._sides[vendor]).found("unreadable", where, detail)

    def report(self) -> AuditReport:
        """Close the books and return the sums."""
        raw = Counter({r.topic: 0 for r in self._raw})
        expired = Counter({r.topic: 0 for r in self._raw})
        for part in self._raw:
            raw[part.topic] += sum(n for f, n in Counter(part.flags).items() if f & PRESENT)
            expired[part.topic] += part.log.expired()
        return AuditReport(
            since_ms=self._since_ms,
            raw=dict(raw),
            expired=dict(expired),
            enrich_dead_letters=dict(sorted(self._given_up.items())),
            enrich_letters=self._enrich.numbers["letters"],
            unexplained=self._enrich.numbers["unexplained"],
            unreadable=self._enrich.numbers["unreadable"],
            vendors=tuple(self._close(v, side, raw.total()) for v, side in self._sides.items()),
            examples=tuple(self._enrich.examples),
            accepted_ids={
                vendor: dict(Counter(side.accepted_ids.values()))
                for vendor, side in self._sides.items()
                if self._keep_ids
            },
        )

    def _close(self, vendor: str, side: _Side, raw_count: int) -> VendorBooks:
        parts = list(zip(self._raw, side.traces, strict=True))
        spans = self._spans(side)
        sums = tally(vendor, parts, spans)
        outcomes = sums.outcomes
        excess = {i: sums.traceless[i] - span.expired for i, span in enumerate(spans)}
        among_expired = sum(max(0, more) for more in excess.values())
        deleted_unsent = sums.traceless.total() - among_expired
        unread = unsent_and_gone = 0
        # A window knows nothing of when the deleted records came: it leaves them out.
        if self._since_ms is None:
            unread = sum(raw.log.expired(vendor) for raw in self._raw)
            unsent_and_gone = sum(part.expired for part in side.parts.values()) - deleted_unsent
        skipped = {self._reasons[number]: n for number, n in sums.skipped.items()}
        if lost := unread + unsent_and_gone + deleted_unsent:
            skipped["expired"] = skipped.get("expired", 0) + lost
        missing = (
            outcomes[AuditedOutcome.NO_TRACE]
            + outcomes[AuditedOutcome.NO_RECEIPT]
            + outcomes[AuditedOutcome.NO_LETTER]
        )
        named: dict[str, list[tuple[int, int]]] = {}
        examples = list(side.examples)
        if missing + outcomes[AuditedOutcome.CONTRADICTING]:
            runs = troubled(vendor, parts, spans)
            examples += _name(runs, spans, excess, named, EXAMPLES)
        return VendorBooks(
            vendor=vendor,
            raw=raw_count + unread + unsent_and_gone,
            gone=unread + unsent_and_gone,
            enrich_dead_lettered=outcomes[AuditedOutcome.GIVEN_UP]
            + outcomes[AuditedOutcome.CONTRADICTING],
            off=outcomes[AuditedOutcome.OFF],
            accepted=outcomes[AuditedOutcome.ACCEPTED],
            dead_lettered=dict(sorted((self._reasons[r], n) for r, n in sums.dead.items())),
            skipped=dict(sorted(skipped.items())),
            waiting_for_enrichment=outcomes[AuditedOutcome.WAITING_FOR_ENRICHMENT],
            waiting_for_vendor=outcomes[AuditedOutcome.WAITING_FOR_VENDOR],
            missing=missing - deleted_unsent,
            missing_among_expired=among_expired,
            missing_offsets=named,
            contradicting=outcomes[AuditedOutcome.CONTRADICTING],
            examples=tuple(examples),
            **side.numbers,
        )

    def _spans(self, side: _Side) -> list[ExpiredSpan]:
        """Return where raw records lie of which vendor records expired unsent."""
        spans = []
        for partition, part in side.parts.items():
            raw = {r.index: r.log.end for r in self._raw if r.partition == partition}
            spans += part.spans(raw)
        return spans

    def _parse(self, source: str) -> tuple[RawPart, int]:
        name, _, number = source.rpartition("/")
        raw = self._by_name.get(name)
        if raw is None or not (number.isascii() and number.isdigit() and len(number) < 19):
            raise NoSuchRecordError(f"its source {source[:200]!r} is no place in a raw topic")
        return raw, int(number)

    def _is_former(self, raw: RawPart, source_ms: int) -> bool:
        """Return whether a raw record of this Kafka time lay on a topic that was recreated since.

        Offsets begin anew then, so they alone do not tell. A partition without any record yet is
        judged by the others of its topic.
        """
        oldest = raw.oldest_ms
        if oldest is None:
            others = [r.oldest_ms for r in self._raw if r.topic == raw.topic]
            oldest = min((ms for ms in others if ms is not None), default=None)
        return oldest is not None and source_ms < oldest

    def _reason(self, reason: str | None) -> int:
        """Return the number of a reason; a byte must hold it, so the 255th and later are one."""
        word = reason or "unknown"
        if word not in self._reasons:
            if len(self._reasons) == 255:
                self._reasons.append("other")
            if len(self._reasons) > 255:
                return 255
            self._reasons.append(word)
        return self._reasons.index(word)


def _name(
    runs: Iterable[TroubledRun],
    spans: Sequence[ExpiredSpan],
    excess: Mapping[int, int],
    named: dict[str, list[tuple[int, int]]],
    examples: int,
) -> list[Discrepancy]:
    """Enter the runs of missing records by partition, and return that many of them in words."""
    found: list[Discrepancy] = []
    among: dict[int, list[str]] = {}
    count = 0
    for run in runs:
        if run.span is not None:
            if excess[run.span] > 0:
                among.setdefault(run.span, []).append(run.where)
            continue
        if run.outcome is not AuditedOutcome.CONTRADICTING and count < MAX_RUNS:
            count += 1
            named.setdefault(f"{run.raw.topic}/{run.raw.partition}", []).append(
                (run.first, run.last)
            )
        if len(found) < examples:
            found.append(Discrepancy(run.where, TROUBLES[run.outcome]))
    for index, places in among.items():
        found.append(
            Discrepancy(
                ", ".join(places[:examples]),
                f"{excess[index] + spans[index].expired:,} records without a trace, of which only "
                f"{spans[index].expired:,} can have expired unsent: {excess[index]:,} are missing",
            )
        )
    return found


def _check_partition(raw: RawPart, partition: int) -> None:
    if raw.partition != partition:
        raise NoSuchRecordError(f"its source lies on another partition: {raw.partition}")


def _check_position(
    part: VendorPartition, raw: RawPart, source: int, receipt: ReceiptFacts, is_former: bool
) -> bool:
    """Return whether a live receipt is about a raw topic that was recreated since.

    Raises NoSuchRecordError unless it points to a vendor record of its source.
    """
    if receipt.position is not None:
        part.check(receipt.position, raw.code(source))
        part.settled(receipt.position)
        is_former = is_former or part.is_former(receipt.position)
        if not is_former:
            part.seen(receipt.position, raw.index, source)
    elif receipt.outcome == "accepted":
        raise NoSuchRecordError("accepted without a vendor record")
    return is_former


def _is_passed(
    side: _Side, raw: RawPart, source: int, partition: int, receipt: ReceiptFacts
) -> bool:
    """Return whether the stage that wrote a receipt has committed beyond what it is about."""
    if receipt.position is None:
        return source < (raw.log.committed or 0)
    part = side.parts.get(partition)
    if part is None:
        return False
    is_live = receipt.lane == "live"
    committed = part.log.committed if is_live else part.log.redelivery_committed
    return receipt.position < (committed or 0)
