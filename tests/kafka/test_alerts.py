"""Alerts of real workers at a real webhook, through a refused key, a restart and its end."""

from pathlib import Path

import pytest

from streams.alerts.sent import SentAlerts
from tests.alerts.webhook import SECRET, Webhook
from tests.broker_fixtures import Broker
from tests.kafka import hasty_alerts
from tests.kafka.pipeline import Pipeline, click

pytestmark = pytest.mark.kafka


async def test_people_are_told_once_when_a_vendor_is_parked_and_once_when_it_is_over(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """By one of two workers; whoever comes after both have ended knows it, and tells the end."""
    with Webhook() as hook:
        env = {"STREAMS_ALERTS_URLS": hook.address, "STREAMS_LOG_LEVEL": "debug"}
        async with Pipeline(broker, prefix, tmp_path, env=env) as shop:
            shop.sandbox.faults.set("miso:401")
            await shop.products("p1")
            program = (hasty_alerts.__file__,)
            enrich = shop.start("enrich", program=program)
            await shop.ready(enrich)
            miso = shop.start("miso", program=program)
            await shop.ready(miso)
            await shop.send(click("anna", event_id="e1"))
            await shop.until(lambda: len(hook.received) == 1)
            (parked,) = hook.received
            assert parked["title"] == f"streams {prefix.rstrip('.-_')}: Miso is parked."
            assert "Miso refuses the key (401)." in parked["message"]

            sent = SentAlerts(shop.settings, lambda: None)

            async def is_written() -> bool:
                return [one.kind for one in await sent.read()] == ["parked"]

            await shop.until(is_written)
            # Enrichment is the first by name; whoever comes next knows what it told.
            for worker in (enrich, miso):
                worker.terminate()
                assert await worker.ended(20) == 0
            shop.sandbox.faults.clear()
            again = shop.start("miso", program=program)
            await shop.until(lambda: len(hook.received) == 2)
            assert hook.received[1]["title"].endswith("Miso is no longer parked.")
            assert hook.tries == 2
            workers = (enrich, miso, again)
            # A receiver has the message before its sender has said so.
            await shop.until(
                lambda: [one.output().count("has the alert") for one in workers] == [1, 0, 1]
            )
            said = [one.output() for one in workers]
            assert not any(SECRET in text for text in said)
