"""Whether more comes in than a vendor's quota lets out, said with the figures. Pure."""

from collections import deque

WINDOW = 11
"""Samples, about one a second."""
WORTH_SAYING_SECONDS = 60.0
"""Less than this much work waiting is no congestion but a gust."""


class Flow:
    """How many events came in and were settled lately."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=WINDOW)

    def sample(self, now: float, settled: int, waiting: int) -> None:
        """Note, about once a second, how many events are settled in all and how many wait."""
        self._samples.append((now, settled, waiting))

    def sentence(self, quota_per_second: float) -> str:
        """Return what waits behind the quota and for how long; empty where it is little."""
        if len(self._samples) < WINDOW:
            return ""
        (begin, settled_then, waiting_then), (end, settled, waiting) = (
            self._samples[0],
            self._samples[-1],
        )
        if waiting <= WORTH_SAYING_SECONDS * quota_per_second:
            return ""
        seconds = end - begin
        out = (settled - settled_then) / seconds
        come = max(0.0, out + (waiting - waiting_then) / seconds)
        drained = (
            f"drained in {_minutes(waiting / (out - come))} at this rate"
            if out > come
            else "never drained at this rate"
        )
        return (
            f"{waiting:,} events wait: {come:.0f} a second come in, {out:.0f} are settled, and the "
            f"quota lets {quota_per_second:.0f} requests a second out; {drained}."
        )


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"
