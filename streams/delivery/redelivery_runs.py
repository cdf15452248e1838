"""Runs of redeliveries: a run that the vendor mostly refuses is stopped. Pure.

A replay or resend with a wrong mapping must not park the vendor for live events.
"""

from collections import OrderedDict, deque

from streams.delivery.circuit_breaker import LAST_ANSWERS, mostly_refused

WATCHED_RUNS = 16
"""Of more runs those whose last response is oldest are forgotten."""


class RedeliveryRuns:
    """The newest outcomes of each run's events in one worker."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, deque[bool]] = OrderedDict()

    def record(self, run: str, *, accepted: int, refused: int) -> str:
        """Count accepted and refused events; return why the run must stop, or ``""``.

        A run that was stopped and is resumed starts with empty counts.
        """
        answers = self._answers.setdefault(run, deque(maxlen=LAST_ANSWERS))
        self._answers.move_to_end(run)
        if len(self._answers) > WATCHED_RUNS:
            self._answers.popitem(last=False)
        answers.extend([False] * accepted + [True] * refused)
        if not refused or not mostly_refused(answers):
            return ""
        del self._answers[run]
        return f"{sum(answers)} of its last {len(answers)} events were refused"
