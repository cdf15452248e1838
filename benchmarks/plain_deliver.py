"""Delivery by hand: aiokafka, a loop, httpx; micro-batches across partitions, or one event each.

Its arguments: how many events are expected, the vendor, the most events of a request, and the
seconds that a batch may wait.
No receipts, no retries, offsets committed automatically.
"""

import asyncio
import sys
import time

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer
from loop import Progress

from streams.core.records import VendorRecord
from streams.settings import load_settings
from streams.vendors import VENDORS
from streams.worker.supervisor.parent_watch import end_with_parent


class Passed(VendorRecord, frozen=True):
    """A vendor record whose payload is passed on as it is."""

    payload: msgspec.Raw


decode = msgspec.json.Decoder(Passed).decode


async def main(expected: int, key: str, most: int, linger_seconds: float) -> None:
    """Deliver for ever; an answer that is no success ends the process."""
    settings = load_settings()
    vendor, section = VENDORS[key], settings.vendors[key]
    consumer = AIOKafkaConsumer(
        settings.topics.events(key),
        **settings.kafka.client_options(),
        group_id=f"{settings.topics.prefix}plain-{key}",
        auto_offset_reset="earliest",
    )
    progress = Progress(expected)
    await consumer.start()
    print("ready", flush=True)
    async with httpx.AsyncClient(base_url=section.base_url, timeout=60) as client:

        async def post(payloads: list[bytes]) -> None:
            request = vendor.build_request(payloads, section)
            response = await client.request(
                request.method, request.path, headers=dict(request.headers), content=request.body
            )
            response.raise_for_status()
            progress.add(len(payloads), 1)

        gathered: list[bytes] = []
        begun = 0.0
        while True:
            rest = begun + linger_seconds - time.monotonic() if gathered else 1.0
            fetched = await consumer.getmany(
                timeout_ms=max(0, round(rest * 1000)), max_records=most - len(gathered)
            )
            if not gathered:
                begun = time.monotonic()
            gathered += [
                bytes(decode(record.value).payload)
                for records in fetched.values()
                for record in records
            ]
            if most == 1:
                for payload in gathered:
                    await post([payload])
                gathered = []
            elif len(gathered) >= most or (gathered and time.monotonic() >= begun + linger_seconds):
                await post(gathered)
                gathered = []


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
