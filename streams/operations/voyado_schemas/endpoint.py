"""Voyado's endpoint for interaction schemas: one request at a time, within the quota."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from streams.core.dead_letter import mask_secrets
from streams.core.errors import SetupError
from streams.core.outcome import RequestOutcome, Verdict
from streams.delivery.rate_limit import RateLimit
from streams.operations.voyado_schemas.definition import FLAGS, Definition
from streams.settings import variable
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.responses import UNREADABLE, one_line, read_json, text_of
from streams.vendors.voyado.api import NOT_FOUND, SCHEMAS, SUCCESS, get_schema, headers, judge
from streams.vendors.voyado.settings import VoyadoSettings

KEY_REFUSED = (401, 402)
FORBIDDEN = 403
CONFLICT = 409


class SchemaClient(Protocol):
    """What carries requests to Voyado."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the answer; a failure is an answer without status."""

    async def close(self) -> None:
        """Close all connections."""


class VoyadoAnswerError(SetupError):
    """Voyado did not do what it was asked; the message says why and what to do."""

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.status = verdict.status
        self.retry_after_seconds = verdict.retry_after_seconds or 0.0
        self.may_succeed_later = verdict.outcome in _MAY_SUCCEED
        """A wait may help, or it was done although no answer says so."""


_MAY_SUCCEED = (RequestOutcome.THROTTLED, RequestOutcome.UNAVAILABLE, RequestOutcome.UNCLEAR)


