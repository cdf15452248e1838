"""What ``/metrics`` says of a worker, whole lines of it."""

import re
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import generate_latest

from streams.core.records import DeadLetter, Origin
from streams.core.snapshot import JoinHealth, QuotaUse, Totals, VendorStatus, WorkerSnapshot
from streams.metrics import CATALOGUE, REQUEST_SECONDS, Histogram
from streams.worker.counters import Counters
from streams.worker.metrics import WorkerCollector, registry_of


def letter(vendor: str | None, reason: str, fingerprint: str) -> DeadLetter:
    """Return a dead letter as it is counted."""
    return DeadLetter(
        stage="deliver",
        reason=reason,
        detail="d",
        fingerprint=fingerprint,
        attempts=1,
        at="",
        source=Origin("shop.clicks", 0, 1, 1),
        record="",
        record_bytes=0,
        vendor=vendor,
    )


def exported(counters: Counters, courier: Any = None, **said: Any) -> list[str]:
    """Return the lines that a worker of this snapshot exports, without comments and shop."""
    fields: dict[str, Any] = {
        "worker": "miso-shop-1-0",
        "stage": "miso",
        "slot": 0,
        "host": "shop-1",
        "pid": 7,
        "version": "0.1.0",
        "at": 1,
        "started_at": 0,
        "ready": True,
        "versions": {"python": "3.11.2"},
    }
    table = SimpleNamespace(name="users", malformed_keys={b"a"}, __len__=None)
    app = SimpleNamespace(
        tables={"users": _Rows(table)},
        contact=SimpleNamespace(silent_seconds=lambda: 0.52),
        retention=SimpleNamespace(used=lambda: {"vendor.miso.events": 0.25}),
    )
    snapshot = WorkerSnapshot(**(fields | said))
    reporter = SimpleNamespace(
        snapshot=lambda: snapshot, counters=counters, courier=courier, app=app
    )
    collector = WorkerCollector(
        cast("Any", reporter), without_owner=lambda: {"vendor.miso.events": 2}, shop="acme."
    )
    registry = registry_of(collector)
    lines = generate_latest(registry).decode().splitlines()
    own = [line for line in lines if line.startswith("streams_") and "_created" not in line]
    shop = re.compile(r'shop="acme\.",?')
    assert all(shop.search(line) for line in own)
    return [shop.sub("", line) for line in own]


class _Rows:
    """A table with three rows, one key of which was malformed."""

    def __init__(self, table: SimpleNamespace) -> None:
        self.name = table.name
        self.malformed_keys = table.malformed_keys
        self.strays = None

    def __len__(self) -> int:
        return 3


