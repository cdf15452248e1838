"""One vendor over all its workers, and the sentence that says how it is doing. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from streams.core.snapshot import Cause, LastRequest, VendorStatus, WorkerSnapshot
from streams.operations.status.status import WorkerStatus, gravest
from streams.web import words
from streams.web.words import Words

GONE = "gone"
STARTING = "starting"
LIVE, REDELIVERY = "live", "redelivery"
SHOWN_REQUESTS = 5


@dataclass(frozen=True, slots=True)
class Lane:
    """What waits on one lane."""

    events: int = 0
    oldest_ms: int | None = None
    oldest_type: str = ""

    def with_(self, events: int, oldest_ms: int | None, oldest_type: str) -> "Lane":
        """Return this lane with what another worker has of it."""
        is_older = oldest_ms is not None and (self.oldest_ms is None or oldest_ms < self.oldest_ms)
        return Lane(
            self.events + events,
            oldest_ms if is_older else self.oldest_ms,
            oldest_type if is_older else self.oldest_type,
        )


@dataclass(slots=True)
class VendorSummary:
    """What the workers of one vendor's stage say together, with enrichment's share."""

    key: str
    name: str
    workers: int = 0
    """Those that still speak."""
    gone: int = 0
    silent_seconds: float = 0.0
    """Of the one that spoke last, where none speaks any more."""
    not_ready: list[str] = field(default_factory=list)
    status: VendorStatus | None = None
    """The gravest of the workers'."""
    accepted_rate: float = 0.0
    settled_rate: float = 0.0
    accepted: int = 0
    p50: float | None = None
    p95: float | None = None
    lanes: dict[str, Lane] = field(default_factory=lambda: {LIVE: Lane(), REDELIVERY: Lane()})
    quota_used: float = 0.0
    quota_share: float = 0.0
    quota_limit: float | None = None
    skipped: Counter[str] = field(default_factory=Counter)
    dead_lettered: int = 0
    causes: list[Cause] = field(default_factory=list)
    requests: list[LastRequest] = field(default_factory=list)
    expired: int = 0
    """Events that retention ever deleted before they were read."""
    expired_lately: int = 0
    """Of these, within the hour."""
    shrinking_rate: float | None = None
    """By how many events a second what waits has become less over the last minute."""

    @property
    def waiting(self) -> int:
        """Events of both lanes."""
        return sum(lane.events for lane in self.lanes.values())

    @property
    def state(self) -> str:
        """One of the contract's states, or ``gone``, or ``starting``."""
        if not self.workers:
            return GONE
        if self.status is not None and self.status.state != "running":
            return self.status.state
        return STARTING if len(self.not_ready) == self.workers else "running"

    @property
    def falls_behind(self) -> bool:
        """Whether more comes in than is settled, and a minute's work waits already."""
        return (
            self.state == "running"
            and self.waiting > 60 * max(self.settled_rate, 1.0)
            and words.drained(self.waiting, self.settled_rate, self.shrinking_rate) == words.NEVER
        )


def summarize(
    key: str, name: str, workers: Iterable[WorkerStatus], enrich: Sequence[WorkerSnapshot]
) -> VendorSummary:
    """Return a vendor's summary from its own workers and enrichment's."""
    summary = VendorSummary(key, name)
    silent, statuses, causes = [], [], Counter[tuple[str, str, str]]()
    weighted = 0.0
    for worker in workers:
        if worker.is_stale:
            summary.gone += 1
            silent.append(worker.silent_seconds)
            continue
        snapshot = worker.snapshot
        _add(summary, snapshot)
        if snapshot.vendor is not None:
            statuses.append(snapshot.vendor)
        if (p50 := snapshot.age_seconds.get("p50")) is not None:
            weight = max(snapshot.accepted_rate, 0.001)
            summary.p50 = ((summary.p50 or 0.0) * weighted + p50 * weight) / (weighted + weight)
            summary.p95 = max(summary.p95 or 0.0, snapshot.age_seconds.get("p95", p50))
            weighted += weight
    summary.silent_seconds = min(silent, default=0.0)
    summary.status = gravest(statuses)
    summary.requests = sorted(summary.requests, key=lambda r: -r.at)[:SHOWN_REQUESTS]
    for snapshot in enrich:
        summary.skipped.update(snapshot.skipped_by_vendor.get(key, {}))
        summary.causes += [cause for cause in snapshot.causes if cause.vendor == key]
    examples: dict[tuple[str, str, str], str] = {}
    for cause in summary.causes:
        where = (cause.reason, cause.fingerprint, "")
        causes[where] += cause.count
        examples.setdefault(where, cause.example)
    summary.causes = [
        Cause(key, reason, fingerprint, number, examples[reason, fingerprint, rest])
        for (reason, fingerprint, rest), number in causes.most_common()
    ]
    summary.dead_lettered = sum(causes.values())
    return summary


