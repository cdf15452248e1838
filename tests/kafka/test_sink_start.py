"""What a sink reads at its start, however long it has settled nothing."""

from pathlib import Path

import pytest
from aiokafka import TopicPartition

from streams.delivery.progress import read_metadata
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, many, visitors

pytestmark = pytest.mark.kafka

SOON = (
    "-c",
    (
        "from streams.cli import main; from streams.stages.sink import stage; "
        "from streams.engine import consumer; "
        "stage.RECEIPTS_SECONDS = consumer.METADATA_REFRESH_SECONDS = 0.5; main()"
    ),
)
"""A worker that looks at the receipts, and commits what it knows, sooner than every ten seconds."""


@pytest.mark.slow
async def test_the_receipts_of_others_are_not_left_to_the_next_start(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """While the vendor is down; what was settled above the head before is not sent again."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        await pipeline.products("p1")
        await pipeline.worker("enrich")
        sink = pipeline.start("miso", program=SOON)
        await pipeline.ready(sink)
        names = visitors(30)
        await pipeline.send(*many(300, names))
        await pipeline.settled(300)
        pipeline.sandbox.faults.set("miso:down")
        await pipeline.send(*many(300, names, 300))
        await pipeline.written(600)
        await pipeline.send(*many(600, names, 600, consent={"miso": False}))
        events, receipts = pipeline.topics.events("miso"), pipeline.topics.receipts("miso")

        async def are_known() -> bool:
            found = await pipeline.committed("miso")
            known = [
                read_metadata(found[TopicPartition(events, n)].metadata).receipts for n in range(3)
            ]
            return sum(known) == len(await pipeline.read(receipts)) == 900

        await pipeline.until(are_known)
        sink.kill()
        sink = await pipeline.worker("miso")
        pipeline.sandbox.faults.clear()
        await pipeline.settled(1_200)
        assert sorted(pipeline.stored()) == sorted(f"e{n}" for n in range(600))
