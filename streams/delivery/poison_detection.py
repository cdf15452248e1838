"""Poison detection: whether an event or the vendor causes a failure.

Pure: time comes in as an argument, in seconds of a clock that only grows.

A single failed request says nothing: the vendor may be down, or one event may be bad. Other events
show the difference. A failure is *contrasted* if its events have failed before and others were
accepted since. It then counts against these events and not against the vendor.

An event is given up only after several contrasted failures over minutes, with the event alone in
its request, while almost nothing else failed. If many events fail, the vendor has a problem, and
everything waits.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

from streams.core.outcome import RequestOutcome, Verdict


@dataclass(frozen=True, slots=True)
class GiveUpRule:
    """When an event that keeps failing, while others are accepted, becomes a dead letter."""

    tries: int = 5
    """Contrasted failures alone in a request; the event's first failure counts, too."""
    seconds: float = 600.0
    """Since its first failure."""
    others: int = 20
    """Events accepted since then."""
    most_failing: float = 0.05
    """With more failures than this share among the others, the vendor is the problem. Of requests:
    first tries only. Of events: suspects in proportion to the events accepted lately.
    """


LONGEST_WAIT_SECONDS = 120.0
"""The longest wait between contrasted tries, whatever the vendor asks for: 5 fit 10 minutes."""
SAMPLES = 20
"""Samples of the number of accepted events, over ``GiveUpRule.seconds``."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Failures:
    """How often an event's requests failed, and the vendor's counts at those times."""

    since: float
    accepted: int
    """Events accepted before its first failure."""
    requests: int
    """Requests accepted by then."""
    fresh: int
    """First tries failed by then."""
    accepted_last: int
    """Events accepted before its last failure."""
    tries: int = 0
    """The first failure, and contrasted ones alone in a request."""


class CanFail(Protocol):
    """An event, as this module needs it."""

    failures: Failures | None


class PoisonDetection:
    """Counts one vendor's accepted events and failures in one worker."""

    def __init__(self, rule: GiveUpRule, now: float) -> None:
        self._rule = rule
        self._accepted = 0
        self._requests = 0
        self._fresh = 0
        self._suspects: WeakSet[Failures] = WeakSet()
        """Failures of events with contrasted failures, while the events are in memory."""
        self._samples = deque([(now, 0)])
        """(time, accepted events by then): of the last ``rule.seconds``, and one before."""

    def record_verdict(self, items: Sequence[CanFail], verdict: Verdict, now: float) -> None:
        """Record a verdict on these events; only accepted ones count as success."""
        if verdict.outcome is RequestOutcome.ACCEPTED:
            self._accepted += len(items)
            self._requests += 1
            if now - self._samples[-1][0] >= self._rule.seconds / SAMPLES:
                self._samples.append((now, self._accepted))
        for item in items:
            item.failures = None

    def record_failure(self, items: Sequence[CanFail], verdict: Verdict, now: float) -> bool:
        """Record that a request with these events failed; return whether that is contrasted."""
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
        """Return whether an event that has just failed alone becomes a dead letter."""
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
        # "Slow down" is about the rate, until many others were accepted meanwhile.
        others = self._rule.others if verdict.outcome is RequestOutcome.THROTTLED else 1
        return any(
            self._accepted > failures.accepted_last and self._accepted - failures.accepted >= others
            for failures in known
        )
