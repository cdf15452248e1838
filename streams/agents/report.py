"""What a worker says of itself: its snapshot, for the status topic and the web view."""

import asyncio
import contextlib
import logging
import os
import resource
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streams import __version__
from streams.agents.tally import Tally
from streams.core.snapshot import Totals, VendorStatus, WorkerSnapshot, encode_snapshot
from streams.delivery.congestion import Flow
from streams.delivery.courier import Courier
from streams.engine.app import StageApp
from streams.engine.backlog import lag, oldest_unsettled_ms

log = logging.getLogger("streams.status")

PUBLISH_SECONDS = 1.0


class Reporter:
    """Builds and publishes one worker's snapshots."""

    def __init__(
        self,
        app: StageApp,
        tally: Tally,
        courier: Courier | None,
        *,
        slot: int,
        status_topic: str,
        wall_ms: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._tally = tally
        self._courier = courier
        self._slot = slot
        self._status_topic = status_topic
        self._wall_ms = wall_ms
        self._clock = clock
        self._started_at = wall_ms()
        self._rate = 0.0
        self._flow = Flow()
        self._host = socket.gethostname()
        self.worker = f"{app.stage}-{self._host}-{slot}"

    def not_ready(self) -> list[str]:
        """Return why this worker does not process events yet, one sentence each."""
        app = self._app
        consumer = app._consumer
        if consumer is None or consumer._thread._consumer is None or not self._produces():
            return ["The broker is not reached yet."]
        recovery = app.tables._recovery
        if recovery is not None and recovery.in_recovery and consumer.assignment():
            rows = consumer.recovery.remaining_rows()
            return [f"Tables are being read: {rows} rows remain."]
        if recovery is None or not recovery.completed.is_set():
            return ["No partitions are assigned yet."]
        if app.rebalancing:
            return ["The group is rebalancing."]
        return []

    def snapshot(self) -> WorkerSnapshot:
        """Return the worker's state as it is now."""
        app, tally, now_ms = self._app, self._tally, self._wall_ms()
        not_ready = self.not_ready()
        partitions: dict[str, list[int]] = {}
        oldest_ms = None
        if app._consumer is not None and app._consumer._thread._consumer is not None:
            for tp in sorted(app._consumer.assignment()):
                partitions.setdefault(tp.topic, []).append(tp.partition)
            oldest_ms = oldest_unsettled_ms(app._consumer)
        return WorkerSnapshot(
            worker=self.worker,
            stage=app.stage,
            slot=self._slot,
            host=self._host,
            pid=os.getpid(),
            version=__version__,
            at=now_ms,
            started_at=self._started_at,
            ready=not not_ready,
            not_ready=not_ready,
            partitions=partitions,
            lag=dict(self._lag()),
            totals=self._totals(),
            rate=round(self._rate, 1),
            oldest_unsettled_seconds=(
                None if oldest_ms is None else max(0.0, (now_ms - oldest_ms) / 1000)
            ),
            vendor=self._vendor(now_ms),
            notes=dict(tally.notes) | self._malformed_rows(),
            expired=dict(app.logic.expired()),
            memory_bytes=_memory_bytes(),
            age_seconds=tally.ages(),
        )

    async def publish(self) -> None:
        """Write a snapshot about once a second, for as long as the worker lives."""
        while True:
            now = self._clock()
            self._rate = self._tally.sample_rate(now)
            self._flow.sample(now, self._tally.settled, sum(self._lag().values()))
            if self._produces():
                try:
                    written = await self._app.kafka_producer.send(
                        self._status_topic,
                        key=self.worker.encode(),
                        value=encode_snapshot(self.snapshot()),
                    )
                    written.add_done_callback(_forget)
                except Exception as error:
                    log.warning("the status could not be written: %r", error)
            await asyncio.sleep(PUBLISH_SECONDS)

    async def say_goodbye(self) -> None:
        """Take this worker out of the status topic, as far as the broker answers in time."""
        if self._produces():
            with contextlib.suppress(Exception):
                await self._app.kafka_producer.send_and_wait(
                    self._status_topic, key=self.worker.encode(), value=None
                )

    def _produces(self) -> bool:
        producer = self._app._producer
        return producer is not None and producer._producer is not None

    def _totals(self) -> Totals:
        tally = self._tally
        requests: Any = {} if self._courier is None else self._courier.line.requests_by_status
        return Totals(
            events=tally.events,
            accepted=tally.accepted,
            skipped=dict(tally.skipped),
            dead_lettered=dict(tally.dead_lettered),
            requests=dict(requests),
        )

    def _lag(self) -> Counter[str]:
        by_topic: Counter[str] = Counter()
        consumer = self._app._consumer
        if consumer is not None and consumer._thread._consumer is not None:
            for tp, records in lag(consumer).items():
                by_topic[tp.topic] += records
        return by_topic

    def _malformed_rows(self) -> dict[str, int]:
        """Return, by table, how many keys have had a row that could not be read."""
        tables = self._app.tables.values()
        counts = {f"malformed_rows:{table.name}": len(table.malformed_keys) for table in tables}
        return {name: count for name, count in counts.items() if count}

    def _vendor(self, now_ms: int) -> VendorStatus | None:
        if self._courier is None:
            return None
        now, line = self._clock(), self._courier.line
        gate, reason = line.gate, line.gate.reason
        if line.quota is not None and not reason:
            reason = self._flow.sentence(line.quota.per_second(now))
        since = now_ms - int((now - gate.since) * 1000)
        return VendorStatus(gate.state, since, reason, gate.advice)  # type: ignore[arg-type]


def _forget(written: "asyncio.Future[Any]") -> None:
    """Take note of a snapshot that was not written: the next one says it all again."""
    if not written.cancelled() and written.exception() is not None:
        log.warning("the status was not written: %r", written.exception())


def _memory_bytes() -> int:
    """Return the memory this process has in use; its peak where the system tells only that."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
