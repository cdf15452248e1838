"""``streams status``: the pipeline in the terminal, as its workers describe it."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from streams.cli.terminal import LEVEL_STYLES, load_settings, new_table
from streams.core.plain_text import plain
from streams.engine import wall_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from rich.console import Console, Group

    from streams.core.control import VendorControl
    from streams.settings import Settings
    from streams.status.known import Known
    from streams.status.status import StatusBoard

_REFRESH_SECONDS = 1.0
_REFRESH_IN_PIPE_SECONDS = 5.0
_PIPE_COLUMNS = 1_000


def status(
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Refresh until Ctrl-C; in a pipe, one block every 5 s."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the workers' snapshots as one JSON array.")
    ] = False,
) -> None:
    """Show each configured stage and all findings: what is wrong, since when, why, what to do.

    ? means unknown. Exit code 1 if no worker is running.
    """
    from streams.core.errors import SettingsError

    if watch and as_json:
        raise SettingsError(["--watch and --json exclude each other."])
    if not asyncio.run(_show(load_settings(), watch, as_json)):
        raise typer.Exit(1)


async def _show(settings: "Settings", watch: bool, as_json: bool) -> bool:
    """Print what is found; return whether any worker runs."""
    from streams.status.observe import observe

    if watch:
        await _follow(settings)
    board, known, controls = await observe(settings)
    if as_json:
        typer.echo(status_json(board, known.now_ms, controls))
    else:
        _console().print(status_view(known))
    return any(not worker.is_stale for worker in known.workers)


async def _follow(settings: "Settings") -> NoReturn:
    """Show it again and again: in place on a terminal, block by block in a pipe."""
    from rich.live import Live

    console, looks = _console(), _looks(settings)
    # The first look comes before the screen is taken: an error is then an ordinary line.
    known = await anext(looks)
    while not console.is_terminal:
        console.print(status_view(known))
        console.print()
        console.file.flush()
        await asyncio.sleep(_REFRESH_IN_PIPE_SECONDS)
        known = await anext(looks)
    with Live(status_view(known), console=console, refresh_per_second=4) as live:
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            live.update(status_view(await anext(looks)))


async def _looks(settings: "Settings") -> "AsyncIterator[Known]":
    """Yield what is known, again and again; where Kafka does not answer any more, since when.

    Raises SetupError where it does not answer the first time.
    """
    from dataclasses import replace

    from streams.core.errors import SetupError
    from streams.status.new_letters import NewLetters
    from streams.status.observe import observe

    letters = NewLetters(settings, time.monotonic)
    _, known, _ = await observe(settings, letters)
    while True:
        yield known
        try:
            _, known, _ = await observe(settings, letters)
        except SetupError as error:
            known = replace(
                known,
                now_ms=wall_clock.now_ms(),
                kafka_silent_since=known.kafka_silent_since or known.now_ms,
                kafka_problem=str(error),
            )


def _console() -> "Console":
    """Return the terminal; in a pipe each finding is one line, whatever its length."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_COLUMNS)


def status_json(
    board: "StatusBoard", now_ms: int, controls: "Mapping[str, VendorControl] | None" = None
) -> str:
    """Return the workers as a JSON array: their snapshots, and whether they are stale.

    ``control`` is what operators last said about a worker's vendor; null in enrichment.
    """
    import msgspec

    from streams.core.control import VendorControl

    rows = []
    for worker in board.workers(now_ms):
        said = None
        if worker.snapshot.vendor is not None:
            control = (controls or {}).get(worker.snapshot.stage, VendorControl())
            said = {name: getattr(control, name) for name in VendorControl.__struct_fields__}
        rows.append(
            msgspec.to_builtins(worker.snapshot)
            | {
                "stale": worker.is_stale,
                "silent_seconds": worker.silent_seconds,
                "control": said,
            }
        )
    return msgspec.json.format(msgspec.json.encode(rows)).decode()


def status_view(known: "Known") -> "Group":
    """Return the table of stages and the findings below it; all text in it is escaped."""
    from rich.console import Group
    from rich.text import Text

    from streams.status.judge import judge

    numbers = ("workers", "partitions", "events/s", "waiting", "oldest")
    table = new_table("stage", numbers=numbers)
    table.add_column("state")
    for row in stage_rows(known):
        table.add_row(*map(plain, row[:-1]), Text(plain(row[-1]), style=_STYLES.get(row[-1], "")))
    lines = []
    for finding in judge(known):
        line = Text(f"{finding.level:<7}  ", style=LEVEL_STYLES[finding.level])
        line.append(plain(finding.sentence()), style="default")
        lines.append(line)
    if known.unreadable:
        lines.append(Text(f"{known.unreadable:,} records of the status topic are unreadable."))
    return Group(table, *lines)


def stage_rows(known: "Known") -> list[tuple[str, ...]]:
    """Return a row for each configured stage; what is not known is ``?``."""
    from streams.status.status import partitions_of

    rows: list[tuple[str, ...]] = []
    for stage in known.stages:
        workers, alive = known.of(stage.key), [w.snapshot for w in known.alive(stage.key)]
        state, waiting = known.state(stage), known.waiting(stage)
        ready, gone = sum(one.ready for one in alive), len(workers) - len(alive)
        count = f"{len(alive)}" if ready == len(alive) else f"{ready}/{len(alive)}"
        ages = [a for one in alive if (a := one.oldest_unsettled_seconds) is not None]
        is_known = bool(alive) and state != "unknown"
        rows.append(
            (
                stage.key,
                "?" if state == "unknown" else f"{count} ({gone} gone)" if gone else count,
                f"{sum(partitions_of(one) for one in alive)}" if is_known else "?",
                f"{sum(one.rate for one in alive):,.1f}" if is_known else "?",
                "?" if waiting is None else f"{waiting:,}",
                f"{max(ages):,.1f} s" if is_known and ages else "-" if is_known else "?",
                state,
            )
        )
    return rows


_STYLES = {
    "running": "green",
    "starting": "yellow",
    "waiting": "bold red",
    "degraded": "yellow",
    "throttled": "yellow",
    "paused": "yellow",
    "parked": "bold red",
    "gone": "bold red",
    "unknown": "yellow",
}
