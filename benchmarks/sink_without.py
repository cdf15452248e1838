"""Our sink without parts of what it does for the truth about each event; only to be measured.

A test double for ``feature_costs.py``: it starts ``streams worker`` after replacing what the
variable SINK_WITHOUT names, comma-separated: ``guard`` (consent, age, stopped runs), ``lanes`` (who
goes first), ``marks`` (repeats), ``receipts``. What it delivers could be wrong in as many ways.
"""

import os
import sys
from typing import Any

from streams.cli import main
from streams.delivery.progress import Admission, PartitionProgress
from streams.delivery.ready_queue import ReadyQueue
from streams.stages.sink.outcome_writer import OutcomeWriter
from streams.stages.sink.send_filter import RowSendFilter


def without_guard() -> None:
    """Send everything, whoever it is about."""
    RowSendFilter.stopped = lambda *_: {}  # type: ignore[method-assign]
    RowSendFilter.is_current = lambda *_: True  # type: ignore[method-assign]


def without_lanes() -> None:
    """Let queues go in the order in which they came."""

    def add(self: Any, queue: Any) -> None:
        self.plain[queue] = None

    def pop(self: Any, _lanes: Any) -> Any:
        queue = next(iter(self.plain))
        del self.plain[queue]
        return queue

    ReadyQueue.__init__ = lambda self: setattr(self, "plain", {})  # type: ignore[method-assign]
    ReadyQueue.__bool__ = lambda self: bool(self.plain)  # type: ignore[method-assign, attr-defined]
    ReadyQueue.lanes = lambda self: [0] if self.plain else []  # type: ignore[method-assign, return-value]
    ReadyQueue.add, ReadyQueue.pop = add, pop  # type: ignore[method-assign]
    ReadyQueue.record_start = lambda *_: None  # type: ignore[method-assign]


def without_marks() -> None:
    """Take every record for a new one."""

    def admit(self: Any, position: int, *_: Any) -> Admission:
        self._next = position + 1
        self._order.append((position, "", None))
        return Admission.NEW

    PartitionProgress.admit = admit  # type: ignore[method-assign]


def without_receipts() -> None:
    """Settle without a word."""

    async def write(self: Any, partition: int, settlements: list[Any]) -> None:
        for settlement in settlements:
            for item in settlement.items:
                item.tag.settle(item.position, 0)
            self._count(settlement)
            if settlement.written is not None and not settlement.written.done():
                settlement.written.set_result(None)
        self._on_written(partition)

    OutcomeWriter._write_round = write  # type: ignore[method-assign]


PARTS = {
    "guard": without_guard,
    "lanes": without_lanes,
    "marks": without_marks,
    "receipts": without_receipts,
}

if __name__ == "__main__":
    for part in filter(None, os.environ.get("SINK_WITHOUT", "").split(",")):
        PARTS[part]()
    sys.exit(main())
