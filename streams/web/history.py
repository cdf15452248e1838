"""An hour of samples for the small curves; kept in memory, from the worker's start on. Pure."""

from collections import deque
from typing import Any, NamedTuple

STEP_SECONDS = 10
SAMPLES = 3600 // STEP_SECONDS
TREND_SECONDS = 60
RATE_SECONDS = 15


class Point(NamedTuple):
    """One vendor at one moment; None: not known."""

    settled: float | None
    """Events a second that got an outcome."""
    waiting: int | None


class History:
    """Settled a second and events waiting of each vendor."""

    def __init__(self) -> None:
        self.times: deque[int] = deque(maxlen=SAMPLES)
        """In ms since the epoch."""
        self._vendors: dict[str, deque[Point]] = {}
        self._recent: dict[str, deque[tuple[float, int]]] = {}
        self._skipped: dict[str, deque[tuple[float, int]]] = {}
        self._expired: dict[str, deque[int]] = {}

    def note_waiting(self, now: float, vendor: str, waiting: int) -> None:
        """Take how many events wait now, about once a second, for the trend."""
        recent = self._recent.setdefault(vendor, deque(maxlen=2 * TREND_SECONDS))
        recent.append((now, waiting))
        while now - recent[0][0] > TREND_SECONDS:
            recent.popleft()

    def shrinking_rate(self, vendor: str) -> float | None:
        """Return by how many events a second what waits became less over the last minute.

        None until there are ten seconds to judge by.
        """
        recent = self._recent.get(vendor)
        if not recent or recent[-1][0] - recent[0][0] < STEP_SECONDS:
            return None
        (first, before), (last, after) = recent[0], recent[-1]
        return (before - after) / (last - first)

    def note_skipped(self, now: float, vendor: str, total: int) -> None:
        """Take how many events enrichment has ever skipped for a vendor."""
        recent = self._skipped.setdefault(vendor, deque())
        if recent and total < recent[-1][1]:
            recent.clear()  # a worker was restarted and counts anew
        recent.append((now, total))
        while len(recent) > 2 and now - recent[1][0] > RATE_SECONDS:
            recent.popleft()

    def skipped_rate(self, vendor: str) -> float:
        """Return how many events a second enrichment skips for a vendor, over the last seconds."""
        recent = self._skipped.get(vendor)
        if not recent or recent[-1][0] <= recent[0][0]:
            return 0.0
        (first, before), (last, after) = recent[0], recent[-1]
        return (after - before) / (last - first)

    def note_expired(self, stage: str, total: int) -> None:
        """Take, with each sample, how many records retention has ever deleted unread.

        The total may dip while partitions move between workers; that takes nothing back.
        """
        points = self._expired.setdefault(stage, deque(maxlen=SAMPLES))
        points.append(max(total, points[-1] if points else 0))

    def expired_lately(self) -> dict[str, int]:
        """Return by stage how many were deleted within the hour, as far as it was looked at."""
        lost = {stage: points[-1] - points[0] for stage, points in self._expired.items()}
        return {stage: number for stage, number in lost.items() if number}

    def sample(self, now_ms: int, points: dict[str, Point]) -> None:
        """Take a point of each vendor's curves."""
        before = len(self.times) if len(self.times) < SAMPLES else SAMPLES - 1
        self.times.append(now_ms)
        nothing = Point(None, None)
        for vendor in points.keys() | self._vendors.keys():
            series = self._vendors.get(vendor)
            if series is None:
                series = self._vendors[vendor] = deque([nothing] * before, maxlen=SAMPLES)
            series.append(points.get(vendor, nothing))

    def to_json(self) -> dict[str, Any]:
        """Return the curves; a point is None where nothing was known."""
        return {
            "began": self.times[0] if self.times else None,
            "vendors": {
                vendor: {
                    "settled": [point.settled for point in series],
                    "waiting": [point.waiting for point in series],
                }
                for vendor, series in self._vendors.items()
            },
        }
