"""Replays and resends begun from the page: what is asked, and the process that does it."""

import asyncio
import re
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from typer.main import get_command

from streams.cli import app
from streams.core.errors import SettingsError
from streams.core.runs import Asked
from streams.web.run_process import RunCommand, RunRequest, asked_of
from streams.web.runs import COMMAND, RunCommandError, RunPage, RunProcesses
from tests.kafka.pipeline import until
from tests.web.scenes import TOKEN, calm, now_ms, scene

NOW = 1_800_000_000_000
HOUR = 3_600_000


def test_a_window_ends_now_at_the_latest() -> None:
    """As in the terminal; what to leave out is read the same way, too."""
    request = RunRequest(
        "replay", "miso", NOW - HOUR, NOW + HOUR, ("dead_lettered",), "anna", "SKU-1", 5.0, True
    )
    assert asked_of(request, NOW) == Asked(
        "replay", NOW - HOUR, NOW, ("dead_lettered",), "anna", "SKU-1", again=True, rate=5.0
    )


def test_a_resend_is_about_one_cause() -> None:
    """Of those letters that were shown."""
    request = RunRequest("resend", "miso", fingerprint="h7k2mnpq", since_ms=NOW - HOUR)
    assert asked_of(request, NOW) == Asked(
        "resend", owner="miso", fingerprint="h7k2mnpq", since_ms=NOW - HOUR
    )


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (RunRequest("replay", "miso"), "--from and --to: both are needed."),
        (RunRequest("replay", "miso", NOW + 1, NOW + 2), "--from: must be before --to"),
        (RunRequest("replay", "miso", -1, NOW), "--from: must be before --to"),
        (RunRequest("replay", "miso", 1, NOW, ("sent",)), '--only: "sent"'),
        (RunRequest("replay", "miso", 1, NOW, rate=0.0), "--rate: must be at least 0.001"),
        (RunRequest("replay", "miso", 1, NOW, visitor=" "), "--visitor: must not be empty."),
    ],
)
def test_what_cannot_be_meant_is_said(request_: RunRequest, words: str) -> None:
    """Before a broker is asked."""
    with pytest.raises(SettingsError) as caught:
        asked_of(request_, NOW)
    assert words in str(caught.value)


@pytest.mark.parametrize("option", ["to", "visitor", "sku", "rate", "again"])
def test_the_page_explains_an_option_as_the_terminal_does(option: str) -> None:
    """In the same sentence."""
    page = resources.files("streams.web").joinpath("assets/dashboard.html").read_text("utf-8")
    titles = dict(re.findall(r'id="replay-(\w+)"[^>]* title="([^"]+)"', page))
    command: Any = get_command(app).commands["replay"]  # type: ignore[attr-defined]
    helps = {each.opts[0].removeprefix("--"): each.help for each in command.params}
    assert titles[option] == helps[option]


def code(text: str) -> tuple[str, ...]:
    """A command that does this in its place."""
    return (sys.executable, "-c", text)


async def done(asked: RunCommand, command: tuple[str, ...] = COMMAND) -> dict[str, Any]:
    """The answer, once the process has ended, too."""
    processes = RunProcesses(command)
    try:
        return await processes.do(asked)
    finally:
        await asyncio.gather(*processes._ended)


async def test_the_process_gets_the_command_and_its_first_line_is_the_answer() -> None:
    """It is not waited for beyond that."""
    echo = code("import sys; print(sys.stdin.read(), flush=True); print('later')")
    answer = await done(RunCommand("start", RunRequest("resend", "miso")), echo)
    assert answer == {"do": "start", "asked": {"command": "resend", "vendor": "miso"}}


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("""print('{"error": "Another run has Miso."}')""", "Another run has Miso."),
        ("raise SystemExit(3)", "ended without an answer. See the worker's log."),
    ],
)
async def test_a_process_that_fails_has_its_sentence(program: str, words: str) -> None:
    """Its own words, or where to look."""
    with pytest.raises(RunCommandError, match=words):
        await done(RunCommand("resume", run_id="r-20260501-080000-ab12"), code(program))


async def test_without_settings_the_real_process_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process of the page itself, up to where it would need a broker."""
    monkeypatch.setenv("STREAMS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.delenv("STREAMS_MISO_API_KEY", raising=False)
    request = RunRequest("replay", "miso", 1_000, 2_000)
    with pytest.raises(RunCommandError, match="Miso is off; switch it on"):
        await done(RunCommand("preview", request))


async def test_a_preview_that_nobody_waits_for_any_longer_ends_its_process(tmp_path: Path) -> None:
    """Cancelled on the page: the process is killed, and the next preview is not turned away."""
    began = tmp_path / "began"
    slow = (
        "import os, pathlib, sys, time; asked = sys.stdin.read()\n"
        f"began = pathlib.Path({str(began)!r})\n"
        "if began.exists(): print('{}')\n"
        "else: began.write_text(str(os.getpid())); time.sleep(600)"
    )
    processes = RunProcesses(code(slow))
    pages = [web.post("/api/replays/preview", RunPage(processes.do).preview)]
    body = {"command": "replay", "vendor": "miso"}
    key = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        scene(calm(now_ms()), token=TOKEN, pages=pages) as shown,
        TestClient(shown.server) as client,
    ):
        waiting = asyncio.ensure_future(client.post("/api/replays/preview", json=body, headers=key))
        await until(lambda: began.exists() and bool(began.read_text()), 30, "the first preview")
        waiting.cancel()
        again = await client.post("/api/replays/preview", json=body, headers=key)
        assert (again.status, await again.json()) == (200, {})
        await asyncio.wait_for(asyncio.gather(*processes._ended), 30)


async def test_previews_and_runs_need_the_token_and_say_what_they_do() -> None:
    """POST only; who reads a refusal knows what to do."""
    asked: list[RunCommand] = []

    async def do(command: RunCommand) -> dict[str, Any]:
        asked.append(command)
        if command.do == "stop":
            raise RunCommandError("Run r-20260501-080000-ab12 is done: there is nothing to stop.")
        return {"run_id": "r-20260501-080000-ab12"}

    runs = RunPage(do)
    pages = [
        web.post("/api/replays/preview", runs.preview),
        web.post("/api/replays/start", runs.start),
        web.post("/api/replays/{run_id}/stop", runs.stop),
    ]
    async with (
        scene(calm(now_ms()), token=TOKEN, pages=pages) as shown,
        TestClient(shown.server) as client,
    ):
        body = {"command": "resend", "vendor": "miso", "fingerprint": "h7k2mnpq"}
        bare = await client.post("/api/replays/start", json=body)
        assert (bare.status, asked) == (401, [])
        key = {"Authorization": f"Bearer {TOKEN}"}
        begun = await client.post("/api/replays/start", json=body, headers=key)
        assert await begun.json() == {"run_id": "r-20260501-080000-ab12"}
        assert asked == [RunCommand("start", RunRequest("resend", "miso", fingerprint="h7k2mnpq"))]
        odd = await client.post("/api/replays/preview", json=body | {"shell": "rm"}, headers=key)
        assert (odd.status, len(asked)) == (400, 1)
        ended = await client.post("/api/replays/r-20260501-080000-ab12/stop", json={}, headers=key)
        assert ended.status == 409
        assert (await ended.json())["error"].endswith("there is nothing to stop.")
        nothing = await client.post("/api/replays/r-1/stop", json={}, headers=key)
        assert (nothing.status, await nothing.json()) == (400, {"error": "r-1 is not a run id."})
