"""Who may see and change what: token, sessions, hosts, origins, and headers."""

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from streams.core.errors import SettingsError, SetupError
from streams.settings import is_loopback
from streams.web.login import STYLE_HASH, login_page
from streams.web.session import SESSION_SECONDS, LoginThrottle, Sessions

log = logging.getLogger("streams.web")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES = 16 * 1024
BODY_SECONDS = 10.0
"""So long a request's body may take to come."""
MAX_DELAYED = 50
"""Wrong tries whose answers wait at the same time; more are answered at once."""
CHANGE_HEADER = "X-Streams-Change"
"""A page of another origin cannot send it without being asked first, and is then refused."""
_METHODS = ("GET", "HEAD", "POST")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_LOGIN_POLICY = (
    f"default-src 'none'; style-src '{STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "streams",
}


class Authentication:
    """One worker's door; ``middleware`` is aiohttp's."""

    def __init__(
        self,
        token: str | None,
        host: str,
        wall: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        metrics_token: str | None = None,
    ) -> None:
        """Take the seams; ``wall`` returns seconds since the epoch.

        ``metrics_token`` reads ``/metrics`` and nothing else.
        """
        self._metrics_token = metrics_token
        self._sessions = None if token is None else Sessions(token)
        self._names = {"localhost", "127.0.0.1", "[::1]", host.lower(), f"[{host.lower()}]"}
        self._is_local = is_loopback(host)
        self._wall = wall
        self._sleep = sleep
        self._throttle = LoginThrottle()
        self._delayed = 0

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Take the form; a right token begins a session."""
        if self._sessions is None:
            return refusal(404, "There is no token, so there is no login.")
        given = (await request.post()).get("token")
        if not isinstance(given, str) or not self._sessions.is_token(given.strip()):
            may_answer = await self._delay(request)
            return _form("That is not the token.") if may_answer else _form(_TOO_MANY, 429)
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            self._sessions.cookie,
            self._sessions.begin(self._wall()),
            max_age=SESSION_SECONDS,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        return response

    async def logout(self, request: web.Request) -> web.StreamResponse:
        """End the session."""
        response = web.Response(status=303, headers={"Location": "/"})
        if self._sessions is not None:
            name = self._sessions.cookie
            self._sessions.end(request.cookies.get(name, ""), self._wall())
            response.del_cookie(name, path="/", httponly=True, samesite="Strict")
        return response

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Stand before every page: refuse, or let it answer, and say what went wrong."""
        try:
            refused = await self._refuse(request)
            if refused is None and request.method == "POST":
                refused = await _read_body(request)
            return await handler(request) if refused is None else refused
        except web.HTTPException as error:
            words = {404: "There is no such page.", 413: _TOO_LARGE, 405: _NO_METHOD}
            answer = refusal(error.status, words.get(error.status, error.reason))
            if "Allow" in error.headers:
                answer.headers["Allow"] = error.headers["Allow"]
            return answer
        except SettingsError as error:
            return refusal(400, " ".join(error.problems))
        except SetupError as error:
            return refusal(503, str(error))
        except (ConnectionError, TimeoutError) as error:
            return refusal(503, f"The answer did not come: {error!r}")
        except Exception:
            log.exception("a page failed")
            return refusal(500, "This page failed; the worker's log says why.")

    async def _delay(self, request: web.Request) -> bool:
        """Let the answer to a wrong try wait; return False where too many wait already."""
        seconds = self._throttle.was_wrong(request.remote or "", self._wall())
        if not seconds:
            return True
        if self._delayed >= MAX_DELAYED:
            return False
        self._delayed += 1
        try:
            await self._sleep(seconds)
        finally:
            self._delayed -= 1
        return True

    async def _refuse(self, request: web.Request) -> web.StreamResponse | None:
        """Return why this request gets no answer of its own, or None."""
        if request.path.startswith("/health/") and request.method in ("GET", "HEAD"):
            return None
        if request.method not in _METHODS:
            answer = refusal(405, _NO_METHOD)
            answer.headers["Allow"] = ", ".join(_METHODS)
            return answer
        if self._sessions is None and not self._is_own_name(request):
            return refusal(403, "This page is to be asked for by localhost or 127.0.0.1 only.")
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return refusal(413, _TOO_LARGE)
        if _is_foreign(request):
            return refusal(403, "Another site's page may not ask for this.")
        return await self._refuse_unknown(request)

    async def _refuse_unknown(self, request: web.Request) -> web.StreamResponse | None:
        changes = request.method == "POST"
        if self._sessions is None:
            if changes:
                return refusal(403, "Set STREAMS_WEB_TOKEN to change anything from here.")
            return None
        if self._sessions.holds(request.cookies.get(self._sessions.cookie, ""), self._wall()):
            if (
                changes
                and request.path.startswith("/api/")
                and CHANGE_HEADER not in request.headers
            ):
                return refusal(403, f"The header {CHANGE_HEADER} is missing.")
            return None
        given = request.headers.get("Authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            if scheme.lower() == "bearer" and self._may_read(request, token.strip()):
                return None
            if not await self._delay(request):
                return refusal(429, _TOO_MANY)
        elif changes and request.path in ("/login", "/logout"):
            return None
        if request.path == "/":
            return _form("")
        answer = refusal(401, "The token is missing or wrong.")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    def _may_read(self, request: web.Request, token: str) -> bool:
        """Return whether this token opens this page."""
        assert self._sessions is not None
        if self._sessions.is_token(token):
            return True
        wanted = self._metrics_token
        if wanted is None or request.path != "/metrics" or request.method == "POST":
            return False
        return hmac.compare_digest(wanted.encode(), token.encode())

    def _is_own_name(self, request: web.Request) -> bool:
        """Return whether it was asked for by a name of this machine, not by a rebound one."""
        name, bracket, _ = request.headers.get("Host", "").lower().partition("]")
        name = f"{name}]" if bracket else name.partition(":")[0]
        return not self._is_local or name in self._names


def protect(response: web.StreamResponse) -> None:
    """Set the headers that every answer has."""
    response.headers.update(_HEADERS)
    response.headers.setdefault("Content-Security-Policy", _POLICY)


def refusal(status: int, sentence: str) -> web.Response:
    """Return an error as JSON, one plain sentence."""
    return web.Response(
        status=status, text=json.dumps({"error": sentence}), content_type="application/json"
    )


_TOO_LARGE = f"At most {MAX_BODY_BYTES:,} bytes can be sent here."
_NO_METHOD = "This page does not take this method."
_TOO_MANY = "Too many wrong tokens are being tried here."


def _form(problem: str, status: int = 401) -> web.Response:
    return web.Response(
        status=status,
        text=login_page(problem),
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": _LOGIN_POLICY},
    )


def _is_foreign(request: web.Request) -> bool:
    """Return whether a browser says that another site's page asks.

    Links from elsewhere may open the page itself; nothing else, and nothing may be changed so.
    """
    site = request.headers.get("Sec-Fetch-Site")
    opens = request.method != "POST" and request.headers.get("Sec-Fetch-Mode") == "navigate"
    if site is not None:
        return site not in ("same-origin", "none") and not (opens and request.path == "/")
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    return urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower()


async def _read_body(request: web.Request) -> web.StreamResponse | None:
    """Read a request's body, which the handlers find read; return why it is refused, or None."""
    if request.content_type.startswith("multipart/"):
        return refusal(415, "Send the form's fields, or JSON.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            await request.read()
    except TimeoutError:
        answer = refusal(408, f"The request did not come whole within {BODY_SECONDS:.0f} s.")
        answer.force_close()
        return answer
    return None
