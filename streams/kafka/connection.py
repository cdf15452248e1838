"""How clients reach the brokers, and what is said when they cannot."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
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


class LoginRefusedError(SetupError):
    """The brokers answer, and do not let us in."""


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
            raise SetupError(
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


def _unusable(kafka: KafkaSettings, reasons: Sequence[BaseException]) -> SetupError:
    kind = LoginRefusedError if is_refused(reasons) else SetupError
    return kind(why_not(kafka.bootstrap_servers, reasons))


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


@contextmanager
def collected_errors(*, logged: bool = False) -> Iterator[list[BaseException]]:
    """Yield the errors that aiokafka's log lines are about; keep these from the log by default.

    aiokafka logs why each broker failed and raises only that all did.
    """
    found: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        found.extend(value for value in arguments if isinstance(value, BaseException))
        return logged

    loggers = [logging.getLogger(f"aiokafka{name}") for name in ("", ".conn")]
    for logger in loggers:
        logger.addFilter(keep)
    try:
        yield found
    finally:
        for logger in loggers:
            logger.removeFilter(keep)
