"""The pipeline as its workers describe it: the newest snapshot of each in ``streams.status``."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from aiokafka import ConsumerRecord

from streams.core.snapshot import VendorStatus, WorkerSnapshot, decode_snapshot
from streams.engine import wall_clock
from streams.kafka.reader import Following, connect
from streams.settings import STAGE_NAMES, Settings

STALE_MS = 15_000
"""A worker that has said nothing for so long is gone or stuck: it speaks about once a second."""


ALERTS_KEY = b"alerts"
"""The key of a record that is no worker's: what people were told (``alerts.sent``)."""

LOOK_BACK_MS = 10 * 60 * 1000
"""Older news is not read: until compaction comes round the topic holds every second's."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker: what it last said, and whether that still holds."""

    snapshot: WorkerSnapshot
    heard_ms: int
    """When it spoke last, in ms since the epoch."""
    silent_seconds: float
    is_stale: bool
    """Nothing has come from it for longer than STALE_MS."""


@dataclass(slots=True)
class StatusBoard:
    """The newest snapshot of each worker, kept up to date record by record."""

    snapshots: dict[str, WorkerSnapshot] = field(default_factory=dict)
    unreadable: int = 0
    """Records that are no snapshot, such as those of another version."""
    is_live: bool = False
    """Whether all older records are read, so that those that come now were just written."""
    _heard_ms: dict[str, int] = field(default_factory=dict)

    def apply(self, key: bytes | None, value: bytes | None, now_ms: int) -> None:
        """Take the next record of the topic; a tombstone says that a worker has ended."""
        if key == ALERTS_KEY:
            return
        worker = (key or b"").decode("utf-8", "replace")
        if value is None:
            self.snapshots.pop(worker, None)
            return
        try:
            self.record(worker, decode_snapshot(value), now_ms)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.unreadable += 1

    def apply_all(self, records: Iterable[ConsumerRecord], now_ms: int) -> None:
        """Take of each worker only the newest word: there is one a second."""
        for record in {record.key: record for record in records}.values():
            self.apply(record.key, record.value, now_ms)

    def record(self, worker: str, snapshot: WorkerSnapshot, now_ms: int) -> None:
        """Record a snapshot. The worker's clock, which may be wrong, counts only for an old one."""
        self.snapshots[worker] = snapshot
        self._heard_ms[worker] = now_ms if self.is_live else min(snapshot.at, now_ms)

    def workers(self, now_ms: int) -> list[WorkerStatus]:
        """Return the workers, ingest and enrichment first, then by stage and slot."""
        first = {stage: number for number, stage in enumerate(STAGE_NAMES)}
        found = []
        for worker, one in self.snapshots.items():
            heard_ms = self._heard_ms.get(worker, one.at)
            silent = max(0, now_ms - heard_ms)
            place = first.get(one.stage, len(first)), one.stage, one.slot
            found.append((place, WorkerStatus(one, heard_ms, silent / 1000, silent > STALE_MS)))
        return [worker for _, worker in sorted(found, key=lambda item: item[0])]


_GRAVITY = ("running", "degraded", "throttled", "paused", "parked")


def gravest(vendors: Iterable[VendorStatus]) -> VendorStatus | None:
    """Return the state that somebody must know of first, that of the longest standing; or None."""
    return max(vendors, key=lambda v: (_GRAVITY.index(v.state), -v.since), default=None)


def partitions_of(snapshot: WorkerSnapshot) -> int:
    """Return how many partitions of events a worker has; those of tables are no work."""
    tables = ("shop.users", "shop.products", "streams.control")
    held = snapshot.partitions.items()
    return sum(len(numbers) for topic, numbers in held if not topic.endswith(tables))


async def read_status(settings: Settings) -> StatusBoard:
    """Return the board with what was said in the last ten minutes.

    Raises SetupError where the brokers do not answer or the topic does not exist.
    """
    async with aclosing(follow_status(settings)) as boards:
        return await anext(boards)


async def follow_status(settings: Settings) -> AsyncGenerator[StatusBoard, None]:
    """Yield the same board again and again, each time after reading to the topic's end."""
    topic = settings.topics.status
    board = StatusBoard()
    async with connect(settings.kafka) as reader:
        tps = await reader.own(topic)
        following = Following(await reader.starts(tps, wall_clock.now_ms() - LOOK_BACK_MS))
        while True:
            async for records in following.news(reader):
                board.apply_all(records, wall_clock.now_ms())
            board.is_live = True
            yield board
