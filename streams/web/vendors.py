"""One vendor over all its workers: sums of what they count. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from streams.core.snapshot import Cause, LastRequest, WorkerSnapshot

SHOWN_REQUESTS = 5


@dataclass(slots=True)
class Percentiles:
    """The middle and the slow end of a length of time, over workers; in seconds."""

    p50: float | None = None
    p95: float | None = None
    _weight: float = 0.0

    def add(self, seconds: dict[str, float], weight: float) -> None:
        """Take a worker's: the weighted middle, and the worst end."""
        if "p50" not in seconds:
            return
        total = self._weight + weight
        self.p50 = ((self.p50 or 0.0) * self._weight + seconds["p50"] * weight) / total
        self.p95 = max(self.p95 or 0.0, seconds.get("p95", seconds["p50"]))
        self._weight = total


@dataclass(slots=True)
class VendorSummary:
    """What the living workers of one vendor's stage count together, with enrichment's share."""

    key: str
    workers: int = 0
    """Those that still report; of the others nothing is in these figures."""
    accepted_rate: float = 0.0
    settled_rate: float = 0.0
    """Events a second that got an outcome at the vendor's own workers."""
    age: Percentiles = field(default_factory=Percentiles)
    """From the event's own time to the vendor's acceptance."""
    delivery: Percentiles = field(default_factory=Percentiles)
    """From its arrival in Kafka."""
    redeliveries: int = 0
    """Waiting."""
    quota_used: float = 0.0
    quota_share: float = 0.0
    quota_limit: float | None = None
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_by_enrich: int = 0
    causes: list[Cause] = field(default_factory=list)
    requests: list[LastRequest] = field(default_factory=list)
    expired: int = 0
    """Events that retention ever deleted before they were read."""

    @property
    def dead_lettered(self) -> int:
        """Letters since the workers started."""
        return sum(cause.count for cause in self.causes)


def summarize(
    key: str, workers: Iterable[WorkerSnapshot], enrich: Sequence[WorkerSnapshot]
) -> VendorSummary:
    """Return a vendor's summary from its own living workers and enrichment's."""
    summary = VendorSummary(key)
    for snapshot in workers:
        _add(summary, snapshot)
    summary.requests = sorted(summary.requests, key=lambda r: -r.at)[:SHOWN_REQUESTS]
    causes = list(summary.causes)
    for snapshot in enrich:
        skips = snapshot.skipped_by_vendor.get(key, {})
        summary.skipped.update(skips)
        summary.skipped_by_enrich += sum(skips.values())
        causes += [cause for cause in snapshot.causes if cause.vendor == key]
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for cause in causes:
        counts[cause.reason, cause.fingerprint] += cause.count
        examples.setdefault((cause.reason, cause.fingerprint), cause.example)
    summary.causes = [
        Cause(key, reason, fingerprint, number, examples[reason, fingerprint])
        for (reason, fingerprint), number in counts.most_common()
    ]
    return summary


def _add(summary: VendorSummary, snapshot: WorkerSnapshot) -> None:
    summary.workers += 1
    summary.accepted_rate += snapshot.accepted_rate
    summary.settled_rate += snapshot.settled_rate
    weight = max(snapshot.accepted_rate, 0.001)
    summary.age.add(snapshot.age_seconds, weight)
    summary.delivery.add(snapshot.delivery_seconds, weight)
    summary.skipped.update(snapshot.totals.skipped)
    summary.causes += snapshot.causes
    summary.requests += snapshot.last_requests
    summary.expired += sum(snapshot.expired.values())
    if snapshot.quota is not None:
        summary.quota_used += snapshot.quota.used
        summary.quota_share += snapshot.quota.share
        summary.quota_limit = snapshot.quota.limit
    summary.redeliveries += sum(
        waiting.records
        for topic, waiting in snapshot.waiting.items()
        if topic.endswith(".redelivery")
    )
