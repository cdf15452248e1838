"""Where a window of Kafka time lies on the raw topics.

A record's Kafka time is its producer's clock, so times are not quite in the order of the log:
from the first record that is late enough, every one up to the stop offset is looked at.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from streams.core.topics import Topics
from streams.kafka.reader import LogReader, Offsets

LOOKED_AT_BEYOND = 2_000_000
"""Records after the window that are looked at for late ones of it, over all partitions."""
NEIGHBOURS = 200
"""Records at a partition's beginning of the window whose times are compared."""
LATE_MS = 24 * 60 * 60 * 1000
"""Where there are more of them: how late a record of the window may have been written."""


@dataclass(slots=True)
class Window:
    """Offsets to be read; which of their records belong to the window says their Kafka time."""

    from_ms: int
    to_ms: int
    starts: Offsets = field(default_factory=dict)
    stops: Offsets = field(default_factory=dict)
    """First offset that is not looked at; fixed, so that what is written later is not meant."""
    usual_ends: Offsets = field(default_factory=dict)
    """Where the first record that is not earlier than the window's end lies."""
    log_starts: Offsets = field(default_factory=dict)
    earliest_ms: int = 0
    """About when the first of these records was written: receipts about them are no older."""
    only: dict[TopicPartition, Sequence[int]] = field(default_factory=dict)
    """Sorted offsets of its records, where only these are meant."""
    late_ms: int | None = None
    """How late a record may lie to be found; None: however late."""
    cut: list[TopicPartition] = field(default_factory=list)
    """Partitions of which retention has deleted records that may have been in the window."""

    def has(self, kafka_ms: int) -> bool:
        """Return whether a record of this Kafka time is in the window."""
        return self.from_ms <= kafka_ms < self.to_ms

    def offsets(self, tp: TopicPartition) -> Sequence[int]:
        """Return the offsets of a partition that may be meant."""
        return self.only.get(tp) or range(self.starts[tp], max(self.starts[tp], self.stops[tp]))

    @property
    def usual_records(self) -> int:
        """About how many records the window has."""
        return sum(max(0, self.usual_ends[tp] - start) for tp, start in self.starts.items())


async def _earliest_ms(reader: LogReader, window: Window) -> int:
    """Return the earliest Kafka time at the window's beginning.

    The record with which it begins may be one of a producer whose clock is hours ahead; those
    that follow it in the log were written later, and say when.
    """
    ends = {
        tp: min(start + NEIGHBOURS, window.stops[tp])
        for tp, start in window.starts.items()
        if start < window.stops[tp]
    }
    starts = {tp: window.starts[tp] for tp in ends}
    earliest = window.from_ms
    async for _, records in reader.read(starts, ends):
        earliest = min([earliest, *(record.timestamp for record in records)])
    return max(0, earliest)


async def find_window(
    reader: LogReader,
    topics: Topics,
    from_ms: int,
    to_ms: int,
    *,
    names: Iterable[str] | None = None,
    partitions: Sequence[int] | None = None,
) -> Window:
    """Return where the window lies on the raw topics, or on these partitions and topics of them."""
    wanted = list(names) if names is not None else topics.raw
    found = await reader.partitions(wanted)
    tps = [
        tp
        for name in wanted
        for tp in found[name]
        if partitions is None or tp.partition in partitions
    ]
    window = Window(from_ms, to_ms)
    if not tps:
        return window
    ends = await reader.ends(tps)
    window.log_starts = await reader.starts(tps)
    starts = await reader.starts(tps, from_ms)
    usual = await reader.starts(tps, to_ms)
    window.starts = {tp: min(starts[tp], ends[tp]) for tp in tps}
    window.usual_ends = {tp: max(window.starts[tp], min(usual[tp], ends[tp])) for tp in tps}
    window.stops = dict(ends)
    if sum(ends[tp] - window.usual_ends[tp] for tp in tps) > LOOKED_AT_BEYOND:
        window.late_ms = LATE_MS
        late = await reader.starts(tps, to_ms + LATE_MS)
        window.stops = {tp: max(window.usual_ends[tp], min(late[tp], ends[tp])) for tp in tps}
    window.earliest_ms = await _earliest_ms(reader, window)
    # Retention deletes the oldest: where it has, and the log now begins inside the window, there
    # may have been more.
    window.cut = [
        tp
        for tp in tps
        if window.log_starts[tp] > 0 and window.starts[tp] <= window.log_starts[tp] < ends[tp]
    ]
    return window
