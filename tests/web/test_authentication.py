"""Who may see and change what: every way in that is open, and those that are shut."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from streams.web import session
from streams.web.authentication import MAX_DELAYED
from streams.web.session import MAX_DELAY_SECONDS, SESSION_SECONDS, TRIES, LoginThrottle, Sessions
from tests.web.scenes import TOKEN, Scene, calm, now_ms, scene

BEARER = {"Authorization": f"Bearer {TOKEN}"}
SAME = {"Sec-Fetch-Site": "same-origin"}
CHANGE = {**SAME, "X-Streams-Change": "1"}


@pytest.fixture
async def open_view() -> AsyncIterator[Scene]:
    """A web view without a token."""
    async with scene(calm(now_ms())) as found:
        yield found


@pytest.fixture
async def locked() -> AsyncIterator[Scene]:
    """A web view with a token."""
    async with scene(calm(now_ms()), token=TOKEN) as found:
        yield found


async def ask(
    found: Scene,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    data: Any = None,
    jar: aiohttp.abc.AbstractCookieJar | None = None,
) -> tuple[int, Mapping[str, str], str]:
    """Return status, headers and body; redirects are not followed."""
    async with (
        aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar() if jar is None else jar
        ) as client,
        client.request(
            method, found.url + path, headers=headers, data=data, allow_redirects=False
        ) as answer,
    ):
        return answer.status, answer.headers, await answer.text()


async def status(
    found: Scene, method: str, path: str, headers: Mapping[str, str] | None = None, data: Any = None
) -> int:
    """Return the status alone."""
    return (await ask(found, method, path, headers, data))[0]


async def logged_in(found: Scene) -> aiohttp.CookieJar:
    """Return the cookies of a new session."""
    jar = aiohttp.CookieJar(unsafe=True)
    code, headers, _ = await ask(found, "POST", "/login", SAME, {"token": TOKEN}, jar)
    assert (code, headers["Location"]) == (303, "/")
    return jar


async def test_without_a_token_everything_is_read_and_nothing_changed(open_view: Scene) -> None:
    """On loopback only, by its own names only."""
    assert await status(open_view, "GET", "/") == 200
    assert await status(open_view, "GET", "/api/pipeline") == 200
    for path in ("/api/vendors/miso/pause", "/api/vendors/miso/resume", "/login", "/logout"):
        code, _, body = await ask(open_view, "POST", path, CHANGE, "{}")
        assert code == 403
        assert "STREAMS_WEB_TOKEN" in json.loads(body)["error"]
    assert open_view.paused == []


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost:6066", 200),
        ("127.0.0.1", 200),
        ("[::1]:6066", 200),
        ("LOCALHOST", 200),
        ("evil.example", 403),
        ("localhost.evil.example:6066", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
    ],
)
async def test_a_rebound_name_sees_nothing(open_view: Scene, host: str, code: int) -> None:
    """A page whose name was pointed at this machine gets nothing of it."""
    assert await status(open_view, "GET", "/api/pipeline", {"Host": host}) == code


async def test_with_a_token_each_page_asks_for_it(locked: Scene) -> None:
    """`/` by the form, the rest by 401, whatever exists."""
    code, headers, body = await ask(locked, "GET", "/")
    assert code == 401
    assert '<form method="post" action="/login">' in body
    assert TOKEN not in body
    assert "script" not in headers["Content-Security-Policy"]
    for page in locked.site.all_pages():
        if page.path not in ("/", "/login", "/logout"):
            path = page.path.replace("{vendor}", "miso")
            assert await status(locked, page.method, path, CHANGE) == 401, page.path
    assert await status(locked, "GET", "/no-such-page") == 401
    assert await status(locked, "GET", f"/?token={TOKEN}") == 401
    assert await status(locked, "GET", "/api/pipeline", {"Authorization": "Bearer no"}) == 401
    assert await status(locked, "GET", "/api/pipeline", {"Authorization": f"Basic {TOKEN}"}) == 401
    assert await status(locked, "GET", "/api/pipeline", BEARER) == 200


async def test_a_session_is_a_cookie_that_is_no_token(locked: Scene) -> None:
    """HttpOnly, for this site alone, with an end; logging out ends it."""
    code, headers, _ = await ask(locked, "POST", "/login", SAME, {"token": TOKEN})
    assert code == 303
    cookie = headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={SESSION_SECONDS}"):
        assert part in cookie
    assert TOKEN not in cookie

    jar = await logged_in(locked)
    kept = "; ".join(f"{c.key}={c.value}" for c in jar)
    assert await status(locked, "GET", "/", {"Cookie": kept}) == 200
    assert (await ask(locked, "POST", "/logout", {**SAME, "Cookie": kept}))[0] == 303
    assert await status(locked, "GET", "/api/pipeline", {"Cookie": kept}) == 401


async def test_a_session_changes_only_what_its_own_page_asks_for(locked: Scene) -> None:
    """Not what another site's page sends in its name, however it does that."""
    jar = await logged_in(locked)
    kept = {"Cookie": "; ".join(f"{c.key}={c.value}" for c in jar)}
    path = "/api/vendors/miso/pause"
    own = f"http://127.0.0.1:{locked.server.port}"
    refused = [
        kept,
        {**kept, **SAME},
        {**kept, "X-Streams-Change": "1", "Sec-Fetch-Site": "cross-site"},
        {**kept, "X-Streams-Change": "1", "Sec-Fetch-Site": "same-site"},
        {**kept, "X-Streams-Change": "1", "Origin": "https://evil.example"},
        {**kept, "X-Streams-Change": "1", "Origin": "null"},
        {**kept, "X-Streams-Change": "1", "Origin": f"{own}.evil.example"},
    ]
    for headers in refused:
        assert await status(locked, "POST", path, headers, "{}") == 403, headers
    assert locked.paused == []
    assert await status(locked, "POST", path, {**kept, **CHANGE}, "{}") == 200
    with_origin = {**kept, "X-Streams-Change": "1", "Origin": own}
    assert await status(locked, "POST", path.replace("pause", "resume"), with_origin) == 200
    assert await status(locked, "POST", path, BEARER) == 200
    assert locked.paused == [("miso", True), ("miso", False), ("miso", True)]
    assert await status(locked, "POST", "/api/vendors/nobody/pause", BEARER) == 404


