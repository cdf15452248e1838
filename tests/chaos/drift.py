"""Whether something that a soak watches grows without end. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEAST_SAMPLES = 8
"""Two in a quarter: fewer say nothing."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much the last quarter may lie above the first one."""

    share: float
    more: float

    def limit(self, first: float) -> float:
        """Return the most that the last quarter may be."""
        return first * (1 + self.share) + self.more


MEMORY = Tolerance(0.10, 8.0)
"""MiB."""
REMEMBERED = Tolerance(0.10, 170.0)
"""MiB, of Voyado's sink: it grows for hours, until its memory of contacts and clicks is full."""
THREADS = Tolerance(0.0, 2.0)
FILES = Tolerance(0.0, 8.0)
"""Connections to vendors come and go with the load."""
START = Tolerance(0.5, 1.0)
"""Seconds: other work on the machine is in them, too."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What one thing came to: the medians of the first and of the last quarter of its samples."""

    worker: str
    what: str
    first: float
    last: float
    limit: float
    samples: int

    @property
    def is_broken(self) -> bool:
        """Whether it grew more than it may, or was looked at too rarely to tell."""
        return self.last > self.limit or self.samples < LEAST_SAMPLES

    @property
    def words(self) -> str:
        """It in one sentence, for people."""
        if self.samples < LEAST_SAMPLES:
            return f"{self.worker}: only {self.samples} samples of {self.what}"
        return (
            f"{self.worker}: {self.what} drifted from {self.first:.1f} to {self.last:.1f}, "
            f"{self.limit:.1f} at most"
        )


def drift(worker: str, what: str, values: Sequence[float], tolerance: Tolerance) -> Drift:
    """Compare the quarters of what was sampled at an even pace, the warm-up left out."""
    if not values:
        return Drift(worker, what, 0.0, 0.0, 0.0, 0)
    size = max(1, len(values) // 4)
    first, last = median(values[:size]), median(values[-size:])
    return Drift(worker, what, first, last, tolerance.limit(first), len(values))
