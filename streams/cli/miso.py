"""``streams miso upload``: interactions from a file to Miso."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.terminal import echo, file_or_stdin, load_settings, read_text
from streams.core.quantities import count

app = typer.Typer(no_args_is_help=True, help="Upload interactions to Miso.")


@app.callback()
def _miso() -> None:
    """Keep ``upload`` a subcommand, also while it is the only one."""


@app.command("upload")
def upload(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|-",
            callback=file_or_stdin,
            help="One record, a list of records, or a record on each line, as JSON; - reads stdin.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Let Miso check the records; nothing is stored.")
    ] = False,
) -> None:
    """Upload interactions to Miso, of any of its documented types.

    Records are checked against Miso's documents first, then uploaded in order, in requests of
    `miso.batch_records` and `miso.batch_bytes`. If Miso refuses a record, none of its request is
    stored: exit code 1, with the number of each refused record, counted from 0, and how many
    records of earlier requests are stored.
    """
    from streams.clients import InvalidRequest, Miso, RequestRejected
    from streams.clients.miso import read_records

    settings = load_settings()

    async def send() -> int:
        async with Miso(settings) as miso:
            return await miso.upload(records, dry_run=dry_run)

    try:
        records = read_records(read_text(file))
        done = asyncio.run(send())
    except InvalidRequest as error:
        _refused(error.problems)
        typer.echo("Nothing was uploaded.", err=True)
        raise typer.Exit(1) from None
    except RequestRejected as error:
        echo(str(error), err=True)
        _refused(error.refused)
        if not dry_run:
            typer.echo(f"{count(error.stored, 'record')} before that are stored.", err=True)
        raise typer.Exit(1) from None
    words = "checked by Miso; nothing was stored." if dry_run else "uploaded."
    typer.echo(f"{count(done, 'record')} {words}")


def _refused(problems: dict[int, str]) -> None:
    for index, words in problems.items():
        echo(f"record {index}: {words}", err=True)
