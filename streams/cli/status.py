"""``streams status``: the pipeline in the terminal, as its workers describe it."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams import wall_clock
from streams.cli.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Group

    from streams.core.control import Will
    from streams.operations.status.status import StatusBoard
    from streams.settings import Settings

_REFRESH_SECONDS = 1.0


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON array of the workers' own snapshots.")
    ] = False,
) -> None:
    """Show each stage: workers, partitions, events a second, lag, and how its vendor is doing.

    Ends with exit code 1 where no worker runs.
    """
    import asyncio

    from streams.core.errors import SettingsError
    from streams.settings import load_settings

    if watch and as_json:
        raise SettingsError(["--watch and --json exclude each other."])
    if not asyncio.run(_show(load_settings(), watch, as_json)):
        raise typer.Exit(1)


async def _show(settings: "Settings", watch: bool, as_json: bool) -> bool:
    """Print the board; return whether any worker runs."""
    from rich.console import Console

    from streams.operations.control import read_wills
    from streams.operations.status.status import read_status

    if watch:
        return await _follow(settings)
    board = await read_status(settings)
    wills = await read_wills(settings)
    now_ms = wall_clock.now_ms()
    if as_json:
        typer.echo(status_json(board, now_ms, wills))
    else:
        Console().print(status_view(board, now_ms))
        for line in asleep(board, now_ms, wills):
            typer.echo(line)
    return any(not worker.is_stale for worker in board.workers(now_ms))


async def _follow(settings: "Settings") -> bool:
    import asyncio
    from contextlib import aclosing

    from rich.live import Live

    from streams.operations.status.status import follow_status

    async with aclosing(follow_status(settings)) as boards:
        # The first board comes before the screen is taken: an error is then an ordinary line.
        board = await anext(boards)
        with Live(status_view(board, wall_clock.now_ms()), refresh_per_second=4) as live:
            async for board in boards:
                live.update(status_view(board, wall_clock.now_ms()))
                await asyncio.sleep(_REFRESH_SECONDS)
    return True


def status_json(
    board: "StatusBoard", now_ms: int, wills: "Mapping[str, Will] | None" = None
) -> str:
    """Return the workers as a JSON array: their snapshots, and whether they are stale.

    ``control`` is what operators last said about a worker's vendor; null in enrichment.
    """
    import msgspec

    from streams.core.control import Will

    rows = []
    for worker in board.workers(now_ms):
        said = None
        if worker.snapshot.vendor is not None:
            will = (wills or {}).get(worker.snapshot.stage, Will())
            said = {name: getattr(will, name) for name in Will.__struct_fields__}
        rows.append(
            msgspec.to_builtins(worker.snapshot)
            | {
                "stale": worker.is_stale,
                "silent_seconds": worker.silent_seconds,
                "control": said,
            }
        )
    return msgspec.json.format(msgspec.json.encode(rows)).decode()


def asleep(board: "StatusBoard", now_ms: int, wills: "Mapping[str, Will]") -> list[str]:
    """Return a sentence for each paused vendor of which no worker is there to say so."""
    awake = {w.snapshot.stage for w in board.workers(now_ms) if not w.is_stale}
    return [
        plain(
            f"{vendor}: {_paused(will)}, and no worker of it runs. Resume with: "
            f"streams resume {vendor}"
        )
        for vendor, will in sorted(wills.items())
        if will.paused and vendor not in awake
    ]


def _paused(will: "Will") -> str:
    if will.is_unreadable:
        return "its newest control record cannot be read, which counts as a pause"
    return f"paused since {will.at}"


def status_view(board: "StatusBoard", now_ms: int) -> "Group":
    """Return the table of stages and the sentences below it; all text in it is escaped."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from streams.operations.status.status import stages

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("stage")
    for title in ("workers", "partitions", "events/s", "lag", "oldest"):
        table.add_column(title, justify="right")
    table.add_column("state")
    lines = []
    for line in stages(board.workers(now_ms)):
        oldest = line.oldest_unsettled_seconds
        alive = f"{line.workers}" if line.ready == line.workers else f"{line.ready}/{line.workers}"
        table.add_row(
            Text(plain(line.stage)),
            alive if not line.gone else f"{alive} ({line.gone} gone)",
            f"{line.partitions}",
            f"{line.events_per_second:,.1f}",
            f"{line.lag:,}",
            "-" if oldest is None else f"{oldest:,.1f} s",
            Text(line.state, style=_STYLES.get(line.state, "")),
        )
        if line.reason:
            lines.append(Text(f"{plain(line.stage)}: {plain(line.reason)}"))
    if not board.snapshots:
        lines.append(
            Text("No worker has spoken in the last ten minutes. Start them with: streams worker")
        )
    if board.unreadable:
        lines.append(Text(f"{board.unreadable:,} records of this topic are no snapshots."))
    return Group(table, *lines)


_STYLES = {
    "running": "green",
    "degraded": "yellow",
    "throttled": "yellow",
    "paused": "yellow",
    "parked": "bold red",
    "gone": "bold red",
}