class SchemaEndpoint:
    """The schemas of one Voyado environment."""

    def __init__(
        self,
        settings: VoyadoSettings,
        client: SchemaClient,
        *,
        secrets: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._client = client
        self._secrets = secrets
        self._clock = clock
        self.sleep = sleep
        """Waits so many seconds."""
        self._quota = RateLimit(settings.requests_per_second, clock())

    async def all(self) -> list[Definition]:
        """Return every registered schema, in Voyado's order.

        One that the list only names is asked for by itself. Raises VoyadoAnswerError.
        """
        doing = "listing the interaction schemas"
        answer = await self._send(HttpRequest("GET", SCHEMAS, headers(self._settings), b""), doing)
        rows = _rows(read_json(answer.body))
        if rows is None:
            raise self._failed(doing, answer)
        found: list[Definition] = []
        for row in rows:
            definition = read_registered({"id": row} if type(row) is str else row)
            if definition is None:
                raise self._failed(doing, answer)
            if not definition.is_readable:
                definition = await self.show(definition.id) or definition
            found.append(definition)
        return found

    async def show(self, id_: str) -> Definition | None:
        """Return one schema; None where Voyado has none of this id. Raises VoyadoAnswerError."""
        doing = f"reading the schema {id_}"
        answer = await self._send(get_schema(id_, self._settings), doing, and_also=NOT_FOUND)
        if answer.status == NOT_FOUND:
            return None
        document = read_json(answer.body)
        # Without an id the answer is the schema itself.
        definition = read_registered({"id": id_} | document if type(document) is dict else document)
        if definition is None:
            raise self._failed(doing, answer)
        return definition.named(id_)

    async def create(self, definition: Definition) -> None:
        """Register a schema; raises VoyadoAnswerError."""
        body = definition.text().encode()
        request = HttpRequest("POST", SCHEMAS, headers(self._settings), body)
        doing = f"creating the schema {definition.id}"
        answer = await self._send(request, doing, changes=True)
        if answer.body.strip() and type(read_json(answer.body)) is not str:
            verdict = judge(answer)
            if verdict.outcome is not RequestOutcome.ACCEPTED:
                raise self._failed(doing, answer, changes=True)

    async def delete(self, id_: str) -> None:
        """Delete a schema with all its interactions; one that is gone is no mistake.

        Raises VoyadoAnswerError.
        """
        path = get_schema(id_, self._settings).path
        request = HttpRequest("DELETE", path, headers(self._settings), b"")
        doing = f"deleting the schema {id_}"
        await self._send(request, doing, changes=True, and_also=NOT_FOUND)

    async def _send(
        self,
        request: HttpRequest,
        doing: str,
        *,
        changes: bool = False,
        and_also: int | None = None,
    ) -> HttpResponse:
        wait = self._quota.reserve(self._clock())
        if wait > 0:
            await self.sleep(wait)
        answer = await self._client.send(request)
        if answer.status in SUCCESS or (and_also is not None and answer.status == and_also):
            return answer
        raise self._failed(doing, answer, changes=changes)

    def _failed(
        self, doing: str, answer: HttpResponse, *, changes: bool = False
    ) -> VoyadoAnswerError:
        verdict = judge(answer)
        is_other_json = verdict.is_puzzling and read_json(answer.body) is not UNREADABLE
        if answer.status in SUCCESS and (
            verdict.outcome is RequestOutcome.ACCEPTED or is_other_json
        ):
            words = f"{answer.status}, but the response is not Voyado's: {text_of(answer)}"
            verdict = Verdict(RequestOutcome.MISCONFIGURED, one_line(words), answer.status)
        words = (one_line(verdict.detail) or f"status {verdict.status}").rstrip(".")
        where = f"Voyado Engage at {self._settings.base_url}"
        sentence = (
            f"{doing[0].upper()}{doing[1:]}: {where} {_meaning(verdict, words, changes=changes)}"
        )
        return VoyadoAnswerError(mask_secrets(sentence, self._secrets), verdict)


def _meaning(verdict: Verdict, words: str, *, changes: bool) -> str:
    """Return what an answer means and what to do, to follow the vendor's name."""
    key, address = variable("voyado", "api_key"), variable("voyado", "base_url")
    if verdict.status in KEY_REFUSED:
        return (
            f"refuses the key: {words}. Correct {key}, and see that {address} is the environment "
            "that the key is for."
        )
    if verdict.status == FORBIDDEN:
        return (
            f"does not let this key do that: {words}. Interactions are a paid add-on, and access "
            f"can be limited by address: ask Voyado what the key of {key} may do."
        )
    if verdict.outcome is RequestOutcome.THROTTLED:
        seconds = verdict.retry_after_seconds
        wait = "a minute (it names no wait)" if seconds is None else f"{seconds:g} s"
        return (
            f"asks for fewer requests: {words}. Try again after {wait}; the workers use the same "
            "key."
        )
    if verdict.outcome is RequestOutcome.REJECTED:
        return f"refuses that: {words}. Read what it says; nothing was changed by it."
    if verdict.outcome is RequestOutcome.MISCONFIGURED:
        return f"is not where this belongs: {words}. Correct {address}: scheme, host and port only."
    again = (
        "Look with `streams voyado-schemas plan` whether it was done."
        if changes
        else "Nothing was changed; try again later."
    )
    if verdict.status is not None:
        return f"fails: {words}. {again}"
    if verdict.outcome is RequestOutcome.UNCLEAR:
        return f"gave no answer: {words}. {again}"
    return (
        f"cannot be reached: {words}. Check {address}, and that this machine may reach it: name, "
        "firewall, proxy, TLS."
    )


def _rows(document: Any) -> list[Any] | None:
    """Return the list, in the forms in which Voyado's lists have been seen."""
    if type(document) is dict:
        document = next(
            (document[name] for name in ("items", "data") if type(document.get(name)) is list),
            None,
        )
    return document if type(document) is list else None


def read_registered(document: Any) -> Definition | None:
    """Return a schema as an answer shows it, None where it names none.

    Answers are read with patience: the schema as an object or as text, and flags as values, too.
    """
    if document is UNREADABLE or type(document) is not dict or type(document.get("id")) is not str:
        return None
    if not document["id"]:
        return None
    found = document.get("jsonSchema", document)
    if type(found) is str:
        found = read_json(found.encode())
    name = document.get("displayName")
    display_name = name if type(name) is str else ""
    properties = found.get("properties") if type(found) is dict else None
    if type(properties) is not dict or not all(type(p) is dict for p in properties.values()):
        return Definition(document["id"], display_name, {}, is_readable=False)
    json_schema: dict[str, Any] = {
        key: value
        for key, value in found.items()
        if value is not None and (found is not document or key not in ("id", "displayName"))
    }
    json_schema["properties"] = {key: _rules(rules) for key, rules in properties.items()}
    required = json_schema.get("required", [])
    if type(required) is not list or not all(type(entry) is str for entry in required):
        json_schema.pop("required")
    return Definition(document["id"], display_name, json_schema)


def _rules(rules: Mapping[str, Any]) -> dict[str, Any]:
    read = {key: value for key, value in rules.items() if value is not None}
    for flag in FLAGS:
        value = read.get(flag)
        if type(value) is bool:
            read[flag] = "true" if value else "false"
        elif type(value) is str:
            read[flag] = value.lower()
    if type(read.get("sortOrder")) is int:
        read["sortOrder"] = str(read["sortOrder"])
    return read
