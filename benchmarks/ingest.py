"""Ingest at full load: a shop's own JSON records to raw events, one worker; enrichment beside it.

Wanted: at most 2.5 CPU s per 100,000 JSON records, and 4 of Avro with a schema registry.
"""

import asyncio
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
from installation import Installation
from kafka_side import broker, count_records, make_topics, write
from shop import PARTITIONS, Record
from table import CPU_NOTE, Row, Table, arguments, conditions
from worker_process import Measure

from tests.registry.simulator import RegistrySimulator

SHOP_TOPIC = "bench-web-events"
SETTINGS = f"""
[ingest.views]
topic = "{SHOP_TOPIC}"
to = "clicks"
when = "type == 'track' && event == 'Product Viewed'"
[ingest.views.fields]
event_id = "messageId"
anonymous_id = "anonymousId"
user_id = "userId"
product_id = "properties.product_id"
sku = "properties.sku"
price = "properties.price"
currency = "properties.currency"
page.url = "context.page.url"
page.title = "context.page.title"
user_agent = "context.userAgent"
locale = "context.locale"
ip = "context.ip"

[ingest.carts]
topic = "{SHOP_TOPIC}"
to = "add-to-carts"
when = "type == 'track' && event == 'Product Added'"
[ingest.carts.fields]
event_id = "messageId"
anonymous_id = "anonymousId"
product_id = "properties.product_id"
quantity = "properties.quantity"
price = "properties.price"
currency = "properties.currency"
"""
CARTS_ONE_IN = 10


def _record(name: str, **fields: Any) -> dict[str, Any]:
    parts = [{"name": field, "type": kind} for field, kind in fields.items()]
    return {"type": "record", "name": name, "fields": parts}


SCHEMA = _record(
    "Track",
    type="string",
    event="string",
    messageId="string",
    anonymousId="string",
    userId=["null", "string"],
    timestamp="string",
    properties=_record(
        "Properties",
        **dict.fromkeys(("product_id", "sku", "currency"), "string"),
        price="double",
        quantity="int",
    ),
    context=_record(
        "Context",
        page=_record("Page", **dict.fromkeys(("url", "title", "path"), "string")),
        **dict.fromkeys(("userAgent", "locale", "ip"), "string"),
    ),
)
"""Of the same record in Avro."""


def in_json(value: dict[str, Any]) -> bytes:
    """Return a record's value for ``format = "json"``."""
    return json.dumps(value).encode()


def in_avro(schema_id: int) -> Callable[[dict[str, Any]], bytes]:
    """Return what writes a record's value for ``format = "confluent-avro"``."""
    schema, frame = fastavro.parse_schema(SCHEMA), b"\0" + schema_id.to_bytes(4, "big")

    def encode(value: dict[str, Any]) -> bytes:
        out = BytesIO()
        fastavro.schemaless_writer(out, schema, value)
        return frame + out.getvalue()

    return encode


@contextmanager
def registry() -> Iterator[RegistrySimulator]:
    """Yield a registry that answers from a thread of this process."""
    loop, simulator = asyncio.new_event_loop(), RegistrySimulator()
    loop.run_until_complete(simulator.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield simulator
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(simulator.stop())
        loop.close()


def track(number: int) -> dict[str, Any]:
    """Return a record as Segment's libraries write it; one in ten is an add-to-cart."""
    is_cart = number % CARTS_ONE_IN == 0
    properties = {"product_id": f"p{number % 20_000}", "sku": f"8S-{number % 20_000}"}
    return {
        "type": "track",
        "event": "Product Added" if is_cart else "Product Viewed",
        "messageId": f"ajs-{number:012d}",
        "anonymousId": f"visitor-{number % 50_000}",
        "userId": None,
        "timestamp": "2026-11-20T09:59:58.120Z",
        "properties": properties | {"price": 19.99, "currency": "EUR", "quantity": 1},
        "context": {
            "page": {"url": f"https://shop.example/p/{number}", "title": "Shoe", "path": "/p"},
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
            "locale": "de-DE",
            "ip": "203.0.113.7",
        },
    }


def records(count: int, encode: Callable[[dict[str, Any]], bytes]) -> Iterator[Record]:
    """Yield so many of a topic without keys, dealt out to its partitions in turn."""
    for number in range(count):
        yield Record(number % PARTITIONS, None, encode(track(number)), [])  # type: ignore[arg-type]


def run(here: Installation, events: int) -> Measure:
    """Write the shop's records, let ingest read them, and check that each was written once."""
    settings = here.settings
    topics = settings.topics
    raw = [topics.clicks, topics.add_to_carts]
    with here.worker("ingest") as worker:
        measure = worker.work_off(events)
        written = sum(count_records(settings, raw).values())
        if written != events:
            raise SystemExit(f"{written} events of {events} records")
    return measure


def main() -> int:
    """Measure, print the table."""
    options = arguments(__doc__ or "", events=300_000).parse_args()
    if options.quick:
        options.rounds, options.events = 1, 100_000
    found: dict[str, list[Measure]] = {"json": [], "confluent-avro": []}
    enrich: list[Measure] = []
    with (
        broker() as (servers, words),
        registry() as schemas,
        tempfile.TemporaryDirectory() as folder,
    ):
        encoders = {
            "json": in_json,
            "confluent-avro": in_avro(schemas.add(f"{SHOP_TOPIC}-value", SCHEMA)),
        }
        sizes = [len(encode(track(1))) for encode in encoders.values()]
        table = Table(
            "Ingest: a shop's own records to raw events, one worker",
            conditions(
                words,
                events=f"{options.events:,} records of {sizes[0]} bytes in JSON, {sizes[1]} in "
                f"Avro, two sections of 12 and 6 fields, {options.rounds} rounds",
            ),
        )
        for number in range(options.rounds):
            for format_, encode in encoders.items():
                shop = f"{SHOP_TOPIC}-{format_}-{number}"
                config = Path(folder) / f"{shop}.toml"
                topic = f'"{shop}"\nformat = "{format_}"'
                config.write_text(
                    f'[registry]\nurl = "{schemas.url}"\n'
                    + SETTINGS.replace(f'"{SHOP_TOPIC}"', topic)
                )
                more = {"STREAMS_CONFIG": str(config)}
                here = Installation(servers, f"{format_}{number}.", Path(folder), more)
                make_topics(here.settings, {shop: {"cleanup.policy": "delete"}})
                write(here.settings, {shop: records(options.events, encode)})
                found[format_].append(run(here, options.events))
            with here.worker("enrich") as worker:
                enrich.append(worker.work_off(options.events))
    ingest, avro = found.values()
    table.rows = [
        Row(
            "CPU s per 100,000 JSON records",
            [m.cpu_per_100k for m in ingest],
            digits=2,
            wanted="2.5",
        ),
        Row(
            "CPU s per 100,000 Avro records",
            [m.cpu_per_100k for m in avro],
            digits=2,
            wanted="4",
        ),
        Row("JSON records/s", [m.rate for m in ingest]),
        Row("Avro records/s", [m.rate for m in avro]),
        Row("peak memory, MiB", [m.peak_bytes / 2**20 for m in [*ingest, *avro]]),
        Row("enrichment after it, CPU s per 100,000", [m.cpu_per_100k for m in enrich], digits=2),
    ]
    table.notes = [CPU_NOTE, "Each record was checked to have become one raw event."]
    table.show(as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
