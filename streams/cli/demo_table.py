"""The demo's result as a table, one column a vendor, and its verdict in words."""

from collections.abc import Iterable, Mapping, Sequence

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from streams.core.plain_text import plain
from streams.lab.demo.books import Closing, VendorClosing
from streams.vendors import VENDORS

_INDENT = "  "


def books_table(closing: Closing) -> Table:
    """Return the books: events in = accepted + skipped + dead-lettered; ledger, requests, ages."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    # 80 columns hold the words and three vendors.
    table.add_column("", no_wrap=True)
    for vendor in closing.vendors:
        table.add_column(VENDORS[vendor.books.vendor].name, justify="right")
    _add_events(table, closing)
    table.add_row()
    _add_ledgers(table, closing.vendors)
    return table


def _add_events(table: Table, closing: Closing) -> None:
    vendors = closing.vendors
    books = [vendor.books for vendor in vendors]
    given_up = closing.report.enrich_dead_letters
    _add(table, "events in", [b.raw for b in books], "bold")
    for topic, count in closing.report.raw.items():
        _add(table, f"{_INDENT}{topic}", [count] * len(books), "dim")
    _add(table, "= accepted", [b.accepted for b in books], "green")
    _add(table, "+ skipped", [sum(b.skipped.values()) for b in books])
    _add_each(table, [b.skipped for b in books])
    dead = [b.enrich_dead_lettered + sum(b.dead_lettered.values()) for b in books]
    _add(table, "+ dead-lettered", dead)
    for reason, count in given_up.items():
        _add(table, f"{_INDENT}{reason}, at enrich", [count] * len(books), "dim")
    _add_each(table, [b.dead_lettered for b in books])
    if any(b.off for b in books):
        _add(table, "+ read while the vendor was off", [b.off for b in books], "yellow")
    if any(b.waiting for b in books):
        _add(table, "+ waiting", [b.waiting for b in books], "yellow")
    table.add_row("difference", *map(_difference, vendors), style="bold")


def _add_ledgers(table: Table, vendors: Sequence[VendorClosing]) -> None:
    _add(table, "requests at the simulator", [v.ledger.requests for v in vendors])
    _add_each(table, [v.ledger.answers for v in vendors])
    _add(table, "in the simulator's ledger", [len(v.ledger.ids) for v in vendors])
    table.add_row(f"{_INDENT}compared with the receipts", *map(_agreement, vendors), style="bold")
    ages = [vendor.ages for vendor in vendors]
    table.add_row("raw record to accepted, p50", *(f"{a.p50:.2f} s" if a else "-" for a in ages))
    table.add_row(f"{'p95':>27}", *(f"{a.p95:.2f} s" if a else "-" for a in ages))


def _add(table: Table, title: str, counts: Iterable[int], style: str = "") -> None:
    table.add_row(escape(plain(title)), *(f"{count:,}" for count in counts), style=style)


def _add_each(table: Table, counts: list[Mapping[str, int]]) -> None:
    """Add a row for every word that one of the vendors has."""
    for word in sorted({word for of_vendor in counts for word in of_vendor}):
        _add(table, f"{_INDENT}{word}", [of_vendor.get(word, 0) for of_vendor in counts], "dim")


def verdict_lines(closing: Closing) -> list[Text]:
    """Return what the table comes to, in words."""
    problems = closing.problems()
    if problems:
        return [
            Text("The sums do NOT match:", style="bold red"),
            *(Text(f"  {plain(problem)}", style="red") for problem in problems),
        ]
    line = Text("The sums match: ", style="bold green")
    words = f"each of the {closing.written:,} events is accounted for at every vendor."
    line.append(words, style="not bold default")
    source = "Counted from the topics and the simulators' ledgers, not from the workers' counters."
    return [line, Text(source, style="dim")]


def _difference(vendor: VendorClosing) -> str:
    books = vendor.books
    return "✓ 0" if books.balanced else f"{books.owed - books.explained:,}"


def _agreement(vendor: VendorClosing) -> str:
    comparison = vendor.comparison
    if vendor.agrees:
        return "✓ same, once"
    parts = (
        (sum(comparison.lacking.values()), "lacking"),
        (sum(comparison.without_receipt.values()), "without receipt"),
        (sum(comparison.duplicates.values()), "duplicate"),
    )
    return ", ".join(f"{count:,} {word}" for count, word in parts if count)
