"""What became of events in the last ten minutes and before, and how fast work comes and goes.

Pure: counts since the start and times come in, differences over the windows go out.
"""

from collections import Counter, deque
from collections.abc import Hashable, Mapping

from streams.core.snapshot import Outcomes, Trend
from streams.metrics import ENRICH
from streams.worker.counters import Counters

LATELY_SECONDS = 600.0
BEFORE_SECONDS = 3600.0
STEP_SECONDS = 10.0
TREND_STEP_SECONDS = 5.0
TREND_SECONDS = 300.0
LEAST_TREND_SECONDS = 120.0
"""Over less, a pause of a vendor or a burst passes for a trend."""

ByVendor = Mapping[str, Outcomes]


def outcomes_of(counters: Counters, stage: str) -> dict[str, Outcomes]:
    """Return a worker's counts since its start by vendor; enrichment's own under ``enrich``."""
    if stage != ENRICH:
        written = sum(n for (_, outcome), n in counters.ingested.items() if outcome == "written")
        counts = Outcomes(
            counters.accepted + written, _plain(counters.skipped), _plain(counters.dead_lettered)
        )
        return {stage: counts}
    letters: dict[str, Counter[str]] = {}
    for (vendor, reason, _), count in counters.causes.items():
        letters.setdefault(vendor or ENRICH, Counter())[str(reason)] += count
    return {
        vendor: Outcomes(
            0,
            _plain(counters.skipped_by_vendor.get(vendor, {})),
            _plain(letters.get(vendor, {})),
            _plain(counters.no_consent.get(vendor, {})),
        )
        for vendor in {*letters, *counters.skipped_by_vendor}
    }


class OutcomeWindows:
    """Differences of counts over the last ten minutes and over the 50 before."""

    def __init__(self, carried: ByVendor | None = None, carried_at: float = 0.0) -> None:
        """``carried``: the last ten minutes of the process before, as of ``carried_at``."""
        self._samples: deque[tuple[float, ByVendor]] = deque()
        self._carried, self._carried_at = carried or {}, carried_at

    def sample(self, now: float, counts: ByVendor) -> None:
        """Take the counts as of now (s); called at least as often as ``STEP_SECONDS``."""
        if len(self._samples) > 1 and now - self._samples[-2][0] < STEP_SECONDS:
            self._samples.pop()
        self._samples.append((now, counts))
        while len(self._samples) > 1 and now - self._samples[1][0] >= BEFORE_SECONDS:
            self._samples.popleft()

    def windows(self) -> tuple[dict[str, Outcomes], dict[str, Outcomes]]:
        """Return what became of events lately, and before."""
        if not self._samples:
            return dict(self._carried), {}
        now, counts = self._samples[-1]
        began, counts_then = self._samples[0]
        first = counts_then if now - began >= BEFORE_SECONDS else {}
        border = self._at(now - LATELY_SECONDS)
        lately, before = _difference(counts, border), _difference(border, first)
        age = now - self._carried_at
        if age < LATELY_SECONDS:
            lately = _sum(lately, self._carried)
        elif age < BEFORE_SECONDS:
            before = _sum(before, self._carried)
        return lately, before

    def _at(self, moment: float) -> ByVendor:
        """Return the counts at a moment; nothing where the worker had not started."""
        return next((counts for at, counts in reversed(self._samples) if at <= moment), {})


class Throughput:
    """How many records come in and are settled a second, over minutes."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque()
        self._partitions: Hashable = None

    def sample(self, now: float, settled: int, waiting: int, partitions: Hashable) -> None:
        """Take what is settled in all and what waits; other partitions begin a new look."""
        if partitions != self._partitions:
            self._partitions = partitions
            self._samples.clear()
        if self._samples and now - self._samples[-1][0] < TREND_STEP_SECONDS:
            return
        self._samples.append((now, settled, waiting))
        while now - self._samples[0][0] > TREND_SECONDS:
            self._samples.popleft()

    def trend(self) -> Trend | None:
        """Return the trend; None until two minutes have been looked at."""
        if not self._samples:
            return None
        began, settled_then, waiting_then = self._samples[0]
        now, settled, waiting = self._samples[-1]
        seconds = now - began
        if seconds < LEAST_TREND_SECONDS:
            return None
        out = (settled - settled_then) / seconds
        come = max(0.0, out + (waiting - waiting_then) / seconds)
        return Trend(round(seconds, 1), round(come, 2), round(out, 2))


def _plain(counts: Mapping[str, int]) -> dict[str, int]:
    return {str(reason): count for reason, count in counts.items() if count}


def _difference(after: ByVendor, before: ByVendor) -> dict[str, Outcomes]:
    found = {vendor: now - before.get(vendor, Outcomes()) for vendor, now in after.items()}
    return {vendor: one for vendor, one in found.items() if one.events}


def _sum(one: ByVendor, other: ByVendor) -> dict[str, Outcomes]:
    nothing = Outcomes()
    return {v: one.get(v, nothing) + other.get(v, nothing) for v in {**one, **other}}
