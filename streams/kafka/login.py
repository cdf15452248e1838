"""How connections to brokers log in: with what is valid now, and again before a session ends.

aiokafka takes passwords and certificates when a client is made, and knows nothing of sessions: a
broker that limits them (``connections.max.reauth.ms``, or a token's lifetime) would cut each
connection in the middle of its work. It also takes a refused token for an accepted one.
"""

import asyncio
import logging
import time
from typing import Any

import aiokafka.conn
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import AIOKafkaConnection, CloseReason, OAuthAuthenticator
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed
from aiokafka.protocol.admin import SaslAuthenticateRequest, SaslHandShakeRequest
from pydantic import SecretStr

from streams import telemetry
from streams.core.errors import SettingsError
from streams.settings import KafkaSettings
from streams.settings.kafka_rules import read_token, token_problem

log = logging.getLogger("streams.engine")

TOKEN_SECONDS = 6.0
"""After so long without an answer there is no token; less than a connection may take."""
PART_OF_SESSION = 0.8
"""When this part of a session is over, the next request logs in again first."""


class NoTokenError(KafkaConnectionError):
    """There is no token to log in with; its text is a sentence for people."""


class TokenRefusedError(SaslAuthenticationFailed):
    """Whoever issues tokens refuses us one, or the brokers refuse the token."""


class Login(AbstractTokenProvider):
    """What one client logs in with; each connection asks it anew."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def renew(self, connection: "Connection") -> None:
        """Give a connection the password and certificates as they are now.

        What cannot be read, as in the middle of an exchange, stays as it was.
        """
        try:
            self._kafka = kafka = self._kafka.current()
            options = kafka.client_options()
        except SettingsError as error:
            log.warning(
                "the login for Kafka could not be read again; the last one is kept: %s", error
            )
            return
        telemetry.hide(
            value.get_secret_value() for _, value in kafka if isinstance(value, SecretStr)
        )
        connection._ssl_context = options.get("ssl_context")
        connection._sasl_plain_password = options.get("sasl_plain_password")

    async def token(self) -> str:
        """Return a token that is valid now; raises NoTokenError or TokenRefusedError."""
        kafka = self._kafka
        if kafka.sasl_mechanism == "AWS_MSK_IAM":
            return await asyncio.to_thread(_signed, str(kafka.aws_region))
        if kafka.oauth_token_file is None:
            return await _issued(kafka)
        try:
            return read_token(kafka.oauth_token_file, time.time())
        except ValueError as error:
            raise NoTokenError(f"STREAMS_KAFKA_OAUTH_TOKEN_FILE: {error}.") from error

    def extensions(self) -> dict[str, str]:
        """Return what goes with the token."""
        return dict(self._kafka.oauth_extensions)


def _signed(region: str) -> str:
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        token, _ = MSKAuthTokenProvider.generate_auth_token(region)
    except (BotoCoreError, ClientError, AttributeError, ValueError) as error:
        raise NoTokenError(
            f"STREAMS_KAFKA_SASL_MECHANISM: AWS gives no credentials to sign with ({error}): give "
            "the pod or machine a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from error
    return str(token)


async def _issued(kafka: KafkaSettings) -> str:
    """Ask ``oauth_token_url`` for a token by OAuth's client credentials (RFC 6749, 4.4)."""
    import httpx  # most ways to log in need none

    url, secret = str(kafka.oauth_token_url), kafka.oauth_client_secret
    where = f"STREAMS_KAFKA_OAUTH_TOKEN_URL: {url}"
    form = {"grant_type": "client_credentials"}
    if kafka.oauth_scope is not None:
        form["scope"] = kafka.oauth_scope
    login = httpx.BasicAuth(
        str(kafka.oauth_client_id), "" if secret is None else secret.get_secret_value()
    )
    try:
        async with (
            asyncio.timeout(TOKEN_SECONDS),
            httpx.AsyncClient(
                proxy=kafka.http.proxy_to(url),
                verify=kafka.http.ssl_context() or True,
                trust_env=False,
                timeout=None,  # noqa: S113 - the whole of it has one
            ) as client,
        ):
            answer = await client.post(url, data=form, auth=login, follow_redirects=False)
    except TimeoutError as error:
        raise NoTokenError(f"{where} has not answered within {TOKEN_SECONDS:g} s.") from error
    except (httpx.HTTPError, OSError) as error:
        words = str(error) or type(error).__name__
        raise NoTokenError(f"{where} cannot be reached: {words}.") from error
    if answer.status_code in (400, 401, 403):
        raise TokenRefusedError(
            f"{where} refuses the client ({answer.status_code}): check "
            "STREAMS_KAFKA_OAUTH_CLIENT_ID, STREAMS_KAFKA_OAUTH_CLIENT_SECRET and "
            "STREAMS_KAFKA_OAUTH_SCOPE."
        )
    try:
        token = answer.json()["access_token"]
        problem = token_problem(token, time.time())
    except (ValueError, KeyError, TypeError, AttributeError):
        problem = "is none"
    if not answer.is_success or problem is not None:
        raise NoTokenError(
            f"{where} answers {answer.status_code} without a token that can be used: check that "
            "it is the address of the token endpoint."
        )
    return str(token)


