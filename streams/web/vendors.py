"""One vendor over all its workers: sums of what they count. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from streams.core.snapshot import Cause, LastRequest, WorkerSnapshot

SHOWN_REQUESTS = 5


class Percentiles(NamedTuple):
    """The middle and the slow end of a length of time, over workers; in seconds."""

    p50: float | None = None
    p95: float | None = None


class VendorSummary(NamedTuple):
    """What the living workers of one vendor's stage count together, with enrichment's share."""

    key: str
    workers: int
    """Those that still report; of the others nothing is in these figures."""
    accepted_rate: float
    settled_rate: float
    """Events a second that got an outcome at the vendor's own workers."""
    age: Percentiles
    """From the event's own time to the vendor's acceptance."""
    delivery: Percentiles
    """From its arrival in Kafka."""
    redeliveries: int
    """Waiting."""
    quota_used: float
    quota_share: float
    quota_limit: float | None
    skipped: Counter[str]
    skipped_by_enrich: int
    causes: list[Cause]
    requests: list[LastRequest]
    expired: int
    """Events that retention ever deleted before they were read."""

    @property
    def dead_lettered(self) -> int:
        """Letters since the workers started."""
        return sum(cause.count for cause in self.causes)


def summarize(
    key: str, workers: Sequence[WorkerSnapshot], enrich: Sequence[WorkerSnapshot]
) -> VendorSummary:
    """Return a vendor's summary from its own living workers and enrichment's."""
    skips = [one.skipped_by_vendor.get(key, {}) for one in enrich]
    quotas = [one.quota for one in workers if one.quota is not None]
    requests = [request for one in workers for request in one.last_requests]
    causes = [cause for one in workers for cause in one.causes]
    causes += [cause for one in enrich for cause in one.causes if cause.vendor == key]
    waiting = [item for one in workers for item in one.waiting.items()]
    return VendorSummary(
        key,
        workers=len(workers),
        accepted_rate=sum(one.accepted_rate for one in workers),
        settled_rate=sum(one.settled_rate for one in workers),
        age=_over_workers((one.age_seconds, one.accepted_rate) for one in workers),
        delivery=_over_workers((one.delivery_seconds, one.accepted_rate) for one in workers),
        redeliveries=sum(one.records for topic, one in waiting if topic.endswith(".redelivery")),
        quota_used=sum(quota.used for quota in quotas),
        quota_share=sum(quota.share for quota in quotas),
        quota_limit=quotas[-1].limit if quotas else None,
        skipped=sum(map(Counter, [*(one.totals.skipped for one in workers), *skips]), Counter()),
        skipped_by_enrich=sum(sum(counts.values()) for counts in skips),
        causes=_by_frequency(key, causes),
        requests=sorted(requests, key=lambda request: -request.at)[:SHOWN_REQUESTS],
        expired=sum(sum(one.expired.values()) for one in workers),
    )


def _over_workers(workers: Iterable[tuple[dict[str, float], float]]) -> Percentiles:
    """Return the middle, weighted by how much each worker accepts, and the worst end."""
    known = [(seconds, max(rate, 0.001)) for seconds, rate in workers if "p50" in seconds]
    if not known:
        return Percentiles()
    middle = sum(seconds["p50"] * weight for seconds, weight in known)
    worst = max(seconds.get("p95", seconds["p50"]) for seconds, _ in known)
    return Percentiles(middle / sum(weight for _, weight in known), worst)


def _by_frequency(key: str, causes: Iterable[Cause]) -> list[Cause]:
    """Return the causes, equal ones of several workers as one, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for one in causes:
        counts[one.reason, one.fingerprint] += one.count
        examples.setdefault((one.reason, one.fingerprint), one.example)
    return [Cause(key, *cause, n, examples[cause]) for cause, n in counts.most_common()]
