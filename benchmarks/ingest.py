"""Ingest at full load: a shop's own JSON records to raw events, one worker; enrichment beside it.

Wanted: at most 2.5 CPU s per 100,000 JSON records.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from installation import Installation
from kafka_side import broker, count_records, make_topics, write
from shop import PARTITIONS, Record
from table import CPU_NOTE, Row, Table, arguments, conditions
from worker_process import Measure

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


def track(number: int) -> Record:
    """Return a record as Segment's libraries write it; one in ten is an add-to-cart."""
    is_cart = number % CARTS_ONE_IN == 0
    properties = {"product_id": f"p{number % 20_000}", "sku": f"8S-{number % 20_000}"}
    value = {
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
    # A topic without keys, its records dealt out in turn.
    return Record(number % PARTITIONS, None, json.dumps(value).encode(), [])  # type: ignore[arg-type]


def records(count: int) -> Iterator[Record]:
    """Yield so many."""
    return map(track, range(count))


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
    ingest: list[Measure] = []
    enrich: list[Measure] = []
    with broker() as (servers, words), tempfile.TemporaryDirectory() as folder:
        table = Table(
            "Ingest: a shop's own records to raw events, one worker",
            conditions(
                words,
                events=f"{options.events:,} JSON records of {len(track(1).value)} bytes, two "
                f"sections of 12 and 6 fields, {options.rounds} rounds",
            ),
        )
        for number in range(options.rounds):
            config = Path(folder) / f"{number}.toml"
            config.write_text(SETTINGS.replace(SHOP_TOPIC, f"{SHOP_TOPIC}-{number}"))
            more = {"STREAMS_CONFIG": str(config)}
            here = Installation(servers, f"bench{number}.", Path(folder), more)
            shop = f"{SHOP_TOPIC}-{number}"
            make_topics(here.settings, {shop: {"cleanup.policy": "delete"}})
            write(here.settings, {shop: records(options.events)})
            ingest.append(run(here, options.events))
            with here.worker("enrich") as worker:
                enrich.append(worker.work_off(options.events))
    table.rows = [
        Row(
            "CPU s per 100,000 records",
            [m.cpu_per_100k for m in ingest],
            digits=2,
            wanted="2.5",
        ),
        Row("records/s", [m.rate for m in ingest]),
        Row("peak memory, MiB", [m.peak_bytes / 2**20 for m in ingest]),
        Row("enrichment after it, CPU s per 100,000", [m.cpu_per_100k for m in enrich], digits=2),
    ]
    table.notes = [CPU_NOTE, "Each record was checked to have become one raw event."]
    table.show(as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
