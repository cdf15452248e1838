"""What a worker says of itself: its snapshot, for the status topic and the web view."""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from importlib.metadata import version
from typing import Any

from faust.types import TP

from streams import __version__
from streams.core.consent import MAX_ROW_DELAY_SECONDS
from streams.core.dead_letter import without_values
from streams.core.kinds import KINDS
from streams.core.masking import masked_text
from streams.core.snapshot import (
    DriftNote,
    QuotaUse,
    Restarts,
    Totals,
    VendorState,
    VendorStatus,
    Waiting,
    WorkerSnapshot,
    encode_snapshot,
)
from streams.delivery.courier import Courier
from streams.engine.app import StageApp
from streams.engine.backlog import lag, oldest_open
from streams.engine.expired import total_by_topic
from streams.engine.freshness import LONG_TRANSACTION_SECONDS
from streams.engine.memory import memory_bytes
from streams.engine.offset_tracker import OpenRecord
from streams.engine.outputs import leave_if_unusable
from streams.worker.counters import Counters, Rate
from streams.worker.handover import Handover
from streams.worker.join_rates import JoinRates
from streams.worker.outcome_windows import OutcomeWindows, Throughput, outcomes_of
from streams.worker.recent_requests import RecentRequests

log = logging.getLogger("streams.status")

PUBLISH_SECONDS = 1.0
SHOWN_CAUSES = 10
SAY_AGAIN_SECONDS = 10.0
"""How often a worker that is not ready says what it waits for."""
MAX_REASON_CHARS = 600
"""A vendor's own words may stand in it."""
VERSIONS = {
    "clickstream-relay": __version__,
    "python": sys.version.split()[0],
    **{name: version(name) for name in ("faust-streaming", "aiokafka")},
}


