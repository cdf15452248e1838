"""The rules of an audit: what became of a raw record at a vendor, and the sums over all of them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    RawPart,
    Traces,
)


class Fate(Enum):
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


TROUBLES: Mapping[Fate, str] = {
    Fate.CONTRADICTING: "enrichment gave it up, and yet it went to the vendor",
    Fate.NO_TRACE: "enrichment has passed it and left no trace for the vendor",
    Fate.NO_RECEIPT: "the sink has passed its vendor record and there is no receipt",
    Fate.NO_LETTER: "its receipt says dead_lettered and there is no dead letter",
}
"""What should not be, in words."""


def fate_of(raw: int, trace: int, is_passed: bool, is_off: bool) -> Fate:
    """Return the fate of a present raw record from its flags and its trace at the vendor.

    ``is_passed``: it lies below enrichment's commit. ``is_off``: the vendor was off when it was
    read. Waiting is decided by offsets alone; it is never what is left over.
    """
    if raw & GIVEN_UP:
        if trace & (LIVE_RECEIPT | RECORD | ENRICH_LETTER):
            return Fate.CONTRADICTING
        if not trace & ANY_RECEIPT:
            return Fate.GIVEN_UP
        # Only redeliveries know it: it was mended and sent again, and what became of it counts.
    if trace & ACCEPTED:
        return Fate.ACCEPTED
    if trace & DEAD:
        is_kept = trace & LETTER or not trace & DEAD_DUE
        return Fate.DEAD_LETTERED if is_kept else Fate.NO_LETTER
    if trace & SKIPPED:
        return Fate.DEAD_LETTERED if trace & ENRICH_LETTER else Fate.SKIPPED
    if trace & RECORD:
        return Fate.NO_RECEIPT if trace & RECORD_PASSED else Fate.WAITING_FOR_VENDOR
    if trace & ENRICH_LETTER:
        return Fate.DEAD_LETTERED
    if is_off:
        return Fate.OFF
    return Fate.NO_TRACE if is_passed else Fate.WAITING_FOR_ENRICHMENT


@dataclass(frozen=True, slots=True)
class Stretch:
    """Places of a raw partition for which everything that depends on the offset is the same."""

    first: int
    end: int
    is_passed: bool
    is_off: bool
    may_have_expired: bool
    """Its vendor records may be among those that retention deleted before they were sent."""


def stretches(vendor: str, raw: RawPart, traces: Traces, expired: int) -> Iterator[Stretch]:
    """Cut a raw partition where enrichment's commit, on and off, or lost vendor records change."""
    log = raw.log
    committed = log.committed if log.committed is not None else log.start
    ranges: Sequence[tuple[int, int | None]] = [(0, None)]
    if log.on is not None:
        ranges = log.on.get(vendor, [])
    first_left = 0
    if expired:
        first_left = log.end if traces.first_source is None else traces.first_source
    borders = {log.start, log.end, committed, first_left}
    for first, end in ranges:
        borders |= {first, log.end if end is None else end}
    cuts = sorted(b for b in borders if log.start <= b <= log.end)
    for first, end in pairwise(cuts):
        yield Stretch(
            first=first - log.start,
            end=end - log.start,
            is_passed=first < committed,
            is_off=not any(f <= first and (e is None or first < e) for f, e in ranges),
            may_have_expired=first < first_left,
        )


@dataclass(slots=True)
class Tally:
    """The sums over a vendor's raw records."""

    fates: "Counter[Fate]"
    skipped: "Counter[int]"
    """By number of the reason."""
    dead: "Counter[int]"
    """By number of the reason."""


def tally(
    vendor: str, parts: Sequence[tuple[RawPart, Traces]], expired: Mapping[int, int]
) -> tuple[Tally, int]:
    """Return the sums and how many records without a trace are explained by deleted ones.

    ``expired``: by partition, vendor records that retention deleted unsent.
    """
    sums = Tally(Counter(), Counter(), Counter())
    maybe_expired: Counter[int] = Counter()
    for raw, traces in parts:
        for stretch in stretches(vendor, raw, traces, expired.get(raw.partition, 0)):
            cut = slice(stretch.first, stretch.end)
            kinds = Counter(
                zip(
                    raw.flags[cut],
                    traces.state[cut],
                    traces.skip[cut],
                    traces.dead[cut],
                    strict=True,
                )
            )
            for (flags, state, skip, dead), count in kinds.items():
                if not flags & PRESENT:
                    continue
                fate = fate_of(flags, state, stretch.is_passed, stretch.is_off)
                sums.fates[fate] += count
                if fate is Fate.SKIPPED:
                    sums.skipped[skip] += count
                elif fate is Fate.DEAD_LETTERED:
                    sums.dead[dead] += count
                elif fate is Fate.NO_TRACE and stretch.may_have_expired:
                    maybe_expired[raw.partition] += count
    return sums, sum(min(count, expired[p]) for p, count in maybe_expired.items())


def troubled(
    vendor: str, parts: Sequence[tuple[RawPart, Traces]], expired: Mapping[int, int]
) -> Iterator[tuple[str, Fate]]:
    """Yield the place of each record whose fate should not be, for the examples."""
    for raw, traces in parts:
        for stretch in stretches(vendor, raw, traces, expired.get(raw.partition, 0)):
            for place in range(stretch.first, stretch.end):
                if raw.flags[place] & PRESENT:
                    state = traces.state[place]
                    fate = fate_of(raw.flags[place], state, stretch.is_passed, stretch.is_off)
                    if fate in TROUBLES and not (
                        fate is Fate.NO_TRACE and stretch.may_have_expired
                    ):
                        yield raw.where(place + raw.log.start), fate
