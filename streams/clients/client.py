"""What all clients share: settings, a connection pool, the process's rate limit, error texts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from types import TracebackType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from pydantic import SecretStr, ValidationError

from streams.clients.errors import (
    ERRORS,
    RequestRejected,
    VendorError,
    problems_of,
    shown_by_index,
)
from streams.core.dead_letter import mask_secrets
from streams.core.errors import SettingsError
from streams.core.outcome import RequestOutcome, Verdict
from streams.delivery.http import HttpClient
from streams.delivery.rate_limit import RateLimit, shared_rate_limit
from streams.settings import Settings, load_settings, variable
from streams.settings.rules import vendor_problems
from streams.vendors.base import HttpRequest, HttpResponse, Vendor, VendorSettings
from streams.vendors.responses import one_line

S = TypeVar("S", bound=VendorSettings)

CONCURRENCY = 16
"""Connections of one client."""
NOTHING_CHANGED = "Nothing was changed; try again later."
_KEY_REFUSED = (401, 402)
_FORBIDDEN = 403
_THROTTLED = 429


class ClientTransport(Protocol):
    """What carries requests to a vendor: ``HttpClient``, or a fake in a test."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the response; a failure is a response without status."""

    async def close(self) -> None:
        """Close all connections."""


class Client(Generic[S]):
    """One vendor's client; it can send several requests at the same time.

    Each request is sent once. The error of a failed one says whether it may be sent again.
    """

    vendor: ClassVar[Vendor]
    forbidden: ClassVar[str] = "Ask {name} what the key of {key} may do."
    """What to do after a 403."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        transport: ClientTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        **options: Any,
    ) -> None:
        """Use the settings of the commands; ``options`` override those of the vendor's section.

        Raises SettingsError if key or address is missing, or an option does not exist.
        """
        self.settings = load_settings() if settings is None else settings
        """All sections."""
        section: Any = self.settings.vendors[self.vendor.key]
        if options:
            section = self._with_options(section, options)
        self.section: S = section
        """The vendor's section, with the options."""
        self._require()
        self._transport = transport
        self.clock = clock
        self._rate_limit: RateLimit | None = None
        self.memory: Any = self.vendor.new_memory()
        self.sleep = sleep
        """Waits this many seconds."""

    async def __aenter__(self) -> Self:
        """Open the connections."""
        if self._transport is None:
            self._transport = HttpClient(
                self.section.base_url,
                concurrency=CONCURRENCY,
                current_http=self.settings.current_http,
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    def _with_options(self, section: VendorSettings, options: dict[str, Any]) -> VendorSettings:
        key = self.vendor.key
        try:
            section = type(section).model_validate({**section.model_dump(), **options})
        except ValidationError as error:
            raise SettingsError([f"{self.vendor.name}: {problems_of(error)}."]) from None
        found = list(vendor_problems(self.vendor, section, variable))
        if found:
            raise SettingsError([f"{variable(key, name)}: {words}." for name, words in found])
        return section.model_copy(update={"base_url": section.base_url.rstrip("/")})

    def _require(self) -> None:
        problems = [
            f"{variable(self.vendor.key, name)}: is missing; {self.vendor.name} cannot be asked "
            "without it."
            for name in ("base_url", *self.vendor.credentials)
            if not getattr(self.section, name)
        ]
        if problems:
            raise SettingsError(problems)

    @property
    def _secrets(self) -> list[str]:
        own = [v.get_secret_value() for _, v in self.section if isinstance(v, SecretStr)]
        return [*own, *self.settings.secrets()]

    def _quota(self) -> RateLimit | None:
        """Return the rate limit that sinks and clients of this account share in this process."""
        limit = self.vendor.requests_per_second(self.section)
        if limit is None:
            return None
        account = self.vendor.account(self.section)
        self._rate_limit = shared_rate_limit(self.clock, account, limit)
        return self._rate_limit

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send one request within the rate limit; a failure is a response without status."""
        if self._transport is None:
            raise RuntimeError(f"{type(self).__name__} is an async context manager: `async with`")
        quota = self._quota()
        if quota is not None and (wait := quota.reserve(self.clock())) > 0:
            await self.sleep(wait)
        response = await self._transport.send(request)
        if quota is not None and response.status == _THROTTLED:
            quota.halve(self.clock())
        return response

    async def ask(
        self,
        request: HttpRequest,
        classify: Callable[[HttpResponse], Verdict],
        doing: str,
        *,
        again: str = NOTHING_CHANGED,
        first: int = 0,
    ) -> Verdict:
        """Send a request and return its verdict; raises VendorError if it is not accepted.

        ``again``: what to do if the vendor fails or does not answer; ``first``: the index of the
        request's first record among all records of the call.
        """
        verdict = classify(await self.send(request))
        if verdict.outcome is not RequestOutcome.ACCEPTED:
            raise self.error_of(doing, verdict, again=again, first=first)
        return verdict

    def error_of(
        self, doing: str, verdict: Verdict, *, again: str = NOTHING_CHANGED, first: int = 0
    ) -> VendorError:
        """Return the error that says what a response means and what to do."""
        words = (one_line(verdict.detail) or f"status {verdict.status}").rstrip(".")
        if verdict.refused and self.vendor.max_batch_records(self.section) > 1:
            refused = {first + index: why for index, why in verdict.refused.items()}
            words = f"{words}: {shown_by_index(refused)}"
        where = f"{self.vendor.name} at {self.section.base_url}"
        sentence = f"{doing[0].upper()}{doing[1:]}: {where} {self._meaning(verdict, words, again)}"
        masked = mask_secrets(sentence, self._secrets)
        if verdict.outcome is RequestOutcome.REJECTED:
            return RequestRejected(masked, verdict, first)
        return ERRORS[verdict.outcome](masked, verdict)

    def _meaning(self, verdict: Verdict, words: str, again: str) -> str:
        key = " and ".join(variable(self.vendor.key, name) for name in self.vendor.credentials)
        address = variable(self.vendor.key, "base_url")
        if verdict.status in _KEY_REFUSED:
            return (
                f"refuses the key: {words}. Correct {key}, and check that {address} is where this "
                "key is valid."
            )
        if verdict.status == _FORBIDDEN:
            advice = self.forbidden.format(name=self.vendor.name, key=key)
            return f"does not let this key do that: {words}. {advice}"
        if verdict.outcome is RequestOutcome.THROTTLED:
            seconds = verdict.retry_after_seconds
            wait = "a minute (it names no wait)" if seconds is None else f"{seconds:g} s"
            return (
                f"asks for fewer requests: {words}. Try again after {wait}; the workers use the "
                "same key."
            )
        if verdict.outcome is RequestOutcome.REJECTED:
            return f"refuses that: {words}. Read what it says; nothing was changed by it."
        if verdict.outcome is RequestOutcome.MISCONFIGURED:
            if verdict.status == HTTPStatus.BAD_REQUEST:
                return f"does not take that with this key: {words}. See {key} and {address}."
            return (
                f"is not where this belongs: {words}. Correct {address}: scheme, host and port "
                "only."
            )
        if verdict.status is not None:
            return f"fails: {words}. {again}"
        if verdict.outcome is RequestOutcome.UNCLEAR:
            return f"gave no answer: {words}. {again}"
        return (
            f"cannot be reached: {words}. Check {address}, and that this machine may reach it: "
            "name, firewall, proxy, TLS."
        )
