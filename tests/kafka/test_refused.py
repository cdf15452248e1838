"""A worker that is refused says by whom and why, and ends after a grace."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline

pytestmark = pytest.mark.kafka

SOON = {"STREAMS_WATCHDOG_STALL_SECONDS": "5"}


async def test_a_worker_that_cannot_enter_its_group_says_why_and_ends_after_a_grace(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Somebody else's consumer is in it, and divides partitions in another way."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1, env=SOON) as pipeline:
        foreign = AIOKafkaConsumer(
            pipeline.topics.clicks,
            **pipeline.settings.kafka.client_options(),
            group_id=f"{prefix}streams-miso",
        )
        await foreign.start()
        try:
            miso = pipeline.start("miso")
            assert await miso.ended(40) == 70
        finally:
            await foreign.stop()
        why = f"members of another version are in the group {prefix}streams-miso: stop the last of"
        said = [line for line in miso.output().splitlines() if why in line]
        assert len(said) == 3, miso.output()
        assert "; if it does not go on, this worker starts again" in said[1]
        assert "; starting again" in said[2]
