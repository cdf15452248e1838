"""The process of its own in which the page's previews and runs are done.

``python -m streams.web.run_process`` reads one JSON object from stdin and writes one to stdout:
a preview, the id of the run that it has begun or ended, or ``{"error": sentence}``. A preview may
read millions of rows and a run takes hours: neither may take memory or time of a worker, and a run
outlives the worker that began it.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from streams.core.errors import SettingsError, StreamsError
from streams.core.runs import Asked, Run
from streams.engine import wall_clock
from streams.engine.errors import EngineError
from streams.replay.preview import replayed_vendors
from streams.replay.read_preview import read_preview
from streams.replay.replay import resume_run, start_run, stop_runs
from streams.replay.request import replay_request
from streams.replay.resend import preview_resend
from streams.replay.run import Watch
from streams.settings import Settings, load_settings
from streams.telemetry import setup_logging

NICE = 10
"""How much less than others it is given where it shares its processor."""


class RunRequest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the page asks to be sent once more."""

    command: Literal["replay", "resend"]
    vendor: str
    """A vendor's key; of a replay also ``all``, of a resend ``enrich``."""
    from_ms: int | None = None
    to_ms: int | None = None
    only: tuple[str, ...] = ()
    visitor: str | None = None
    sku: str | None = None
    rate: float | None = None
    """Events a second at most, for each vendor."""
    again: bool = False
    fingerprint: str | None = None
    since_ms: int | None = None
    zone: str = "UTC"
    """The IANA time zone of who looks at the preview."""


class RunCommand(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the process is to do; ``asked`` for a preview or start, else ``run_id``."""

    do: Literal["preview", "start", "resume", "stop"]
    asked: RunRequest | None = None
    run_id: str = ""


def asked_of(request: RunRequest, now_ms: int) -> Asked:
    """Return the request as terminal and page know it; raises SettingsError with what is wrong."""
    if request.command == "resend":
        return Asked(
            "resend",
            owner=request.vendor,
            fingerprint=request.fingerprint,
            since_ms=request.since_ms,
        )
    return replay_request(
        from_ms=request.from_ms,
        to_ms=request.to_ms,
        now_ms=now_ms,
        only=request.only,
        visitor=request.visitor,
        sku=request.sku,
        rate=request.rate,
        again=request.again,
    )


async def previewed(settings: Settings, request: RunRequest, now_ms: int) -> dict[str, Any]:
    """Return the preview as the page draws it, and the request with its window as it is now."""
    asked = asked_of(request, now_ms)
    vendors = replayed_vendors(settings, request.vendor) if asked.command == "replay" else ()
    seen = await read_preview(settings, asked, vendors, _zone(request.zone), now_ms=now_ms)
    fixed = msgspec.structs.replace(request, from_ms=asked.from_ms, to_ms=asked.to_ms)
    return {
        "lines": seen.lines,
        "vendors": [one.vendor for one in seen.counts],
        "rows": [row._asdict() for row in seen.rows],
        "warnings": seen.warnings,
        "question": seen.question,
        "is_empty": not seen.to_run,
        "asked": fixed,
    }


async def _start(settings: Settings, request: RunRequest, now_ms: int, watch: Watch) -> Run:
    asked = asked_of(request, now_ms)
    if asked.command == "replay":
        vendors: Sequence[str] = replayed_vendors(settings, request.vendor)
        return await start_run(settings, vendors, asked, watch=watch)
    seen = await preview_resend(settings, asked, now_ms=now_ms)
    vendors = [counts.vendor for counts in seen.vendors if counts.selected]
    if not vendors:
        raise SettingsError(["No dead letter with this cause is open any more."])
    return await start_run(settings, vendors, asked, watch=watch)


class RunReply:
    """Writes the answer, once: nobody reads what comes later."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._is_written = False

    def write(self, value: dict[str, Any]) -> None:
        """Write one line of JSON."""
        if not self._is_written:
            self._is_written = True
            with suppress(OSError):
                self._out.write(msgspec.json.encode(value) + b"\n")
                self._out.flush()

    def write_run(self, run: Run) -> None:
        """Write the run's id."""
        self.write({"run_id": run.run_id})


async def _do(settings: Settings, command: RunCommand, answer: RunReply) -> None:
    now_ms = wall_clock.now_ms()
    if command.asked is not None:
        if command.do == "preview":
            answer.write(await previewed(settings, command.asked, now_ms))
        else:
            answer.write_run(await _start(settings, command.asked, now_ms, answer.write_run))
        return
    work: Coroutine[Any, Any, Run] = (
        stop_runs(settings, command.run_id)
        if command.do == "stop"
        else resume_run(settings, command.run_id, watch=answer.write_run)
    )
    answer.write_run(await work)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def main() -> int:
    """Do one command; return 0, or 1 where it could not be done."""
    answer = RunReply(sys.stdout.buffer)
    command = msgspec.json.decode(sys.stdin.buffer.read(), type=RunCommand)
    with suppress(OSError):
        os.nice(NICE)
    try:
        settings = load_settings()
        setup_logging(stream=sys.stderr, level="ERROR", secrets=settings.secrets())
        asyncio.run(_do(settings, command, answer))
    except (StreamsError, EngineError) as error:
        answer.write({"error": " ".join(str(error).split("\n"))})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
