"""Replays and resends begun from the page: preview, start, resume, stop (POST, so with the token).

Each is done by a process of its own (``run_process.py``) with the worker's settings.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from streams.core.errors import SettingsError
from streams.core.runs import RUN_ID
from streams.web.authentication import refusal
from streams.web.run_process import RunCommand, RunRequest

COMMAND = (sys.executable, "-m", "streams.web.run_process")
ANSWER_SECONDS = 180.0
"""So long a preview, and what is read before a run begins, may take."""
MAX_ANSWER_BYTES = 1024 * 1024
WAIT_SECONDS = 2.0
"""So long a new preview waits for the one before it to end."""
LISTENING_SECONDS = 0.25
"""How often it is looked whether a preview's client is still there."""

Do = Callable[[RunCommand], Awaitable[dict[str, Any]]]


class RunCommandError(Exception):
    """The process said why it could not; the message is a sentence."""


class RunPage:
    """The handlers; ``do`` is how a command is done."""

    def __init__(self, do: Do) -> None:
        self._do = do
        self._one_preview = asyncio.Lock()

    async def preview(self, request: web.Request) -> web.StreamResponse:
        """Return what would be sent, in the terminal's words, and the question it asks."""
        command = RunCommand("preview", _asked(await request.read()))
        try:
            # Who cancels a preview and asks for another one must not be told to wait.
            await asyncio.wait_for(self._one_preview.acquire(), WAIT_SECONDS)
        except TimeoutError:
            return refusal(429, "Another preview is running. Try again in a moment.")
        try:
            return await _while_listening(request, self._answer(command))
        finally:
            self._one_preview.release()

    async def start(self, request: web.Request) -> web.StreamResponse:
        """Begin what was previewed; return the run's id."""
        return await self._answer(RunCommand("start", _asked(await request.read())))

    async def resume(self, request: web.Request) -> web.StreamResponse:
        """Go on with a run whose process has ended."""
        return await self._answer(RunCommand("resume", run_id=_run_id(request)))

    async def stop(self, request: web.Request) -> web.StreamResponse:
        """Stop a run for good."""
        return await self._answer(RunCommand("stop", run_id=_run_id(request)))

    async def _answer(self, command: RunCommand) -> web.StreamResponse:
        try:
            said = await self._do(command)
        except RunCommandError as error:
            return refusal(409, str(error))
        return web.json_response(body=msgspec.json.encode(said))


async def _while_listening(
    request: web.Request, answer: Coroutine[Any, Any, web.StreamResponse]
) -> web.StreamResponse:
    """Return the answer; it is cancelled, its process with it, once its client has gone."""
    answering = asyncio.ensure_future(answer)
    try:
        while request.transport is not None and not answering.done():
            await asyncio.wait([answering], timeout=LISTENING_SECONDS)
        if answering.done():
            return answering.result()
        return refusal(499, "The preview was cancelled.")
    finally:
        answering.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await answering


class RunProcesses:
    """Does commands by processes that are waited for, however long they go on."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._ended: set[asyncio.Task[int]] = set()

    async def do(self, command: RunCommand) -> dict[str, Any]:
        """Return what the process answers; a run goes on behind its answer.

        Raises RunCommandError with its sentence, or where it gave no answer in time.
        """
        # A session of its own: Ctrl-C at the worker's terminal does not interrupt a run.
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_ANSWER_BYTES,
            start_new_session=True,
        )
        ended = asyncio.create_task(process.wait())
        self._ended.add(ended)
        ended.add_done_callback(self._ended.discard)
        assert process.stdin is not None
        assert process.stdout is not None
        line = b""
        try:
            process.stdin.write(msgspec.json.encode(command))
            process.stdin.write_eof()
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError:
            raise RunCommandError(_too_long(command)) from None
        finally:
            # Nobody waits for a preview without an answer; a run is only stopped on purpose.
            if not line and command.do == "preview" and process.returncode is None:
                process.kill()
        if not line:
            words = "The process ended without an answer. See the worker's log."
            raise RunCommandError(words)
        said: dict[str, Any] = msgspec.json.decode(line)
        if "error" in said:
            raise RunCommandError(said["error"])
        return said


def _too_long(command: RunCommand) -> str:
    if command.do == "preview":
        return (
            f"The preview took more than {ANSWER_SECONDS:.0f} s. Choose a shorter window, or use "
            "`streams replay --preview` in the terminal."
        )
    return f"No answer within {ANSWER_SECONDS:.0f} s. Check the list of runs."


def _asked(body: bytes) -> RunRequest:
    try:
        return msgspec.json.decode(body, type=RunRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"The request cannot be read: {error}."]) from None


def _run_id(request: web.Request) -> str:
    run_id = request.match_info["run_id"]
    if not RUN_ID.fullmatch(run_id):
        raise SettingsError([f"{run_id[:40]} is not a run id."])
    return run_id
