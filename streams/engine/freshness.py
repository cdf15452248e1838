"""How recent the known rows of a partition are, by the log ends in the broker's responses.

A consumer that has read up to an end knows everything that was written before it requested that
end. The end is that of the log: while a producer's transaction is open, the last stable offset lies
below it, and nobody can read the records in between.
"""

from collections import deque

STEP_SECONDS = 0.1
"""Of several ends within this time only the latest is kept."""
KEPT_ENDS = 1_000
"""The newest ends, of at least 100 s."""
LONG_TRANSACTION_SECONDS = 30.0
"""An open transaction that hides a source's records for so long is reported. Nothing waits for it
any more, except the events of visitors whose rows it hides."""


class LogEnds:
    """The ends of one partition's log, by the time of the request. Pure."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque(maxlen=KEPT_ENDS)
        self._step_at = 0.0
        self._end = -1
        self._stable = 0

    @property
    def end(self) -> int:
        """The last known end; -1 before the first response."""
        return self._end

    def record(self, asked_at: float, *, end: int, stable: int) -> None:
        """Record a response: the log's end, and the last stable offset, up to which it can be read.

        ``asked_at`` is when the request was sent, in seconds: a response may lie unread for long in
        a process that stands still.
        """
        self._end, self._stable = end, stable
        if self._ends and asked_at - self._step_at < STEP_SECONDS:
            self._ends[-1] = asked_at, end
        else:
            self._ends.append((asked_at, end))
            self._step_at = asked_at

    def record_unchanged(self, asked_at: float) -> None:
        """Record a response with the same end as the last one."""
        self.record(asked_at, end=self._end, stable=self._stable)

    def known_at(self, position: int) -> float | None:
        """Return the time (s) up to which all is read; None: not later than at the last call.

        ``position`` is the next offset to read.
        """
        known = None
        while self._ends and self._ends[0][1] <= position:
            known, _ = self._ends.popleft()
        return known

    def hidden_since(self, position: int) -> float | None:
        """Return since when (s) an open transaction hides the following records; None: none does.

        Of one that is open for longer than the ends are kept, the time of the oldest end.
        """
        if not self._ends or not self._stable <= position < self._ends[-1][1]:
            return None
        return next(asked_at for asked_at, end in self._ends if end > position)