class _OAuth(OAuthAuthenticator):
    """aiokafka's, which does not look at what brokers answer to a token."""

    async def step(self, payload: bytes | None) -> Any:
        """Return what is to be sent next; None: nothing, the broker has accepted the token."""
        if payload:
            raise TokenRefusedError(
                f"the brokers do not accept the token ({payload.decode(errors='replace')}): check "
                "STREAMS_KAFKA_OAUTH_TOKEN_FILE or STREAMS_KAFKA_OAUTH_TOKEN_URL, and for MSK the "
                "rights of the AWS role."
            )
        return await super().step(payload)


class Connection(AIOKafkaConnection):
    """A connection that logs in with what is valid now, and again before its session ends."""

    _log_in_at = float("inf")
    _logging_in: "asyncio.Task[None] | None" = None

    async def connect(self) -> Any:
        """Connect and log in."""
        self._renew()
        return await super().connect()

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Send a request, after logging in again where that is due; return what to await."""
        if isinstance(request, SaslAuthenticateRequest):
            return self._authenticate(request)
        if isinstance(request, SaslHandShakeRequest):
            return self._send_now(request, expect_response)
        if self._logging_in is None and self._loop.time() >= self._log_in_at:
            self._logging_in = asyncio.ensure_future(self._log_in_again())
            # It is whoever waits that is told of its failure, if anybody waits still.
            self._logging_in.add_done_callback(lambda task: task.cancelled() or task.exception())
        if self._logging_in is None:
            return self._send_now(request, expect_response)
        return self._send_later(self._logging_in, request, expect_response)

    def _send_now(self, request: Any, expect_response: bool) -> Any:
        """Send; raises KafkaError where the connection is gone.

        uvloop's transports raise RuntimeError once they are closed, where asyncio's write nothing.
        aiokafka does not know it: the task that reads the metadata would end without a word, and
        with it each later search for the group's coordinator.
        """
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            words = f"Connection at {self.host}:{self.port} closed: {error}"
            raise KafkaConnectionError(words) from error

    def authenticator_oauth(self) -> Any:
        """Return what sends the token."""
        return _OAuth(sasl_oauth_token_provider=self._sasl_oauth_token_provider)

    def _renew(self) -> None:
        login = self._sasl_oauth_token_provider
        if isinstance(login, Login):
            login.renew(self)

    async def _authenticate(self, request: Any) -> Any:
        answer = await self._send_now(request, expect_response=True)
        seconds = getattr(answer, "session_lifetime_ms", 0) / 1000
        if seconds:
            self._log_in_at = self._loop.time() + PART_OF_SESSION * seconds
        return answer

    async def _log_in_again(self) -> None:
        """Log in on this connection as it is; what is sent meanwhile waits (KIP-368)."""
        try:
            self._renew()
            await self._do_sasl_handshake()
        except Exception as error:
            self.close(exc=error)
            # Whoever waits tries again on a new connection, which says why it is refused.
            words = f"Connection at {self.host}:{self.port} closed: {error}"
            raise KafkaConnectionError(words) from error
        finally:
            self._logging_in = None

    async def _send_later(
        self, logging_in: "asyncio.Task[None]", request: Any, expect_response: bool
    ) -> Any:
        await asyncio.shield(logging_in)
        return await self.send(request, expect_response)


# Made by every client for each of its connections.
aiokafka.conn.AIOKafkaConnection = Connection
