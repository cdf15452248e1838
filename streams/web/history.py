"""An hour of samples for the small curves; kept in memory, from the worker's start on. Pure."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from streams.web.vendors import VendorSummary

STEP_SECONDS = 10
SAMPLES = 3600 // STEP_SECONDS
TREND_SECONDS = 60
SERIES = ("accepted", "waiting", "p95")


class History:
    """Accepted a second, events waiting and p95 of each vendor, and raw events a second."""

    def __init__(self) -> None:
        self.times: deque[int] = deque(maxlen=SAMPLES)
        """In ms since the epoch."""
        self._raw: deque[float] = deque(maxlen=SAMPLES)
        self._vendors: dict[str, dict[str, deque[float | None]]] = {}
        self._recent: dict[str, deque[tuple[float, int]]] = {}
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

    def note_expired(self, stage: str, total: int) -> None:
        """Take, with each sample, how many records retention has ever deleted unread.

        The total may dip while partitions move between workers; that takes nothing back.
        """
        points = self._expired.setdefault(stage, deque(maxlen=SAMPLES))
        points.append(max(total, points[-1] if points else 0))

    def expired_lately(self, stage: str) -> int:
        """Return how many were deleted within the hour, as far as it was looked at."""
        points = self._expired.get(stage)
        return points[-1] - points[0] if points else 0

    def sample(self, now_ms: int, raw_rate: float, vendors: Iterable[VendorSummary]) -> None:
        """Take a point of each curve."""
        before = len(self.times) if len(self.times) < SAMPLES else SAMPLES - 1
        self.times.append(now_ms)
        self._raw.append(round(raw_rate, 1))
        for vendor in vendors:
            series = self._vendors.get(vendor.key)
            if series is None:
                empty = [None] * before
                series = self._vendors[vendor.key] = {
                    name: deque(empty, maxlen=SAMPLES) for name in SERIES
                }
            silent = not vendor.workers
            series["accepted"].append(None if silent else round(vendor.accepted_rate, 2))
            series["waiting"].append(None if silent else vendor.waiting)
            series["p95"].append(None if vendor.p95 is None else round(vendor.p95, 3))

    def to_json(self) -> dict[str, Any]:
        """Return the curves; a point is None where nothing was known."""
        return {
            "began": self.times[0] if self.times else None,
            "step": STEP_SECONDS,
            "samples": SAMPLES,
            "times": list(self.times),
            "raw": list(self._raw),
            "vendors": {
                key: {name: list(points) for name, points in series.items()}
                for key, series in self._vendors.items()
            },
        }
