"""``streams voyado-schemas list|plan|apply|export|delete``: schemas of Voyado from files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import JsonFlag, echo, load_settings, print_json
from streams.cli.voyado_interactions import ask_voyado
from streams.core.plain_text import plain
from streams.engine import wall_clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.clients import Voyado
    from streams.operations.voyado_schemas.plan import PlanRow
    from streams.settings import Settings
    from streams.vendors.voyado.inquiries import SchemaUse

app = typer.Typer(
    no_args_is_help=True,
    help="Keep Voyado's interaction schemas in files: compare, create, export.",
)

Folder = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        metavar="DIR",
        help="Folder with one *.json per schema, also of named events; default: the two that come "
        "with streams, with the ids of the settings.",
    ),
]


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """List Voyado's schemas: id, names, properties.

    Also shows each id in lower case, as Voyado's mail editor needs it.
    """
    from streams.cli.voyado_schemas_view import list_row, show_list

    there = ask_voyado(lambda voyado: voyado.list_schemas())
    if as_json:
        print_json([list_row(one) for one in there])
    else:
        show_list(there)


@app.command("plan")
def plan(
    folder: Folder = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 1 if a schema is missing or different.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare schema files with Voyado; nothing is changed.

    Exit code 2, before any request, if a file breaks a rule of Voyado or of streams.
    """
    from streams.cli.voyado_schemas_view import show_plan
    from streams.operations.voyado_schemas.plan import State, creation_problems, without_file

    settings = load_settings()
    rows = _plan(settings, folder)
    if as_json:
        print_json([row.to_json() for row in rows])
    else:
        show_plan(rows)
    lacking = without_file(_uses(settings), rows)
    for line in filter(None, [" ".join(creation_problems(rows)), *lacking]):
        echo(line, err=True)
    to_do = any(row.state in (State.MISSING, State.DIFFERENT) for row in rows)
    if check and (to_do or lacking):
        raise typer.Exit(1)


@app.command("apply")
def apply(
    folder: Folder = None,
    replace: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Delete this schema with ALL its interactions, then create it again.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --replace: skip typing the id as confirmation.")
    ] = False,
) -> None:
    """Create the schemas that Voyado lacks; list those that differ (exit code 1).

    Voyado cannot change a schema. --replace ID deletes a schema with all its interactions of all
    contacts, then creates it again from its file. This is refused if the new schema is not backward
    compatible, and it asks you to type the id first (or use --yes).
    """
    settings = load_settings()
    done = (
        _create(settings, folder) if replace is None else _replace(settings, folder, replace, yes)
    )
    if not done:
        raise typer.Exit(1)


@app.command("export")
def export(
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Folder for one <id>.json per schema.")
    ] = Path("voyado-schemas"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite files with different content.")
    ] = False,
) -> None:
    """Export Voyado's schemas to files that plan and apply can read."""
    from streams.operations.voyado_schemas.files import write_definitions

    there = ask_voyado(lambda voyado: voyado.list_schemas())
    for path, was_written in write_definitions(folder, there, overwrite=overwrite):
        echo(f"{path}  {'written' if was_written else 'as it was'}")
    if not there:
        typer.echo("Voyado has no interaction schemas: nothing was written.")


@app.command("delete")
def delete(
    schema_id: Annotated[str, typer.Argument(metavar="ID", help="The schema; see list.")],
    yes: Annotated[bool, typer.Option("--yes", help="Skip typing the id as confirmation.")] = False,
) -> None:
    """Delete a schema with ALL its interactions, of all contacts.

    This cannot be undone. Export the interactions first, if you want to keep them. It asks you to
    type the id first (or use --yes).
    """
    from streams.core.errors import SettingsError
    from streams.operations.voyado_schemas.voyado_schemas import deletion_lines
    from streams.vendors.voyado.definition import id_problems

    if problems := [f"ID: {plain(words)}." for words in id_problems(schema_id)]:
        raise SettingsError(problems)
    is_sent = _is_sent(load_settings(), schema_id)
    for line in deletion_lines(schema_id, is_sent=is_sent):
        echo(line, err=True)
    command = f"streams voyado-schemas delete {plain(schema_id)}"
    if not (yes or _is_typed(schema_id, command)):
        typer.echo("That is not the id: nothing was changed.", err=True)
        raise typer.Exit(1)
    done = ask_voyado(lambda voyado: voyado.delete_schema(schema_id))
    echo(f"{schema_id}  {'deleted' if done else 'was not there'}")


