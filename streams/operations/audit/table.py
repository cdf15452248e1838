"""An audit's report as people read it: a table and the sentences below it."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from streams.core.plain_text import plain
from streams.core.quantities import listing
from streams.operations.audit.report import AuditReport, SectionBooks, VendorBooks


def audit_table(report: AuditReport) -> Table:
    """Return the sums as a table, one column a vendor; all text in it is escaped."""
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
    for trouble in ("missing", "contradicting", "unexplained", "unreadable"):
        row(trouble, [getattr(v, trouble) for v in vendors], "bold red", always=False)
    for what, key in (("vendor records", "repeated_records"), ("receipts", "repeated_receipts")):
        numbers = [getattr(v, key) for v in vendors]
        row(f"written more than once: {what}", numbers, "dim", always=False)
    return table


def section_table(sections: Sequence[SectionBooks]) -> Table:
    """Return a row for each section of ingest; all text in it is escaped."""
    table = Table(title=None, show_edge=False, pad_edge=False)
    table.add_column("ingest section", overflow="fold")
    names = ["read", "events", "written", "unmapped", "dead_lettered", "waiting"]
    if any(one.missing for one in sections):
        names.append("missing")
    for name in names:
        table.add_column(name.replace("_", "-"), justify="right")
    for one in sections:
        cells = ["?" if one.unknown else f"{getattr(one, name):,}" for name in names]
        style = "" if one.balanced else "bold red"
        table.add_row(_shown(one.section), *cells, style=style)
    return table


def audit_lines(report: AuditReport) -> list[str]:
    """Return the sentences below the table: what expired, examples of trouble, the verdict."""
    lines = [
        f"{topic}: {count:,} records expired before they were read."
        for topic, count in report.expired.items()
        if count
    ]
    lines += [
        f"{topic}: {count:,} records are not read and in no sum: the source is switched off."
        for topic, count in report.not_read.items()
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
    for why in dict.fromkeys(one.unknown for one in report.sections if one.unknown):
        names = [f"[ingest.{one.section}]" for one in report.sections if one.unknown == why]
        lines.append(f"The numbers of {listing(names)} are not known. {why}")
    for one in report.sections:
        if not one.balanced and not one.unknown:
            lines.append(
                f"[ingest.{one.section}]: {one.missing:,} events of {one.topic} are missing, such "
                f"as {', '.join(one.examples)}. If the section was changed since they were read, "
                "count from then on with --since."
            )
    if report.balanced:
        lines.append("The sums match: every event is accounted for.")
    else:
        known = all(one.balanced or one.unknown for one in report.sections)
        known &= all(books.balanced for books in report.vendors)
        known &= not report.unexplained + report.unreadable
        lines.append(
            "What is known balances; the rest is unknown." if known else "The sums do NOT match."
        )
    return [plain(line) for line in lines]


def _troubles(books: VendorBooks) -> list[str]:
    if books.balanced:
        return []
    difference = books.owed - books.explained
    sums = f"{books.owed:,} to be accounted for, {books.explained:,} accounted for"
    return [
        f"{books.vendor}: {sums}: a difference of {difference:,}.",
        *(f"  {example.where}: {example.detail}" for example in books.examples),
    ]


def _shown(text: str) -> str:
    return escape(plain(text))
