"""Contrast: whether a failure is its events' own or the vendor's, by how others fared meanwhile.

Pure: time comes in as an argument, in seconds of a clock that only grows.

A request that fails says nothing by itself: the vendor may be down, or dislike one event. The
difference shows in what happens to others. A failure is *contrasted* if its events have failed
before and others were accepted since: then it counts against them, and not against the vendor.

An event is given up only where this has come about again and again, over minutes, with the event
alone in its request, and while next to nothing else failed: a vendor that fails now and then, or
over a whole kind of events, has no bad events but a bad time, and everything waits.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

from streams.core.outcome import RequestOutcome, Verdict


@dataclass(frozen=True, slots=True)
class GiveUpRule:
    """When an event over which its vendor alone always fails becomes a dead letter."""

    tries: int = 5
    """Contrasted ones, with the event alone in its request; the first failure counts as one."""
    seconds: float = 600.0
    """Since its first failure."""
    others: int = 20
    """Events accepted since then."""
    most_failing: float = 0.05
    """More than this share of failures among the others, and it is the vendor that is bad: of
    requests, first tries only; of events, those that are suspected against those accepted lately.
    """


LONGEST_WAIT_SECONDS = 120.0
"""Between two contrasted tries, whatever the vendor asks for: five of them fit ten minutes."""
SAMPLES = 20
"""Of the accepted events, over the time that a verdict takes."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Failures:
    """How often an event's requests failed, and what the vendor had accepted by then."""

    since: float
    accepted: int
    """The vendor's accepted events when it failed first."""
    requests: int
    """The vendor's accepted requests then."""
    fresh: int
    """The vendor's failed first tries then."""
    accepted_last: int
    """The vendor's accepted events when it failed last."""
    tries: int = 0
    """Contrasted failures alone in a request, and the first one."""


class CanFail(Protocol):
    """An event, as far as this module looks at it."""

    failures: Failures | None


class PoisonDetection:
    """What one vendor accepted and failed over in one worker."""

    def __init__(self, rule: GiveUpRule, now: float) -> None:
        self._rule = rule
        self._accepted = 0
        self._requests = 0
        self._fresh = 0
        self._suspects: WeakSet[Failures] = WeakSet()
        """Those of events with contrasted failures, as long as anybody has the event in hand."""
        self._samples = deque([(now, 0)])
        """(time, accepted events by then): of the last ``rule.seconds``, and one before."""

    def record_verdict(self, items: Sequence[CanFail], verdict: Verdict, now: float) -> None:
        """Note that the vendor has judged these events; only what it accepted is a success."""
        if verdict.outcome is RequestOutcome.ACCEPTED:
            self._accepted += len(items)
            self._requests += 1
            if now - self._samples[-1][0] >= self._rule.seconds / SAMPLES:
                self._samples.append((now, self._accepted))
        for item in items:
            item.failures = None

    def record_failure(self, items: Sequence[CanFail], verdict: Verdict, now: float) -> bool:
        """Note that a request over these events failed; return whether that is contrasted."""
        known = [item.failures for item in items if item.failures is not None]
        if not known:
            self._fresh += 1
        contrasted = self._is_contrasted(known, verdict)
        for item in items:
            if item.failures is None:
                item.failures = Failures(
                    now, self._accepted, self._requests, self._fresh, self._accepted, tries=1
                )
            elif self._accepted > item.failures.accepted_last:
                item.failures.accepted_last = self._accepted
                if len(items) == 1:
                    item.failures.tries += 1
                    self._suspects.add(item.failures)
        return contrasted

    def is_hopeless(self, item: CanFail, now: float) -> bool:
        """Return whether an event that has just failed alone is to be given up."""
        rule, failures = self._rule, item.failures
        if failures is None:
            return False
        if (
            failures.tries < rule.tries
            or now - failures.since < rule.seconds
            or self._accepted - failures.accepted < rule.others
        ):
            return False
        accepted = self._requests - failures.requests
        fresh = self._fresh - failures.fresh
        suspects = len(self._suspects) - 1
        return fresh <= rule.most_failing * (
            accepted + fresh
        ) and suspects <= rule.most_failing * self._accepted_lately(now)

    def _accepted_lately(self, now: float) -> int:
        while len(self._samples) > 1 and self._samples[1][0] <= now - self._rule.seconds:
            self._samples.popleft()
        return self._accepted - self._samples[0][1]

    def _is_contrasted(self, known: Iterable[Failures], verdict: Verdict) -> bool:
        # "Slow down" is about the vendor's pace until much shows that it is not.
        others = self._rule.others if verdict.outcome is RequestOutcome.THROTTLED else 1
        return any(
            self._accepted > failures.accepted_last and self._accepted - failures.accepted >= others
            for failures in known
        )
