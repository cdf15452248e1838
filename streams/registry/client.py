"""A schema registry as this project needs it: schemas by their ids, kept once they are known."""

import asyncio
import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx
import msgspec

from streams import __version__
from streams.core.errors import InvalidEvent, SettingsError
from streams.core.ingest.avro import AvroSchema, SchemaError, misfit
from streams.core.ingest.decoding import RegistryAway, UnknownSchema
from streams.settings import RegistrySettings

ANSWER_SECONDS = 10.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
TRIES = 3
RETRY_SECONDS = 0.2
"""Before the second try; doubled before the third."""
KEPT_SCHEMAS = 10_000
"""As many as the largest chunk of records can name."""
UNKNOWN_SECONDS = 30.0
"""So long an id that the registry does not know is not asked for again."""
MAX_REFERENCES = 100
"""Schemas that one schema may refer to, directly or not."""

_HEADERS = {
    "accept": "application/vnd.schemaregistry.v1+json, application/json",
    "user-agent": f"clickstream-relay/{__version__}",
}
_REFUSED = {
    401: "it refuses the user name and password: correct STREAMS_REGISTRY_USERNAME and "
    "STREAMS_REGISTRY_PASSWORD",
    403: "it does not let this user read schemas: allow that, or correct "
    "STREAMS_REGISTRY_USERNAME and STREAMS_REGISTRY_PASSWORD",
}
_NO_REGISTRY = (
    "this is not how a schema registry answers: correct STREAMS_REGISTRY_URL, which ends where "
    "/schemas/ids begins"
)


class _Passing(RegistryAway):
    """The same request may succeed a moment later."""


class _Reference(msgspec.Struct):
    name: str
    subject: str
    version: int


class _Schema(msgspec.Struct):
    schema: str
    schema_type: str = msgspec.field(default="AVRO", name="schemaType")
    references: list[_Reference] = []


class _Error(msgspec.Struct):
    error_code: int
    message: str = ""


class _Known(NamedTuple):
    """What the registry said about one id."""

    found: AvroSchema | InvalidEvent
    until: float
    """When it is asked again, by the loop's clock."""


_decode_schema = msgspec.json.Decoder(_Schema).decode
_decode_error = msgspec.json.Decoder(_Error).decode


