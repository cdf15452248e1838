"""Batches as they lie on the topics: with the codec of whoever wrote them, and read by the next."""

from collections.abc import Iterator
from pathlib import Path

import aiokafka.consumer.fetcher
import pytest
from aiokafka.record.memory_records import MemoryRecords

from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline
from tests.kafka.test_ingest import Shop, view

pytestmark = pytest.mark.kafka

NONE, LZ4, ZSTD = 0, 3, 4


def codecs_in(blob: bytes) -> Iterator[int]:
    """Yield the codec of each batch of a response: three bits of its attributes."""
    at = 0
    while at + 61 <= len(blob):
        yield blob[at + 22] & 7
        at += 12 + int.from_bytes(blob[at + 8 : at + 12])


async def codecs(pipeline: Pipeline, topic: str, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Return the codecs of all batches of a topic."""
    found: set[int] = set()

    def watched(blob: bytes) -> MemoryRecords:
        found.update(codecs_in(blob))
        return MemoryRecords(blob)

    with monkeypatch.context() as patched:
        patched.setattr(aiokafka.consumer.fetcher, "MemoryRecords", watched)
        await pipeline.read(topic)
    return found


async def test_each_stage_writes_with_its_codec_and_the_next_one_reads_it(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events, dead letters and status; receipts are zstd by their topic, whoever writes them."""
    async with Shop(broker, prefix, tmp_path, env={"STREAMS_CONSENT_MODE": "assumed"}) as shop:
        await shop.make()
        await shop.ready(
            *(
                shop.start(stage, STREAMS_KAFKA_COMPRESSION=codec)
                for stage, codec in (("ingest", "zstd"), ("enrich", "lz4"), ("miso", "lz4"))
            )
        )
        await shop.write(shop.catalogue, [{"id": "p1", "code": "8S-1"}])
        await shop.ingested()
        await shop.write(shop.web, [*(view(str(n)) for n in range(50)), view("7", at="yesterday")])
        await shop.send(("shop.clicks", b"8", b"{"))
        await shop.settled(51)
        assert len(set(shop.stored())) == 50
        topics = shop.topics
        assert await codecs(shop, topics.clicks, monkeypatch) == {NONE, ZSTD}
        assert await codecs(shop, topics.ingest_dead_letters, monkeypatch) == {ZSTD}
        assert await codecs(shop, topics.events("miso"), monkeypatch) == {LZ4}
        assert await codecs(shop, topics.enrich_dead_letters, monkeypatch) == {LZ4}
        assert await codecs(shop, topics.receipts("miso"), monkeypatch) == {ZSTD}
        assert await codecs(shop, topics.status, monkeypatch) == {LZ4, ZSTD}
