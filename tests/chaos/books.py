"""The books of a run: every event held against what must become of it, vendor by vendor.

Pure: facts in, findings out. Nothing of the pipeline is used, neither its counters nor its audit.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.expected_outcomes import GIVEN_UP, ExpectedOutcomes
from tests.chaos.ledgers import BUFFERED_SECONDS, Door
from tests.chaos.logs import Ends, Logs, Place
from tests.chaos.shop import ACCEPTED, DEAD

NAMED = 5
DUPLICATE = "skipped duplicate"
"""What an event is that ingest has written once more after a crash."""
"""Examples that a finding names."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """An event that a vendor stored once more."""

    vendor: str
    number: int
    first_request: int
    first_at: float
    """When the request that stored it first was read."""
    again_at: float


@dataclass(slots=True)
class Findings:
    """What is not as it must be; empty lists are good news."""

    missing: dict[str, list[int]] = field(default_factory=dict)
    """Vendor → events without their outcome, or accepted by a receipt and not at the vendor."""
    contradicting: dict[str, list[int]] = field(default_factory=dict)
    """Vendor → events with another outcome than they must have, or with two."""
    overtaken: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Vendor → (event, the later event of its visitor and topic that came before it)."""
    in_spite: dict[str, list[int]] = field(default_factory=dict)
    """Vendor → events that were sent although their visitor's no was known."""
    unacknowledged: list[int] = field(default_factory=list)
    """Events that the broker confirmed and then did not have."""

    def sentences(self) -> list[str]:
        """Return them for people, one sentence each."""
        found = []
        for words, by_vendor in (
            ("are missing", self.missing),
            ("have a wrong outcome, or two", self.contradicting),
            ("came too late", self.overtaken),
        ):
            for vendor, events in by_vendor.items():
                if events:
                    named = ", ".join(map(str, events[:NAMED]))
                    found.append(f"{vendor}: {len(events)} events {words}: {named}")
        for vendor, events in self.in_spite.items():
            if events:
                named = ", ".join(map(str, events[:NAMED]))
                found.append(f"{vendor}: {len(events)} events of a visitor's no were sent: {named}")
        if self.unacknowledged:
            found.append(f"the broker lost {len(self.unacknowledged)} confirmed events")
        return found

    @property
    def count_missing(self) -> int:
        """Over all vendors."""
        return sum(map(len, self.missing.values())) + len(self.unacknowledged)

    @property
    def count_contradicting(self) -> int:
        """Over all vendors."""
        return sum(map(len, self.contradicting.values()))

    @property
    def count_overtaken(self) -> int:
        """Over all vendors."""
        return sum(map(len, self.overtaken.values()))


def check(
    logs: Logs,
    doors: Mapping[str, Door],
    outcomes: ExpectedOutcomes,
    acknowledged: Iterable[int] = (),
    *,
    is_final: bool,
) -> Findings:
    """Check what lies on the topics against the doors; ``is_final``: nothing may wait any more."""
    findings = Findings()
    known = logs.partition_of
    # While ingest is behind, what the shop wrote is on no raw topic yet.
    if is_final:
        findings.unacknowledged = sorted(set(acknowledged) - known.keys() - logs.letters.keys())
    repeated = set(logs.repeated_raw)
    for vendor, door in doors.items():
        missing, contradicting = [], []
        receipts = logs.receipts[vendor]
        for number in known:
            may = outcomes.of(number, vendor)
            seen = {outcome for outcome, _ in receipts.get(number, ())}
            if number in repeated:
                seen.discard(DUPLICATE)
            if DEAD in may:
                if seen or number in door.first_at or (is_final and not logs.letters.get(number)):
                    contradicting.append(number)
                continue
            if seen - may or number in logs.letters:
                contradicting.append(number)
            if (number in door.first_at) and ACCEPTED not in may:
                contradicting.append(number)
            untrue = ACCEPTED in seen and number not in door.first_at
            is_lost = GIVEN_UP in seen and number not in logs.vendor_letters[vendor]
            if untrue or (is_final and (is_lost or not seen)):
                missing.append(number)
        findings.missing[vendor] = sorted(missing)
        findings.contradicting[vendor] = sorted(contradicting)
        findings.in_spite[vendor] = outcomes.sent_in_spite(door)
        findings.overtaken[vendor] = overtaken(logs.raw.values(), door.stored)
    return findings


def waiting(logs: Logs, vendor: str, acknowledged: Iterable[int] = ()) -> int:
    """Return how many events that are on a raw topic, or that the broker took, have no outcome."""
    receipts, letters = logs.receipts[vendor], logs.letters
    return sum(
        number not in receipts and number not in letters
        for number in {*logs.partition_of, *acknowledged}
    )


def overtaken(
    topics: Iterable[Sequence[tuple[str, int]]], stored: Sequence[int]
) -> list[tuple[int, int]]:
    """Return each event whose first arrival came after that of a later one, with that one.

    Later: of the same visitor, in the same raw topic.
    """
    position: dict[int, int] = {}
    for at, number in enumerate(stored):
        position.setdefault(number, at)
    found = []
    for records in topics:
        by_visitor: dict[str, list[int]] = defaultdict(list)
        for visitor, number in records:
            if number in position:
                by_visitor[visitor].append(number)
        for numbers in by_visitor.values():
            soonest = numbers[-1]
            for number in reversed(numbers[:-1]):
                if position[number] > position[soonest]:
                    found.append((number, soonest))
                else:
                    soonest = number
    return found


def repeats(door: Door) -> list[Repeat]:
    """Return what a vendor stored more than once, in the order of storing."""
    first: dict[int, int] = {}
    found = []
    for at, number in enumerate(door.stored):
        if number not in first:
            first[number] = at
            continue
        request = door.requests[first[number]]
        opened = door.opened_at[request - 1]
        found.append(Repeat(door.vendor, number, request, opened, door.stored_at[at]))
    return found


def in_flight(
    door: Door, receipts: Mapping[int, Sequence[tuple[str, Place]]], moment: float, ends: Ends
) -> set[int]:
    """Return the requests that had gone out and whose receipts were not written at this moment.

    A request is in flight until its outcome is kept: that is what a crash can repeat.
    """
    last = door.requests_until(moment + BUFFERED_SECONDS)
    found = set()
    for at in range(len(door.stored) - 1, -1, -1):
        request = door.requests[at]
        if door.stored_at[at] < moment - _LONGEST_REQUEST_SECONDS:
            break
        if request > last:
            continue
        kept = any(
            offset < ends.get(partition, 0)
            for outcome, (partition, offset) in receipts.get(door.stored[at], ())
            if outcome == ACCEPTED
        )
        if not kept:
            found.add(request)
    return found


_LONGEST_REQUEST_SECONDS = 130.0
