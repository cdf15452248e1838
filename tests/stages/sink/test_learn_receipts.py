"""How far receipts are known to a sink that settles nothing."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.delivery.progress import Metadata, PartitionProgress, read_metadata
from streams.stages.sink.stage import SinkStage

LIVE, REDELIVERY = TP("vendor.miso.events", 0), TP("vendor.miso.redelivery", 0)
RECEIPTS = TP("vendor.miso.receipts", 0)


class FakeOutcomeWriter:
    """Says how often outcomes were written."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()
        self.is_writing = False

    def rounds(self, partition: int) -> int | None:
        """As the outcome writer does."""
        return None if self.is_writing else self.begun[partition]


class Sink:
    """A sink of one partition whose receipts end at 5,000."""

    def __init__(self, meanwhile: Callable[["Sink"], object] = lambda _: None) -> None:
        self.outcome_writer = FakeOutcomeWriter()
        self.stage: Any = SinkStage.__new__(SinkStage)
        self.progress = {tp: PartitionProgress(3, Metadata(), {}, 100) for tp in (LIVE, REDELIVERY)}
        self._meanwhile = meanwhile
        self.stage.__dict__.update(
            outcome_writer=self.outcome_writer,
            _progress=dict(self.progress),
            _receipts=RECEIPTS.topic,
            app=SimpleNamespace(consumer=SimpleNamespace(thread=self)),
        )

    async def log_ends(self, partitions: list[TP]) -> dict[TP, int]:
        """Answer, after what happens meanwhile."""
        assert partitions == [RECEIPTS]
        self._meanwhile(self)
        return {RECEIPTS: 5_000}

    async def learns(self) -> list[int]:
        """From which receipt on a successor would read, by lane."""
        await self.stage.learn_receipts()
        return [read_metadata(p.metadata()).receipts for p in self.progress.values()]


async def test_without_anything_written_all_receipts_there_are_are_known() -> None:
    """In both lanes, whose receipts lie on one partition."""
    assert await Sink().learns() == [5_000, 5_000]


async def test_while_outcomes_are_written_nothing_is_learned() -> None:
    """Theirs may lie below the end and be settled by nobody yet."""

    def write(sink: Sink) -> None:
        sink.outcome_writer.begun[0] += 1

    assert await Sink(write).learns() == [100, 100]
    sink = Sink()
    sink.outcome_writer.is_writing = True
    assert await sink.learns() == [100, 100]


async def test_of_a_partition_that_was_taken_again_meanwhile_nothing_is_learned() -> None:
    """Another owner may have written receipts in between."""

    def take(sink: Sink) -> None:
        sink.stage._progress[LIVE] = sink.progress[LIVE] = PartitionProgress(3, Metadata(), {}, 100)

    assert await Sink(take).learns() == [100, 5_000]
