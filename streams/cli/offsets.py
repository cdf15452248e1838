"""``streams offsets show`` and ``reset``: where a stage reads, for the rare whole-stage rewind."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import (
    JsonFlag,
    YesFlag,
    confirm,
    load_settings,
    local_zone,
    moment_ms,
    new_table,
    print_json,
    require_terminal,
)
from streams.core.plain_text import plain

if TYPE_CHECKING:
    from streams.operations.offsets import OffsetPlace, Reset, To

app = typer.Typer(
    no_args_is_help=True,
    help="Show or reset the offsets of a stopped stage. To send a time window again, use replay.",
)


@app.command("show")
def show(
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="ingest, enrich or a vendor; default: all.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show for each partition the committed offset, the ends of the log and what waits."""
    from streams.operations.offsets import read_places, stage_topics

    settings = load_settings()
    stages = settings.stages() if stage is None else (stage,)
    for one in stages:
        stage_topics(settings, one)
    found = {one: asyncio.run(read_places(settings, one)) for one in stages}
    if as_json:
        print_json([_row(one, place) for one, places in found.items() for place in places])
        return
    from rich.console import Console

    titles = ("partition", "committed", "log start", "log end", "waiting")
    table = new_table("stage", "topic", numbers=titles)
    for one, places in found.items():
        for place in places:
            numbers = (place.committed, place.log_start, place.log_end, place.waiting)
            shown = ["-" if number is None else f"{number:,}" for number in numbers]
            if place.is_recreated:
                shown[-1] = "recreated"
            table.add_row(one, place.tp.topic, str(place.tp.partition), *shown)
    Console().print(table)


@app.command("reset")
def reset(
    stage: Annotated[str, typer.Option(metavar="STAGE", help="ingest, enrich or a vendor.")],
    to: Annotated[
        str,
        typer.Option(metavar="T", help="earliest, latest, 2h ago, 2026-11-20 14:00, ms, …"),
    ],
    topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="Only this topic of the stage.")
    ] = None,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Move a stage to a point in Kafka time. All its workers must be stopped.

    Everything from there on is sent again, including events that vendors have accepted. `streams
    replay` leaves those out and needs no stop. If a topic was recreated, only the offsets of that
    topic are reset.
    """
    from streams.operations.offsets import apply_reset, plan_reset

    require_terminal(yes, "There is no terminal for the confirmation: give --yes to reset.")
    moment: To = to if to in ("earliest", "latest") else moment_ms(to, "--to")  # type: ignore[assignment]
    settings = load_settings()
    planned = asyncio.run(plan_reset(settings, stage, moment, topic))
    for line in reset_lines(planned, moment):
        typer.echo(line, err=True)
    confirm(yes, "Reset?", "Nothing was changed.")
    asyncio.run(apply_reset(settings, planned))
    if as_json:
        print_json([_row(stage, place) | {"new": at} for place, at in planned.changes])
    else:
        typer.echo(f"Stage {stage} is reset; start its workers again.")


def reset_lines(planned: "Reset", to: "To") -> list[str]:
    """Return what a reset will do, for the question."""
    from streams.core.moments import shown_moment

    moment = to if isinstance(to, str) else shown_moment(to, local_zone())
    lines = [f"Stage {planned.stage} to {moment}:"]
    for place, at in planned.changes:
        was = "nothing committed" if place.committed is None else f"{place.committed:,}"
        anew = " (recreated)" if place.is_recreated else ""
        lines.append(f"  {place.tp.topic} partition {place.tp.partition}: {was} -> {at:,}{anew}")
    if planned.repeated:
        lines.append(
            f"{planned.repeated:,} records are read once more, and what comes of them is sent once "
            "more, also what was accepted: vendors may count it twice."
        )
    if planned.left_out:
        lines.append(
            f"{planned.left_out:,} records will never be read: the audit will call them missing."
        )
    others = sorted(set(planned.commits) - {planned.stage})
    if others:
        lines.append(
            f"The marks by which {', '.join(others)} recognise repeats are lowered, so that they "
            "take what is enriched again."
        )
    return [plain(line) for line in lines]


def _row(stage: str, place: "OffsetPlace") -> dict[str, object]:
    return {
        "stage": stage,
        "topic": place.tp.topic,
        "partition": place.tp.partition,
        "committed": place.committed,
        "log_start": place.log_start,
        "log_end": place.log_end,
        "waiting": place.waiting,
        "recreated": place.is_recreated,
    }
