"""A worker's metrics, read from its live objects when they are asked for: an event costs nothing.

Only the two histograms are fed while it works, once a request.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from streams.core.outcome import DeadLetterReason, Outcome
from streams.core.snapshot import WorkerSnapshot
from streams.metrics import CATALOGUE, COMMON, ENRICH, INGEST, STATES, Histogram
from streams.worker.report import Reporter

Values = Mapping[tuple[str, ...], float]
"""By the labels of the catalogue in their order, without those that all have in common."""


@dataclass(eq=False)
class WorkerCollector(Collector):
    """One worker's share of the catalogue; a metric without values is left out."""

    reporter: Reporter
    findings: Callable[[], Iterable[tuple[str, str, str]]] = tuple
    """Returns level, subject and kind of each, of the whole pipeline."""
    without_owner: Callable[[], Mapping[str, int]] = dict
    """Returns by topic how many partitions no worker has."""
    _: KW_ONLY
    shop: str = ""
    """The prefix of the topics."""

    def describe(self) -> Iterable[Metric]:
        """Nothing: collecting is not meant for the time of registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        snapshot = self.reporter.snapshot()
        common = (self.shop, snapshot.stage)
        found: dict[str, Values] = {
            **self._outcomes(snapshot),
            **_of_snapshot(snapshot),
            **self._of_objects(snapshot),
            "streams_findings": Counter(self.findings()),
            "streams_partitions_without_owner": _labelled(self.without_owner()),
        }
        for name in CATALOGUE:
            if values := found.get(name):
                yield _family(name, common, values)
        courier, ages = self.reporter.courier, self.reporter.counters.age_seconds
        if courier is not None:
            seconds = courier.client.request_seconds
            yield _histogram("streams_request_seconds", common, seconds)
            yield _histogram("streams_event_age_seconds", common, ages)

    def _outcomes(self, snapshot: WorkerSnapshot) -> dict[str, Values]:
        counters, stage = self.reporter.counters, snapshot.stage
        events: dict[tuple[str, ...], float] = {}
        # From 0 on, so that the first of a kind is a rise, too.
        letters: dict[tuple[str, ...], float] = {
            (stage, str(reason)): 0 for reason in DeadLetterReason
        }
        for (vendor, reason, _), count in counters.causes.items():
            key = (vendor or (INGEST if stage == INGEST else ENRICH), str(reason))
            letters[key] = letters.get(key, 0) + count
            if vendor is not None and stage == ENRICH:
                labels = (vendor, str(Outcome.DEAD_LETTERED), str(reason))
                events[labels] = events.get(labels, 0) + count
        if stage == ENRICH:
            for vendor, skips in counters.skipped_by_vendor.items():
                events |= _labelled(skips, vendor, str(Outcome.SKIPPED))
        elif stage != INGEST:
            events[stage, str(Outcome.ACCEPTED), ""] = counters.accepted
            events |= _labelled(counters.skipped, stage, str(Outcome.SKIPPED))
            events |= _labelled(counters.dead_lettered, stage, str(Outcome.DEAD_LETTERED))
        return {"streams_events_total": events, "streams_dead_letters_total": letters}

    def _of_objects(self, snapshot: WorkerSnapshot) -> dict[str, Values]:
        app, courier = self.reporter.app, self.reporter.courier
        tables = app.tables.values()
        # Of this process alone: a counter must not move with partitions as the snapshot's does.
        expired = dict.fromkeys(snapshot.lag, 0) | self.reporter.counters.expired
        found: dict[str, Values] = {
            "streams_expired_records_total": _labelled(expired),
            "streams_ingested_total": {
                (*labels,): number for labels, number in self.reporter.counters.ingested.items()
            },
            "streams_kafka_silent_seconds": {(): round(app.contact.silent_seconds(), 1)},
            "streams_table_rows": {(table.name,): len(table) for table in tables},
            "streams_malformed_rows": {
                (table.name,): len(table.malformed_keys) for table in tables
            },
            "streams_stray_rows": {
                (table.name,): len(table.strays) for table in tables if table.strays is not None
            },
            "streams_retention_used_ratio": {
                (topic,): ratio for topic, ratio in app.retention.used().items()
            },
        }
        if courier is not None:
            needs_action = int(courier.client.breaker.needs_somebody)
            found["streams_vendor_needs_action"] = {(snapshot.stage,): needs_action}
            found["streams_requests_under_way"] = {(snapshot.stage,): courier.in_flight}
            found["streams_repeats_total"] = {(snapshot.stage,): self.reporter.counters.repeats}
        return found


def _of_snapshot(snapshot: WorkerSnapshot) -> dict[str, Values]:
    stage, vendor, quota, join = snapshot.stage, snapshot.vendor, snapshot.quota, snapshot.join
    oldest = snapshot.oldest_unsettled_seconds or 0.0
    notes = {n: c for n, c in snapshot.notes.items() if not n.startswith("malformed_rows:")}
    return {
        "streams_records_read_total": {(): snapshot.totals.events},
        "streams_requests_total": _labelled(snapshot.totals.requests, stage),
        "streams_lag_records": _labelled(snapshot.lag),
        "streams_drift": Counter((one.section, one.change) for one in snapshot.drift),
        "streams_oldest_unsettled_seconds": {(stage,): oldest},
        "streams_restarts": {(): len(snapshot.restarts.at)},
        "streams_ready": {(): int(snapshot.ready)},
        "streams_corrections_total": _labelled(notes),
        "streams_recovery_remaining_rows": {(): snapshot.recovering_rows or 0},
        "streams_memory_bytes": {(): snapshot.memory_bytes},
        "streams_partitions": _labelled({t: len(ps) for t, ps in snapshot.partitions.items()}),
        "streams_build_info": {
            (snapshot.worker, snapshot.version, snapshot.versions.get("python", "")): 1
        },
        "streams_vendor_state": {}
        if vendor is None
        else {(stage, state): int(state == vendor.state) for state in STATES},
        "streams_quota_requests_per_second": {} if quota is None else {(stage,): quota.share},
        "streams_quota_limit_requests_per_second": {} if quota is None else {(stage,): quota.limit},
        "streams_unjoined_events_total": {}
        if join is None
        else {
            ("user",): join.without_user,
            ("product",): join.without_product,
            ("sku",): join.without_sku,
        },
    }


def _labelled(counts: Mapping[str, float], *first: str) -> Values:
    return {(*first, str(name)): count for name, count in counts.items()}


def _family(name: str, common: tuple[str, ...], values: Values) -> Metric:
    metric = CATALOGUE[name]
    kind: Any = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family: Metric = kind(name.removesuffix("_total"), metric.help, labels=COMMON + metric.labels)
    for labels, value in values.items():
        family.add_metric(common + labels, value)  # type: ignore[attr-defined]
    return family


def _histogram(name: str, common: tuple[str, ...], histogram: Histogram) -> Metric:
    """Of a sink: its stage is the vendor's key."""
    metric = CATALOGUE[name]
    family = HistogramMetricFamily(name, metric.help, labels=COMMON + metric.labels)
    buckets, total = histogram.buckets()
    family.add_metric([*common, common[1]], buckets, total)
    return family


def registry_of(collector: WorkerCollector) -> CollectorRegistry:
    """Return what ``/metrics`` shows: the worker's own, and what the process costs."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return registry
