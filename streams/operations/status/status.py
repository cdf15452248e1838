"""The pipeline as its workers describe it: the newest snapshot of each in ``streams.status``."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from aiokafka import ConsumerRecord

from streams import wall_clock
from streams.core.errors import SetupError
from streams.core.snapshot import VendorStatus, WorkerSnapshot, decode_snapshot
from streams.operations.logs.reader import connect
from streams.settings import ENRICH, Settings

STALE_MS = 15_000
"""A worker that has said nothing for so long is gone or stuck: it speaks about once a second."""


LOOK_BACK_MS = 10 * 60 * 1000
"""Older news is not read: until compaction comes round the topic holds every second's."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker: what it last said, and whether that still holds."""

    snapshot: WorkerSnapshot
    silent_seconds: float
    is_stale: bool
    """Nothing has come from it for longer than STALE_MS."""


@dataclass(slots=True)
class StatusBoard:
    """The newest snapshot of each worker, kept up to date record by record."""

    snapshots: dict[str, WorkerSnapshot] = field(default_factory=dict)
    unreadable: int = 0
    """Records that are no snapshot, such as those of another version."""

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Take the next record of the topic; a tombstone says that a worker has ended."""
        worker = (key or b"").decode("utf-8", "replace")
        if value is None:
            self.snapshots.pop(worker, None)
            return
        try:
            self.snapshots[worker] = decode_snapshot(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.unreadable += 1

    def workers(self, now_ms: int) -> list[WorkerStatus]:
        """Return the workers, enrichment first, then by stage and slot."""
        found = []
        for snapshot in self.snapshots.values():
            silent = max(0, now_ms - snapshot.at)
            found.append(WorkerStatus(snapshot, silent / 1000, silent > STALE_MS))
        found.sort(key=lambda w: (w.snapshot.stage != ENRICH, w.snapshot.stage, w.snapshot.slot))
        return found


@dataclass(frozen=True, slots=True)
class StageStatus:
    """A stage over those of its workers that still speak."""

    stage: str
    workers: int
    ready: int
    gone: int
    """Workers that stopped speaking without saying goodbye."""
    partitions: int
    events_per_second: float
    lag: int
    """Records between the committed offsets and the ends of what the stage reads."""
    oldest_unsettled_seconds: float | None
    state: str
    """The vendor's state; of several workers' the gravest. ``running`` in enrichment."""
    reason: str
    """Why, in words, with what to do; empty where all is well."""


_GRAVITY = ("running", "degraded", "throttled", "paused", "parked")


def gravest(vendors: Iterable[VendorStatus]) -> VendorStatus | None:
    """Return the state that somebody must know of first, that of the longest standing; or None."""
    return max(vendors, key=lambda v: (_GRAVITY.index(v.state), -v.since), default=None)


def stages(workers: Iterable[WorkerStatus]) -> list[StageStatus]:
    """Return one line a stage, in the order of the workers."""
    by_stage: dict[str, list[WorkerStatus]] = {}
    for worker in workers:
        by_stage.setdefault(worker.snapshot.stage, []).append(worker)
    return [_stage(stage, members) for stage, members in by_stage.items()]


def _stage(stage: str, members: list[WorkerStatus]) -> StageStatus:
    alive = [m.snapshot for m in members if not m.is_stale]
    oldest = [s.oldest_unsettled_seconds for s in alive if s.oldest_unsettled_seconds is not None]
    vendors = [s.vendor for s in alive if s.vendor is not None]
    worst = gravest(vendors)
    if not alive:
        silent = min(m.silent_seconds for m in members)
        state, reasons = "gone", [f"no worker has spoken for {silent:.0f} s"]
    else:
        state = "running" if worst is None else worst.state
        reasons = [] if worst is None else [f"{worst.reason} {worst.advice}".strip()]
        reasons += [
            f"{s.worker} is not ready: {'; '.join(s.not_ready)}" for s in alive if not s.ready
        ]
        reasons += [warning for s in alive for warning in s.warnings]
    return StageStatus(
        stage=stage,
        workers=len(alive),
        ready=sum(s.ready for s in alive),
        gone=len(members) - len(alive),
        partitions=sum(len(numbers) for s in alive for numbers in _events_of(s).values()),
        events_per_second=round(sum(s.rate for s in alive), 1),
        lag=sum(n for s in alive for n in s.lag.values()),
        oldest_unsettled_seconds=max(oldest, default=None),
        state=state,
        reason=" ".join(filter(None, reasons)),
    )


def _events_of(snapshot: WorkerSnapshot) -> Mapping[str, list[int]]:
    """Return the partitions of events; those of tables move with them and are no work."""
    tables = ("shop.users", "shop.products")
    return {t: numbers for t, numbers in snapshot.partitions.items() if not t.endswith(tables)}


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
        tps = (await reader.partitions([topic]))[topic]
        if not tps:
            raise SetupError(
                f"The topic {topic} does not exist. Create it with: streams topics create"
            )
        starts = await reader.starts(tps, wall_clock.now_ms() - LOOK_BACK_MS)
        while True:
            ends = await reader.ends(tps)
            async for _, records in reader.read(starts, ends, _tell_nobody):
                _take_all(board, records)
            starts = {tp: max(starts[tp], ends[tp]) for tp in tps}
            yield board


def _take_all(board: StatusBoard, records: Iterable[ConsumerRecord]) -> None:
    """Take of each worker only the newest word: there is one a second."""
    for record in {record.key: record for record in records}.values():
        board.take(record.key, record.value)


def _tell_nobody(_topic: str, _read: int, _total: int) -> None:
    """A topic this small needs no progress."""
