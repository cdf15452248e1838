"""Drift on a real broker: told within a minute in status, page and metric, and nowhere before."""

import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka.admin import NewTopic

from streams.status.judge import judge
from streams.status.observe import observe
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline

pytestmark = pytest.mark.kafka

SECTION = """
[ingest.web-clicks]
topic = "{topic}"
to = "clicks"
when = "event == 'view'"
[ingest.web-clicks.fields]
anonymous_id = "visitor"
timestamp = "at"
product_id = "product"
price = "price"
"""


@pytest.mark.slow
async def test_changes_of_records_are_told_within_a_minute(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A price that is gone and a new name of events, while ordinary events go on."""
    topic, config = f"{prefix}web", tmp_path / "streams.toml"
    config.write_text(SECTION.format(topic=topic), "utf-8")
    async with Pipeline(broker, prefix, tmp_path, env={"STREAMS_CONFIG": str(config)}) as shop:
        await shop.admin.create_topics([NewTopic(topic, 3, 1)])
        worker = await shop.worker("ingest")
        sent = 0

        async def go_on(**changes: Any) -> None:
            nonlocal sent
            for _ in range(4):
                record = {"event": "view", "visitor": f"v{sent % 40}", "at": 1_795_168_800_000}
                record |= {"product": "p1", "price": 19.9} | changes
                await shop.producer.send(topic, json.dumps(record).encode())
                sent += 1
            await shop.producer.flush()

        async def is_learnt() -> bool:
            await go_on()
            await go_on(event="scroll")
            own = await shop.status(worker)
            assert own["drift"] == []
            return bool(own["ingested"].get("web-clicks", {}).get("written", 0) >= 400)

        await shop.until(is_learnt, 60)
        began = time.monotonic()

        async def are_told() -> bool:
            await go_on(price=None)
            await go_on(event="seen")
            _, known, _ = await observe(shop.settings)
            found = [one for one in judge(known) if one.kind == "drift"]
            return {one.text for one in found} == {
                f"Records of {topic} have lost the field price.",
                f"Events of {topic} have a new name: seen.",
            } and all("[ingest.web-clicks]" in one.remedy for one in found)

        await shop.until(are_told, 60)
        assert time.monotonic() - began < 60
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{worker.port}/metrics") as answer:
                metrics = await answer.text()
            async with session.get(f"http://127.0.0.1:{worker.port}/api/pipeline") as answer:
                page = await answer.text()
        for change in ("field_gone", "new_event_name"):
            labels = f'change="{change}",section="web-clicks",shop="{prefix}",stage="ingest"'
            assert f"streams_drift{{{labels}}} 1.0" in metrics
        assert f"Records of {topic} have lost the field price" in page
        assert "[ingest.web-clicks] in streams.toml" in page
