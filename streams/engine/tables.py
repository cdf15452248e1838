"""Tables that are their topics: rows read straight from a compacted topic, at start and live.

Faust plans a table's recovery (which partitions, from where, up to which end) and counts it as
assigned state; the rows themselves are applied here in bulk as they are fetched, because Faust's
own path costs about 300 µs a row. Agents never write: no second copy, and no late write of a
dying worker can undo a withdrawal of consent. Rows stay as their table's ``admit`` returns them:
encoded, so that whoever looks one up decodes it, or the little of it that somebody needs.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from math import inf
from typing import Any

import faust
from faust.types import TP

from streams.engine.chunks import Record
from streams.engine.failure import SERVICE_LOG
from streams.engine.partitions import Strays
from streams.engine.wall_clock import ForwardTime, elapsed

log = logging.getLogger("streams.engine")

MAX_SHOWN_KEY_BYTES = 128
MALFORMED = object()
"""Stands in a table for a row that could not be read."""

Row = Any
"""What ``admit`` made of the encoded row, or MALFORMED."""

Admit = Callable[[bytes], Row]
"""Returns the row as it is to be kept; raises ValueError for a malformed one."""

OnRow = Callable[[int, bytes, Row | None, Row, int], None]
"""Called with partition, key, the row until now, the new row, and when it came (Kafka, in ms)."""


class TopicTable(faust.Table):
    """A Faust table whose changelog is a topic that others write, read live after recovery."""

    logger = SERVICE_LOG

    def __init__(
        self,
        app: Any,
        *,
        topic: str,
        admit: Admit,
        malformed_row: str = "counts as none",
        strays: Strays | None = None,
        **options: Any,
    ) -> None:
        """``malformed_row`` says what becomes of one that ``admit`` refuses.

        ``strays`` takes note of rows on other partitions than their keys'; None: any will do.
        """
        self._topic_name = topic
        self._malformed_row = malformed_row
        self._admit = admit
        self._arrived_ms = app.options.arrived_ms
        self._is_moved = app.options.is_moved
        self.strays = strays
        self.rows: dict[int, dict[bytes, Row]] = {}
        """Partition → key → row."""
        self.forgotten: dict[int, dict[bytes, int]] = {}
        """Partition → key → when its newest tombstone came: its Kafka time, in ms.

        One whose Kafka time lies in the future counts from when it was read here.
        """
        self.malformed_keys: set[bytes] = set()
        self.from_future = 0
        """Rows and tombstones whose Kafka time lay in the future when they were read."""
        self._time = ForwardTime()
        self.rows_applied = 0
        self.on_row: OnRow | None = None
        """Told of each good row as it is taken, at start, too."""
        super().__init__(
            app,
            # Faust resumes a changelog after recovery only at this buffer size.
            recovery_buffer_size=1,
            key_type=bytes,
            value_type=bytes,
            # yarl takes "memory://" for falsy, and Faust then ignores it.
            store="memory://local",
            **options,
        )

    def _changelog_topic_name(self) -> str:
        return self._topic_name

    async def on_start(self) -> None:
        """Start without declaring the topic: it is somebody else's."""
        await self.add_runtime_dependency(self.data)

    def apply(self, partition: int, records: Iterable[Record]) -> None:
        """Apply rows and tombstones of one partition in log order."""
        rows = self.rows.setdefault(partition, {})
        forgotten = self.forgotten.setdefault(partition, {})
        admit, now_ms = self._admit, self._time.now_ms()
        for record in records:
            key = record.key
            if key is None:
                continue
            self.rows_applied += 1
            value = record.value
            came_ms = self._arrived_ms(record.timestamp, now_ms)
            if came_ms != record.timestamp:
                self._note_from_future(partition, record)
            self._check_partition(partition, key, is_row=value is not None)
            if record.headers and self._is_moved(record.headers):
                if value is None:
                    rows.pop(key, None)
                    continue
                if key in rows or key in forgotten:
                    continue
            if value is None:
                rows.pop(key, None)
                self.malformed_keys.discard(key)
                forgotten[key] = came_ms
                continue
            try:
                row = admit(value)
            except ValueError as error:
                rows[key] = MALFORMED
                self._note_malformed(key, partition, record.offset, error)
                continue
            if self.on_row is not None:
                self.on_row(partition, key, rows.get(key), row, came_ms)
            rows[key] = row
            self.malformed_keys.discard(key)

    def drop(self, partition: int) -> None:
        """Forget a partition that now belongs to another worker."""
        rows = self.rows.pop(partition, {})
        self.malformed_keys.difference_update(k for k, row in rows.items() if row is MALFORMED)
        self.forgotten.pop(partition, None)
        if self.strays is not None:
            self.strays.forget(partition)

    def warnings(self) -> list[str]:
        """Return what threatens and what to do about it, in whole sentences."""
        if self.strays is None or not len(self.strays):
            return []
        words = (
            f"{self._topic_name} has rows on other partitions than their keys belong on (seen: "
            f"{len(self.strays):,}), which the events of these visitors do not find. If partitions "
            "were added, run `streams topics rekey`; if not, let the producer of the rows use "
            "Kafka's default partitioner (murmur2)."
        )
        return [words]

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    def _note_from_future(self, partition: int, record: Record) -> None:
        self.from_future += 1
        if self.from_future == 1:
            log.warning(
                "%s partition %d offset %d has a Kafka time in the future (%d ms since the epoch) "
                "and counts from now on; set the clock of who wrote it right. More of them are "
                "only counted",
                self._topic_name,
                partition,
                record.offset,
                record.timestamp,
            )

    def _check_partition(self, partition: int, key: bytes, *, is_row: bool) -> None:
        if self.strays is None or not self.strays.record(partition, key, is_row=is_row):
            return
        log.warning(
            "%s partition %d has a row whose key belongs on another partition, so the visitor's "
            "events do not find it; `streams topics rekey --dry-run` counts such rows",
            self._topic_name,
            partition,
        )

    def _note_malformed(self, key: bytes, partition: int, offset: int, error: ValueError) -> None:
        if key not in self.malformed_keys:
            self.malformed_keys.add(key)
            log.warning(
                "the row of key %s (%s partition %d offset %d) is malformed and %s until a "
                "valid one is written: %s",
                key[:MAX_SHOWN_KEY_BYTES].decode("utf-8", "backslashreplace"),
                self._topic_name,
                partition,
                offset,
                self._malformed_row,
                error,
            )


