"""What may become of each event, by its number and by what the run did meanwhile. Pure.

An event's own outcome follows from its number alone. Two things change it: its visitor says no
in the midst of the run, or its vendor is made to fail over it for ever.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from tests.chaos.ledgers import Door
from tests.chaos.shop import ACCEPTED, Event

ACTS_SECONDS = 5.0
"""How long after its writing a visitor's row acts at the latest (contract of ``shop.users``)."""
SLACK_SECONDS = 1.0
"""Between a worker's last look at the row and the simulator's first sight of the request."""
NO = "skipped no_consent"
GIVEN_UP = "dead_lettered undeliverable"


@dataclass(frozen=True, slots=True)
class Revocation:
    """One visitor's no."""

    written: float = inf
    """When the broker had it, on the clock of all other moments."""


@dataclass(slots=True)
class ExpectedOutcomes:
    """Of all events that were sent."""

    sent_at: Sequence[float] = ()
    """By the event's number."""
    revocations: Mapping[int, Revocation] = field(default_factory=dict)
    """By visitor."""
    refused: Mapping[str, Collection[int]] = field(default_factory=dict)
    """Vendor → events over which it always fails."""
    _counted: Counter[str] = field(default_factory=Counter)
    _expected: Counter[str] = field(default_factory=Counter)

    def of(self, number: int, vendor: str) -> frozenset[str]:
        """Return the outcomes that an event may have at a vendor.

        From before the visitor's no it may have been sent, or be stopped; what came well after may
        not be sent. Consent is judged before all other reasons to skip.
        """
        event = Event(number)
        outcome = event.outcome(vendor)
        may = {outcome}
        if outcome == ACCEPTED and number in self.refused.get(vendor, ()):
            may.add(GIVEN_UP)
        no = self.revocations.get(event.visitor)
        if no is not None and (outcome == ACCEPTED or outcome.startswith("skipped")):
            may = {NO} if self.sent_at[number] > no.written + ACTS_SECONDS else may | {NO}
        return frozenset(may)

    def expected(self, vendor: str, numbers: int) -> int:
        """Return how many of the first so many events a vendor may accept."""
        # Asked again and again by who waits: each event is looked at once.
        for number in range(self._counted[vendor], numbers):
            self._expected[vendor] += ACCEPTED in self.of(number, vendor)
        self._counted[vendor] = max(self._counted[vendor], numbers)
        return self._expected[vendor]

    def sent_in_spite(self, door: Door) -> list[int]:
        """Return the events that a vendor got by a request that began when the no was known."""
        found = set()
        for at in range(len(door.stored)):
            no = self.revocations.get(Event(door.stored[at]).visitor)
            if no is None:
                continue
            began = door.opened_at[door.requests[at] - 1]
            if began > no.written + ACTS_SECONDS + SLACK_SECONDS:
                found.add(door.stored[at])
        return sorted(found)
