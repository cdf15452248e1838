"""``streams produce``: JSON lines into the raw topics."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.terminal import file_or_stdin

_SHOWN = 20


def produce(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", callback=file_or_stdin, help="- reads stdin."),
    ],
    rate: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.001, help="Records a second at most."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The counts as one JSON array.")] = False,
) -> None:
    """Write JSON lines into the raw topics and wait until the broker has them all.

    A line is an envelope, {"topic": "clicks"|"add-to-carts"|"users"|"products", "key": "…",
    "value": {…} or null for a tombstone}, or an event by itself: one with a quantity, or with the
    event_type add_to_cart, goes to the add-to-carts, any other to the clicks. The key of an event
    is its anonymous_id. Lines that cannot be written are named; then the exit code is 1.
    """
    import asyncio
    import sys

    from streams.operations.produce import produce as run
    from streams.settings import load_settings
    from streams.telemetry import setup_logging

    settings = load_settings()
    setup_logging(stream=sys.stderr, level="ERROR", secrets=settings.secrets())

    def tell(count: int) -> None:
        if count % 1000 == 0:
            typer.echo(f"\r{count:,} written", nl=False, err=True)

    watched = sys.stderr.isatty()
    produced = asyncio.run(run(settings, _lines(file), rate=rate, tell=tell if watched else None))
    if watched:
        typer.echo("\r", nl=False, err=True)
    counts = sorted(produced.written.items())
    if as_json:
        import json

        typer.echo(json.dumps([{"topic": topic, "written": count} for topic, count in counts]))
    else:
        for topic, count in counts:
            typer.echo(f"{topic}: {count:,} written")
    for number, why in produced.bad[:_SHOWN]:
        typer.echo(f"line {number} {why}", err=True)
    if len(produced.bad) > _SHOWN:
        typer.echo(f"and {len(produced.bad) - _SHOWN:,} more lines", err=True)
    if produced.bad:
        raise typer.Exit(1)


async def _lines(file: Path) -> AsyncIterator[bytes]:
    """The lines of the file; those of stdin as they come, without stopping the producer."""
    import asyncio
    import sys

    if str(file) == "-":
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            yield line
        return
    with file.open("rb") as opened:
        for line in opened:
            yield line