def test_a_sink_says_what_became_of_each_event_and_how_its_vendor_is() -> None:
    """Every count under the vendor's name, the state one-hot, the quota and the histograms."""
    counters = Counters()
    counters.accepted = 6
    counters.skipped["too_old"] = 2
    counters.dead_lettered["rejected"] = 3
    counters.note_cause(letter("miso", "rejected", "aaaa2222"))
    counters.note_cause(letter("miso", "rejected", "bbbb3333"))
    counters.note_ages([0.4, 40.0], 6)
    counters.expired["vendor.miso.events"] = 4
    seconds = Histogram(REQUEST_SECONDS)
    seconds.observe(0.2)
    client = SimpleNamespace(request_seconds=seconds, breaker=SimpleNamespace(needs_somebody=True))
    courier = SimpleNamespace(client=client, in_flight=5)
    lines = exported(
        counters,
        courier,
        totals=Totals(events=11, requests={"200": 7, "none": 1}),
        lag={"vendor.miso.events": 9},
        oldest_unsettled_seconds=12.5,
        vendor=VendorStatus("parked", 1),
        quota=QuotaUse(1.0, 20.0, 40.0),
    )
    for line in (
        'streams_events_total{outcome="accepted",reason="",stage="miso",vendor="miso"} 6.0',
        'streams_events_total{outcome="skipped",reason="too_old",stage="miso",vendor="miso"} 2.0',
        (
            'streams_events_total{outcome="dead_lettered",reason="rejected",stage="miso",vendor="miso"}'
            " 3.0"
        ),
        'streams_dead_letters_total{reason="rejected",stage="miso",vendor="miso"} 2.0',
        'streams_dead_letters_total{reason="defect",stage="miso",vendor="miso"} 0.0',
        'streams_requests_total{stage="miso",status="200",vendor="miso"} 7.0',
        'streams_requests_total{stage="miso",status="none",vendor="miso"} 1.0',
        'streams_request_seconds_bucket{le="0.1",stage="miso",vendor="miso"} 0.0',
        'streams_request_seconds_bucket{le="0.25",stage="miso",vendor="miso"} 1.0',
        'streams_request_seconds_count{stage="miso",vendor="miso"} 1.0',
        'streams_event_age_seconds_bucket{le="0.5",stage="miso",vendor="miso"} 3.0',
        'streams_event_age_seconds_count{stage="miso",vendor="miso"} 6.0',
        'streams_lag_records{stage="miso",topic="vendor.miso.events"} 9.0',
        'streams_oldest_unsettled_seconds{stage="miso",vendor="miso"} 12.5',
        'streams_vendor_state{stage="miso",state="parked",vendor="miso"} 1.0',
        'streams_vendor_state{stage="miso",state="running",vendor="miso"} 0.0',
        'streams_expired_records_total{stage="miso",topic="vendor.miso.events"} 4.0',
        'streams_retention_used_ratio{stage="miso",topic="vendor.miso.events"} 0.25',
        'streams_vendor_needs_action{stage="miso",vendor="miso"} 1.0',
        'streams_kafka_silent_seconds{stage="miso"} 0.5',
        'streams_table_rows{stage="miso",table="users"} 3.0',
        'streams_malformed_rows{stage="miso",table="users"} 1.0',
        'streams_requests_under_way{stage="miso",vendor="miso"} 5.0',
        'streams_quota_requests_per_second{stage="miso",vendor="miso"} 20.0',
        'streams_ready{stage="miso"} 1.0',
        'streams_partitions_without_owner{stage="miso",topic="vendor.miso.events"} 2.0',
        (
            'streams_build_info{python="3.11.2",stage="miso",version="0.1.0",worker="miso-shop-1-0"}'
            " 1.0"
        ),
    ):
        assert line in lines, line


def test_enrichment_says_it_for_each_vendor() -> None:
    """Skips and refusals under the vendor that they are about; what is no event under enrich."""
    counters = Counters()
    counters.take_skips({("miso", "no_consent", None): 5, ("voyado", "no_consent", None): 2})
    counters.note_cause(letter("voyado", "invalid_payload", "aaaa2222"))
    counters.note_cause(letter(None, "invalid_json", "bbbb3333"))
    lines = exported(
        counters,
        stage="enrich",
        join=JoinHealth(10, 3, 2, 1),
        notes={"clock_ahead": 4, "malformed_rows:users": 1},
        recovering_rows=77,
    )
    events = [line for line in lines if line.startswith("streams_events_total")]
    assert sorted(events) == [
        (
            'streams_events_total{outcome="dead_lettered",reason="invalid_payload",stage="enrich",'
            'vendor="voyado"} 1.0'
        ),
        (
            'streams_events_total{outcome="skipped",reason="no_consent",stage="enrich",vendor="miso"}'
            " 5.0"
        ),
        (
            'streams_events_total{outcome="skipped",reason="no_consent",stage="enrich",vendor="voyado"}'
            " 2.0"
        ),
    ]
    for line in (
        'streams_dead_letters_total{reason="invalid_json",stage="enrich",vendor="enrich"} 1.0',
        'streams_dead_letters_total{reason="invalid_payload",stage="enrich",vendor="voyado"} 1.0',
        'streams_unjoined_events_total{missing="user",stage="enrich"} 3.0',
        'streams_unjoined_events_total{missing="sku",stage="enrich"} 1.0',
        'streams_corrections_total{note="clock_ahead",stage="enrich"} 4.0',
        'streams_recovery_remaining_rows{stage="enrich"} 77.0',
    ):
        assert line in lines, line
    assert not [line for line in lines if "streams_vendor_state" in line]


def test_no_name_is_exported_that_the_catalogue_has_not() -> None:
    """Of this project's own."""
    names = {line.partition("{")[0] for line in exported(Counters())}
    assert names
    assert names <= set(CATALOGUE)
