"""``streams voyado-interactions list|show|delete|export|import``: what Voyado has stored."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from streams.cli.terminal import (
    JsonFlag,
    YesFlag,
    confirm,
    echo,
    file_or_stdin,
    load_settings,
    print_json,
    read_text,
    require_terminal,
)
from streams.core.errors import SettingsError
from streams.core.plain_text import plain
from streams.core.quantities import count

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from streams.clients import Voyado
    from streams.vendors.voyado.models import NewInteraction

T = TypeVar("T")

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
        help="Requests per second of this command, besides those of workers with the same key.",
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
    require_contacts([contact])
    found = ask_voyado(lambda voyado: voyado.list_interactions(contact, schema))
    if as_json:
        print_json([one.model_dump(by_alias=True) for one in found])
        return
    for one in found:
        facts = " ".join(f"{name}={value}" for name, value in one.payload.items())
        echo(f"{one.id}  {one.created_date or '-'}  {facts}")
    if not found:
        typer.echo("There are none.")


@app.command("show")
def show(interaction_id: InteractionId) -> None:
    """Show one interaction as JSON; exit code 1 if there is none."""
    found = ask_voyado(lambda voyado: voyado.get_interaction(interaction_id))
    if found is None:
        echo(f"Voyado has no interaction {interaction_id}.", err=True)
        raise typer.Exit(1)
    print_json(found.model_dump(by_alias=True))


@app.command("delete")
def delete(interaction_id: InteractionId, yes: YesFlag = False) -> None:
    """Delete one interaction. This cannot be undone. It is no error if there is none."""
    _confirm(yes, plain(f"Delete the interaction {interaction_id}?"), "Deleting")
    done = ask_voyado(lambda voyado: voyado.delete_interaction(interaction_id))
    echo(f"{interaction_id}  {'deleted' if done else 'was not there'}")


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
    require_contacts(contact or [])
    listed = read_text(contacts).split() if contacts is not None else []
    wanted = list(dict.fromkeys([*(contact or []), *listed]))
    if not wanted:
        raise SettingsError(["Name contacts: --contact ID, or --contacts FILE."])

    async def write(voyado: "Voyado") -> tuple[int, list[str]]:
        from streams.operations.voyado_interactions import export_interactions, line_of

        number, unknown = 0, list[str]()
        async for one in export_interactions(voyado, wanted, schema, unknown):
            typer.echo(line_of(one))
            number += 1
        return number, unknown

    number, unknown = ask_voyado(write, rate)
    words = f"{count(number, 'interaction')} of {count(len(wanted), 'contact')}"
    if unknown:
        words += f"; Voyado does not have {len(unknown):,} of them, the first is {unknown[0]}"
    echo(f"{words}.", err=True)


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
            echo(f"line {number}: {words}", err=True)
        typer.echo("Nothing was imported.", err=True)
        raise typer.Exit(1) from None
    schemas = ", ".join(dict.fromkeys(one.schema_id for one in interactions))
    typer.echo(f"{count(len(interactions), 'interaction')} of {schemas or 'no schema'}.", err=True)
    typer.echo(AUTOMATIONS, err=True)
    _confirm(yes, "Import them?", "Importing")
    if ask_voyado(lambda voyado: _import(voyado, interactions), rate):
        raise typer.Exit(1)


async def _import(voyado: "Voyado", interactions: "list[NewInteraction]") -> bool:
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
        echo("; ".join(lines) + ".")
    for position, words in latest.refused.items():
        one = interactions[position]
        echo(f"refused: {one.event_id} of {one.contact_id}: {words}", err=True)
    return bool(latest.refused)


def require_contacts(contacts: "Iterable[str]") -> None:
    """Raise SettingsError for a ``--contact`` that cannot be a contact's id."""
    from streams.vendors.voyado.api import is_guid

    if not all(map(is_guid, contacts)):
        raise SettingsError(["--contact: must be Voyado's id of a contact, a GUID."])


def ask_voyado(ask: "Callable[[Voyado], Coroutine[Any, Any, T]]", rate: float | None = None) -> "T":
    """Return what ``ask`` returns of a client with the settings' account."""
    from streams.clients import Voyado

    async def connected() -> "T":
        limit: dict[str, Any] = {} if rate is None else {"requests_per_second": rate}
        async with Voyado(load_settings(), **limit) as voyado:
            return await ask(voyado)

    return asyncio.run(connected())


def _confirm(yes: bool, question: str, doing: str) -> None:
    """Ask; raises SettingsError where nobody can answer, and Exit where the answer is no."""
    problem = f"{doing} asks first, and there is no terminal: give --yes. Nothing was changed."
    require_terminal(yes, problem)
    confirm(yes, question, "Nothing was changed.")