def _uses(settings: "Settings") -> "Sequence[SchemaUse]":
    from streams.operations.voyado_schemas.voyado_schemas import voyado_settings
    from streams.vendors.voyado.inquiries import schema_uses

    return schema_uses(voyado_settings(settings), settings.named_events)


def _is_sent(settings: "Settings", id_: str) -> bool:
    """Whether the relay sends interactions of this schema."""
    return any(use.schema_id == id_ for use in _uses(settings))


def _plan(settings: "Settings", folder: Path | None) -> "list[PlanRow]":
    from streams.operations.voyado_schemas.files import load_definitions
    from streams.operations.voyado_schemas.plan import plan
    from streams.operations.voyado_schemas.voyado_schemas import voyado_settings

    files = load_definitions(folder, voyado_settings(settings), settings.named_events)
    return plan(files, ask_voyado(lambda voyado: voyado.list_schemas()))


def _create(settings: "Settings", folder: Path | None) -> bool:
    """Create what is missing; return whether all schemas are then as their files say."""
    from streams.cli.voyado_schemas_view import plan_lines
    from streams.operations.voyado_schemas.plan import State, without_file

    rows = _plan(settings, folder)
    _create_missing(rows)
    for row in rows:
        if row.state is State.EQUAL:
            typer.echo(f"{row.id}  equal")
    differing = [row for row in rows if row.state is State.DIFFERENT]
    for row in differing:
        typer.echo(f"{row.id}  different, left as it is")
        for line in plan_lines(row):
            echo(f"  {line}", err=True)
    if differing:
        typer.echo(
            "Voyado cannot change a schema: give the new one another id, or see what "
            f"`{_replace_command(folder, differing[0].id)}` would delete.",
            err=True,
        )
    lacking = without_file(_uses(settings), rows)
    for line in lacking:
        echo(line, err=True)
    return not (differing or lacking)


def _create_missing(rows: "Sequence[PlanRow]") -> None:
    from streams.operations.voyado_schemas.voyado_schemas import create_missing

    async def create(voyado: "Voyado") -> None:
        async for id_ in create_missing(voyado, rows):
            typer.echo(f"{id_}  created")

    ask_voyado(create)


def _replace(settings: "Settings", folder: Path | None, id_: str, yes: bool) -> bool:
    """Replace a schema; return whether it is then as its file says."""
    from streams.core.errors import SettingsError
    from streams.operations.voyado_schemas.plan import State
    from streams.operations.voyado_schemas.voyado_schemas import (
        explanation,
        judge_replacement,
        replace,
        replay_command,
    )

    rows = [row for row in _plan(settings, folder) if row.state is not State.NO_FILE]
    row = next((row for row in rows if row.id == id_), None)
    if row is None:
        known = ", ".join(row.id for row in rows)
        raise SettingsError([f"--replace: no file defines {plain(id_)}; there are: {known}."])
    if row.state is State.EQUAL:
        typer.echo(f"{id_} is at Voyado as its file says: nothing was deleted.")
        return True
    if row.state is State.MISSING:
        typer.echo(f"{id_}: Voyado has none, so there is nothing to delete.")
        _create_missing([row])
        return True
    judged = judge_replacement(row)
    is_sent = _is_sent(settings, id_)
    for line in explanation(row, judged, is_sent=is_sent, now_ms=wall_clock.now_ms()):
        echo(line)
    if not (yes or _is_typed(id_, _replace_command(folder, id_))):
        typer.echo("That is not the id: nothing was changed.", err=True)
        return False
    assert row.there is not None
    there, deleted_ms = row.there, wall_clock.now_ms()
    ask_voyado(lambda voyado: replace(voyado, there, row.definition))
    typer.echo(f"{id_}  replaced, its interactions are deleted")
    if is_sent:
        typer.echo(f"To be sent again, as said above: {replay_command(deleted_ms)}")
    return True


def _is_typed(id_: str, command: str) -> bool:
    """Ask for the id; raises SettingsError where nobody can answer."""
    import sys

    from streams.core.errors import SettingsError

    if not sys.stdin.isatty():
        words = f"Nobody is here to type {plain(id_)}, which is asked before it is deleted"
        raise SettingsError([f"{words}. Nothing was changed; `{command} --yes` does not ask."])
    typed = typer.prompt(f"Type {id_} to delete it with all its interactions", default="")
    return bool(typed.strip() == id_)


def _replace_command(folder: Path | None, id_: str) -> str:
    import shlex

    of_folder = "" if folder is None else f" --dir {shlex.quote(plain(str(folder)))}"
    return f"streams voyado-schemas apply{of_folder} --replace {id_}"
