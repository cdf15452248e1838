"""What people are told when the brokers cannot be reached."""

import asyncio
import logging
import socket
import ssl

import pytest
import uvloop
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import InvalidTopicError, KafkaConnectionError, SaslAuthenticationFailed
from aiokafka.protocol.metadata import MetadataRequest
from pydantic import SecretStr

from streams.core.errors import SetupError
from streams.kafka import connection
from streams.kafka.connection import admin, client_options
from streams.kafka.login import Connection
from streams.settings import KafkaSettings
from tests.broker_fixtures import Broker


def test_client_options_of_a_plain_broker_are_address_and_protocol() -> None:
    """Without credentials nothing but the address and PLAINTEXT goes to the client."""
    assert client_options(KafkaSettings(bootstrap_servers="a:9092,b:9093")) == {
        "bootstrap_servers": ["a:9092", "b:9093"],
        "security_protocol": "PLAINTEXT",
    }


async def test_admin_of_a_running_broker_answers(broker: Broker) -> None:
    """Inside the block the client is started and knows the cluster."""
    async with admin(KafkaSettings(bootstrap_servers=broker.bootstrap_servers)) as client:
        cluster = await client.describe_cluster()
    assert len(cluster["brokers"]) == 1


async def test_unreachable_broker_is_one_sentence_and_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A closed port is named with its setting and the remedy; aiokafka's own lines stay away."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with caplog.at_level(logging.DEBUG), pytest.raises(SetupError) as caught:
            async with admin(KafkaSettings(bootstrap_servers=address)):
                pass
    assert str(caught.value) == (
        f"Kafka at {address} (STREAMS_KAFKA_BOOTSTRAP_SERVERS) cannot be reached (connection "
        "refused): start the broker (`docker compose up` starts one here), or correct this setting "
        "and STREAMS_KAFKA_SECURITY_PROTOCOL."
    )
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_silent_broker_is_given_up_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that accepts and never answers is an unreachable broker, too."""
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(SetupError, match=r"cannot be reached \(no answer within 0.2 s\)"):
            async with asyncio.timeout(5), admin(KafkaSettings(bootstrap_servers=address)):
                pass


async def test_refused_request_inside_the_block_is_a_sentence(broker: Broker) -> None:
    """An error code of the broker reaches a person as words, not as a traceback."""
    with pytest.raises(SetupError, match="answered, but a request failed"):
        async with admin(KafkaSettings(bootstrap_servers=broker.bootstrap_servers)):
            raise InvalidTopicError("no such name")


async def test_refused_credentials_name_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person needs the refusal, which aiokafka only logs, not that no broker was left."""

    async def refused(_: AIOKafkaAdminClient) -> None:
        reason = SaslAuthenticationFailed("Authentication failed: Invalid username or password")
        logging.getLogger("aiokafka").error('Unable connect to "%s:%s": %s', "a", 9092, reason)
        raise KafkaConnectionError("Unable to bootstrap from [('a', 9092)]")

    monkeypatch.setattr(AIOKafkaAdminClient, "start", refused)
    kafka = KafkaSettings(
        bootstrap_servers="a:9092",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="shop",
        sasl_password=SecretStr("wr0ng-password"),
    )
    with pytest.raises(SetupError) as caught:
        async with admin(kafka):
            pass
    assert str(caught.value) == (
        "Kafka at a:9092 (STREAMS_KAFKA_BOOTSTRAP_SERVERS) refuses the credentials ([Error 58] "
        "SaslAuthenticationFailed: Authentication failed: Invalid username or password): check "
        "STREAMS_KAFKA_SECURITY_PROTOCOL, STREAMS_KAFKA_SASL_MECHANISM, "
        "STREAMS_KAFKA_SASL_USERNAME and STREAMS_KAFKA_SASL_PASSWORD."
    )


@pytest.mark.parametrize(
    ("code", "words", "remedy"),
    [
        (62, "Hostname mismatch", "use the name for which it was issued in STREAMS_KAFKA_BOOT"),
        (9, "certificate is not yet valid", "see that this machine's clock is right, or renew"),
        (10, "certificate has expired", "see that this machine's clock is right, or renew"),
        (20, "unable to get local issuer certificate", "check STREAMS_KAFKA_SSL_CAFILE."),
    ],
)
def test_a_certificate_that_is_refused_says_what_to_do(code: int, words: str, remedy: str) -> None:
    """For another host, not yet or no longer valid, or of an authority that nobody named."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, words
    sentence = connection.why_not("a:9092", [error])
    assert sentence.startswith(
        "Kafka at a:9092 (STREAMS_KAFKA_BOOTSTRAP_SERVERS) shows a certificate that is refused: "
        f"{words}; {remedy}"
    )


def test_a_connection_that_the_broker_has_just_closed_is_a_broken_connection() -> None:
    """Also on uvloop, whose closed transports raise RuntimeError: it ends aiokafka's tasks."""
    lost = asyncio.Event()

    class Closing(asyncio.Protocol):
        def connection_lost(self, _: Exception | None) -> None:
            lost.set()

    async def send_on_closed_transport() -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(Closing, "127.0.0.1", 0) as server:
            connection = Connection(*server.sockets[0].getsockname())
            connection._versions = {MetadataRequest.API_KEY: (0, 5)}
            reader, writer = await asyncio.open_connection(connection.host, connection.port)
            connection._reader, connection._writer = reader, writer
            connection._read_task = asyncio.ensure_future(asyncio.Event().wait())
            writer.transport.abort()
            await lost.wait()
            with pytest.raises(KafkaConnectionError, match="closed"):
                connection.send(MetadataRequest([]))
            assert not connection.connected()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(send_on_closed_transport())
