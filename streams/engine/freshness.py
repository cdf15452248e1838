"""How old what is known of a partition is: what the broker's answers say of where its log ends.

Whoever asks at a moment and is told an end knows all that was written until that moment, as soon
as it has read up to that end. The end is the log's own: while another producer's transaction is
open, the last stable offset lies below it, and what lies between can be read by nobody.
"""

from collections import deque

STEP_SECONDS = 0.1
"""Ends that are told within this of each other become one, which is the later one."""
KEPT_ENDS = 1_000
"""So many of them are kept, 100 s or more; of more the oldest go."""


class LogEnds:
    """Where one partition's log ended, by when the broker was asked. Pure."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque(maxlen=KEPT_ENDS)
        self._step_at = 0.0
        self._end = 0
        self._stable = 0

    def record(self, asked_at: float, *, end: int, stable: int) -> None:
        """Note an answer: the log's end, and how far it can be read (the last stable offset).

        ``asked_at`` is when the request was sent, in seconds: an answer may lie unread for long in
        a process that stands still, and it knows nothing of what came meanwhile.
        """
        self._end, self._stable = end, stable
        if self._ends and asked_at - self._step_at < STEP_SECONDS:
            self._ends[-1] = asked_at, end
        else:
            self._ends.append((asked_at, end))
            self._step_at = asked_at

    def record_unchanged(self, asked_at: float) -> None:
        """Note an answer that says the same as the one before."""
        self.record(asked_at, end=self._end, stable=self._stable)

    def known_at(self, position: int) -> float | None:
        """Return as of when (s) all is read; None: nothing new is known since it was last asked.

        ``position`` is the offset that is read next.
        """
        known = None
        while self._ends and self._ends[0][1] <= position:
            known, _ = self._ends.popleft()
        return known

    def is_behind_transaction(self, position: int) -> bool:
        """Return whether only an open transaction keeps what follows from being read."""
        return bool(self._ends) and self._stable <= position < self._ends[-1][1]