async def test_another_site_may_link_here_and_do_nothing_else(locked: Scene) -> None:
    """A link opens the page; scripts and frames of others get nothing."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert await status(locked, "GET", "/", link) == 401
    assert await status(locked, "GET", "/api/pipeline", {**BEARER, **link}) == 403
    foreign = {**BEARER, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert await status(locked, "GET", "/api/pipeline", foreign) == 403


async def test_wrong_tokens_wait_and_the_right_one_never_does(locked: Scene) -> None:
    """Behind a proxy everybody has one address: nobody may shut out who knows the token."""
    for _ in range(TRIES + 2):
        code, _, body = await ask(locked, "POST", "/login", SAME, {"token": "wrong"})
        assert (code, "That is not the token." in body) == (401, True)
    assert [round(seconds) for seconds in locked.delays] == [1, 2]
    for _ in range(20):
        assert await status(locked, "GET", "/api/pipeline", {"Authorization": "Bearer no"}) == 401
    assert max(locked.delays) == MAX_DELAY_SECONDS
    waits = len(locked.delays)
    assert (await ask(locked, "POST", "/login", SAME, {"token": TOKEN}))[0] == 303
    assert await status(locked, "GET", "/api/pipeline", BEARER) == 200
    assert len(locked.delays) == waits


async def test_only_so_many_wrong_tokens_wait_at_once() -> None:
    """Those that wait hold connections; more of them are answered at once."""
    asleep, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def sleep(_seconds: float) -> None:
        asleep.release()
        await go_on.wait()

    async with scene(calm(now_ms()), token=TOKEN) as found:
        found.site.guard._sleep = sleep
        wrong = {"Authorization": "Bearer no"}
        for _ in range(TRIES):
            assert await status(found, "GET", "/", wrong) == 401
        waiting = [
            asyncio.create_task(status(found, "GET", "/", wrong)) for _ in range(MAX_DELAYED)
        ]
        for _ in waiting:
            await asleep.acquire()
        assert await status(found, "GET", "/", wrong) == 429
        assert await status(found, "GET", "/", BEARER) == 200
        go_on.set()
        assert await asyncio.gather(*waiting) == [401] * MAX_DELAYED


def test_patience_comes_back_with_time_and_is_each_addresses_own() -> None:
    """The first five are free; each counts for ten seconds, and no answer waits for ever."""
    patience = LoginThrottle()
    assert [patience.was_wrong("a", 0.0) for _ in range(TRIES + 2)] == [0, 0, 0, 0, 0, 1, 2]
    assert patience.was_wrong("b", 0.0) == 0.0
    assert patience.was_wrong("a", 20.0) == 1.0
    assert patience.was_wrong("a", 1_000.0) == 0.0
    assert max(patience.was_wrong("a", 1_000.0) for _ in range(100)) == MAX_DELAY_SECONDS


def test_a_session_that_was_ended_stays_ended_however_many_others_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is to be remembered is bounded; beyond it older sessions end, and none comes back."""
    monkeypatch.setattr(session, "MAX_ENDED", 100)
    sessions = Sessions(TOKEN)
    ended, older = sessions.begin(1_000.0), sessions.begin(1_000.0)
    sessions.end(ended, 1_000.0)
    for _ in range(5_000):
        sessions.end(f"{1_000 + SESSION_SECONDS}.made-up.0", 1_001.0)
    assert sessions.holds(older, 1_001.0)
    for _ in range(5_000):
        sessions.end(sessions.begin(1_001.0), 1_001.0)
    later = sessions.begin(1_002.0)
    assert [sessions.holds(one, 1_002.0) for one in (ended, older, later)] == [False, False, True]
    assert len(sessions._ended) <= 100


