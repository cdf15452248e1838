"""Delivery to Miso as most people write it first: aiokafka, a loop, httpx. For the comparison.

Offsets are committed automatically, which is aiokafka's default: every 5 s, and when the consumer
stops, up to what was handed out, whether it was delivered or not.
"""

import asyncio
import sys

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer

from streams.core.records import VendorRecord
from streams.settings import load_settings
from streams.vendors import VENDORS
from streams.worker.supervisor.parent_watch import end_with_parent


class Passed(VendorRecord, frozen=True):
    """A vendor record whose payload is passed on as it is."""

    payload: msgspec.Raw


decode = msgspec.json.Decoder(Passed).decode


async def main() -> None:
    """Send up to 500 records a request; an answer that is no success ends the process."""
    settings = load_settings()
    vendor, section = VENDORS["miso"], settings.vendors["miso"]
    consumer = AIOKafkaConsumer(
        settings.topics.events("miso"),
        bootstrap_servers=settings.kafka.servers,
        group_id="plain-loop",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with httpx.AsyncClient(base_url=section.base_url, timeout=60) as client:
            while True:
                fetched = await consumer.getmany(timeout_ms=250, max_records=500)
                values = [record.value for records in fetched.values() for record in records]
                if not values:
                    continue
                payloads = [bytes(decode(value).payload) for value in values]
                request = vendor.build_request(payloads, section)
                response = await client.request(
                    request.method,
                    request.path,
                    headers=dict(request.headers),
                    content=request.body,
                )
                response.raise_for_status()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    end_with_parent()
    sys.exit(asyncio.run(main()))
