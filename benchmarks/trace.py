"""How long ``streams trace`` takes to find an event of the last hour, at 1,000 events a second.

Writes that hour (raw events, Miso's vendor records, receipts of three vendors; ``--events`` for
less) with its own times, then asks as people ask. Ids are random, so nothing can be guessed.
"""

import argparse
import asyncio
import json
import random
import time
import uuid
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka_side import broker, make_topics
from shop import PARTITIONS, partition_of
from table import load_average

from streams.kafka.group_ids import group_id
from streams.operations.trace.trace import Kind, run_trace
from streams.settings import Settings, load_settings

HOUR_MS = 3_600_000
VISITORS = 100_000
BATCH_RECORDS = 200

Made = tuple[str, bytes, bytes, list[tuple[str, bytes]], int]
"""Topic, key, value, headers, Kafka time."""


def event(settings: Settings, partition: int, offset: int, at: int, visitor: str) -> list[Made]:
    """Return all records that one event leaves behind."""
    topics, event_id = settings.topics, str(uuid.uuid4())
    product = random.randrange(20_000)
    raw = (
        f'{{"event_id":"{event_id}","timestamp":{at},"anonymous_id":"{visitor}","product_id":'
        f'"p{product}","sku":"sku-{product}-001","user_id":"user-{visitor[8:]}","page":{{"url":'
        f'"https://shop.example/products/{product}?from=list","referrer":'
        f'"https://shop.example/dresses","title":"A red dress for summer and autumn"}},'
        f'"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari",'
        f'"locale":"de-DE","consent":{{"eightselect":true,"voyado":true,"miso":true}}}}'
    )
    source = f"{topics.clicks}/{partition}/{offset}"
    record = (
        f'{{"event_id":"{event_id}","event_type":"click","timestamp":"2026-05-01T08:00:00.000Z",'
        f'"anonymous_id":"{visitor}","payload":{{"type":"product_detail_page_view","product_ids":'
        f'["sku-{product}-001"],"anonymous_id":"{visitor}","user_id":"user-{visitor[8:]}",'
        f'"timestamp":"2026-05-01T08:00:00.000Z","context":{{"custom_context":'
        f'{{"uuid":"{event_id}"}}}}}}}}'
    )
    headers = [("source", source.encode()), ("consent", b"event"), ("source-time", b"%d" % at)]
    key, id_key = visitor.encode(), event_id.encode()
    told = f'"at":"2026-05-01T08:00:00.300Z","attempts":%d,"source":"{source}","lane":"live"'
    accepted = (
        f'{{"event_id":"{event_id}","outcome":"accepted",{told % 1},"position":{offset},'
        '"status":200}'
    )
    skipped = (
        f'{{"event_id":"{event_id}","outcome":"skipped",{told % 0},"position":null,"reason":"%s"}}'
    )
    return [
        (topics.clicks, key, raw.encode(), [], at),
        (topics.events("miso"), key, record.encode(), headers, at + 40),
        (topics.receipts("miso"), id_key, accepted.encode(), [], at + 300),
        (
            topics.receipts("eightselect"),
            id_key,
            (skipped % "outside_content").encode(),
            [],
            at + 40,
        ),
        (topics.receipts("voyado"), id_key, (skipped % "no_contact").encode(), [], at + 40),
    ]


def traffic(settings: Settings, partition: int, events: int, now_ms: int) -> Iterator[list[Made]]:
    """Yield one partition's events, evenly over the hour before now."""
    names = [f"visitor-{number}" for number in range(VISITORS)]
    names = [name for name in names if partition_of(name.encode()) == partition]
    for offset in range(events):
        at = now_ms - HOUR_MS + offset * HOUR_MS // events
        yield event(settings, partition, offset, at, names[random.randrange(len(names))])


