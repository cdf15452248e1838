"""How ``streams init`` looks: a table a section, then one event at each vendor."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.check_view import show_row
from streams.core.plain_text import plain
from streams.core.proposal.model import Proposal, ProposedSection
from streams.core.proposal.toml import example_of, share_text
from streams.core.quantities import count
from streams.operations.init.preview import Outlook
from streams.vendors import VENDORS

_SHOWN_REFUSALS = 8


def show_proposal(console: Console, proposal: Proposal) -> None:
    """Print the sections and what a person should look at."""
    for section in proposal.sections:
        console.print(_heading(section))
        beside = section.settings()
        for name in ("format", "envelope", "when", "each", "timestamp_format", "timezone"):
            if name in beside:
                console.print(Text(plain(f"  {name} = {beside[name]}"), "dim"))
        console.print(_fields(section))
        for remark in section.remarks:
            console.print(Text(plain(f"  ! {remark}"), "yellow"))
        console.print()
    for remark in proposal.remarks:
        console.print(Text(plain(remark), "yellow"))


def _heading(section: ProposedSection) -> Text:
    what = "row" if section.to in {"users", "products"} else "event"
    text = Text(f"[ingest.{section.name}]", "bold")
    text.append(
        plain(
            f"  {section.topic} → {section.to}: {section.shape}, "
            f"{count(section.events, what)} of {count(section.records, 'sampled record')}"
        ),
        "not bold",
    )
    return text


def _fields(section: ProposedSection) -> Table:
    table = Table(show_edge=False, pad_edge=False, box=None, header_style="dim")
    table.add_column("  field", no_wrap=True)
    table.add_column("expression", overflow="fold")
    table.add_column("has it", justify="right", no_wrap=True)
    table.add_column("example", overflow="fold")
    rows = {**({"key": section.key} if section.key else {}), **section.fields}
    for field, found in rows.items():
        table.add_row(
            f"  {field}",
            Text(plain(found.expression)),
            share_text(found.share),
            Text(plain(example_of(field, found, section.to))),
        )
    return table


def show_outlook(console: Console, outlook: Outlook) -> None:
    """Print one event of each kind as each vendor gets it, and what would be refused."""
    for view in outlook.views:
        console.print(Text(f"One record of {view.to}, at each vendor", "bold"))
        for row in view.rows:
            console.print(show_row(row))
            if row.vendor is not None and row.vendor in view.with_a_yes:
                console.print(
                    Text("    with consent:", "dim"), show_row(view.with_a_yes[row.vendor])
                )
        console.print()
    for (section, cause), number in outlook.refused.most_common(_SHOWN_REFUSALS):
        words = f"[ingest.{section}] {count(number, 'dead letter')}: {cause}"
        console.print(Text(plain(words), "red"))
    shown = {row.vendor for view in outlook.views for row in view.rows}
    for remark in outlook.remarks:
        if any(key is not None and VENDORS[key].name in remark for key in shown):
            console.print(Text(plain(remark), "dim"))
