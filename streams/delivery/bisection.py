"""Halving: finds the events that a vendor refuses without naming them, front first.

Pure. Of n events, each refused one costs at most ⌈log2 n⌉ + 1 requests beyond the first: each
request asks about the front half of the range that holds it, never about both, and what was left
out on the way travels as one batch once it is found.
"""

from typing import Generic, TypeVar

from streams.core.batching import MicroBatch, halves
from streams.core.outcome import Verdict

P = TypeVar("P")


class Bisection(Generic[P]):
    """The search for one refused event of a batch; what is behind it is unsent all the while."""

    def __init__(self, batch: MicroBatch[P], verdict: Verdict) -> None:
        """Begin with a batch of at least two events and the response that refused it."""
        self.verdict = verdict
        """The response about the smallest refused range so far."""
        self._suspects = batch
        """One of these is refused, as long as the vendor does not change its mind."""
        self._unsent = _nothing(batch)
        """What stood behind a range that was refused: nothing is known of it."""

    def __len__(self) -> int:
        """The number of events without an outcome."""
        return len(self._suspects) + len(self._unsent)

    def next_batch(self) -> MicroBatch[P]:
        """Return what to ask about next, the same until a response is noted."""
        return halves(self._suspects)[0] if len(self._suspects) > 1 else self._suspects

    def on_refused(self, verdict: Verdict) -> None:
        """Note that ``next_batch``, of more than one event, is refused."""
        self.verdict = verdict
        front, back = halves(self._suspects)
        self._suspects = front
        self._unsent = joined(back, self._unsent)

    def on_accepted(self) -> P | None:
        """Note that ``next_batch`` is accepted; return the refused event if it is known by now.

        It is known without having been asked about alone if a range was refused twice, smaller
        the second time, and all others of it are accepted. After a single refusal the last one is
        asked alone: a vendor that refused once by mistake must cost no event.
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
        """Whether nothing is left that is known to be refused."""
        return not len(self._suspects)

    def left(self) -> MicroBatch[P]:
        """Return all that is without an outcome, in order; it may be empty."""
        return joined(self._suspects, self._unsent)

    def left_behind_next(self) -> MicroBatch[P]:
        """Return the same without ``next_batch``."""
        behind = self._suspects
        behind = halves(behind)[1] if len(behind) > 1 else _nothing(behind)
        return joined(behind, self._unsent)


def joined(front: MicroBatch[P], back: MicroBatch[P]) -> MicroBatch[P]:
    """Return both as one batch, in order."""
    return MicroBatch(front.positions + back.positions, front.payloads + back.payloads, front.cause)


def _nothing(like: MicroBatch[P]) -> MicroBatch[P]:
    return MicroBatch((), (), like.cause)