@dataclass(eq=False)
class Reporter:
    """Builds and publishes one worker's snapshots."""

    app: StageApp
    counters: Counters
    courier: Courier | None
    _: KW_ONLY
    slot: int
    status_topic: str
    wall_ms: Callable[[], int]
    clock: Callable[[], float]
    joins: JoinRates | None = None
    secrets: Callable[[], Sequence[str]] = tuple
    """Returns what must never be shown."""
    life: Handover | None = None
    page: str = ""
    """The dashboard's address."""
    sends_alerts: bool = False
    drift: Callable[[], list[DriftNote]] = list
    """Returns what has changed in the shop's own records."""

    def __post_init__(self) -> None:
        self._started_at = self.wall_ms()
        self._events, self._accepted, self._settled, self._turns = (Rate() for _ in range(4))
        self._requests = RecentRequests()
        self._pace = Throughput()
        self._said_ready: bool | None = None
        self._said_reasons = ""
        self._said_at = float("-inf")
        self._said_hidden: Sequence[str] = ()
        self._windows = OutcomeWindows()
        if self.life is not None:
            age = max(0.0, (self._started_at - self.life.carried_at_ms) / 1000)
            self._windows = OutcomeWindows(self.life.carried, self.clock() - age)
        self._host = socket.gethostname()
        self.worker = f"{self.app.options.stage}-{self._host}-{self.slot}"

    def not_ready(self) -> list[str]:
        """Return why this worker does not process events yet, one sentence each."""
        app = self.app
        consumer = app.started_consumer
        if consumer is None or not self._produces():
            return [app.contact.problem() or "The broker is not reached yet."]
        if problem := app.contact.problem():
            return [problem]
        if refusal := consumer.thread.group_refusal():
            return [f"{refusal[0].upper()}{refusal[1:]}."]
        if (rows := self.recovering_rows()) is not None:
            seconds = consumer.recovery.remaining_seconds(self.clock())
            ends = "" if seconds is None else f", about {max(1.0, seconds):,.0f} s"
            return [f"Tables are being read: {rows:,} rows remain{ends}."]
        recovery = app.tables.begun_recovery
        if recovery is None or not recovery.completed.is_set():
            return ["No partitions are assigned yet."]
        if app.rebalancing:
            return ["The group is rebalancing."]
        return app.stage.not_ready() or self._behind_transactions()

    def _behind_transactions(self) -> list[str]:
        """Return a sentence for each partition whose events wait for rows that nobody can read."""
        # Events wait for rows of their own partitions only.
        topics = [one.topic_name for one in self.app.tables.values() if not one.is_global]
        return [
            _hidden(tp, "the newest rows of its visitors cannot be read, and their events wait")
            for tp in sorted(self.app.consumer.assignment())
            if tp.topic in topics and self._hides_rows(tp)
        ]

    def _hides_rows(self, tp: TP) -> bool:
        """Return whether the newest rows of a table's partition are hidden for too long."""
        delay = self.app.row_delay(*tp)
        return delay > MAX_ROW_DELAY_SECONDS and self.app.hidden_seconds(tp) > 0

    def _hidden_records(self) -> list[str]:
        """Return a sentence for each partition whose newest records nobody can read.

        Events wait for rows of their own partitions: see ``not_ready``.
        """
        app, consumer = self.app, self.app.started_consumer
        if consumer is None:
            return []
        tables = {table.topic_name: table for table in app.tables.values()}
        found = []
        for tp in sorted(consumer.assignment()):
            table = tables.get(tp.topic)
            if table is None:
                if app.hidden_seconds(tp) >= LONG_TRANSACTION_SECONDS:
                    found.append(_hidden(tp, app.stage.effect_of_hidden(tp)))
            elif table.is_global and self._hides_rows(tp):
                found.append(_hidden(tp, table.hidden_rows))
        return found

    def recovering_rows(self) -> int | None:
        """Return how many rows of tables are still to be read; None where none are being read."""
        consumer, recovery = self.app.started_consumer, self.app.tables.begun_recovery
        if consumer is None or recovery is None:
            return None
        if not recovery.in_recovery or not consumer.assignment():
            return None
        return int(consumer.recovery.remaining_rows())

    def snapshot(self) -> WorkerSnapshot:
        """Return the worker's state as it is now."""
        app, counters, now_ms = self.app, self.counters, self.wall_ms()
        not_ready = self.not_ready()
        partitions: dict[str, list[int]] = {}
        lags, waiting = self._lag(), {}
        lately, before = self._windows.windows()
        oldest_ms = None
        if (consumer := app.started_consumer) is not None:
            for tp in sorted(consumer.assignment()):
                partitions.setdefault(tp.topic, []).append(tp.partition)
            oldest = oldest_open(consumer)
            oldest_ms = min((record.timestamp for record in oldest.values()), default=None)
            waiting = {
                topic: _waiting(records, oldest.get(topic)) for topic, records in lags.items()
            }
        return WorkerSnapshot(
            worker=self.worker,
            stage=app.options.stage,
            slot=self.slot,
            host=self._host,
            pid=os.getpid(),
            version=__version__,
            at=now_ms,
            started_at=self._started_at,
            ready=not not_ready,
            not_ready=not_ready,
            partitions=partitions,
            lag=dict(lags),
            totals=self._totals(),
            rate=round(self._events.per_second, 1),
            oldest_unsettled_seconds=(
                None if oldest_ms is None else max(0.0, (now_ms - oldest_ms) / 1000)
            ),
            vendor=self._vendor(now_ms),
            notes=dict(counters.notes) | self._notes_of_tables(),
            expired=total_by_topic(app.stage.expired),
            users_read=self._users_read(),
            memory_bytes=memory_bytes(),
            age_seconds=counters.ages(),
            delivery_seconds=counters.deliveries(),
            accepted_rate=round(self._accepted.per_second, 2),
            settled_rate=round(self._settled.per_second, 2),
            waiting=waiting,
            quota=self._quota(),
            skipped_by_vendor={v: dict(counts) for v, counts in counters.skipped_by_vendor.items()},
            causes=counters.most_causes(SHOWN_CAUSES),
            last_requests=self._requests.newest_first(),
            join=None if self.joins is None else self.joins.health(self.secrets()),
            recovering_rows=self.recovering_rows(),
            lately=lately,
            before=before,
            trend=self._pace.trend(),
            restarts=Restarts() if self.life is None else self.life.restarts(now_ms),
            asking=0 if self.courier is None else self.courier.asking(),
            versions=VERSIONS,
            ingested=_by_section(counters.ingested),
            drift=self.drift(),
            sends_alerts=self.sends_alerts,
            warnings=self._warnings(now_ms),
        )

    async def publish(self) -> None:
        """Write a snapshot about once a second, for as long as the worker lives."""
        while True:
            await self._look_at_ends()
            self._sample()
            self._say_readiness()
            if self._produces():
                try:
                    written = await self.app.kafka_producer.send(
                        self.status_topic,
                        key=self.worker.encode(),
                        value=encode_snapshot(self.snapshot()),
                    )
                    written.add_done_callback(_forget)
                except Exception as error:
                    log.warning("the status could not be written: %r", error)
            await asyncio.sleep(PUBLISH_SECONDS)

    async def _look_at_ends(self) -> None:
        """Learn how much waits where nothing is fetched; what was known before stays meanwhile."""
        consumer = self.app.started_consumer
        if consumer is None:
            return
        try:
            await consumer.refresh_log_ends()
        except Exception as error:
            log.warning("the number of waiting records could not be read: %r", error)

    def _sample(self) -> None:
        """Look once at what only its change over time says."""
        now, counters, courier = self.clock(), self.counters, self.courier
        hidden = self._hidden_records()
        for sentence in hidden:
            if sentence not in self._said_hidden:
                log.warning(sentence)
        self._said_hidden = hidden
        self._events.sample(now, counters.events)
        self._accepted.sample(now, counters.accepted)
        self._settled.sample(now, counters.settled)
        lags = self._lag()
        done = counters.events if courier is None else counters.settled
        partitions = tuple(sorted(self.app.consumer.assignment())) if lags else ()
        self._pace.sample(now, done, sum(lags.values()), partitions)
        self._windows.sample(now, outcomes_of(counters, self.app.options.stage))
        if self.life is not None:
            self.life.save(self.wall_ms(), self._windows.windows()[0])
        if courier is None:
            return
        if courier.client.rate_limit is not None:
            self._turns.sample(now, courier.client.rate_limit.taken)
        taken = courier.client.exchanges.drain()
        self._requests.add(taken, self.secrets(), now, self.wall_ms())

    def _say_readiness(self) -> None:
        """Log when the worker becomes ready, and what it waits for meanwhile."""
        reasons = self.not_ready()
        words, now = " ".join(reasons), self.clock()
        if not reasons:
            if self._said_ready is not True:
                topics = self.app.consumer.assignment()
                log.info(
                    "ready: stage %s, %d partitions, dashboard at %s",
                    self.app.options.stage,
                    len(topics),
                    self.page,
                )
            self._said_ready, self._said_reasons = True, ""
            return
        if without_values(words) != self._said_reasons or now - self._said_at >= SAY_AGAIN_SECONDS:
            log.info("not ready yet: %s (dashboard at %s)", words, self.page)
            self._said_at, self._said_reasons = now, without_values(words)
        self._said_ready = False

    async def say_goodbye(self) -> None:
        """Take this worker out of the status topic, as far as the broker answers in time."""
        if self.life is not None:
            self.life.end()
        if self._produces():
            with contextlib.suppress(Exception):
                await self.app.kafka_producer.send_and_wait(
                    self.status_topic, key=self.worker.encode(), value=None
                )

    def _produces(self) -> bool:
        return self.app.started_producer is not None

    def _totals(self) -> Totals:
        counters = self.counters
        requests: Any = {} if self.courier is None else self.courier.client.requests_by_status
        return Totals(
            events=counters.events,
            accepted=counters.accepted,
            skipped=dict(counters.skipped),
            dead_lettered=dict(counters.dead_lettered),
            requests=dict(requests),
        )

    def _lag(self) -> Counter[str]:
        by_topic: Counter[str] = Counter()
        if (consumer := self.app.started_consumer) is not None:
            for tp, records in lag(consumer).items():
                by_topic[tp.topic] += records
        return by_topic

    def _quota(self) -> QuotaUse | None:
        quota = None if self.courier is None else self.courier.client.rate_limit
        if quota is None:
            return None
        share = quota.per_second(self.clock())
        return QuotaUse(round(self._turns.per_second, 2), round(share, 2), quota.limit)

    def _users_read(self) -> dict[int, int]:
        """Return, by partition, up to which offset this worker obeys what users want."""
        recovery = self.app.tables.begun_recovery
        if recovery is None or "users" not in self.app.tables:
            return {}
        topic = self.app.tables["users"].topic_name
        read = recovery.active_offsets.items()
        return {tp.partition: at for tp, at in read if tp.topic == topic and at is not None}

    def _notes_of_tables(self) -> dict[str, int]:
        """Return how many keys of each table have had a row that could not be read, and so on."""
        counts = {}
        for table in self.app.tables.values():
            counts[f"malformed_rows:{table.name}"] = len(table.malformed_keys)
            counts[f"future_rows:{table.name}"] = table.from_future
        return {name: count for name, count in counts.items() if count}

    def _vendor(self, now_ms: int) -> VendorStatus | None:
        if self.courier is None:
            return None
        if (refused := self._refused(now_ms)) is not None:
            return refused
        now, breaker = self.clock(), self.courier.client.breaker
        since = now_ms - int((now - breaker.since) * 1000)
        reason = masked_text(breaker.reason, self.secrets(), MAX_REASON_CHARS)
        return VendorStatus(breaker.state, since, reason, breaker.advice)  # type: ignore[arg-type]

    def _warnings(self, now_ms: int) -> list[str]:
        warnings = [*self.app.stage.warnings(), *self.app.retention.sentences()]
        for table in self.app.tables.values():
            warnings += table.warnings()
        warnings += self._hidden_records()
        if self.courier is not None and self._refused(now_ms) is not None:
            return warnings  # the vendor's state says the rest
        return self.app.refused.sentences() + warnings

    def _refused(self, now_ms: int) -> VendorStatus | None:
        """Return what is said of the vendor where Kafka does not take its outcomes."""
        refused = self.app.refused
        assert self.courier is not None
        on_hold = self.courier.is_on_hold
        if on_hold is False or self.courier.client.breaker.state in {"parked", "paused"}:
            return None
        state: VendorState = "parked" if on_hold else "degraded"
        since = now_ms - int((self.clock() - refused.since) * 1000)
        return VendorStatus(state, since, " ".join(refused.sentences()))


