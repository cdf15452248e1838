"""``streams audit``: exact sums from the topics themselves."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import (
    JsonFlag,
    echo,
    load_settings,
    moment_ms,
    print_json,
    reading_progress,
)

if TYPE_CHECKING:
    from streams.operations.audit.report import AuditReport
    from streams.settings import Settings


def audit(
    since: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="Count raw records written at T or later: 2h ago, 2026-11-20 14:00, …",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check from the topics that every raw event is accounted for at each vendor.

    For each vendor: raw - enrichment's dead letters = accepted + dead-lettered + skipped + waiting.
    For each section of ingest: events = written + unmapped + dead-lettered + waiting; with `each`,
    a record is several events.

    Exit code 1 if a sum does not hold or cannot be computed, or if a record is missing (committed,
    but without an outcome), contradicting (a dead letter of enrichment that was sent anyway),
    unexplained (about a raw record that does not exist) or unreadable.
    """
    from streams.operations.audit.audit import run_audit

    since_ms = None if since is None else moment_ms(since)
    settings = load_settings()
    with reading_progress() as tell:
        report = asyncio.run(run_audit(settings, since_ms, tell=tell))
    if as_json:
        print_json([report.to_json()])
    else:
        from rich.console import Console

        from streams.operations.audit.table import audit_lines, audit_table, section_table

        console = Console()
        console.print(audit_table(report))
        if report.sections:
            console.print(section_table(report.sections))
        lines = audit_lines(report)
        if stages := stages_waited_for(report):
            lines += asyncio.run(_why_events_wait(settings, stages))
        for line in lines:
            echo(line)
    if not report.balanced:
        raise typer.Exit(1)


def stages_waited_for(report: "AuditReport") -> set[str]:
    """Return the stages for which events wait."""
    found = {books.vendor for books in report.vendors if books.waiting_for_vendor}
    if any(one.waiting for one in report.sections):
        found.add("ingest")
    if any(books.waiting_for_enrichment for books in report.vendors):
        found.add("enrich")
    return found


async def _why_events_wait(settings: "Settings", stages: set[str]) -> list[str]:
    """Return what ``streams status`` finds about these stages."""
    from streams.core.errors import SetupError
    from streams.status.judge import judge
    from streams.status.observe import observe

    try:
        _, known, _ = await observe(settings)
    except SetupError as error:
        return [f"Why events wait is not known: {error}"]
    return [one.sentence() for one in judge(known) if one.subject in stages]
