"""Schemas by id, on a real registry and on the simulator: both answer the same."""

import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest

from streams.core.errors import InvalidEvent
from streams.core.ingest.decoding import RegistryAway, UnknownSchema
from streams.registry.client import Registry
from streams.registry.decoders import AvroDecoder
from streams.settings import RegistrySettings
from tests.registry.apicurio import apicurio, apicurio_archive
from tests.registry.simulator import RegistrySimulator

MONEY = {
    "type": "record",
    "namespace": "shop",
    "name": "Money",
    "fields": [
        {
            "name": "amount",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        }
    ],
}
REAL = (pytest.mark.registry, pytest.mark.timeout(600))
"""The first run downloads it."""
CLICK = {
    "type": "record",
    "namespace": "shop",
    "name": "Click",
    "fields": [{"name": "visitor", "type": "string"}, {"name": "price", "type": "shop.Money"}],
}


@pytest.fixture(scope="module")
def real_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Apicurio Registry, one for the module; skips where it cannot be downloaded."""
    try:
        archive = apicurio_archive()
    except Exception as error:  # whatever keeps Maven Central from us
        pytest.skip(f"Apicurio Registry cannot be downloaded: {error}")
    with apicurio(archive, tmp_path_factory.mktemp("apicurio")) as url:
        yield url


@pytest.fixture(params=["simulator", pytest.param("apicurio", marks=REAL)])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Where a registry answers."""
    if request.param == "apicurio":
        yield request.getfixturevalue("real_registry")
        return
    simulator = RegistrySimulator()
    await simulator.start()
    try:
        yield simulator.url
    finally:
        await simulator.stop()


@pytest.fixture
def registry(url: str) -> Registry:
    """A client of it."""
    return Registry(RegistrySettings(url=url))


async def register(url: str, subject: str, schema: Any, references: list[Any] | None = None) -> int:
    """As a producer's serializer does it."""
    import asyncio

    body = {"schema": json.dumps(schema), "references": references or []}
    request = urllib.request.Request(
        f"{url}/subjects/{subject}/versions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )

    def send() -> int:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(json.load(answer)["id"])

    return await asyncio.to_thread(send)


def framed(schema_id: int, schema: Any, value: Any) -> bytes:
    """A record as a serializer writes it."""
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return b"\0" + schema_id.to_bytes(4, "big") + out.getvalue()


async def test_a_record_is_read_by_the_schema_that_it_names(url: str, registry: Registry) -> None:
    """What names no schema is passed over."""
    schema_id = await register(url, "money-value", MONEY)
    record = framed(schema_id, MONEY, {"amount": Decimal("19.90")})
    decoder = AvroDecoder(registry)
    await decoder.prepare([record, b"", b"{}"])
    assert decoder.decode(record).value == {"amount": 19.9}


async def test_schemas_that_it_refers_to_are_asked_for(url: str, registry: Registry) -> None:
    """By subject and version."""
    await register(url, "shop.Money", MONEY)
    reference = {"name": "shop.Money", "subject": "shop.Money", "version": 1}
    schema_id = await register(url, "clicks-value", CLICK, [reference])
    whole = CLICK | {"fields": [CLICK["fields"][0], {"name": "price", "type": MONEY}]}
    record = framed(schema_id, whole, {"visitor": "v-1", "price": {"amount": Decimal("5.00")}})
    decoder = AvroDecoder(registry)
    await decoder.prepare([record])
    assert decoder.decode(record).value == {"visitor": "v-1", "price": {"amount": 5}}


async def test_an_id_that_it_does_not_know_is_an_unknown_schema(registry: Registry) -> None:
    """The registry itself says so."""
    decoder = AvroDecoder(registry)
    await decoder.prepare([b"\0\0\1\0\0x"])
    with pytest.raises(UnknownSchema, match="no schema with id 65536") as caught:
        decoder.decode(b"\0\0\1\0\0x")
    assert caught.value.reason == "unknown_schema"


async def test_a_wrong_path_is_no_unknown_schema(url: str) -> None:
    """A real registry answers 404 in JSON there, too; taken for its word all would be given up."""
    registry = Registry(RegistrySettings(url=f"{url}/v8"))
    with pytest.raises(RegistryAway, match="correct STREAMS_REGISTRY_URL"):
        await registry.load(1)


async def test_a_record_that_does_not_fit_its_schema_is_refused(
    url: str, registry: Registry
) -> None:
    """Here it ends early."""
    schema_id = await register(url, "money-value", MONEY)
    decoder = AvroDecoder(registry)
    record = framed(schema_id, MONEY, {"amount": Decimal("19.90")})[:-1]
    await decoder.prepare([record])
    with pytest.raises(InvalidEvent, match="the bytes do not fit"):
        decoder.decode(record)