def _by_section(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (section, outcome), number in counts.items():
        found.setdefault(section, {})[outcome] = number
    return found


def _hidden(tp: TP, consequence: str) -> str:
    return (
        f"{tp.topic} partition {tp.partition}: a transaction of another producer is open, so "
        f"{consequence}. The transaction ends with that producer's commit, or after its "
        "transaction.timeout.ms; one that never ends is found, and aborted, with Kafka's "
        "kafka-transactions.sh."
    )


_TYPES = {f'"event_type":"{kind.event_type}"'.encode(): kind.event_type for kind in KINDS.values()}
_LOOKED_AT_BYTES = 2_000
"""Enrichment writes the type near the beginning of a vendor record."""


def _waiting(records: int, oldest: OpenRecord | None) -> Waiting:
    if oldest is None:
        return Waiting(records)
    beginning = (oldest.value or b"")[:_LOOKED_AT_BYTES]
    kind = next((word for text, word in _TYPES.items() if text in beginning), "")
    return Waiting(records, oldest.timestamp, kind)


def _forget(written: "asyncio.Future[Any]") -> None:
    """Take note of a snapshot that was not written: the next one says it all again."""
    if not written.cancelled() and written.exception() is not None:
        log.warning("the status was not written: %r", written.exception())
        leave_if_unusable(written.exception())