class GlobalTopicTable(TopicTable, faust.GlobalTable):
    """A TopicTable of which every worker holds all partitions."""

    logger = SERVICE_LOG

    def __init__(
        self, app: Any, *, on_change: Callable[[], None] | None = None, **options: Any
    ) -> None:
        super().__init__(app, is_global=True, **options)
        self.by_key: dict[bytes, Row] = {}
        """Key → row over all partitions."""
        self._on_change = on_change
        """Called whenever rows were applied, at start too."""

    def apply(self, partition: int, records: Iterable[Record]) -> None:
        """Apply rows of one partition; all partitions share one mapping."""
        self.rows.setdefault(partition, self.by_key)
        super().apply(partition, records)
        if self._on_change is not None:
            self._on_change()

    def drop(self, partition: int) -> None:
        """Keep everything: a global table loses no partition to another worker."""

    def __len__(self) -> int:
        return len(self.by_key)


class Recovery:
    """Drives Faust's recovery from what the consumer has fetched of the tables' topics."""

    def __init__(self, app: Any, clock: Callable[[], float] = elapsed) -> None:
        self._app = app
        self._clock = clock
        self._current_at: dict[TP, float] = {}
        self._behind_transaction: Collection[TP] = ()
        self._first_look: tuple[float, int] | None = None
        """When (s) somebody first asked what remains of this recovery, and what did then."""

    def apply(self, tp: TP, records: list[Record]) -> None:
        """Apply fetched rows that have not been seen, and note how far the table has come."""
        recovery = self._app.tables.recovery
        if tp not in recovery.active_tps:
            return
        seen = recovery.active_offsets.get(tp)
        if seen is not None and records[0].offset <= seen:
            records = [record for record in records if record.offset > seen]
        if records:
            recovery.tp_to_table[tp].apply(tp.partition, records)
            recovery.active_offsets[tp] = records[-1].offset

    def record_current(
        self, current_at: Mapping[TP, float], behind_transaction: Collection[TP]
    ) -> None:
        """Note as of when (``elapsed``, s) all of these is applied, and what cannot be read now."""
        # Of what is not active, rows were passed over: a seek brings them back.
        active = self._app.tables.recovery.active_tps
        self._current_at.update({tp: at for tp, at in current_at.items() if tp in active})
        self._behind_transaction = behind_transaction

    def forget(self, tp: TP) -> None:
        """Forget how much is known of a partition whose rows are dropped."""
        self._current_at.pop(tp, None)

    def delay_seconds(self, tp: TP) -> float:
        """Return how long ago this table's partition was last known to be complete."""
        known_at = self._current_at.get(tp)
        return inf if known_at is None else self._clock() - known_at

    def behind_transactions(self) -> list[TP]:
        """Return the partitions of which an open transaction hides the newest rows."""
        return sorted(self._behind_transaction)

    def is_behind_transaction(self, tp: TP) -> bool:
        """Return whether an open transaction keeps the newest rows of this from being read."""
        return tp in self._behind_transaction

    def maybe_end(self, positions: dict[TP, int]) -> None:
        """End Faust's recovery once every table has reached the end taken at its start.

        ``positions`` are of partitions of which nothing fetched is left unapplied: where the tail
        holds only control records or was compacted away, the position alone tells that it is read.
        """
        recovery = self._app.tables._recovery
        if recovery is None or not recovery.in_recovery:
            return
        for tp, end in recovery.active_highwaters.items():
            offset = recovery.active_offsets.get(tp)
            if end is not None and offset is not None and offset < end < positions.get(tp, -1):
                recovery.active_offsets[tp] = end
        if not recovery.need_recovery():
            # Level-triggered: Faust clears this event every 5 s.
            recovery.signal_recovery_end.set()

    def remaining_rows(self) -> int:
        """Return how many rows recovery has still to read; 0 when it is over."""
        recovery = self._app.tables._recovery
        if recovery is None or not recovery.in_recovery:
            return 0
        return max(0, int(recovery.active_remaining_total()))

    def remaining_seconds(self, now: float) -> float | None:
        """Return how long recovery goes on at the pace so far; None where that is not known yet.

        ``now`` in seconds of a clock that only grows.
        """
        rows = self.remaining_rows()
        if not rows:
            self._first_look = None
            return None
        if self._first_look is None or rows > self._first_look[1]:
            self._first_look = now, rows
        since, before = self._first_look
        return rows * (now - since) / (before - rows) if before > rows else None
