"""Bisection: finds the events that a vendor refuses without naming them, front first.

Pure. Among n events, each refused one costs at most ⌈log2 n⌉ + 1 requests beyond the first. Each
request sends the front half of the range that contains the refused event. The events behind that
range are sent as one batch once the event is found.
"""

from typing import Generic, TypeVar

from streams.core.outcome import Verdict
from streams.delivery.batching import MicroBatch, halves, joined

P = TypeVar("P")


class Bisection(Generic[P]):
    """The search for one refused event of a batch; events behind the range are not sent."""

    def __init__(self, batch: MicroBatch[P], verdict: Verdict) -> None:
        """Start with a batch of at least two events and the verdict that refused it."""
        self.verdict = verdict
        """The verdict on the smallest refused range so far."""
        self._suspects = batch
        """One of these is refused, as long as the vendor does not change its mind."""
        self._unsent = _nothing(batch)
        """The events behind a refused range: nothing is known about them."""

    def __len__(self) -> int:
        """The number of events without an outcome."""
        return len(self._suspects) + len(self._unsent)

    def next_batch(self) -> MicroBatch[P]:
        """Return the next events to send; the same ones until a result is recorded."""
        return halves(self._suspects)[0] if len(self._suspects) > 1 else self._suspects

    def on_refused(self, verdict: Verdict) -> None:
        """Record that ``next_batch``, with more than one event, was refused."""
        self.verdict = verdict
        front, back = halves(self._suspects)
        self._suspects = front
        self._unsent = joined(back, self._unsent)

    def on_accepted(self) -> P | None:
        """Record that ``next_batch`` was accepted; return the refused event if it is now known.

        It is known without a request of its own if a range was refused, then a smaller range, and
        all other events of that range were accepted. After only one refusal the last event is sent
        alone: if the vendor refused once by mistake, no event is lost.
        """
        if len(self._suspects) <= 1:
            self._suspects = _nothing(self._suspects)
            return None
        self._suspects = halves(self._suspects)[1]
        if len(self._suspects) > 1 or not len(self._unsent):
            return None
        found = self._suspects.positions[0]
        self._suspects = _nothing(self._suspects)
        return found

    @property
    def is_over(self) -> bool:
        """Whether no remaining event is known to be refused."""
        return not len(self._suspects)

    def left(self) -> MicroBatch[P]:
        """Return all events without an outcome, in order; may be empty."""
        return joined(self._suspects, self._unsent)

    def left_behind_next(self) -> MicroBatch[P]:
        """Return the same without ``next_batch``."""
        behind = self._suspects
        behind = halves(behind)[1] if len(behind) > 1 else _nothing(behind)
        return joined(behind, self._unsent)


def _nothing(like: MicroBatch[P]) -> MicroBatch[P]:
    return MicroBatch((), (), like.cause)