def _add(summary: VendorSummary, snapshot: WorkerSnapshot) -> None:
    summary.workers += 1
    if not snapshot.ready:
        summary.not_ready += snapshot.not_ready or ["It is starting."]
    summary.accepted_rate += snapshot.accepted_rate
    summary.settled_rate += snapshot.settled_rate
    summary.accepted += snapshot.totals.accepted
    summary.skipped.update(snapshot.totals.skipped)
    summary.causes += snapshot.causes
    summary.requests += snapshot.last_requests
    summary.expired += sum(snapshot.expired.values())
    if snapshot.quota is not None:
        summary.quota_used += snapshot.quota.used
        summary.quota_share += snapshot.quota.share
        summary.quota_limit = snapshot.quota.limit
    for topic, waiting in snapshot.waiting.items():
        lane = REDELIVERY if topic.endswith(".redelivery") else LIVE
        if lane == REDELIVERY or topic.endswith(".events"):
            summary.lanes[lane] = summary.lanes[lane].with_(
                waiting.records, waiting.oldest_ms, waiting.oldest_type
            )


def sentence(vendor: VendorSummary, key_place: str) -> Words:
    """Return how a vendor is doing: state, since when, why, what waits, what to do.

    ``key_place`` names where its key stands, for a vendor that refuses it.
    """
    said: Words
    state = vendor.state
    if state == GONE:
        return _gone(vendor)
    if state == STARTING:
        return [f"Starting. {' '.join(dict.fromkeys(vendor.not_ready))}"]
    live = vendor.lanes[LIVE]
    what_waits = words.waiting(live.events, live.oldest_ms, live.oldest_type)
    status = vendor.status
    if status is None or state == "running":
        said = [_running(vendor)]
        if status is not None and status.reason:
            said.append(f" {status.reason}")
        if vendor.waiting > 2 * vendor.settled_rate and live.events:
            said += [" ", *what_waits]
    elif state == "paused":
        said = ["Paused since ", words.at(status.since), ": an operator wants it so. ", *what_waits]
        said.append(
            f"{_nothing_lost(vendor)} Resume it with the button below or with "
            f"`streams resume {vendor.key}`."
        )
    else:
        why = words.cause(vendor.name, status.reason)
        said = [f"{state.capitalize()} since ", words.at(status.since), f": {why} ", *what_waits]
        said.append(_nothing_lost(vendor))
        advice = _advice(status, why, key_place)
        said.append(f" {advice}" if advice else "")
    redelivery = vendor.lanes[REDELIVERY]
    if redelivery.events:
        said.append(f" {words.count(redelivery.events, 'redelivery', 'redeliveries')} wait behind.")
    if vendor.expired:
        said.append(
            f" Retention has deleted {words.count(vendor.expired, 'event')} unread until now."
        )
    if vendor.gone:
        said.append(f" {words.count(vendor.gone, 'worker')} stopped speaking.")
    return [part for part in said if part]


def _running(vendor: VendorSummary) -> str:
    if vendor.falls_behind:
        return "Running, but more comes in than it takes."
    if vendor.accepted_rate <= 0 and vendor.waiting <= 0:
        return "Running. Nothing waits."
    if vendor.p50 is None:
        return "Running."
    begin = f"Running. It takes {words.rate(vendor.accepted_rate)} events a second"
    return f"{begin}, half of them within {words.span(vendor.p50)}."


def _nothing_lost(vendor: VendorSummary) -> str:
    return "" if vendor.expired_lately else " Nothing is lost."


def _advice(status: VendorStatus, why: str, key_place: str) -> str:
    if "refuses the key" in why and key_place:
        return f"Put the new key into {key_place}."
    return status.advice


def _gone(vendor: VendorSummary) -> Words:
    start = f"Start one with `streams worker {vendor.key}`; its events wait on their topic."
    if not vendor.gone:
        return [f"No worker runs for {vendor.name}. {start}"]
    silent = words.span(vendor.silent_seconds)
    return [f"No worker of {vendor.name} has spoken for {silent}. {start}"]
