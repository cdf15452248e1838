"""What waits behind a vendor that is down is told in full."""

from pathlib import Path

import pytest

from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, many, visitors

pytestmark = pytest.mark.kafka

EVENTS = 9_000
"""More than a worker fetches ahead of a partition: 4,000, and 2,000 in hand."""


async def test_the_lag_is_the_whole_backlog_beyond_what_was_fetched(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A worker that has no room any more does not fetch, and still says how much has come since."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        pipeline.sandbox.faults.set("miso:down")
        _, sink = await pipeline.both()
        names = visitors(50)
        topic = prefix + "vendor.miso.events"
        for start in range(0, EVENTS, 1_000):
            await pipeline.send(*many(1_000, names, start))

        async def all_wait() -> bool:
            waiting = (await pipeline.status(sink))["lag"]
            return bool(waiting[topic] == EVENTS)

        await pipeline.until(all_wait)
