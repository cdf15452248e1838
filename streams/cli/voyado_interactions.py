"""``streams voyado-interactions list|show|delete|export|import``: what Voyado has stored."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.terminal import (
    JsonFlag,
    YesFlag,
    confirm,
    file_or_stdin,
    print_json,
    read_text,
    require_terminal,
)
from streams.core.plain_text import plain
from streams.core.quantities import count

if TYPE_CHECKING:
    from streams.clients import Voyado
    from streams.vendors.voyado.models import NewInteraction, StoredInteraction

app = typer.Typer(
    no_args_is_help=True,
    help="See, delete, export and import interactions that Voyado has stored.",
)

RATE = 10.0
"""Beside workers at 40 requests a second, Voyado's advice of 50 is kept."""

Rate = Annotated[
    float,
    typer.Option(
        metavar="N",
        min=0.1,
        max=200,
        help="Requests per second; those of workers with the same key come on top.",
    ),
]
InteractionId = Annotated[
    str, typer.Argument(metavar="ID", help="Voyado's id of the interaction; see list.")
]


@app.command("list")
def list_(
    contact: Annotated[str, typer.Option(metavar="ID", help="Voyado's id of the contact.")],
    schema: Annotated[str, typer.Option(metavar="ID", help="The interaction schema.")],
    as_json: JsonFlag = False,
) -> None:
    """List all interactions of a contact and schema."""

    async def ask() -> "list[StoredInteraction]":
        async with _voyado() as voyado:
            return await voyado.list_interactions(contact, schema)

    found = asyncio.run(ask())
    if as_json:
        print_json([one.model_dump(by_alias=True) for one in found])
        return
    for one in found:
        typer.echo(plain(f"{one.id}  {one.created_date or '-'}  {_text(one.payload)}"))
    if not found:
        typer.echo("There are none.")


@app.command("show")
def show(interaction_id: InteractionId) -> None:
    """Show one interaction as JSON; exit code 1 if there is none."""

    async def ask() -> "StoredInteraction | None":
        async with _voyado() as voyado:
            return await voyado.get_interaction(interaction_id)

    found = asyncio.run(ask())
    if found is None:
        typer.echo(plain(f"Voyado has no interaction {interaction_id}."), err=True)
        raise typer.Exit(1)
    print_json(found.model_dump(by_alias=True))


@app.command("delete")
def delete(interaction_id: InteractionId, yes: YesFlag = False) -> None:
    """Delete one interaction. This cannot be undone. It is no error if there is none."""
    _confirm(yes, plain(f"Delete the interaction {interaction_id}?"), "Deleting")

    async def ask() -> bool:
        async with _voyado() as voyado:
            return await voyado.delete_interaction(interaction_id)

    done = asyncio.run(ask())
    typer.echo(plain(f"{interaction_id}  {'deleted' if done else 'was not there'}"))


@app.command("export")
def export(
    schema: Annotated[
        list[str],
        typer.Option(metavar="ID", help="The interaction schema; may be given several times."),
    ],
    contact: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Voyado's id of a contact; may be given several times."),
    ] = None,
    contacts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|-",
            callback=file_or_stdin,
            help="File with the id of a contact on each line; - reads stdin.",
        ),
    ] = None,
    rate: Rate = RATE,
) -> None:
    """Export interactions as JSON lines to stdout, by contacts and schema.

    Voyado lists interactions of one contact at a time, so name the contacts: for example all that
    your shop knows. Contacts that Voyado does not have are counted on stderr.
    """
    from streams.core.errors import SettingsError

    listed = read_text(contacts).split() if contacts is not None else []
    wanted = list(dict.fromkeys([*(contact or []), *listed]))
    if not wanted:
        raise SettingsError(["Name contacts: --contact ID, or --contacts FILE."])

    async def ask() -> tuple[int, list[str]]:
        from streams.operations.voyado_interactions import export_interactions, line_of

        number, unknown = 0, list[str]()
        async with _voyado(rate) as voyado:
            async for one in export_interactions(voyado, wanted, schema, unknown):
                typer.echo(line_of(one))
                number += 1
        return number, unknown

    number, unknown = asyncio.run(ask())
    words = f"{count(number, 'interaction')} of {count(len(wanted), 'contact')}"
    if unknown:
        words += f"; Voyado does not have {len(unknown):,} of them, the first is {unknown[0]}"
    typer.echo(plain(f"{words}."), err=True)


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|-", callback=file_or_stdin, help="JSON lines of an export; - reads stdin."
        ),
    ],
    schema: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Store them under this schema; default: the one they had."),
    ] = None,
    rate: Rate = RATE,
    yes: YesFlag = False,
) -> None:
    """Import interactions from an export; they keep their createdDate.

    Voyado runs its automations for new interactions for each of them: pause these first.
    Interactions whose eventId is already stored are left out, so you can run a stopped import
    again. An interaction without an eventId gets its former id as eventId. Exit code 1 if some are
    refused.
    """
    from streams.clients import InvalidRequest
    from streams.operations.voyado_interactions import AUTOMATIONS, read_export

    try:
        interactions = read_export(read_text(file).splitlines(), schema)
    except InvalidRequest as error:
        for number, words in error.problems.items():
            typer.echo(plain(f"line {number}: {words}"), err=True)
        typer.echo("Nothing was imported.", err=True)
        raise typer.Exit(1) from None
    schemas = ", ".join(dict.fromkeys(one.schema_id for one in interactions))
    typer.echo(f"{count(len(interactions), 'interaction')} of {schemas or 'no schema'}.", err=True)
    typer.echo(AUTOMATIONS, err=True)
    _confirm(yes, "Import them?", "Importing")
    if asyncio.run(_import(interactions, rate)):
        raise typer.Exit(1)


async def _import(interactions: "list[NewInteraction]", rate: float) -> bool:
    """Import them and say what became of them; return whether some are refused."""
    from streams.operations.voyado_interactions import (
        ImportResult,
        check_import,
        import_interactions,
    )

    latest = ImportResult()

    def report(result: ImportResult) -> None:
        nonlocal latest
        latest = result

    async with _voyado(rate) as voyado:
        await check_import(voyado, interactions)
        try:
            await import_interactions(voyado, interactions, report)
        finally:
            lines = [f"{latest.stored:,} stored, {latest.were_there:,} were there already"]
            if latest.left_out:
                names = ", ".join(sorted(latest.left_out))
                lines.append(f"left out, since the schema does not have them: {names}")
            done = latest.stored + latest.were_there + len(latest.refused)
            if done < len(interactions):
                lines.append("stopped before the end: run it again to continue")
            typer.echo(plain("; ".join(lines) + "."))
    for position, words in latest.refused.items():
        one = interactions[position]
        typer.echo(plain(f"refused: {one.event_id} of {one.contact_id}: {words}"), err=True)
    return bool(latest.refused)


def _voyado(rate: float | None = None) -> "Voyado":
    from streams.clients import Voyado
    from streams.settings import load_settings

    settings = load_settings()
    return Voyado(settings) if rate is None else Voyado(settings, requests_per_second=rate)


def _confirm(yes: bool, question: str, doing: str) -> None:
    """Ask; raises SettingsError where nobody can answer, and Exit where the answer is no."""
    problem = f"{doing} asks first, and there is no terminal: give --yes. Nothing was changed."
    require_terminal(yes, problem)
    confirm(yes, question, "Nothing was changed.")


def _text(payload: dict[str, Any]) -> str:
    parts: Iterable[str] = (f"{name}={value}" for name, value in payload.items())
    return " ".join(parts)
