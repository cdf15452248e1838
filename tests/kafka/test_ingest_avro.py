"""Records in Confluent's wire format through the stage ``ingest``, with a registry that fails."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import fastavro
import pytest
from aiokafka.admin import NewTopic

from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, Worker
from tests.registry.simulator import RegistrySimulator

pytestmark = pytest.mark.kafka

SETTINGS = """
[registry]
url = "{url}"
username = "streams"
password = "{password}"

[ingest.clicks]
topic = "{avro}"
to = "clicks"
format = "confluent-avro"
timestamp_format = "us"
[ingest.clicks.fields]
anonymous_id = "visitor"
timestamp = "at"
product_id = "product.id"
price = "product.price"

[ingest.carts]
topic = "{framed}"
to = "add-to-carts"
format = "confluent-json"
"""
AT_US = 1_764_000_000_123_456
PRODUCT = {
    "type": "record",
    "name": "Product",
    "fields": [
        {"name": "id", "type": "long"},
        {
            "name": "price",
            "type": [
                "null",
                {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            ],
        },
    ],
}
CLICK = {
    "type": "record",
    "name": "Click",
    "fields": [
        {"name": "visitor", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "product", "type": PRODUCT},
    ],
}
UNKNOWN = 4711


def click(schema_id: int, visitor: str, at_us: int = AT_US) -> bytes:
    """A record as a serializer writes it."""
    out = BytesIO()
    value = {"visitor": visitor, "at": at_us, "product": {"id": 1042, "price": Decimal("19.90")}}
    fastavro.schemaless_writer(out, fastavro.parse_schema(CLICK), value)
    return b"\0" + schema_id.to_bytes(4, "big") + out.getvalue()


class AvroShop(Pipeline):
    """A pipeline beside a shop whose topics are framed."""

    def __init__(
        self,
        broker: Broker,
        prefix: str,
        folder: Path,
        registry: RegistrySimulator,
        password: str = "right",
    ) -> None:
        self.avro, self.framed = f"shop-{prefix}avro", f"shop-{prefix}framed"
        self.config = folder / "streams.toml"
        self.set_password(registry, password)
        super().__init__(broker, prefix, folder, env={"STREAMS_CONFIG": str(self.config)})

    def set_password(self, registry: RegistrySimulator, password: str) -> None:
        """Write the settings."""
        self.config.write_text(
            SETTINGS.format(url=registry.url, password=password, avro=self.avro, framed=self.framed)
        )

    async def write(self, topic: str, *values: bytes) -> None:
        """Make the topic if it is not there, and write records to its one partition."""
        if topic not in await self.admin.list_topics():
            await self.admin.create_topics([NewTopic(topic, 1, 1)])
            await self.producer.client.force_metadata_update()
        for value in values:
            await self.producer.send_and_wait(topic, value)

    async def arrived(self, topic: str, records: int) -> list[Any]:
        """Wait until a topic has so many records; return their values."""
        found: list[Any] = []

        async def are_there() -> bool:
            found[:] = [json.loads(record.value) for record in await self.read(topic)]
            return len(found) >= records

        await self.until(are_there, what=f"{records} records of {topic}")
        return found

    async def waits(self, worker: Worker, *words: str) -> None:
        """Wait until the worker is not ready for a reason that has these words, and all say so."""

        async def does_wait() -> bool:
            url = f"http://127.0.0.1:{worker.port}/health/ready"
            try:
                async with aiohttp.ClientSession() as http, http.get(url) as answer:
                    body = await answer.json()
            except aiohttp.ClientError:
                return False
            reasons = "\n".join(body["reasons"])
            causes = [one["cause"] for one in body["findings"] if one["kind"] == "registry_away"]
            told = [reasons, *causes]
            return (
                answer.status == 503
                and bool(causes)
                and all(word.lower() in text.lower() for word in words for text in told)
            )

        await self.until(does_wait, what=f"not ready: {' '.join(words)}")


@pytest.fixture
async def registry() -> AsyncIterator[RegistrySimulator]:
    """A registry that knows the schema of clicks, as id 1."""
    simulator = RegistrySimulator(login=("streams", "right"))
    simulator.add("clicks-value", CLICK)
    await simulator.start()
    yield simulator
    await simulator.stop()


async def test_framed_records_become_events_or_dead_letters_that_say_why(
    broker: Broker, prefix: str, tmp_path: Path, registry: RegistrySimulator
) -> None:
    """Avro by the registry's schema, JSON without it; each bad one alone is refused."""
    async with AvroShop(broker, prefix, tmp_path, registry) as shop:
        cart = {"anonymous_id": "v-2", "timestamp": 1_764_000_000_000, "product_id": "7"}
        await shop.write(
            shop.avro,
            click(1, "v-1"),
            click(UNKNOWN, "v-1"),
            click(1, "v-1")[:-1],
            click(1, "v-1") + b"more",
            b"\0\0\0",
            b'{"visitor": "v-1"}',
            click(1, "v-3"),
        )
        await shop.write(shop.framed, b"\0\0\0\0\x07" + json.dumps(cart).encode(), b"{}")
        await shop.worker("ingest")
        clicks = await shop.arrived(shop.topics.clicks, 2)
        assert clicks[0] == {
            "anonymous_id": "v-1",
            "timestamp": 1_764_000_000_123,
            "product_id": "1042",
            "price": 19.9,
            "event_id": f"{shop.avro}-0-0",
        }
        assert clicks[1]["anonymous_id"] == "v-3"
        (added,) = await shop.arrived(shop.topics.add_to_carts, 1)
        assert added["anonymous_id"] == "v-2"
        assert await shop.arrived(shop.topics.ingest_dead_letters, 6)
        letters = await shop.letters(shop.topics.ingest_dead_letters)
        assert sorted((one["source"]["offset"], one["reason"]) for one in letters) == [
            (1, "invalid_frame"),
            (1, "unknown_schema"),
            (2, "invalid_avro"),
            (3, "invalid_avro"),
            (4, "invalid_frame"),
            (5, "invalid_frame"),
        ]
        details = [one["detail"] for one in letters]
        assert f"the schema registry has no schema with id {UNKNOWN}" in details
        assert (
            "the value is not in Confluent's wire format: its first byte is 123, not 0; for JSON "
            "without a frame, set format to json"
        ) in details


