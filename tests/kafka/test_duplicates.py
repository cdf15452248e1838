"""A producer's repeats on a real broker: sent once, across a kill too, and nothing else is lost."""

from collections import Counter
from pathlib import Path

import pytest

from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, Record, cart, click, now_ms

pytestmark = pytest.mark.kafka

MINUTE = 60_000


async def test_a_repeat_is_a_duplicate_within_the_window_and_across_a_kill(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """By visitor, id and raw topic; what came before the kill is read back from what was sent."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2) as pipeline:

        async def send_at(ms: int, record: Record) -> None:
            topic, key, value = record
            await pipeline.producer.send_and_wait(
                pipeline.settings.kafka.topic_prefix + topic, value, key, timestamp_ms=ms
            )

        await pipeline.products("p1")
        enrich, _ = await pipeline.both()
        now = now_ms()
        await send_at(now - 20 * MINUTE, click("anna", event_id="after-the-window"))
        await send_at(now - 9 * MINUTE, click("anna", event_id="after-the-window"))
        for record in (
            click("anna", event_id="twice"),
            click("anna", event_id="twice"),
            cart("anna", event_id="twice"),
            click("bert", event_id="twice"),
            click("bert", event_id="again-after-the-kill"),
            click("anna", event_id="no-product-at-first", product_id="p2"),
            click("anna", event_id=""),
            click("anna", event_id=""),
        ):
            await send_at(now, record)
        report = await pipeline.settled(10)
        assert report.vendors[0].accepted == 8
        assert report.vendors[0].skipped == {"duplicate": 1, "unknown_product": 1}
        # What a kill finds uncommitted is judged anew, by the products that there are then.
        await pipeline.enriched(10)
        enrich.kill()
        await pipeline.products("p2")
        await pipeline.send(
            click("anna", event_id="twice"),
            cart("anna", event_id="twice"),
            click("bert", event_id="again-after-the-kill"),
            click("anna", event_id="no-product-at-first", product_id="p2"),
            click("carl", event_id="twice"),
            click("anna", event_id="after-the-window"),
        )
        enrich = await pipeline.worker("enrich")
        report = await pipeline.settled(16)
        assert report.vendors[0].accepted == 10
        assert report.vendors[0].skipped == {"duplicate": 5, "unknown_product": 1}
        stored = Counter(event_id for event_id in pipeline.stored() if "shop" not in event_id)
        assert stored == {
            "twice": 4,
            "after-the-window": 2,
            "again-after-the-kill": 1,
            "no-product-at-first": 1,
        }
        assert "vendor records were read to tell duplicates" in enrich.output()
