"""``streams audit``: exact sums from the topics themselves."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import moment_ms, plain, reading_progress

if TYPE_CHECKING:
    from rich.table import Table

    from streams.operations.audit.audit import AuditReport, VendorBooks
    from streams.settings import Settings


def audit(
    since: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="Count raw records written at T or later: 2h ago, 2026-11-20 14:00, …",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Recount from the topics whether every raw event is accounted for at each vendor.

    raw - enrichment's dead letters = accepted + dead-lettered + skipped + waiting. Exit code 1
    if this does not hold, or if a record is missing, contradicted or unexplained.
    """
    import asyncio

    from streams.operations.audit.audit import audit as run
    from streams.settings import load_settings

    since_ms = None if since is None else moment_ms(since)
    settings = load_settings()
    with reading_progress() as tell:
        report = asyncio.run(run(settings, since_ms, tell=tell))
    if as_json:
        import json

        typer.echo(json.dumps([report.to_json()], indent=2))
    else:
        from rich.console import Console

        console = Console()
        console.print(audit_table(report))
        for line in audit_lines(report):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        if stages := stages_waited_for(report):
            for line in asyncio.run(_why_events_wait(settings, stages)):
                console.print(line, markup=False, highlight=False, soft_wrap=True)
    if not report.balanced:
        raise typer.Exit(1)


def stages_waited_for(report: "AuditReport") -> set[str]:
    """Return the stages for which events wait."""
    found = {books.vendor for books in report.vendors if books.waiting_for_vendor}
    if any(books.waiting_for_enrichment for books in report.vendors):
        found.add("enrich")
    return found


async def _why_events_wait(settings: "Settings", stages: set[str]) -> list[str]:
    """Return what ``streams status`` finds about these stages."""
    from streams.core.errors import SetupError
    from streams.operations.status.judge import judge
    from streams.operations.status.observe import observe

    try:
        _, known, _ = await observe(settings)
    except SetupError as error:
        return [plain(f"Why events wait is not known: {error}")]
    return [plain(one.sentence()) for one in judge(known) if one.subject in stages]


def audit_table(report: "AuditReport") -> "Table":
    """Return the sums as a table, one column a vendor; all text in it is escaped."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=None, show_edge=False, pad_edge=False)
    table.add_column("")
    for books in report.vendors:
        table.add_column(_shown(books.vendor), justify="right")

    def row(name: str, values: list[int], style: str = "", always: bool = True) -> None:
        if always or any(values):
            cells = [f"{value:,}" if value or always else "" for value in values]
            table.add_row(escape(plain(name)), *cells, style=style)

    vendors = report.vendors
    row("raw events", [v.raw for v in vendors])
    row("  expired and gone", [v.gone for v in vendors], "dim", always=False)
    row("- enrichment's dead letters", [v.enrich_dead_lettered for v in vendors])
    row("- read while the vendor was off", [v.off for v in vendors], always=False)
    row("= to be accounted for", [v.owed for v in vendors], style="bold")
    row("accepted", [v.accepted for v in vendors])
    for title, key in (("dead-lettered", "dead_lettered"), ("skipped", "skipped")):
        reasons = sorted({reason for v in vendors for reason in getattr(v, key)})
        row(title, [sum(getattr(v, key).values()) for v in vendors])
        for reason in reasons:
            row(f"  {reason}", [getattr(v, key).get(reason, 0) for v in vendors], style="dim")
    row("waiting", [v.waiting for v in vendors])
    row("  for enrichment", [v.waiting_for_enrichment for v in vendors], "dim", always=False)
    row("  for the vendor", [v.waiting_for_vendor for v in vendors], "dim", always=False)
    row("= accounted for", [v.explained for v in vendors], style="bold")
    for title, key in (
        ("missing", "missing"),
        ("contradicting", "contradicting"),
        ("unexplained", "unexplained"),
        ("unreadable", "unreadable"),
    ):
        row(title, [getattr(v, key) for v in vendors], style="bold red", always=False)
    row(
        "written more than once: vendor records",
        [v.repeated_records for v in vendors],
        "dim",
        always=False,
    )
    row(
        "written more than once: receipts",
        [v.repeated_receipts for v in vendors],
        "dim",
        always=False,
    )
    return table


def audit_lines(report: "AuditReport") -> list[str]:
    """Return the sentences below the table: what expired, examples of trouble, the verdict."""
    lines = [
        f"{topic}: {count:,} records expired before they were read."
        for topic, count in report.expired.items()
        if count
    ]
    if report.unexplained or report.unreadable:
        lines.append(
            f"enrich: {report.unexplained:,} dead letters about records that do not exist, "
            f"{report.unreadable:,} unreadable."
        )
    lines += [f"  {example.where}: {example.detail}" for example in report.examples]
    for books in report.vendors:
        lines += _troubles(books)
    if report.balanced:
        lines.append("The books balance: every event is accounted for.")
    else:
        lines.append("The books do NOT balance.")
    return [plain(line) for line in lines]


def _troubles(books: "VendorBooks") -> list[str]:
    if books.balanced:
        return []
    difference = books.owed - books.explained
    sums = f"{books.owed:,} to be accounted for, {books.explained:,} accounted for"
    return [
        f"{books.vendor}: {sums}: a difference of {difference:,}.",
        *(f"  {example.where}: {example.detail}" for example in books.examples),
    ]


def _shown(text: str) -> str:
    from rich.markup import escape

    return escape(plain(text))