@pytest.mark.parametrize(
    "fault",
    [
        "stopped",
        *(pytest.param(fault, marks=pytest.mark.slow) for fault in ("html", "403", "503")),
    ],
)
async def test_while_the_registry_is_away_records_wait_and_nothing_is_given_up(
    broker: Broker, prefix: str, tmp_path: Path, registry: RegistrySimulator, fault: str
) -> None:
    """The stage is not ready and says why; the other topic goes on, and this one does after it."""
    async with AvroShop(broker, prefix, tmp_path, registry) as shop:
        if fault == "stopped":
            await registry.stop()
        else:
            registry.fault = fault
        await shop.write(shop.framed)
        await shop.write(shop.avro, click(1, "v-1"), click(UNKNOWN, "v-1"))
        worker = shop.start("ingest")
        await shop.waits(worker, "registry", registry.url)
        cart = {"anonymous_id": "v-2", "timestamp": 1_764_000_000_000, "product_id": "7"}
        await shop.write(shop.framed, b"\0\0\0\0\x07" + json.dumps(cart).encode())
        await shop.arrived(shop.topics.add_to_carts, 1)
        assert await shop.read(shop.topics.ingest_dead_letters) == []
        clicks, carts = (await shop.audit()).sections
        assert not clicks.balanced
        assert registry.url in clicks.unknown
        assert (carts.balanced, carts.written) == (True, 1)
        registry.fault = None
        if fault == "stopped":
            await registry.start()
        await shop.arrived(shop.topics.clicks, 1)
        (letter,) = await shop.arrived(shop.topics.ingest_dead_letters, 1)
        assert letter["reason"] == "unknown_schema"
        await shop.ready(worker)


async def test_a_wrong_password_waits_until_it_is_corrected(
    broker: Broker, prefix: str, tmp_path: Path, registry: RegistrySimulator
) -> None:
    """The reason names the settings, not the password."""
    async with AvroShop(broker, prefix, tmp_path, registry, "wrong-word") as shop:
        await shop.write(shop.framed)
        await shop.write(shop.avro, click(1, "v-1"))
        worker = shop.start("ingest")
        await shop.waits(worker, "registry", "STREAMS_REGISTRY_PASSWORD")
        assert "wrong-word" not in worker.output()
        worker.terminate()
        assert await worker.ended(12) == 0
        assert await shop.read(shop.topics.ingest_dead_letters) == []
        shop.set_password(registry, "right")
        await shop.worker("ingest")
        await shop.arrived(shop.topics.clicks, 1)
