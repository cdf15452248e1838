"""Raw topics to Miso on a real broker with real workers: what becomes of each event."""

from pathlib import Path

import pytest

from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, many, visitors

pytestmark = pytest.mark.kafka


async def test_a_new_group_starts_with_record_0_and_every_event_is_accounted_for(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """What lay on the topics before the first worker started is delivered from its first record."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        await pipeline.products("p1")
        await pipeline.send(*many(300, visitors(20)))
        await pipeline.both()
        report = await pipeline.settled(300)
        assert report.vendors[0].accepted == 300
        assert sorted(pipeline.stored()) == sorted(f"e{n}" for n in range(300))
        assert await pipeline.order_violations() == []