class Registry:
    """The client; it belongs to one event loop.

    No connection is kept: each schema is asked for once.
    """

    def __init__(self, settings: RegistrySettings, *, retry_seconds: float = RETRY_SECONDS) -> None:
        """Ask at ``[registry] url``, which is given, with its user name and password if any.

        Raises SettingsError where ``ca_file`` cannot be used.
        """
        assert settings.url is not None
        self.url = settings.url.rstrip("/")
        self._auth: httpx.BasicAuth | None = None
        if settings.username is not None and settings.password is not None:
            self._auth = httpx.BasicAuth(settings.username, settings.password.get_secret_value())
        self._tls = _ssl_context(settings.ca_file)
        self._retry_seconds = retry_seconds
        self._known: dict[int, _Known] = {}
        self._asking = asyncio.Lock()

    async def load(self, schema_id: int) -> None:
        """Ask for a schema unless it is known. Raises RegistryAway."""
        if self._is_known(schema_id):
            return
        async with self._asking:
            if self._is_known(schema_id):
                return
            until = float("inf")
            found: AvroSchema | InvalidEvent
            try:
                found = await self._ask(schema_id)
            except UnknownSchema as unknown:
                # It may be written to a registry's leader and not have reached its followers.
                found, until = unknown, asyncio.get_running_loop().time() + UNKNOWN_SECONDS
            except SchemaError as problem:
                found = misfit(f"schema {schema_id} cannot be used: {problem}")
            self._known[schema_id] = _Known(found, until)
            while len(self._known) > KEPT_SCHEMAS:
                del self._known[next(iter(self._known))]

    def schema(self, schema_id: int) -> AvroSchema:
        """Return a schema that was loaded.

        Raises UnknownSchema where the registry has none, InvalidEvent where it is of no use, and
        RegistryAway where it was not loaded.
        """
        known = self._known.get(schema_id)
        if known is None:
            raise self._away(f"schema {schema_id} was not asked for")
        found = known.found
        if isinstance(found, InvalidEvent):
            raise found
        return found

    def _is_known(self, schema_id: int) -> bool:
        known = self._known.get(schema_id)
        return known is not None and known.until > asyncio.get_running_loop().time()

    async def _ask(self, schema_id: int) -> AvroSchema:
        answer = await self._get(f"/schemas/ids/{schema_id}", schema_id)
        if answer.schema_type != "AVRO":
            raise SchemaError(f"it is of type {answer.schema_type}, not AVRO")
        references: dict[tuple[str, int], str] = {}
        await self._collect(answer.references, references, schema_id)
        return AvroSchema(answer.schema, list(references.values()))

    async def _collect(
        self, wanted: list[_Reference], found: dict[tuple[str, int], str], schema_id: int
    ) -> None:
        """Add the schemas that are referred to, each behind those that it refers to itself."""
        for reference in wanted:
            place = (reference.subject, reference.version)
            if place in found:
                continue
            path = f"/subjects/{quote(reference.subject, safe='')}/versions/{reference.version}"
            answer = await self._get(path, schema_id)
            if len(found) >= MAX_REFERENCES:
                raise SchemaError(f"it refers to more than {MAX_REFERENCES} schemas")
            # Entered first, so that two that refer to each other end.
            found[place] = ""
            await self._collect(answer.references, found, schema_id)
            del found[place]
            found[place] = answer.schema

    async def _get(self, path: str, schema_id: int) -> _Schema:
        for tried in range(1, TRIES + 1):
            try:
                return await self._get_once(path, schema_id)
            except RegistryAway as away:
                if not isinstance(away, _Passing) or tried == TRIES:
                    raise
            await asyncio.sleep(self._retry_seconds * 2 ** (tried - 1))
        raise AssertionError

    async def _get_once(self, path: str, schema_id: int) -> _Schema:
        body = bytearray()
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._client() as http,
                http.stream("GET", self.url + path) as r,
            ):
                async for part in r.aiter_bytes():
                    body += part
                    if len(body) > MAX_ANSWER_BYTES:
                        raise self._away(f"its answer has more than {MAX_ANSWER_BYTES:,} bytes")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            words = str(error).partition("\n")[0].rstrip(".") or "it does not answer in time"
            raise self._away(words, _Passing) from error
        if r.status_code == httpx.codes.OK:
            try:
                return _decode_schema(body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise self._away(_NO_REGISTRY) from None
        if r.status_code == httpx.codes.NOT_FOUND and _is_registrys_own(body):
            raise UnknownSchema(f"the schema registry has no schema with id {schema_id}")
        if r.status_code in _REFUSED:
            raise self._away(f"status {r.status_code}, {_REFUSED[r.status_code]}")
        if r.status_code == httpx.codes.TOO_MANY_REQUESTS or r.is_server_error:
            raise self._away(f"status {r.status_code}", _Passing)
        raise self._away(f"status {r.status_code}, {_NO_REGISTRY}")

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            auth=self._auth,
            headers=_HEADERS,
            timeout=ANSWER_SECONDS,
            trust_env=False,
            verify=self._tls,
        )

    def _away(self, why: str, kind: type[RegistryAway] = RegistryAway) -> RegistryAway:
        return kind(f"The schema registry at {self.url} gives no schemas: {why}.")


def _is_registrys_own(body: bytes | bytearray) -> bool:
    """Return whether an error is the registry's, and not a proxy's or that of a wrong path."""
    try:
        _decode_error(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _ssl_context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError among them
            raise SettingsError(
                [f"STREAMS_REGISTRY_CA_FILE: {ca_file} cannot be used: {error.strerror or error}."]
            ) from error
    return context
