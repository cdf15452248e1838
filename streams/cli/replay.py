"""``streams replay``: raw events of a window once more, with a preview and a receipt.

One module, though a long one: most of it are the options of one command.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.terminal import (
    JsonFlag,
    PreviewFlag,
    YesFlag,
    confirm,
    echo,
    local_zone,
    moment_ms,
    print_json,
    quiet_settings,
    reading_progress,
    require_terminal,
)
from streams.engine import wall_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from streams.core.runs import Asked, Run
    from streams.replay.read_preview import ShownPreview
    from streams.settings import Settings

app = typer.Typer(invoke_without_command=True)

NO_TERMINAL = "There is no terminal for the confirmation: give --yes to send, or --preview."
NICE = 10
"""How much less than others a run's process is given where it shares its processor."""

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Run id from `streams replay list`.")]


@app.callback()
def replay(
    context: typer.Context,
    vendor: Annotated[
        str | None,
        typer.Option(metavar="V|all", help="Send to this vendor, or to all enabled vendors."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Instead of --vendor: map the records of your own topic again, by [ingest.NAME].",
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="T",
            help="Start of the window: 2h ago, 2026-11-20 14:00, epoch ms.",
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="T", help="End of the window, exclusive.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="Only these outcomes: dead_lettered, skipped, missing (no receipt), accepted, "
            "skipped:no_contact, …; and these types: click, add_to_cart, … Separate with commas.",
        ),
    ] = None,
    visitor: Annotated[
        str | None, typer.Option(metavar="A", help="Only events with this anonymous_id.")
    ] = None,
    sku: Annotated[
        str | None, typer.Option(metavar="SKU", help="Only events with this SKU.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="N", help="Maximum events per second and vendor."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Include events that the vendor has already accepted.")
    ] = False,
    only_preview: PreviewFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Replay raw events of a time window with current rows and mappings; preview first.

    The preview shows what would be sent, what would not and why. Then the command asks for
    confirmation. Live events continue and go first. Events that a vendor has accepted are left out.

    With --source, the records of your own topic are mapped again and written to the raw topic or
    table of their section. Records that were written before are left out.
    """
    if context.invoked_subcommand is not None:
        return
    from streams.core.errors import SettingsError
    from streams.replay.preview import replayed_vendors
    from streams.replay.request import replay_request

    if source is not None and (vendor or only or visitor or sku):
        raise SettingsError(["--source: goes with --from, --to, --again and --rate only."])
    missing = [
        f"{name}: is missing; `streams replay --help` explains it."
        for name, value in (("--vendor", source or vendor), ("--from", from_), ("--to", to))
        if value is None
    ]
    if (source or vendor) is None or from_ is None or to is None:
        raise SettingsError(missing)
    require_terminal(yes or only_preview, NO_TERMINAL)
    settings = quiet_settings()
    if source is not None:
        from streams.cli.ingest import replay_source

        now_ms = wall_clock.now_ms()
        from_ms, to_ms = moment_ms(from_, "--from"), min(moment_ms(to, "--to"), now_ms)
        if from_ms > to_ms:
            raise SettingsError(["--from: is after --to, or in the future."])
        replay_source(
            settings,
            source,
            from_ms,
            to_ms,
            again=again,
            rate=rate,
            only_preview=only_preview,
            yes=yes,
            as_json=as_json,
        )
        return
    assert vendor is not None
    asked = replay_request(
        from_ms=moment_ms(from_, "--from"),
        to_ms=moment_ms(to, "--to"),
        now_ms=wall_clock.now_ms(),
        only=only or (),
        visitor=visitor,
        sku=sku,
        rate=rate,
        again=again,
    )
    vendors = replayed_vendors(settings, vendor)
    preview_and_run(settings, asked, vendors, only_preview=only_preview, yes=yes, as_json=as_json)


def preview_and_run(
    settings: "Settings",
    asked: "Asked",
    vendors: Sequence[str] = (),
    *,
    only_preview: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what a replay, to these vendors, or a resend would send; then ask, and send it."""
    from streams.replay.read_preview import read_preview
    from streams.replay.replay import start_run

    with reading_progress() as tell:
        now_ms, zone = wall_clock.now_ms(), local_zone()
        seen = asyncio.run(read_preview(settings, asked, vendors, zone, now_ms=now_ms, tell=tell))
    if only_preview and as_json:
        print_json(seen.json_rows)
        return
    _show_preview(seen, err=not only_preview)
    if only_preview:
        return
    if not seen.to_run:
        typer.echo("Nothing would be sent.", err=True)
        if as_json:
            print_json([])
        return
    confirm(yes, seen.question, "Nothing was sent.")
    run_and_show(partial(start_run, settings, seen.to_run, asked), as_json)


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """List runs, newest first: state, vendors and outcomes."""
    from streams.cli.replay_view import run_json, run_line
    from streams.replay.replay import refreshed_runs
    from streams.replay.run_store import has_process

    runs = asyncio.run(refreshed_runs(quiet_settings()))
    now_ms = wall_clock.now_ms()
    if as_json:
        print_json([run_json(run, has_process=has_process(run, now_ms)) for run in runs])
        return
    for run in runs:
        typer.echo(run_line(run, has_process=has_process(run, now_ms)))
    if not runs:
        typer.echo("No replay or resend has run yet.")


@app.command("show")
def show(run_id: RunId, as_json: JsonFlag = False) -> None:
    """Show one run: its request, its progress and its receipt."""
    from streams.replay.replay import show_run

    show_receipt(asyncio.run(show_run(quiet_settings(), run_id)), as_json)


@app.command("stop")
def stop(run_id: RunId, as_json: JsonFlag = False) -> None:
    """Stop a run permanently. Nothing more is sent; its receipt stays."""
    from streams.replay.replay import stop_runs

    show_receipt(asyncio.run(stop_runs(quiet_settings(), run_id)), as_json)


@app.command("resume")
def resume(run_id: RunId, as_json: JsonFlag = False) -> None:
    """Resume an interrupted run where it stopped; nothing is sent twice."""
    from streams.replay.replay import resume_run

    run_and_show(partial(resume_run, quiet_settings(), run_id), as_json)


def run_and_show(begin: "Callable[..., Coroutine[Any, Any, Run]]", as_json: bool) -> None:
    """Go on with a run to its end and show its receipt; exit code 1 where it was stopped.

    Interrupted, it says how to go on.
    """
    from streams.cli.replay_view import CLEAR, Watching

    # Whatever is live on this machine goes first.
    with suppress(OSError):
        os.nice(NICE)
    watched = sys.stderr.isatty()

    def write(text: str) -> None:
        # Without a terminal only whole lines: the run's id, and what is wrong.
        if watched or text.endswith("\n"):
            typer.echo(text if watched else text.removeprefix(CLEAR), nl=False, err=True)

    watch = Watching(write)
    try:
        run = asyncio.run(begin(watch=watch))
    except KeyboardInterrupt:
        if watch.run is not None:
            run_id = watch.run.run_id
            typer.echo(
                f"\nRun {run_id} is interrupted. Resume it with `streams replay resume {run_id}`, "
                f"or stop it with `streams replay stop {run_id}`.",
                err=True,
            )
        raise
    if watched:
        typer.echo(CLEAR, nl=False, err=True)
    show_receipt(run, as_json)
    if run.state != "done":
        raise typer.Exit(1)


def show_receipt(run: "Run", as_json: bool) -> None:
    """Print a run with its receipt."""
    from streams.cli.replay_view import receipt_table, run_json, run_lines
    from streams.replay.run_store import has_process

    alive = has_process(run, wall_clock.now_ms())
    if as_json:
        print_json([run_json(run, has_process=alive)])
        return
    from rich.console import Console

    typer.echo("\n".join(run_lines(run, local_zone(), has_process=alive)))
    Console().print(receipt_table(run.parts))


def _show_preview(seen: "ShownPreview", *, err: bool) -> None:
    """Print a preview; on stderr where a receipt follows on stdout."""
    from rich.console import Console

    from streams.cli.replay_view import counts_table

    for line in seen.lines:
        echo(line, err=err)
    if seen.counts:
        table = counts_table([counts.vendor for counts in seen.counts], seen.rows)
        Console(stderr=err).print(table)
    for words in seen.warnings:
        echo(words, err=err)
