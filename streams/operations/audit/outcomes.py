"""The rules of an audit: what became of a raw record at a vendor, and the sums over all of them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import pairwise

from streams.operations.audit.logs import (
    ACCEPTED,
    ANY_RECEIPT,
    DEAD,
    DEAD_DUE,
    ENRICH_LETTER,
    GIVEN_UP,
    LETTER,
    LIVE_RECEIPT,
    PRESENT,
    RECORD,
    RECORD_PASSED,
    SKIPPED,
    ExpiredSpan,
    LogTraces,
    RawPart,
)


class AuditedOutcome(Enum):
    """What became of one raw record at one vendor."""

    GIVEN_UP = auto()
    """A dead letter of enrichment."""
    CONTRADICTING = auto()
    """A dead letter of enrichment that went to the vendor all the same."""
    ACCEPTED = auto()
    DEAD_LETTERED = auto()
    SKIPPED = auto()
    WAITING_FOR_VENDOR = auto()
    WAITING_FOR_ENRICHMENT = auto()
    OFF = auto()
    NO_TRACE = auto()
    NO_RECEIPT = auto()
    NO_LETTER = auto()


TROUBLES: Mapping[AuditedOutcome, str] = {
    AuditedOutcome.CONTRADICTING: "enrichment gave it up, and yet it went to the vendor",
    AuditedOutcome.NO_TRACE: "enrichment has passed it and left no trace for the vendor",
    AuditedOutcome.NO_RECEIPT: "the sink has passed its vendor record and there is no receipt",
    AuditedOutcome.NO_LETTER: "its receipt says dead_lettered and there is no dead letter",
}
"""What should not be, in words."""


def outcome_of(raw: int, trace: int, is_passed: bool, is_off: bool) -> AuditedOutcome:
    """Return the outcome of a present raw record from its flags and its trace at the vendor.

    ``is_passed``: it lies below enrichment's commit. ``is_off``: the vendor was off when it was
    read. Waiting is decided by offsets alone; it is never what is left over.
    """
    if raw & GIVEN_UP:
        if trace & (LIVE_RECEIPT | RECORD | ENRICH_LETTER):
            return AuditedOutcome.CONTRADICTING
        if not trace & ANY_RECEIPT:
            return AuditedOutcome.GIVEN_UP
        # Only redeliveries know it: it was mended and sent again, and what became of it counts.
    if trace & ACCEPTED:
        return AuditedOutcome.ACCEPTED
    if trace & DEAD:
        is_kept = trace & LETTER or not trace & DEAD_DUE
        return AuditedOutcome.DEAD_LETTERED if is_kept else AuditedOutcome.NO_LETTER
    if trace & SKIPPED:
        return AuditedOutcome.DEAD_LETTERED if trace & ENRICH_LETTER else AuditedOutcome.SKIPPED
    if trace & RECORD:
        return (
            AuditedOutcome.NO_RECEIPT
            if trace & RECORD_PASSED
            else AuditedOutcome.WAITING_FOR_VENDOR
        )
    if trace & ENRICH_LETTER:
        return AuditedOutcome.DEAD_LETTERED
    if is_off:
        return AuditedOutcome.OFF
    return AuditedOutcome.NO_TRACE if is_passed else AuditedOutcome.WAITING_FOR_ENRICHMENT


@dataclass(frozen=True, slots=True)
class Stretch:
    """Places of a raw partition for which everything that depends on the offset is the same."""

    first: int
    end: int
    is_passed: bool
    is_off: bool
    span: int | None
    """The index of the span of expired vendor records that it lies in."""


def stretches(
    vendor: str, raw: RawPart, spans: Sequence[tuple[int, ExpiredSpan]]
) -> Iterator[Stretch]:
    """Cut a raw partition where enrichment's commit, on and off, or expired spans change."""
    log = raw.log
    committed = log.committed if log.committed is not None else log.start
    ranges: Sequence[tuple[int, int | None]] = [(0, None)]
    if log.on is not None:
        ranges = [(0, log.on.since), *log.on.ranges.get(vendor, [])]
    expired = [(*place, index) for index, span in spans for place in span.raw.get(raw.index, [])]
    borders = {log.start, log.end, committed}
    for first, end in ranges:
        borders |= {first, log.end if end is None else end}
    for first, end, _ in expired:
        borders |= {first, end}
    cuts = sorted(b for b in borders if log.start <= b <= log.end)
    for first, end in pairwise(cuts):
        yield Stretch(
            first=first - log.start,
            end=end - log.start,
            is_passed=first < committed,
            is_off=not any(f <= first and (e is None or first < e) for f, e in ranges),
            span=next((index for f, e, index in expired if f <= first < e), None),
        )


