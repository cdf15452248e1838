"""Runs of redeliveries: one that the vendor mostly refuses is stopped by itself. Pure.

A replay or a resend with a wrong mapping must not park the vendor, which serves live traffic well.
"""

from collections import OrderedDict, deque

from streams.delivery.circuit_breaker import LAST_ANSWERS, LEAST_ANSWERS

WATCHED_RUNS = 16
"""Of more at a time those are forgotten that were answered longest ago."""


class RedeliveryRuns:
    """The vendor's last responses to each run's events, in one worker."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, deque[bool]] = OrderedDict()

    def record(self, run: str, *, accepted: int, refused: int) -> str:
        """Count events by the vendor's last word; return why the run is to stop, or ``""``.

        The responses that stop a run are forgotten with it: a run that is resumed begins anew.
        """
        answers = self._answers.setdefault(run, deque(maxlen=LAST_ANSWERS))
        self._answers.move_to_end(run)
        if len(self._answers) > WATCHED_RUNS:
            self._answers.popitem(last=False)
        answers.extend([False] * accepted + [True] * refused)
        count, bad = len(answers), sum(answers)
        if not refused or count < LEAST_ANSWERS or 2 * bad <= count:
            return ""
        del self._answers[run]
        return f"{bad} of its last {count} events were refused"