def test_sessions_end_and_cannot_be_made_up() -> None:
    """By time, by a changed token, by a changed character."""
    sessions = Sessions(TOKEN)
    value = sessions.begin(1_000.0)
    assert sessions.holds(value, 1_000.0)
    assert sessions.holds(value, 999.0 + SESSION_SECONDS)
    assert not sessions.holds(value, 1_000.0 + SESSION_SECONDS)
    assert not Sessions("another-token").holds(value, 1_000.0)
    assert Sessions(TOKEN).holds(value, 1_000.0)
    until, nonce, signature = value.split(".")
    forged = [
        f"{int(until) + 1}.{nonce}.{signature}",
        "",
        ".",
        "..",
        "a.b.c",
        f"{value}x",
        "\udcff",
    ]
    assert [one for one in forged if sessions.holds(one, 1_000.0)] == []


@pytest.mark.parametrize("path", ["/", "/assets/dashboard.js", "/api/pipeline", "/nothing"])
async def test_every_answer_has_the_headers(open_view: Scene, path: str) -> None:
    """Errors too; nothing from elsewhere, nothing kept, nothing framed, nothing guessed."""
    _, headers, _ = await ask(open_view, "GET", path)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "streams"


async def test_methods_and_sizes_are_bounded(locked: Scene) -> None:
    """What no page takes is refused as JSON, and nobody's gigabyte is read."""
    assert await status(locked, "HEAD", "/api/pipeline", BEARER) == 200
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        code, headers, body = await ask(locked, method, "/api/pipeline", BEARER)
        assert (code, headers["Allow"]) == (405, "GET, HEAD, POST"), method
        assert json.loads(body)["error"]
    assert await status(locked, "BREW", "/api/pipeline", BEARER) in (400, 405)
    assert await status(locked, "POST", "/api/pipeline", BEARER) == 405
    assert await status(locked, "POST", "/login", SAME, b"x" * 20_000) == 413

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    try:
        code = await status(locked, "POST", "/login", SAME, endless())
    except aiohttp.ClientError:
        code = 413  # it hung up before all was sent
    assert code in (401, 413)


async def test_no_page_is_kept_alive_by_a_broken_request(open_view: Scene) -> None:
    """Bytes that are no HTTP are answered with 400 and change nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", open_view.server.port)
    writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
    answer = await reader.read(64)
    writer.close()
    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert await status(open_view, "GET", "/api/pipeline") == 200


async def test_a_page_that_fails_says_so_and_shows_nothing_of_it(open_view: Scene) -> None:
    """No traceback, no path of a file."""
    open_view.site.dashboard.current = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    code, _, body = await ask(open_view, "GET", "/api/pipeline")
    assert code == 500
    assert json.loads(body) == {"error": "This page failed; the worker's log says why."}


async def test_the_token_for_metrics_reads_metrics_and_nothing_else() -> None:
    """Prometheus needs no more; the token that may do everything reads them, too."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text="streams_up 1")

    pages = [web.get("/metrics", metrics)]
    async with scene(
        calm(now_ms()), token=TOKEN, metrics_token="metrics-token", pages=pages
    ) as found:
        scraper = {"Authorization": "Bearer metrics-token"}
        assert await ask_body(found, "/metrics", scraper) == "streams_up 1"
        assert await ask_body(found, "/metrics", BEARER) == "streams_up 1"
        for page in found.site.all_pages():
            if page.path not in ("/metrics", "/", "/login", "/logout"):
                path = page.path.replace("{vendor}", "miso")
                headers = {**CHANGE, **scraper}
                assert await status(found, page.method, path, headers) == 401, page.path
        assert await status(found, "GET", "/", scraper) == 401
        assert await status(found, "POST", "/login", SAME, {"token": "metrics-token"}) == 401


async def ask_body(found: Scene, path: str, headers: Mapping[str, str]) -> str:
    """Return the body of a page that is answered with 200."""
    code, _, body = await ask(found, "GET", path, headers)
    assert code == 200
    return body
