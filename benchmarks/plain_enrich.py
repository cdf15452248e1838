"""Enrichment by hand: aiokafka, a loop, two dictionaries. What a shop would write first.

Parsing, consent and mapping are the project's own, so that only what is around them differs. No
receipts of skips, no order promised across partitions of a batch, offsets committed automatically.
Its argument: how many events are expected.
"""

import asyncio
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from loop import Progress

from streams.core.enrich import Enricher, Send
from streams.core.errors import InvalidEvent
from streams.core.events import EventParser
from streams.core.rows import decode_product, decode_user
from streams.settings import load_settings
from streams.vendors import VENDORS
from streams.worker.supervisor.parent_watch import end_with_parent

POLL_MS = 200


async def read_table(consumer: AIOKafkaConsumer, topic: str, decode):  # type: ignore[no-untyped-def]
    """Return a compacted topic's rows by key."""
    known = await consumer._client.fetch_all_metadata()
    tps = [TopicPartition(topic, p) for p in known.partitions_for_topic(topic)]
    consumer.assign(tps)
    await consumer.seek_to_beginning()
    ends = await consumer.end_offsets(tps)
    rows = {}
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                rows[record.key] = decode(record.value)
    return rows


async def main(expected: int) -> None:
    """Enrich for ever."""
    settings = load_settings()
    topics, options = settings.topics, settings.kafka.client_options()
    vendors = settings.enabled_vendors()
    plans = [settings.plan_for(key) for key in vendors]
    enricher = Enricher(plans, settings.consent.mode)
    parsers = {
        topics.clicks: EventParser("click", "shop.clicks"),
        topics.add_to_carts: EventParser("add_to_cart", "shop.add-to-carts"),
    }
    reader = AIOKafkaConsumer(**options)
    await reader.start()
    users = await read_table(reader, topics.users, lambda value: decode_user(value, VENDORS))
    products = await read_table(reader, topics.products, decode_product)
    await reader.stop()
    consumer = AIOKafkaConsumer(
        *parsers, **options, group_id=f"{topics.prefix}plain-enrich", auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True)
    await consumer.start()
    await producer.start()
    progress = Progress(expected)
    print("ready", flush=True)
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
            parser, now_ms = parsers[tp.topic], time.time_ns() // 1_000_000
            sent = None
            for record in records:
                try:
                    event = parser.parse(
                        record.key, record.value, tp.partition, record.offset, record.timestamp
                    )
                except InvalidEvent:
                    continue
                decisions = enricher.decide(
                    event,
                    users.get(record.key),
                    None,
                    products.get(event.product_id.encode()),
                    record.timestamp,
                    now_ms,
                )
                for decision in decisions:
                    if isinstance(decision, Send):
                        sent = await producer.send(
                            topics.events(decision.vendor),
                            decision.value,
                            record.key,
                            tp.partition,
                        )
            if sent is not None:
                await sent
            progress.add(len(records))


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(main(int(sys.argv[1])))
