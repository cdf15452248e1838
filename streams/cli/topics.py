"""``streams topics create`` and ``streams topics list``."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.kafka.topics import TopicReport

app = typer.Typer(no_args_is_help=True, help="Create and list the topics that the relay needs.")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON array.")]


def _days(help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(min=1, max=36_500, help=help_text)
    return option


@app.command("create")
def create(
    raw_days: Annotated[
        int | None, _days("Days to keep raw events and vendor records (new topics: 7).")
    ] = None,
    receipt_days: Annotated[int | None, _days("Days to keep receipts (new topics: 14).")] = None,
    dead_letter_days: Annotated[
        int | None, _days("Days to keep dead letters (new topics: 30).")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Create the topics that are missing. Safe to run again.

    If an existing topic has a different partition count or cleanup policy, it is reported, nothing
    is created or changed, and the exit code is 1.
    """
    from streams.kafka.topics import TopicState, create_topics
    from streams.settings import load_settings

    reports = asyncio.run(
        create_topics(
            load_settings(),
            raw_days=raw_days,
            receipt_days=receipt_days,
            dead_letter_days=dead_letter_days,
        )
    )
    _show(reports, as_json)
    differing = [report for report in reports if report.state is TopicState.DIFFERS]
    if not differing:
        return
    for report in differing:
        for difference in report.differences:
            typer.echo(f"Topic {report.topic} {difference}.", err=True)
    typer.echo(
        "Nothing was changed. Bring these topics into line with Kafka's own tools, or the settings "
        "with them (STREAMS_KAFKA_PARTITIONS), then run `streams topics create` again.",
        err=True,
    )
    raise typer.Exit(1)


@app.command("rekey")
def rekey(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only; write nothing.")] = False,
    wait: Annotated[
        float,
        typer.Option(min=0, help="Seconds to wait for events on old partitions to settle."),
    ] = 30.0,
    now: Annotated[
        bool,
        typer.Option(
            "--now", help="Do not wait: events still waiting there lose the consent of their row."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Move user rows to the partitions of their visitors' events after partitions were added.

    Copies each row whose key belongs to another partition there, unless a newer row exists, and
    removes it from the old partition. No visitor is forgotten by this. Safe to run again. Exit code
    1: rows are left because events on their old partitions are not settled yet.
    """
    from streams.operations.rekey import run_rekey
    from streams.settings import load_settings

    done = asyncio.run(
        run_rekey(load_settings(), wait_seconds=wait, remove_now=now, dry_run=dry_run)
    )
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps(asdict(done), indent=2))
    elif dry_run:
        typer.echo(
            f"{done.rows:,} rows; {done.copied:,} to be written, {done.left:,} to be taken off "
            "their old partitions. Nothing was changed."
        )
    else:
        typer.echo(
            f"{done.rows:,} rows; {done.copied:,} written, {done.removed:,} taken off their old "
            "partitions."
        )
    if done.waiting:
        typer.echo(
            f"{done.left:,} rows also stay on their old partitions, where events need them: "
            f"{'; '.join(done.waiting)}. Run it again when these are settled.",
            err=True,
        )
        raise typer.Exit(1)


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """List the relay's topics, their purpose, and whether their configuration is correct."""
    from streams.kafka.topics import list_topics
    from streams.settings import load_settings

    _show(asyncio.run(list_topics(load_settings())), as_json)


def _show(reports: "Sequence[TopicReport]", as_json: bool) -> None:
    if as_json:
        import json

        from streams.kafka.topics import report_rows

        typer.echo(json.dumps(report_rows(reports), indent=2))
        return
    width = max(len(report.topic) for report in reports)
    for report in reports:
        facts = ""
        if report.partitions is not None:
            facts = (
                f"{report.partitions:>4} partitions  x{report.replication}  "
                f"{report.config['cleanup.policy']}"
            )
        words = "; ".join(report.differences)
        typer.echo(f"{report.topic:<{width}}  {report.state:<8}{facts}  {words}".rstrip())
