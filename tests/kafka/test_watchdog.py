"""Workers that stand still end by themselves, and those started in their place do the work."""

from pathlib import Path

import pytest

from tests.broker_fixtures import Broker
from tests.kafka import faulty_worker
from tests.kafka.pipeline import Pipeline, Worker, click

pytestmark = pytest.mark.kafka

ENV = {"STREAMS_WATCHDOG_STALL_SECONDS": "5", "STREAMS_WATCHDOG_MEMORY_MB": "280"}


def _faulty(pipeline: Pipeline, stage: str, fault: str) -> Worker:
    assert faulty_worker.__file__ is not None
    return pipeline.start(stage, program=(faulty_worker.__file__, fault), **ENV)


@pytest.mark.slow
async def test_a_faulty_worker_ends_with_70_and_its_successor_delivers(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Hung, grown, given up on its output, blocked: each says so in one line, nothing is lost."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        await pipeline.send(*(click("anna", event_id=f"e{n}") for n in range(3)))
        hung, grown = _faulty(pipeline, "enrich", "hang"), _faulty(pipeline, "miso", "grow")
        assert await hung.ended(40) == 70
        assert await grown.ended(40) == 70
        refused = _faulty(pipeline, "enrich", "lead_nobody")
        assert await refused.ended(40) == 70
        blocked = _faulty(pipeline, "miso", "block")
        await pipeline.worker("enrich")
        assert await blocked.ended(40) == 70
        # One to whom no partition of events is left gets ready, too.
        await pipeline.ready(pipeline.start("miso"), pipeline.start("miso", "--slot", "1"))
        await pipeline.settled(3)
        assert pipeline.stored() == ["e0", "e1", "e2"]
        head = f"processing {prefix}shop.clicks partition 0 at offset 0 (nothing is in flight)"
        assert head in _last_word(hung)
        lost = f"writing to {prefix}vendor.miso.events/0 failed: NotLeaderForPartitionError"
        assert lost in _last_word(refused)
        assert "more than the 280 MiB that a worker may take" in _last_word(grown)
        assert "the event loop has been blocked for " in _last_word(blocked)
        assert " s, in _block_for_ever (" in _last_word(blocked)


def _last_word(worker: Worker) -> str:
    assert "Traceback" not in worker.output()
    lines = [line for line in worker.output().splitlines() if "; starting again" in line]
    assert len(lines) == 1, worker.output()
    return lines[0]