@dataclass(slots=True)
class OutcomeCounts:
    """The sums over a vendor's raw records."""

    outcomes: "Counter[AuditedOutcome]"
    skipped: "Counter[int]"
    """By number of the reason."""
    dead: "Counter[int]"
    """By number of the reason."""
    traceless: "Counter[int]"
    """By index of the span of expired vendor records: raw records in it without a trace."""


def tally(
    vendor: str, parts: Sequence[tuple[RawPart, LogTraces]], spans: Sequence[ExpiredSpan]
) -> OutcomeCounts:
    """Return the sums; a record without a trace counts as such also where it may have expired."""
    sums = OutcomeCounts(Counter(), Counter(), Counter(), Counter())
    for raw, traces in parts:
        for stretch in stretches(vendor, raw, list(enumerate(spans))):
            cut = slice(stretch.first, stretch.end)
            columns = raw.flags[cut], traces.state[cut], traces.skip[cut], traces.dead[cut]
            kinds = Counter(zip(*columns, strict=True))
            for (flags, state, skip, dead), count in kinds.items():
                if not flags & PRESENT:
                    continue
                outcome = outcome_of(flags, state, stretch.is_passed, stretch.is_off)
                sums.outcomes[outcome] += count
                if outcome is AuditedOutcome.SKIPPED:
                    sums.skipped[skip] += count
                elif outcome is AuditedOutcome.DEAD_LETTERED:
                    sums.dead[dead] += count
                elif outcome is AuditedOutcome.NO_TRACE and stretch.span is not None:
                    sums.traceless[stretch.span] += count
    return sums


@dataclass(frozen=True, slots=True)
class TroubledRun:
    """Records that follow each other and have the same outcome, which should not be."""

    raw: RawPart
    first: int
    """Raw offset."""
    last: int
    outcome: AuditedOutcome
    span: int | None
    """The index of the span of expired vendor records that may explain it."""

    @property
    def where(self) -> str:
        """The run as text: one place, or the first and the last offset."""
        place = self.raw.where(self.first)
        return place if self.first == self.last else f"{place}-{self.last}"


def troubled(
    vendor: str, parts: Sequence[tuple[RawPart, LogTraces]], spans: Sequence[ExpiredSpan]
) -> Iterator[TroubledRun]:
    """Yield where records lie whose outcome should not be, in the order of their offsets."""
    for raw, traces in parts:
        run: TroubledRun | None = None
        for stretch in stretches(vendor, raw, list(enumerate(spans))):
            for place in range(stretch.first, stretch.end):
                if not raw.flags[place] & PRESENT:
                    continue
                flags, state = raw.flags[place], traces.state[place]
                outcome = outcome_of(flags, state, stretch.is_passed, stretch.is_off)
                if outcome not in TROUBLES:
                    continue
                offset = place + raw.log.start
                span = stretch.span if outcome is AuditedOutcome.NO_TRACE else None
                follows = (offset - 1, outcome, span)
                if run is not None and (run.last, run.outcome, run.span) == follows:
                    run = replace(run, last=offset)
                    continue
                if run is not None:
                    yield run
                run = TroubledRun(raw, offset, offset, outcome, span)
        if run is not None:
            yield run
