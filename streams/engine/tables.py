"""Tables read from their topics: rows come directly from a compacted topic, at start and live.

Rows are applied in bulk as they are fetched. Agents never write to a table, so there is no second
copy, and a late write of a dying worker cannot undo a withdrawal of consent. A table keeps what its
``admit`` returns: the encoded row, which is decoded when it is used, or the part that is needed.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import faust

from streams.engine.chunks import Record
from streams.engine.failure import SERVICE_LOG
from streams.engine.partitioner import NewestPlaces, Strays
from streams.engine.wall_clock import ForwardTime

log = logging.getLogger("streams.engine")

MAX_SHOWN_KEY_BYTES = 128
MALFORMED = object()
"""In a table: the row is malformed."""

Row = Any
"""The result of ``admit``, or MALFORMED."""

Admit = Callable[[bytes], Row]
"""Encoded row → what the table keeps; raises ValueError if the row is malformed."""

OnRow = Callable[[int, bytes, Row | None, Row, int], None]
"""Called with partition, key, old row, new row, and the new row's Kafka time in ms."""


class TopicTable(faust.Table):
    """A Faust table whose changelog is a topic of others, which is read live after recovery."""

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
        """``malformed_row``: the effect of a malformed row, for the log.

        ``strays`` records rows on other partitions than their keys'; None: not checked.
        """
        self.topic_name = topic
        self._malformed_row = malformed_row
        self._admit = admit
        self._arrived_ms = app.options.arrived_ms
        self._is_moved = app.options.is_moved
        self.strays = strays
        self.rows: dict[int, dict[bytes, Row]] = {}
        """Partition → key → row."""
        self.forgotten: dict[int, dict[bytes, int]] = {}
        """Partition → key → Kafka time of its newest tombstone, in ms.

        If that time is in the future, the time when it was read here.
        """
        self.malformed_keys: set[bytes] = set()
        self.from_future = 0
        """Rows and tombstones whose Kafka time was in the future when they were read."""
        self._time = ForwardTime()
        self.rows_applied = 0
        self.on_row: OnRow | None = None
        """Called for each valid row as it is applied, also at the start."""
        super().__init__(
            app,
            # Faust resumes a changelog after recovery only with this buffer size.
            recovery_buffer_size=1,
            key_type=bytes,
            value_type=bytes,
            # yarl treats "memory://" as false, and Faust then ignores it.
            store="memory://local",
            **options,
        )

    def _changelog_topic_name(self) -> str:
        return self.topic_name

    async def on_start(self) -> None:
        """Start without declaring the topic, which belongs to others."""
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
        """Return warnings about this table, in sentences, with what to do."""
        if self.strays is None or not len(self.strays):
            return []
        words = (
            f"{self.topic_name} has rows on other partitions than their keys belong on (seen: "
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
                "%s partition %d offset %d has a Kafka time in the future (%d ms since the epoch); "
                "it takes effect now. Correct the clock of its producer. Further ones are only "
                "counted",
                self.topic_name,
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
            self.topic_name,
            partition,
        )

    def _note_malformed(self, key: bytes, partition: int, offset: int, error: ValueError) -> None:
        if key not in self.malformed_keys:
            self.malformed_keys.add(key)
            log.warning(
                "the row of key %s (%s partition %d offset %d) is malformed and %s until a "
                "valid one is written: %s",
                key[:MAX_SHOWN_KEY_BYTES].decode("utf-8", "backslashreplace"),
                self.topic_name,
                partition,
                offset,
                self._malformed_row,
                error,
            )


class GlobalTopicTable(TopicTable, faust.GlobalTable):
    """A TopicTable with all partitions in every worker."""

    logger = SERVICE_LOG

    def __init__(
        self,
        app: Any,
        *,
        partitions: int,
        hidden_rows: str,
        on_change: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        """``hidden_rows``: the effect of rows that an open transaction hides, for the log."""
        super().__init__(app, is_global=True, partitions=partitions, **options)
        self.hidden_rows = hidden_rows
        self._newest = NewestPlaces() if partitions > 1 else None
        self.by_key: dict[bytes, Row] = {}
        """Key → row over all partitions."""
        self._on_change = on_change
        """Called after rows are applied, also at the start."""

    def apply(self, partition: int, records: Iterable[Record]) -> None:
        """Apply rows of one partition; all partitions share one mapping."""
        self.rows.setdefault(partition, self.by_key)
        if self._newest is not None:
            admit = self._newest.admit
            records = [r for r in records if r.key is None or admit(partition, r.key, r.timestamp)]
        super().apply(partition, records)
        if self._on_change is not None:
            self._on_change()

    def drop(self, partition: int) -> None:
        """Do nothing: every worker keeps all partitions."""

    def __len__(self) -> int:
        return len(self.by_key)


class FollowedTopic(GlobalTopicTable):
    """A topic that is read as a table is, and whose rows somebody else keeps."""

    def __init__(
        self,
        app: Any,
        *,
        apply_row: Callable[[int, Record, int], None],
        size: Callable[[], int],
        **options: Any,
    ) -> None:
        """``apply_row`` gets partition, record and the Kafka time in ms of each, as ``forgotten``.

        ``size`` returns how many rows are kept.
        """
        super().__init__(app, admit=bytes, **options)
        self._apply_row = apply_row
        self._size = size

    def apply(self, partition: int, records: Iterable[Record]) -> None:
        """Hand on rows and tombstones of one partition in log order."""
        now_ms = self._time.now_ms()
        for record in records:
            self.rows_applied += 1
            came_ms = self._arrived_ms(record.timestamp, now_ms)
            if came_ms != record.timestamp:
                self._note_from_future(partition, record)
            self._apply_row(partition, record, came_ms)

    def __len__(self) -> int:
        return self._size()