async def fill(settings: Settings, events: int, now_ms: int) -> list[tuple[str, str, int]]:
    """Write the hour; return id, visitor and Kafka time of a few events, the newest first."""
    options = settings.kafka.client_options()
    producer = AIOKafkaProducer(**options, acks=1, max_batch_size=1_000_000)
    await producer.start()
    chosen: list[tuple[str, str, int]] = []
    per_partition = events // PARTITIONS
    marks = {int(per_partition * part) for part in (0.02, 0.5, 0.98)}
    for partition in range(PARTITIONS):
        builders: dict[str, Any] = {}
        waiting: list[Any] = []
        for number, records in enumerate(traffic(settings, partition, per_partition, now_ms)):
            for topic, key, value, headers, at in records:
                builder = builders.get(topic)
                if builder is None:
                    builder = builders[topic] = producer.create_batch()
                builder.append(key=key, value=value, timestamp=at, headers=headers)
            if number in marks and partition == PARTITIONS // 2:
                raw = json.loads(records[0][2])
                chosen.append((raw["event_id"], raw["anonymous_id"], records[0][4]))
            if number % BATCH_RECORDS == BATCH_RECORDS - 1 or number == per_partition - 1:
                for topic, builder in builders.items():
                    builder.close()
                    waiting.append(await producer.send_batch(builder, topic, partition=partition))
                builders = {}
            if len(waiting) > 50:
                await asyncio.gather(*waiting)
                waiting = []
        await asyncio.gather(*waiting)
    await producer.stop()
    await commit(settings, "enrich", settings.topics.clicks)
    await commit(settings, "miso", settings.topics.events("miso"))
    return chosen[::-1]


async def commit(settings: Settings, stage: str, topic: str) -> None:
    """Commit a stage to the ends of a topic, as if its worker had read it all."""
    consumer = AIOKafkaConsumer(
        **settings.kafka.client_options(),
        group_id=group_id(settings.topics.prefix, stage),
        enable_auto_commit=False,
    )
    await consumer.start()
    tps = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(tps)
    await consumer.commit(await consumer.end_offsets(tps))
    await consumer.stop()


async def ask(settings: Settings, name: str, kind: Kind, text: str, now_ms: int) -> None:
    """Ask three times and print the middle one."""
    found = []
    for _ in range(3):
        cpu, wall = time.process_time(), time.monotonic()
        answer = await run_trace(settings, kind, text, now_ms=now_ms)
        found.append((time.monotonic() - wall, time.process_time() - cpu, answer))
    seconds, cpu, answer = sorted(found, key=lambda one: one[0])[1]
    print(
        f"{name:<34} {seconds:6.2f} s  {cpu:6.2f} s CPU  {answer.records:>12,} records  "
        f"{len(answer.events):>3} events",
        flush=True,
    )


async def run(servers: str, events: int) -> None:
    """Write, then ask."""
    settings = load_settings(
        {
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": servers,
            "STREAMS_KAFKA_PARTITIONS": str(PARTITIONS),
            "STREAMS_EIGHTSELECT_API_ID": "key",
            "STREAMS_VOYADO_API_KEY": "key",
            "STREAMS_VOYADO_USER_AGENT": "Shop/1.0",
            "STREAMS_VOYADO_BASE_URL": "http://127.0.0.1:9",
            "STREAMS_VOYADO_CLICK_SCHEMA_ID": "a",
            "STREAMS_VOYADO_ADD_TO_CART_SCHEMA_ID": "b",
            "STREAMS_MISO_API_KEY": "key",
        }
    )
    await asyncio.to_thread(make_topics, settings, {})
    now_ms = time.time_ns() // 1_000_000
    began = time.monotonic()
    newest, middle, oldest = await fill(settings, events, now_ms)
    print(f"{events:,} events of an hour written in {time.monotonic() - began:.0f} s", flush=True)
    topic = settings.topics.clicks
    await ask(settings, "own id, 1 minute old", "event", newest[0], now_ms)
    await ask(settings, "own id, 30 minutes old", "event", middle[0], now_ms)
    await ask(settings, "own id, 59 minutes old", "event", oldest[0], now_ms)
    place = f"{topic}-{PARTITIONS // 2}-{events // PARTITIONS // 2}"
    await ask(settings, "id made of a place, 30 minutes old", "event", place, now_ms)
    await ask(settings, "visitor", "visitor", middle[1], now_ms)
    await ask(settings, "user", "user", f"user-{middle[1][8:]}", now_ms)
    await ask(settings, "SKU", "sku", "sku-4711-001", now_ms)
    await ask(settings, "id that does not exist", "event", str(uuid.uuid4()), now_ms)
    print(f"load average {load_average()}")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=3_600_000)
    options = parser.parse_args()
    with broker() as (servers, _):
        asyncio.run(run(servers, options.events))


if __name__ == "__main__":
    main()
