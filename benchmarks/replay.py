"""Replays: how fast a preview looks, and what live events feel of a replay beside them.

Wanted: 20,000 raw records a second looked at, and the live events' 95th percentile of age (from the
event to its receipt) within 25 % or 50 ms of what it is without a replay.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from clients import acceptor
from installation import Installation
from kafka_side import broker, commit_ends, make_topics, write
from latency import percentile
from shop import Record, Shop, partition_of
from table import Row, Table, arguments, conditions

from streams.core.records import Receipt
from streams.core.runs import Asked
from streams.core.times import utc_text
from streams.kafka.group_ids import group_id
from streams.kafka.reader import connect
from streams.replay.preview import preview
from streams.settings import Settings

VENDOR = "miso"
USERS, PRODUCTS = 20_000, 5_000
ANSWER_MS = 20
"""What the vendor takes for a request; it is no limit: its server does as little as one can."""
LIVE_PER_SECOND = 100
LIVE_SECONDS = 20.0
"""At least; a replay that takes longer is measured to its end."""


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def fill(here: Installation, events: int) -> tuple[int, int]:
    """Write a shop and so many raw events, all read by enrichment; return the window of them."""
    topics = here.settings.topics
    shop = Shop(USERS, PRODUCTS, here.vendors, in_content=True)
    write(here.settings, {topics.users: shop.user_rows(), topics.products: shop.product_rows()})
    from_ms = now_ms()
    for is_cart, topic in ((False, topics.clicks), (True, topics.add_to_carts)):
        records = (record for cart, record in shop.events(events) if cart is is_cart)
        write(here.settings, {topic: records})
    prefix = here.settings.kafka.topic_prefix
    commit_ends(here.settings, group_id(prefix, "enrich"), [topics.clicks, topics.add_to_carts])
    return from_ms, now_ms()


def accept_all(settings: Settings) -> None:
    """Write the receipts of a vendor that has accepted every raw record."""
    asyncio.run(_accept_all(settings))


async def _accept_all(settings: Settings) -> None:
    topics, at = settings.topics, utc_text(now_ms())
    receipts: list[Record] = []
    async with connect(settings.kafka) as reader:
        found = await reader.partitions([topics.clicks, topics.add_to_carts])
        for tp in (tp for tps in found.values() for tp in tps):
            for offset in range((await reader.ends([tp]))[tp]):
                source = f"{tp.topic}/{tp.partition}/{offset}"
                one = Receipt(f"event-{offset}", "accepted", at, 1, source, "live", offset)
                receipts.append(Record(tp.partition, b"event", msgspec.json.encode(one)))
    await asyncio.to_thread(write, settings, {topics.receipts(VENDOR): receipts})


def look(
    settings: Settings, vendors: Sequence[str], window: tuple[int, int]
) -> tuple[float, float]:
    """Preview the window; return records a second and CPU seconds for 100,000."""
    asked = Asked("replay", *window)
    cpu, began = time.process_time(), time.monotonic()
    found = asyncio.run(preview(settings, vendors, asked, now_ms=now_ms()))
    seconds, used = time.monotonic() - began, time.process_time() - cpu
    if found.sampled:
        raise SystemExit("the preview took a sample; give at most 1,000,000 --events")
    return found.looked_at / seconds, used / found.looked_at * 100_000


async def _live(settings: Settings, name: str, done: Any) -> list[float]:
    """Produce live events at an even rate until ``done()``; return their ages in ms, ascending."""
    topics = settings.topics
    async with connect(settings.kafka) as reader:
        tps = (await reader.partitions([topics.receipts(VENDOR)]))[topics.receipts(VENDOR)]
        starts = await reader.ends(tps)
        producer = AIOKafkaProducer(**settings.kafka.client_options(), acks="all")
        await producer.start()
        sent: dict[str, int] = {}
        began, number = time.monotonic(), 0
        while time.monotonic() - began < LIVE_SECONDS or not done():
            await asyncio.sleep(max(0.0, began + number / LIVE_PER_SECOND - time.monotonic()))
            key = f"visitor-{number % USERS * 7 % USERS // 10 * 10 + 1}"
            event_id, at_ms = f"{name}-{number}", now_ms()
            event = {
                "event_id": event_id,
                "timestamp": at_ms,
                "anonymous_id": key,
                "product_id": f"product-{number % PRODUCTS}",
            }
            sent[event_id] = at_ms
            await producer.send(
                topics.clicks,
                json.dumps(event).encode(),
                key.encode(),
                partition=partition_of(key.encode()),
            )
            number += 1
        await producer.stop()
        ages: dict[str, float] = {}
        deadline = time.monotonic() + 60
        while len(ages) < len(sent) and time.monotonic() < deadline:
            ends = await reader.ends(tps)
            async for _, records in reader.read(starts, ends):
                for record in records:
                    event_id = (record.key or b"").decode()
                    if event_id in sent:
                        ages.setdefault(event_id, record.timestamp - sent[event_id])
            starts = ends
            await asyncio.sleep(0.2)
    if len(ages) < len(sent):
        raise SystemExit(f"{len(sent) - len(ages)} live events have no receipt")
    return sorted(ages.values())


def replay_beside_live(
    here: Installation, window: tuple[int, int], events: int
) -> tuple[list[float], list[float], float]:
    """Return the live events' ages without a replay and beside one, and the replay's rate."""
    alone = asyncio.run(_live(here.settings, "alone", lambda: True))
    arguments_ = ["--from", str(window[0]), "--to", str(window[1]), "--yes", "--json"]
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams", "replay", "--vendor", VENDOR, *arguments_],
            env={**os.environ, **here.environ},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
        ended: list[float] = []

        def is_done() -> bool:
            if process.poll() is not None and not ended:
                ended.append(time.monotonic())
            return bool(ended)

        beside = asyncio.run(_live(here.settings, "beside", is_done))
        out.seek(0)
        (run,) = json.loads(out.read())
    (part,) = run["vendors"]
    if process.returncode or not part["balanced"] or part["selected"] != events:
        raise SystemExit(f"the replay did not do its work: {run}")
    return alone, beside, part["sent"] / (ended[0] - began)


def main() -> None:
    """Print two tables."""
    options = arguments(__doc__ or "", events=200_000).parse_args()
    events = 20_000 if options.quick else options.events
    with broker() as (servers, words), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with acceptor(ANSWER_MS) as vendor_side:
            access = {
                f"STREAMS_{VENDOR.upper()}_BASE_URL": vendor_side.url,
                f"STREAMS_{VENDOR.upper()}_API_KEY": "benchmark-secret",
            }
            here = Installation(servers, "bench0.", folder, access)
            make_topics(here.settings, {})
            window = fill(here, events)
            told = conditions(words, events=f"{events:,} raw events of about 430 bytes")
            one = look(here.settings, [VENDOR], window)
            every = look(here.settings, here.vendors, window)
            with here.worker("enrich") as enrich, here.worker(VENDOR) as sink:
                enrich.wait(lambda reading: reading.ready)
                sink.wait(lambda reading: reading.ready)
                alone, beside, rate = replay_beside_live(here, window, events)
            settled = Installation(servers, "bench1.", folder, access)
            make_topics(settled.settings, {})
            of_settled = fill(settled, events)
            accept_all(settled.settings)
            accepted = look(settled.settings, [VENDOR], of_settled)
    Table(
        "Replay: a preview of every record",
        told,
        [
            Row("records/s, one vendor, all to be sent", [one[0]], wanted="20,000"),
            Row(f"records/s, {len(here.vendors)} vendors, all to be sent", [every[0]]),
            Row("records/s, one vendor, all accepted", [accepted[0]], wanted="20,000"),
            Row("CPU s/100,000, one vendor, all to be sent", [one[1]], digits=2),
            Row("CPU s/100,000, one vendor, all accepted", [accepted[1]], digits=2),
        ],
    ).show(as_json=options.json)
    limit = max(1.25 * percentile(alone, 95), percentile(alone, 95) + 50)
    Table(
        f"Replay: {LIVE_PER_SECOND} live events a second beside one of {events:,} events to Miso",
        dict(told),
        [
            Row("live age ms, median, no replay", [percentile(alone, 50)]),
            Row("live age ms, 95 %, no replay", [percentile(alone, 95)]),
            Row("live age ms, median, beside the replay", [percentile(beside, 50)]),
            Row(
                "live age ms, 95 %, beside the replay",
                [percentile(beside, 95)],
                wanted=f"{limit:.0f}",
            ),
            Row("replayed events/s", [rate]),
        ],
        ["Replay, broker, two workers and the live producer share the cores; Miso takes 20 ms."],
    ).show(as_json=options.json)


if __name__ == "__main__":
    main()
