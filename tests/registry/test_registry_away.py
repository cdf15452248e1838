"""What is not a registry's answer: nothing is known then, and nothing may be given up for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from streams.core.errors import InvalidEvent, SettingsError
from streams.core.ingest.decoding import RegistryAway, UnknownSchema
from streams.operations.check.check import check_registry
from streams.registry import client
from streams.registry.client import Registry
from streams.settings import RegistrySettings, load_settings
from tests.registry.simulator import RegistrySimulator


@pytest.fixture
async def simulator() -> AsyncIterator[RegistrySimulator]:
    """A registry that asks for a password."""
    simulator = RegistrySimulator(login=("streams", "right"))
    simulator.add("clicks-value", "string")
    await simulator.start()
    yield simulator
    await simulator.stop()


def connect(url: str, password: str = "right", ca_file: Path | None = None) -> Registry:
    """A client that does not wait before it asks once more."""
    settings = RegistrySettings(
        url=url, username="streams", password=SecretStr(password), ca_file=ca_file
    )
    return Registry(settings, retry_seconds=0)


@pytest.mark.parametrize(
    ("fault", "requests", "why"),
    [
        ("html", 1, "not how a schema registry answers: correct STREAMS_REGISTRY_URL"),
        ("401", 1, "correct STREAMS_REGISTRY_USERNAME and STREAMS_REGISTRY_PASSWORD"),
        ("403", 1, "does not let this user read schemas"),
        ("404", 1, "status 404, this is not how a schema registry answers"),
        ("302", 1, "status 302, this is not how a schema registry answers"),
        ("429", 3, "status 429"),
        ("500", 3, "status 500"),
        ("503", 3, "status 503"),
    ],
)
async def test_what_is_no_registrys_answer_is_away(
    simulator: RegistrySimulator, fault: str, requests: int, why: str
) -> None:
    """Only what may pass is asked for again at once."""
    registry = connect(simulator.url)
    simulator.fault = fault
    with pytest.raises(RegistryAway, match=why):
        await registry.load(1)
    assert len(simulator.requests) == requests
    simulator.fault = None
    await registry.load(1)
    assert registry.schema(1).decode(b"\x04ok") == "ok"


async def test_a_wrong_password_says_which_settings_to_correct(
    simulator: RegistrySimulator,
) -> None:
    """And does not repeat the password."""
    with pytest.raises(RegistryAway) as caught:
        await connect(simulator.url, "wrong").load(1)
    assert str(caught.value) == (
        f"The schema registry at {simulator.url} gives no schemas: status 401, it refuses the user "
        "name and password: correct STREAMS_REGISTRY_USERNAME and STREAMS_REGISTRY_PASSWORD."
    )
    assert "wrong" not in str(caught.value)


async def test_a_registry_that_comes_back_answers(simulator: RegistrySimulator) -> None:
    """The client needs no restart."""
    registry = connect(simulator.url)
    await simulator.stop()
    with pytest.raises(RegistryAway, match="gives no schemas"):
        await registry.load(1)
    await simulator.start()
    await registry.load(1)
    assert registry.schema(1).decode(b"\x04ok") == "ok"


async def test_one_that_hangs_is_away(
    simulator: RegistrySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request takes 10 seconds at most."""
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.05)
    simulator.fault = "hang"
    with pytest.raises(RegistryAway, match="does not answer in time"):
        await connect(simulator.url).load(1)


async def test_a_schema_is_asked_for_once(simulator: RegistrySimulator) -> None:
    """Also by several at the same time."""
    registry = connect(simulator.url)
    await asyncio.gather(*(registry.load(1) for _ in range(10)))
    assert simulator.requests == ["/schemas/ids/1"]


async def test_an_unknown_id_is_asked_for_again_after_a_while(
    simulator: RegistrySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower of the registry may lag behind."""
    registry = connect(simulator.url)
    await registry.load(2)
    await registry.load(2)
    with pytest.raises(UnknownSchema):
        registry.schema(2)
    assert simulator.requests == ["/schemas/ids/2"]
    monkeypatch.setattr(client, "UNKNOWN_SECONDS", 0)
    registry = connect(simulator.url)
    await registry.load(2)
    simulator.add("clicks-value", "long")
    await registry.load(2)
    assert registry.schema(2).decode(b"\x04") == 2


@pytest.mark.parametrize(
    ("kind", "schema", "why"),
    [
        ("JSON", {"type": "object"}, "schema 2 cannot be used: it is of type JSON, not AVRO"),
        ("AVRO", {"type": "record"}, "schema 2 cannot be used: a type has no name"),
    ],
)
async def test_a_schema_of_no_use_refuses_its_records(
    simulator: RegistrySimulator, kind: str, schema: object, why: str
) -> None:
    """Waiting would not help."""
    simulator.add("other-value", schema, kind=kind)
    registry = connect(simulator.url)
    await registry.load(2)
    with pytest.raises(InvalidEvent, match=why) as caught:
        registry.schema(2)
    assert caught.value.reason == "invalid_avro"


async def test_schemas_that_refer_to_each_other_end(simulator: RegistrySimulator) -> None:
    """No registry should hold them."""

    def record(name: str, other: str) -> dict[str, object]:
        return {"type": "record", "name": name, "fields": [{"name": "other", "type": other}]}

    simulator.add("a", record("A", "B"), [{"name": "B", "subject": "b", "version": 1}])
    schema_id = simulator.add("b", record("B", "A"), [{"name": "A", "subject": "a", "version": 1}])
    registry = connect(simulator.url)
    await registry.load(schema_id)
    with pytest.raises(InvalidEvent, match="cannot be used: it refers to A, which is not defined"):
        registry.schema(schema_id)


async def test_an_authority_of_ones_own_is_trusted_where_it_is_named(tmp_path: Path) -> None:
    """And only there."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    simulator = RegistrySimulator(tls=tls)
    simulator.add("clicks-value", "string")
    await simulator.start()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    try:
        with pytest.raises(RegistryAway, match=r"(?i)certificate verify failed"):
            await connect(simulator.url).load(1)
        registry = connect(simulator.url, ca_file=ca_file)
        await registry.load(1)
        assert registry.schema(1).decode(b"\x04ok") == "ok"
    finally:
        await simulator.stop()


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """When settings are read."""
    with pytest.raises(SettingsError, match=r"STREAMS_REGISTRY_CA_FILE: .*ca\.pem cannot be used"):
        Registry(RegistrySettings(url="https://registry.example", ca_file=tmp_path / "ca.pem"))


async def test_check_says_whether_the_registry_answers(
    simulator: RegistrySimulator, tmp_path: Path
) -> None:
    """Only where a section needs it; a wrong password is a problem that names the settings."""

    async def found(format_: str, password: str) -> list[tuple[str, str]]:
        path = tmp_path / "streams.toml"
        path.write_text(
            f'[registry]\nurl = "{simulator.url}"\nusername = "streams"\n'
            f'password = "{password}"\n'
            f'[ingest.clicks]\ntopic = "web"\nto = "clicks"\nformat = "{format_}"\n'
        )
        settings = load_settings({"STREAMS_CONFIG": str(path)})
        return [(one.level, one.text) async for one in check_registry(settings)]

    assert await found("confluent-json", "wrong") == []
    answers = f"The schema registry at {simulator.url} answers."
    assert await found("confluent-avro", "right") == [("ok", answers)]
    ((level, text),) = await found("confluent-avro", "wrong")
    assert level == "problem"
    assert "status 401, it refuses the user name and password" in text
