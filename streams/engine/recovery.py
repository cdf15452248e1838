"""The recovery of tables: Faust plans it, and our consumer fetches the rows.

Faust says which partitions are read, from where, and up to which end. Its own way of applying rows
costs about 300 µs a row.
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import faust.tables.recovery
from faust.types import TP

from streams.engine.chunks import Record
from streams.engine.failure import SERVICE_LOG
from streams.engine.wall_clock import elapsed


class TableRecovery(faust.tables.recovery.Recovery):
    """Faust's recovery without timeouts.

    After a timeout Faust behaves as if it were stopping, and the worker never works again. The
    watchdog handles steps without progress.
    """

    logger = SERVICE_LOG

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002, ASYNC109
        await super()._wait(coro)


class TableManager(faust.tables.TableManager):
    """Faust's table manager with our recovery and without a second of sleep at each start."""

    logger = SERVICE_LOG
    _recovery: TableRecovery | None

    @property
    def recovery(self) -> TableRecovery:
        """The recovery service, created on first use."""
        if self._recovery is None:
            self._recovery = TableRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    @property
    def begun_recovery(self) -> TableRecovery | None:
        """The recovery service; None before the first recovery."""
        return self._recovery

    async def on_start(self) -> None:
        """Register the tables' topics and start the recovery service."""
        await self._update_channels()
        await self.recovery.start()


class Recovery:
    """Drives Faust's recovery with the records that the consumer fetches of the tables' topics."""

    def __init__(self, app: Any, clock: Callable[[], float] = elapsed) -> None:
        self._app = app
        self._clock = clock
        self._current_at: dict[TP, float] = {}
        self._first_look: tuple[float, int] | None = None
        """(time in s, remaining rows) at the first ``remaining_seconds`` of this recovery."""

    def apply(self, tp: TP, records: list[Record]) -> bool:
        """Apply new rows, record the table's offset; return False if the partition is not ours.

        Just after an assignment recovery does not know the new partitions yet.
        """
        recovery = self._app.tables.recovery
        if tp not in recovery.active_tps:
            return False
        seen = recovery.active_offsets.get(tp)
        if seen is not None and records[0].offset <= seen:
            records = [record for record in records if record.offset > seen]
        if records:
            recovery.tp_to_table[tp].apply(tp.partition, records)
            recovery.active_offsets[tp] = records[-1].offset
        return True

    def began_anew(self, ends: Mapping[TP, int]) -> TP | None:
        """Return a partition whose log is shorter than what was read of it; None: there is none.

        Rows of the new log would be taken for ones that were seen. ``ends``: of the logs; below 0:
        not known. Positions do not show it: after a rebalance they are back at the beginning.
        """
        recovery = self._app.tables.recovery
        if recovery.in_recovery:
            return None
        for tp, end in ends.items():
            seen = recovery.active_offsets.get(tp)
            if tp in recovery.active_tps and seen is not None and 0 <= end < seen:
                return tp
        return None

    def record_current(self, current_at: Mapping[TP, float]) -> None:
        """Record up to when (``elapsed``, s) all rows are applied."""
        # Rows of inactive partitions were dropped; a seek reads them again.
        active = self._app.tables.recovery.active_tps
        self._current_at.update({tp: at for tp, at in current_at.items() if tp in active})

    def forget(self, tp: TP) -> None:
        """Forget a partition whose rows are dropped."""
        self._current_at.pop(tp, None)

    def delay_seconds(self, tp: TP) -> float:
        """Return the seconds since this table's partition was last known to be complete."""
        known_at = self._current_at.get(tp)
        return inf if known_at is None else self._clock() - known_at

    def maybe_end(self, positions: dict[TP, int]) -> None:
        """End Faust's recovery once every table has reached its end as of the start.

        ``positions``: of partitions whose fetched records are all applied. If the last records are
        control records or were compacted away, only the position shows that the end is reached.
        """
        recovery = self._app.tables.begun_recovery
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
        """Return how many rows recovery still has to read; 0: it is over."""
        recovery = self._app.tables.begun_recovery
        if recovery is None or not recovery.in_recovery:
            return 0
        return max(0, int(recovery.active_remaining_total()))

    def remaining_seconds(self, now: float) -> float | None:
        """Return the remaining seconds of recovery at its rate so far; None: not known yet.

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
