"""Delivery to Miso as a normal Faust app does it: ``take`` and httpx, one request after the other.

No receipts, no retries, no verdicts by record: what a first version would have. How the body is
built is the project's own.
"""

import os
from typing import Any

import faust
import httpx
import msgspec

from streams.core.records import VendorRecord
from streams.settings import load_settings
from streams.vendors import VENDORS

settings = load_settings()
vendor, section = VENDORS["miso"], settings.vendors["miso"]
topics = settings.topics


class Passed(VendorRecord, frozen=True):
    """A vendor record whose payload is passed on as it is."""

    payload: msgspec.Raw


decode = msgspec.json.Decoder(Passed).decode
app = faust.App(
    f"{topics.prefix}stock-deliver",
    broker=";".join(f"kafka://{server}" for server in settings.kafka.servers),
    key_serializer="raw",
    value_serializer="raw",
    topic_partitions=settings.kafka.partitions,
    datadir=os.environ["STOCK_FOLDER"],
)
events = app.topic(
    os.environ.get("STOCK_READS", topics.events("miso")),
    key_type=bytes,
    value_type=bytes,
    key_serializer="raw",
    value_serializer="raw",
)
client = httpx.AsyncClient(base_url=section.base_url, timeout=60)
progress = {"events": 0, "requests": 0}


@app.agent(events)
async def deliver(stream: Any) -> None:
    """Send up to 500 records a request."""
    async for batch in stream.take(500, within=section.linger_seconds):
        request = vendor.build_request([bytes(decode(value).payload) for value in batch], section)
        response = await client.request(
            request.method, request.path, headers=dict(request.headers), content=request.body
        )
        response.raise_for_status()
        progress["events"] += len(batch)
        progress["requests"] += 1


@app.page("/progress/")
async def show_progress(view: Any, request: Any) -> Any:  # noqa: ARG001
    """Tell the benchmark how far it is."""
    return view.json({"ready": app.tables.recovery.completed.is_set(), **progress})


if __name__ == "__main__":
    app.main()
