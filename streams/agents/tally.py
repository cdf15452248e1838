"""What a worker counts, once per event and per batch rather than per call."""

from collections import Counter, deque
from collections.abc import Sequence

AGE_SAMPLES = 2_000
RATE_SECONDS = 10


class Tally:
    """Counts since the worker started."""

    def __init__(self) -> None:
        self.events = 0
        self.accepted = 0
        self.skipped: Counter[str] = Counter()
        self.dead_lettered: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        """What was left out or corrected in events, by its name."""
        self.expired: Counter[str] = Counter()
        """Records that retention deleted before they were read, by topic."""
        self.repeats = 0
        """Vendor records that were recognised as repeats and not sent."""
        self._ages: deque[float] = deque(maxlen=AGE_SAMPLES)
        self._rate: deque[tuple[float, int]] = deque(maxlen=RATE_SECONDS + 1)

    @property
    def settled(self) -> int:
        """Events that have their outcome."""
        return self.accepted + self.skipped.total() + self.dead_lettered.total()

    def note_ages(self, seconds: Sequence[float]) -> None:
        """Take how old events were when they were accepted."""
        self._ages.extend(seconds)

    def ages(self) -> dict[str, float]:
        """Return p50 and p95 in seconds of the newest accepted events; empty without any."""
        if not self._ages:
            return {}
        ordered = sorted(self._ages)
        last = len(ordered) - 1
        return {"p50": ordered[last // 2], "p95": ordered[round(last * 0.95)]}

    def sample_rate(self, now: float) -> float:
        """Note the number of events now (about once a second); return events/s lately."""
        self._rate.append((now, self.events))
        (first, before), (last, after) = self._rate[0], self._rate[-1]
        return (after - before) / (last - first) if last > first else 0.0
