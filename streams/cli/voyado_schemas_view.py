"""How ``streams voyado-schemas`` shows schemas and what lies between them and files."""

from collections.abc import Iterator, Sequence
from typing import Any

import typer

from streams.cli.terminal import echo
from streams.operations.voyado_schemas.plan import PlanRow
from streams.vendors.voyado.definition import Definition


def show_list(definitions: Sequence[Definition]) -> None:
    """Print each schema with the name that the mail editor knows, and its properties."""
    for definition in definitions:
        echo(
            f"{definition.id}  {definition.display_name}  "
            f"(mail editor: {definition.mail_editor_name})"
        )
        for line in _property_lines(definition):
            echo(f"  {line}")
    if not definitions:
        typer.echo("Voyado has no interaction schemas.")


def show_plan(rows: Sequence[PlanRow]) -> None:
    """Print each schema's state with its differences, and how often each state is there."""
    width = max((len(row.id) for row in rows), default=0)
    for row in rows:
        echo(f"{row.id:<{width}}  {row.state:<9}  {row.definition.display_name}".rstrip())
        for line in plan_lines(row):
            echo(f"{'':<{width}}    {line}")
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    typer.echo(f"{counts}.")


def plan_lines(row: PlanRow) -> list[str]:
    """Return what there is to say of one schema beyond its state."""
    return [*map(str, row.differences), *filter(None, [row.remark])]


def _property_lines(definition: Definition) -> Iterator[str]:
    if not definition.is_readable:
        yield "Voyado's answer does not show its properties."
        return
    width = max(map(len, definition.properties), default=0)
    for name, rules in definition.properties.items():
        words = [str(rules.get("type", "")), *filter(None, [rules.get("format")])]
        words += ["required"] if name in definition.required else []
        words += ["segmentable"] if rules.get("addToSegmentation") == "true" else []
        yield f"{name:<{width}}  {' '.join(words):<18}  {rules.get('displayName', '')}".rstrip()


def list_row(definition: Definition) -> dict[str, Any]:
    """Return what ``--json`` shows of a schema; properties are null where Voyado hides them."""
    return {
        "id": definition.id,
        "display_name": definition.display_name,
        "mail_editor_name": definition.mail_editor_name,
        "properties": [
            {
                "name": name,
                "type": rules.get("type"),
                "format": rules.get("format"),
                "display_name": rules.get("displayName"),
                "show_in_contact_card": rules.get("showInContactCard"),
                "add_to_segmentation": rules.get("addToSegmentation", "false"),
                "sort_order": rules.get("sortOrder"),
                "required": name in definition.required,
            }
            for name, rules in definition.properties.items()
        ]
        if definition.is_readable
        else None,
    }
