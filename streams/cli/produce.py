"""``streams produce``: JSON lines into the raw topics."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.terminal import echo, file_or_stdin, quiet_settings

_SHOWN = 20


def produce(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", callback=file_or_stdin, help="JSON lines; - reads stdin."),
    ],
    rate: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.001, help="Maximum records per second."),
    ] = None,
    own_topics: Annotated[
        bool,
        typer.Option(
            "--own-topics",
            help="Write to your own topics, which the lines name; creates missing ones.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print counts and all event ids as one JSON array.")
    ] = False,
) -> None:
    """Write JSON lines to the raw topics and wait until the broker has stored them.

    A line is either a record, {"topic": …, "key": "…", "value": {…}}, or just an event. The topic
    of a record is clicks, add-to-carts, users, products or another source that is on; a value of
    null is a tombstone. The event_type of an event selects its topic (click, add_to_cart, order,
    content_view, event). Without an event_type, an event with a quantity is an add-to-cart, and any
    other a click. Its key is its anonymous_id.

    Lines that cannot be written are listed (exit code 1). Lines that are written but are malformed
    rows or invalid events are listed as warnings.

    With --own-topics the topic of a line is any topic, by its name in Kafka, and the value is not
    checked. Use it to try sections [ingest.NAME].
    """
    from streams.operations.produce import run_produce

    settings = quiet_settings()

    def tell(count: int) -> None:
        if count % 1000 == 0:
            typer.echo(f"\r{count:,} written", nl=False, err=True)

    watched = sys.stderr.isatty()
    if own_topics:
        from streams.operations.own_topics import produce_own

        produced = asyncio.run(produce_own(settings, _lines(file)))
    else:
        produced = asyncio.run(
            run_produce(settings, _lines(file), rate=rate, tell=tell if watched else None)
        )
    if watched:
        typer.echo("\r", nl=False, err=True)
    counts = sorted(produced.written.items())
    ids = [produced.ids[number] for number in sorted(produced.ids)]
    if as_json:
        rows = [
            {"topic": topic, "written": count, "event_ids": [i for t, i in ids if t == topic]}
            for topic, count in counts
        ]
        typer.echo(json.dumps(rows))
    else:
        for topic, count in counts:
            typer.echo(f"{topic}: {count:,} written")
        if ids:
            last = f" … {ids[-1][1]}" if len(ids) > 1 else ""
            echo(f"event ids: {ids[0][1]}{last}")
    _name(produced.bad, "more lines were not written")
    _name(produced.doubtful, "more lines were written and will not count")
    if produced.bad:
        raise typer.Exit(1)


def _name(lines: Sequence[tuple[int, str]], rest: str) -> None:
    for number, why in lines[:_SHOWN]:
        echo(f"line {number} {why}", err=True)
    if len(lines) > _SHOWN:
        typer.echo(f"and {len(lines) - _SHOWN:,} {rest}", err=True)


async def _lines(file: Path) -> AsyncIterator[bytes]:
    """The lines of the file; those of stdin as they come, without stopping the producer."""
    if str(file) == "-":
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            yield line
        return
    with file.open("rb") as opened:
        for line in opened:
            yield line
