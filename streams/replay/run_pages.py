"""What a run has to look at, piece by piece: the records of a window, for one vendor."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from aiokafka import TopicPartition

from streams.core.records import TopicRecord
from streams.kafka.reader import LogReader, Offsets
from streams.replay.planner import Judgement, ReplayPlanner
from streams.replay.window import Window

PAGE_RECORDS = 1_000


class Task(NamedTuple):
    """One raw record, judged for one vendor."""

    record: TopicRecord
    """Of a dead letter whose raw record is gone: what the letter kept, as far as it did."""
    judgement: Judgement
    event_id: str | None = None
    """As ``Judged.event_id``."""


class RecordPage(NamedTuple):
    """The next tasks of one raw partition, in the order of their offsets."""

    tp: TopicPartition
    upto: int
    """The first offset behind all that was looked at."""
    tasks: list[Task]


class RunPages(Protocol):
    """One vendor's share of a run."""

    def open_partitions(self) -> set[int]:
        """Return the partitions of which something is left."""

    def unread(self) -> int:
        """Return how many raw records are not looked at yet, at most."""

    async def next_pages(
        self, partitions: Collection[int], max_records: int, now_ms: int
    ) -> list[RecordPage]:
        """Return the next pages of these partitions; none where nothing came in time.

        ``max_records``: over all pages.
        """


class WindowPages:
    """The raw records of a window, from where the run is to its stop offsets."""

    def __init__(
        self,
        reader: LogReader,
        window: Window,
        positions: Offsets,
        planner: ReplayPlanner,
    ) -> None:
        """Begin at ``positions``; the reader is this work's alone, the planner of one vendor."""
        self._reader = reader
        self._window = window
        self._planner = planner
        self._at = dict(positions)
        open_ = {tp: at for tp, at in self._at.items() if at < window.stops[tp]}
        if open_:
            reader.open(open_)

    def open_partitions(self) -> set[int]:
        """Return the partitions of which something is left."""
        stops = self._window.stops
        return {tp.partition for tp, at in self._at.items() if at < stops[tp]}

    def unread(self) -> int:
        """Return how many raw records are not looked at yet, at most."""
        return sum(max(0, self._window.stops[tp] - at) for tp, at in self._at.items())

    async def next_pages(
        self, partitions: Collection[int], max_records: int, now_ms: int
    ) -> list[RecordPage]:
        """Return the next pages of these partitions; none where nothing came in time."""
        stops, window = self._window.stops, self._window
        tps = [tp for tp, at in self._at.items() if tp.partition in partitions and at < stops[tp]]
        found = await self._reader.fetch(tps, max_records)
        pages = []
        for tp in tps:
            stop = stops[tp]
            tasks = []
            for record in found.get(tp, ()):
                if record.offset >= stop or not window.has(record.timestamp):
                    continue
                judged = self._planner.judge(record, now_ms)
                tasks += [Task(record, one, judged.event_id) for one in judged.judgements]
            # Positions move over gaps and transaction markers, too, where no record comes.
            upto = min(await self._reader.position(tp), stop)
            if upto > self._at[tp]:
                self._at[tp] = upto
                pages.append(RecordPage(tp, upto, tasks))
        return pages
