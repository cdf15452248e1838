"""The metrics: each name, what it counts and its labels, in one place; and a cheap histogram.

Labels come from closed or short lists, never from ids, keys or strangers' text.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]

INGEST = "ingest"
ENRICH = "enrich"
"""The label ``vendor`` of what enrichment does for no vendor in particular."""
STATES = ("running", "degraded", "throttled", "parked", "paused")

REQUEST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
AGE_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)


COMMON = ("shop", "stage")
"""The labels that every metric has: the topic prefix, and the stage of the worker."""


class Metric(NamedTuple):
    """One metric as it is documented."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    """Beside those that all have in common."""
    help: str
    buckets: tuple[float, ...] = ()
    """Of a histogram: upper bounds, in seconds."""


_ALL = (
    Metric(
        "streams_events_total",
        "counter",
        ("vendor", "outcome", "reason"),
        "Receipts written: once per event and vendor. outcome: accepted, dead_lettered, skipped.",
    ),
    Metric(
        "streams_requests_total",
        "counter",
        ("vendor", "status"),
        "Requests to a vendor by HTTP status; none: no response came.",
    ),
    Metric(
        "streams_request_seconds",
        "histogram",
        ("vendor",),
        "Time from sending a request to its response, or until it is given up.",
        REQUEST_SECONDS,
    ),
    Metric(
        "streams_event_age_seconds",
        "histogram",
        ("vendor",),
        "Time from an event in the shop to its acceptance; live events only.",
        AGE_SECONDS,
    ),
    Metric(
        "streams_lag_records",
        "gauge",
        ("topic",),
        "Records of this worker's partitions between the committed offset and the end.",
    ),
    Metric(
        "streams_oldest_unsettled_seconds",
        "gauge",
        ("vendor",),
        "Age of the oldest record that was read and is not settled; 0: there is none.",
    ),
    Metric(
        "streams_vendor_state",
        "gauge",
        ("vendor", "state"),
        "1 for the state that the vendor is in, 0 for the others.",
    ),
    Metric(
        "streams_vendor_needs_action",
        "gauge",
        ("vendor",),
        "1 while the vendor is parked and needs an operator's action, else 0.",
    ),
    Metric(
        "streams_findings",
        "gauge",
        ("level", "subject", "kind"),
        "Findings about the whole pipeline, as page, streams status and streams check show them. "
        "Every worker exports them. Kinds: docs/operations.md, Findings.",
    ),
    Metric(
        "streams_restarts",
        "gauge",
        (),
        "Restarts of this worker after a failure within the last hour.",
    ),
    Metric("streams_ready", "gauge", (), "1 while the worker processes events, else 0."),
    Metric(
        "streams_records_read_total",
        "counter",
        (),
        "Records read: the shop's own by ingest, raw records by enrichment, new vendor records "
        "by a sink.",
    ),
    Metric(
        "streams_dead_letters_total",
        "counter",
        ("vendor", "reason"),
        "Dead letters written; vendor enrich or ingest: invalid records.",
    ),
    Metric(
        "streams_ingested_total",
        "counter",
        ("section", "outcome"),
        "The shop's own records by outcome: written, unmapped, dead_lettered.",
    ),
    Metric(
        "streams_drift",
        "gauge",
        ("section", "change"),
        "Fields, types and event names of the shop's records that have changed: field_gone, "
        "type_changed, new_event_name.",
    ),
    Metric(
        "streams_repeats_total",
        "counter",
        ("vendor",),
        "Vendor records that are not sent: written twice, or settled before a restart or "
        "rebalance.",
    ),
    Metric(
        "streams_expired_records_total",
        "counter",
        ("topic",),
        "Records that retention deleted before they were read.",
    ),
    Metric(
        "streams_retention_used_ratio",
        "gauge",
        ("topic",),
        "Age of the oldest record that is not settled, as a share of its topic's retention.",
    ),
    Metric(
        "streams_corrections_total",
        "counter",
        ("note",),
        "Values that were corrected, ignored or suspicious: left_out:<field>, left_out:<vendor>."
        "<field> if only one vendor does not accept it, suspicious_id, clock_ahead …; and visitors "
        "that were found: joined:<field>.",
    ),
    Metric(
        "streams_unjoined_events_total",
        "counter",
        ("missing",),
        "Events without a user, a product row or a SKU.",
    ),
    Metric(
        "streams_kafka_silent_seconds",
        "gauge",
        (),
        "How long ago a broker last answered this worker.",
    ),
    Metric("streams_table_rows", "gauge", ("table",), "Rows in memory."),
    Metric(
        "streams_malformed_rows",
        "gauge",
        ("table",),
        "Keys whose newest row is malformed.",
    ),
    Metric(
        "streams_stray_rows",
        "gauge",
        ("table",),
        "Rows on another partition than their key's. In a large table only a sample is checked.",
    ),
    Metric(
        "streams_recovery_remaining_rows",
        "gauge",
        (),
        "Rows of tables that are still to be read before work begins.",
    ),
    Metric(
        "streams_requests_under_way",
        "gauge",
        ("vendor",),
        "Requests in flight: no response yet, or its receipts are not acknowledged.",
    ),
    Metric(
        "streams_quota_requests_per_second",
        "gauge",
        ("vendor",),
        "Requests a second that this worker may make now.",
    ),
    Metric(
        "streams_quota_limit_requests_per_second",
        "gauge",
        ("vendor",),
        "Requests a second of all workers together, by the settings.",
    ),
    Metric("streams_memory_bytes", "gauge", (), "Memory in use by the worker."),
    Metric(
        "streams_partitions", "gauge", ("topic",), "Partitions of a topic that this worker has."
    ),
    Metric(
        "streams_partitions_without_owner",
        "gauge",
        ("topic",),
        "Partitions of a topic of this stage that no worker has; all workers of the stage report "
        "them.",
    ),
    Metric(
        "streams_build_info",
        "gauge",
        ("worker", "version", "python"),
        "Always 1; the labels say what runs.",
    ),
)

CATALOGUE: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""By name, in the order in which they are documented."""


class Histogram:
    """Counts by upper bound; an observation costs a search in a short list."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value; a negative one, of clocks that differ, is 0."""
        value = max(value, 0.0)
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def observe_sample(self, values: Iterable[float], of: int) -> None:
        """Count ``of`` values of which every so many-th is given: each stands for its share."""
        given = list(values)
        if not given:
            return
        share, rest = divmod(of, len(given))
        for number, value in enumerate(given):
            self.observe(value, share + (number < rest))

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self._counts)

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Return the cumulated counts by upper bound as Prometheus has them, and the sum."""
        cumulated, found = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            cumulated += count
            found.append((bound, float(cumulated)))
        return found, self._sum
