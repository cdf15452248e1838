"""A schema registry built from the documents of Confluent's API: schemas in memory, and faults.

What registers, reads and refuses is compared with a real registry in ``tests/registry``.
"""

import asyncio
import json
import ssl
from base64 import b64encode
from typing import Any

from aiohttp import web

from streams.core.errors import SetupError

PAGE = "<html><head><title>Sign in</title></head><body>Sign in to continue</body></html>"


class RegistrySimulator:
    """One registry on loopback; in-process callers read ``requests`` and set ``fault``."""

    def __init__(
        self,
        port: int = 0,
        *,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Port 0 takes a free one; ``login`` is the user name and password that it asks for."""
        self.fault: str | None = None
        """``html``, ``hang``, or the status of every answer; None: it works."""
        self.requests: list[str] = []
        """Paths in the order of the requests."""
        self._port = port
        self._login = (
            None if login is None else f"Basic {b64encode(':'.join(login).encode()).decode()}"
        )
        self._tls = tls
        self._schemas: list[dict[str, Any]] = []
        self._subjects: dict[str, list[int]] = {}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """What ``[registry] url`` is set to."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}"

    def add(
        self,
        subject: str,
        schema: Any,
        references: list[dict[str, Any]] | None = None,
        *,
        kind: str = "AVRO",
    ) -> int:
        """Register a schema as the subject's next version; return its id."""
        return self._store(subject, json.dumps(schema), references, kind)

    def _store(
        self, subject: str, text: str, references: list[dict[str, Any]] | None, kind: str
    ) -> int:
        entry: dict[str, Any] = {"schema": text}
        if kind != "AVRO":
            entry["schemaType"] = kind
        if references:
            entry["references"] = references
        if entry not in self._schemas:
            self._schemas.append(entry)
        schema_id = self._schemas.index(entry) + 1
        versions = self._subjects.setdefault(subject, [])
        if schema_id not in versions:
            versions.append(schema_id)
        return schema_id

    async def start(self) -> None:
        """Listen. Raises SetupError if the port is taken."""
        app = web.Application()
        app.add_routes(
            [
                web.post("/subjects/{subject}/versions", self._register),
                web.get("/subjects/{subject}/versions/{version}", self._version),
                web.get("/schemas/ids/{id}", self._by_id),
            ]
        )
        app.middlewares.append(self._breaker)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port, ssl_context=self._tls).start()
        except OSError as error:
            await runner.cleanup()
            raise SetupError(f"The registry cannot listen on port {self._port}.") from error
        self._runner, self._port = runner, runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening; ``start`` listens on the same port again."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _breaker(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(request.path)
        if self.fault == "hang":
            await asyncio.sleep(3600)
        if self.fault == "html":
            return web.Response(text=PAGE, content_type="text/html")
        if self.fault is not None:
            return web.Response(status=int(self.fault), text=PAGE, content_type="text/html")
        if self._login is not None and request.headers.get("Authorization") != self._login:
            return _error(401, 401, "Unauthorized")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _register(self, request: web.Request) -> web.Response:
        asked = await request.json()
        subject, kind = request.match_info["subject"], asked.get("schemaType", "AVRO")
        schema_id = self._store(subject, asked["schema"], asked.get("references"), kind)
        return web.json_response({"id": schema_id})

    async def _by_id(self, request: web.Request) -> web.Response:
        schema_id = int(request.match_info["id"])
        if not 0 < schema_id <= len(self._schemas):
            return _error(404, 40403, f"Schema {schema_id} not found.")
        return web.json_response(self._schemas[schema_id - 1])

    async def _version(self, request: web.Request) -> web.Response:
        subject, version = request.match_info["subject"], int(request.match_info["version"])
        if subject not in self._subjects:
            return _error(404, 40401, f"Subject '{subject}' not found.")
        ids = self._subjects[subject]
        if not 0 < version <= len(ids):
            return _error(404, 40402, f"Version {version} not found.")
        schema_id = ids[version - 1]
        known = {"subject": subject, "version": version, "id": schema_id}
        return web.json_response(known | self._schemas[schema_id - 1])


def _error(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"error_code": code, "message": message}, status=status)
