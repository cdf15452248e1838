"""How long an event takes from its producer to a reader of the vendor's topic."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from shop import PARTITIONS, Shop

from streams.settings import Settings

PATIENCE_SECONDS = 10.0
WARM_UP_SECONDS = 1.0
"""Not counted: the measuring producer's and readers' own first requests."""


class _EventId(msgspec.Struct):
    event_id: str


_event_id = msgspec.json.Decoder(_EventId).decode


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from an event's sending to its being read, ascending."""

    enriched: Sequence[float]
    """Read from the vendor's topic."""
    added: Sequence[float]
    """From the raw topic's reader to the vendor topic's reader, event by event."""
    lost: int
    """Events that never came."""


def percentile(ascending: Sequence[float], percent: float) -> float:
    """Return the value below which so many percent lie."""
    return ascending[min(len(ascending) - 1, round((len(ascending) - 1) * percent / 100))]


def measure_latency(
    settings: Settings,
    shop: Shop,
    vendor_topics: Sequence[str],
    *,
    first: int,
    rate: int,
    seconds: float,
) -> list[Latency]:
    """Produce clicks at an even rate and read them from the raw topic and from each of the others.

    Returns one Latency for each vendor topic: its workers saw the same events at the same time.
    """
    return asyncio.run(_measure(settings, shop, vendor_topics, first, rate, seconds))


async def _measure(
    settings: Settings,
    shop: Shop,
    vendor_topics: Sequence[str],
    first: int,
    rate: int,
    seconds: float,
) -> list[Latency]:
    options = settings.kafka.client_options()
    clicks = settings.topics.clicks
    warm_up = round(rate * WARM_UP_SECONDS)
    events = _that_are_sent(shop, warm_up + round(rate * seconds), first)
    sent: dict[str, float] = {}
    seen: dict[str, dict[str, float]] = {topic: {} for topic in (clicks, *vendor_topics)}
    consumers = [await _at_end(options, topic) for topic in seen]
    readers = [
        asyncio.ensure_future(_read(consumer, seen[topic]))
        for topic, consumer in zip(seen, consumers, strict=True)
    ]
    producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        begin = time.perf_counter()
        for number, record in enumerate(events):
            await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            sent[_event_id(record.value).event_id] = time.perf_counter()
            await producer.send(clicks, record.value, record.key, record.partition)
        deadline = time.perf_counter() + PATIENCE_SECONDS
        while any(sent.keys() - came.keys() for came in seen.values()):
            if time.perf_counter() > deadline:
                break
            await asyncio.sleep(0.05)
    finally:
        for reader in readers:
            reader.cancel()
        await producer.stop()
        for consumer in consumers:
            await consumer.stop()
    counted = list(sent)[warm_up:]
    return [_latency(counted, sent, seen[clicks], seen[topic]) for topic in vendor_topics]


def _latency(
    counted: Sequence[str],
    sent: Mapping[str, float],
    raw: Mapping[str, float],
    enriched: Mapping[str, float],
) -> Latency:
    came = [event_id for event_id in counted if event_id in enriched and event_id in raw]
    return Latency(
        sorted(1000 * (enriched[event_id] - sent[event_id]) for event_id in came),
        sorted(1000 * (enriched[event_id] - raw[event_id]) for event_id in came),
        len(counted) - len(came),
    )


def _that_are_sent(shop: Shop, count: int, first: int) -> list:  # type: ignore[type-arg]
    """Return clicks of visitors who said yes, on products that exist."""
    found = []
    for is_cart, record in shop.events(2 * count, first=first):
        visitor = int(record.key.rpartition(b"-")[2])
        product = int(msgspec.json.decode(record.value)["product_id"].rpartition("-")[2])
        if not is_cart and visitor % 10 and product < shop.products:
            found.append(record)
    return found[:count]


async def _at_end(options: dict, topic: str) -> AIOKafkaConsumer:  # type: ignore[type-arg]
    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False)
    await consumer.start()
    tps = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    consumer.assign(tps)
    for tp, end in (await consumer.end_offsets(tps)).items():
        consumer.seek(tp, end)
    return consumer


async def _read(consumer: AIOKafkaConsumer, seen: dict[str, float]) -> None:
    while True:
        fetched = await consumer.getmany(timeout_ms=1000)
        now = time.perf_counter()
        for records in fetched.values():
            for record in records:
                seen.setdefault(_event_id(record.value).event_id, now)
