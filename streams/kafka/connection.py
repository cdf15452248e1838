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
from streams.kafka.login import Login, NoTokenError, TokenRefusedError
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
    options = kafka.client_options()
    if kafka.security_protocol != "PLAINTEXT":
        options["sasl_oauth_token_provider"] = Login(kafka)
    return options


def consumer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """The same for a consumer, with where it is."""
    return {**client_options(kafka), "client_rack": kafka.client_rack}


def producer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """The same for a producer, with how it packs what it writes."""
    return {**client_options(kafka), "compression_type": codec(kafka)}


def codec(kafka: KafkaSettings) -> str | None:
    """Aiokafka's name of the compression; None: none."""
    return None if kafka.compression == "none" else kafka.compression


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
        if isinstance(reason, NoTokenError | TokenRefusedError):
            return str(reason.args[0])
        if isinstance(reason, _REFUSALS):
            return (
                f"{where} refuses the credentials ({_words(reason)}): check "
                "STREAMS_KAFKA_SECURITY_PROTOCOL, STREAMS_KAFKA_SASL_MECHANISM, "
                "STREAMS_KAFKA_SASL_USERNAME and STREAMS_KAFKA_SASL_PASSWORD."
            )
        if isinstance(reason, ssl.SSLCertVerificationError):
            return f"{where} shows a certificate that is refused: {_certificate_words(reason)}"
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


_OTHER_HOST = (62, 64)
_NOT_YET, _EXPIRED = 9, 10
"""As OpenSSL numbers what it finds in a certificate."""


def _certificate_words(error: ssl.SSLCertVerificationError) -> str:
    words = error.verify_message.rstrip(".")
    if error.verify_code in _OTHER_HOST:
        return (
            f"{words}; use the name for which it was issued in STREAMS_KAFKA_BOOTSTRAP_SERVERS, "
            "and let the brokers advertise names of their certificates."
        )
    if error.verify_code in (_NOT_YET, _EXPIRED):
        return f"{words}; see that this machine's clock is right, or renew the certificate."
    return f"{words}; check STREAMS_KAFKA_SSL_CAFILE."


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "it closed the connection"
    return " ".join(str(error).split())[:200] or type(error).__name__
