"""How clients reach the brokers, and what is said when they cannot."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from streams.core.errors import SetupError
from streams.engine.errors import BrokersUnavailableError
from streams.engine.inquiry import collected_errors
from streams.settings import KafkaSettings

CONNECT_SECONDS = 9
"""After this long without an answer the brokers count as unreachable."""

_REFUSALS = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)


class KafkaUnavailableError(SetupError, BrokersUnavailableError):
    """The brokers cannot be reached, refuse the credentials, or refuse or drop a request."""

    def __init__(self, sentence: str, *, is_refused: bool = False) -> None:
        super().__init__(sentence)
        self.is_refused = is_refused


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client: addresses, encryption and credentials.

    Raises:
        SettingsError: a certificate or key file cannot be used.
    """
    return kafka.client_options()


@asynccontextmanager
async def admin(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client, closed at the end of the block.

    Raises:
        SetupError: the brokers cannot be reached, refuse the credentials, or refuse or drop a
            request made within the block.
    """
    client = AIOKafkaAdminClient(**client_options(kafka), client_id="streams")
    try:
        with collected_errors() as reasons:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await client.start()
            except (KafkaError, OSError, TimeoutError) as error:
                raise _unusable(kafka, [*reasons, error]) from error
        try:
            yield client
        except KafkaError as error:
            raise KafkaUnavailableError(
                f"Kafka at {kafka.bootstrap_servers} (STREAMS_KAFKA_BOOTSTRAP_SERVERS) answered, "
                f"but a request failed: {_words(error)}. Check the addresses that its brokers "
                "advertise and what this user may do there."
            ) from error
    finally:
        await client.close()


def is_refused(reasons: Iterable[BaseException]) -> bool:
    """Return whether the brokers are there and refuse the credentials."""
    return any(isinstance(reason, _REFUSALS) for reason in reasons)


async def ask_brokers(kafka: KafkaSettings) -> None:
    """Return once a broker has let us in by a new connection; raises SetupError as ``admin``."""
    async with admin(kafka):
        return


def explain(kafka: KafkaSettings, reasons: Sequence[BaseException]) -> tuple[str, bool]:
    """Return in a sentence why the brokers cannot be used, and whether they refuse the login."""
    return why_not(kafka.bootstrap_servers, reasons), is_refused(reasons)


def _unusable(kafka: KafkaSettings, reasons: Sequence[BaseException]) -> KafkaUnavailableError:
    words, refused = explain(kafka, reasons)
    return KafkaUnavailableError(words, is_refused=refused)


def why_not(servers: str, reasons: Sequence[BaseException]) -> str:
    """Return in a sentence why the brokers cannot be used and what to do, the cause first known."""
    where = f"Kafka at {servers} (STREAMS_KAFKA_BOOTSTRAP_SERVERS)"
    for reason in reasons:
        if isinstance(reason, _REFUSALS):
            return (
                f"{where} refuses the credentials ({_words(reason)}): check "
                "STREAMS_KAFKA_SECURITY_PROTOCOL, STREAMS_KAFKA_SASL_MECHANISM, "
                "STREAMS_KAFKA_SASL_USERNAME and STREAMS_KAFKA_SASL_PASSWORD."
            )
        if isinstance(reason, ssl.SSLError):
            return (
                f"{where} cannot be reached by TLS ({_words(reason)}): check "
                "STREAMS_KAFKA_SECURITY_PROTOCOL and STREAMS_KAFKA_SSL_CAFILE."
            )
    return (
        f"{where} cannot be reached ({_words(reasons[0])}): start the broker "
        "(`docker compose up` starts one here), or correct this setting and "
        "STREAMS_KAFKA_SECURITY_PROTOCOL."
    )


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "it closed the connection"
    return " ".join(str(error).split())[:200] or type(error).__name__
