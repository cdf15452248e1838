"""A broker that asks for TLS and a password: every client of ours gets in, nobody else does."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from faust.types import TP

from streams.core.errors import SetupError
from streams.engine.inquiry import BrokerInquiry
from streams.kafka.connection import explain
from streams.kafka.topics import create_topics
from streams.lab.embedded import EmbeddedKafka
from streams.lab.embedded.ports import free_port
from streams.settings import load_settings
from tests.kafka.pipeline import Pipeline, click

pytestmark = pytest.mark.kafka

USER, PASSWORD = "relay", "a secret of the test"


@dataclass
class Secured:
    """A broker whose second listener speaks SASL_SSL."""

    kind: str
    bootstrap_servers: str
    ca_file: Path

    def env(self, **more: str) -> dict[str, str]:
        """The settings with which to get in."""
        return {
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "STREAMS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "STREAMS_KAFKA_SASL_MECHANISM": "PLAIN",
            "STREAMS_KAFKA_SASL_USERNAME": USER,
            "STREAMS_KAFKA_SASL_PASSWORD": PASSWORD,
            "STREAMS_KAFKA_SSL_CAFILE": str(self.ca_file),
            **more,
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """An embedded broker with a certificate of this test's own authority."""
    folder = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    ca_file, key_store = folder / "ca.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(ca_file)
    issued = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    # The one form of a key that Kafka reads from a file.
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key_store.write_bytes(pem + b"".join(part.bytes() for part in issued.cert_chain_pems))
    port = free_port()
    login = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'user_{USER}="{PASSWORD}";'
    )
    properties = {
        "listeners": f"SECURED://127.0.0.1:{port}",
        "advertised.listeners": f"SECURED://127.0.0.1:{port}",
        "listener.security.protocol.map": "SECURED:SASL_SSL",
        "listener.name.secured.ssl.keystore.type": "PEM",
        "listener.name.secured.ssl.keystore.location": str(key_store),
        "listener.name.secured.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secured.plain.sasl.jaas.config": login,
    }
    with EmbeddedKafka(data_dir=folder / "kafka", properties=properties):
        yield Secured("embedded, SASL_SSL", f"127.0.0.1:{port}", ca_file)


async def test_events_pass_from_end_to_end_through_tls_and_a_password(
    secured: Secured, prefix: str, tmp_path: Path
) -> None:
    """Topics, both workers with their tables, receipts and the audit use the same settings."""
    async with Pipeline(secured, prefix, tmp_path, env=secured.env()) as pipeline:
        await pipeline.products("p1")
        await pipeline.both()
        await pipeline.send(click("anna", event_id="e1"))
        await pipeline.until(lambda: pipeline.stored() == ["e1"])
        assert (await pipeline.outcome("e1")) == "accepted"
        for worker in pipeline.workers:
            assert PASSWORD not in worker.output()


async def test_a_wrong_password_is_named_and_not_shown(secured: Secured) -> None:
    """One sentence with the settings to look at."""
    env = secured.env(STREAMS_KAFKA_SASL_PASSWORD="wrong one", STREAMS_MISO_API_KEY="k")
    with pytest.raises(SetupError) as caught:
        await create_topics(load_settings(env))
    assert str(caught.value).startswith(
        f"Kafka at {secured.bootstrap_servers} (STREAMS_KAFKA_BOOTSTRAP_SERVERS) refuses the "
        "credentials ("
    )
    assert "wrong one" not in str(caught.value)


async def test_an_authority_that_nobody_named_is_named(secured: Secured, tmp_path: Path) -> None:
    """A certificate that cannot be trusted is told from a broker that is away."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    env = secured.env(STREAMS_KAFKA_SSL_CAFILE=str(other), STREAMS_MISO_API_KEY="k")
    with pytest.raises(SetupError) as caught:
        await create_topics(load_settings(env))
    assert str(caught.value).startswith(
        f"Kafka at {secured.bootstrap_servers} (STREAMS_KAFKA_BOOTSTRAP_SERVERS) shows a "
        "certificate that is refused: "
    )
    assert str(caught.value).endswith("; check STREAMS_KAFKA_SSL_CAFILE.")


async def test_a_worker_whose_password_is_refused_is_told_from_one_that_waits_for_brokers(
    secured: Secured,
) -> None:
    """A fresh process may read a new one; brokers that are away end nobody."""
    settings = {"STREAMS_KAFKA_SASL_PASSWORD": "wrong one", "STREAMS_MISO_API_KEY": "k"}
    away = {"STREAMS_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    answers = []
    for env in (settings, {**settings, **away}):
        kafka = load_settings(secured.env(**env)).kafka
        app: Any = SimpleNamespace(
            started_consumer=None,
            options=SimpleNamespace(
                client_options=kafka.client_options(),
                group="g",
                topics=["shop.clicks"],
                explain=partial(explain, kafka),
            ),
        )
        answer = await BrokerInquiry(app).about("fetch", TP("shop.clicks", 0))
        assert answer is not None
        answers.append(answer)
    refused, silent = answers
    assert refused.is_final
    assert " refuses the credentials (" in refused.words
    assert "STREAMS_KAFKA_SASL_PASSWORD" in refused.words
    assert not silent.is_final
    assert " cannot be reached (" in silent.words
