"""How ``streams check --mapping`` looks: a block a line of the file, then the sums by vendor."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.terminal import plain
from streams.core.outcome import Outcome
from streams.operations.check.mapping_preview import SENT, PreviewRow
from streams.vendors import VENDORS

_STYLES = {SENT: "green", Outcome.SKIPPED: "yellow"}
_WORDS = {Outcome.DEAD_LETTERED: "dead letter", "malformed_row": "malformed row"}
_COUNTED = (SENT, Outcome.SKIPPED, Outcome.DEAD_LETTERED)


def show_preview(
    console: Console, rows: Iterable[PreviewRow], vendors: Sequence[str]
) -> Counter[str]:
    """Print the rows as they come and then the sums; return how often each outcome came."""
    sums: Counter[tuple[str | None, str]] = Counter()
    line = 0
    for row in rows:
        if row.line != line:
            line = row.line
            console.print(_heading(row))
        console.print(_share(row))
        sums[row.vendor, row.outcome] += 1
    console.print(_sums(sums, vendors))
    outcomes: Counter[str] = Counter()
    for (_, outcome), count in sums.items():
        outcomes[outcome] += count
    return outcomes


def _heading(row: PreviewRow) -> Text:
    words = [f"line {row.line}"]
    if row.topic is not None:
        words.append(row.topic)
    if row.event_id is not None:
        made = " (made of its place in Kafka)" if "made_event_id" in row.notes else ""
        words += [f"{row.event_type} {row.event_id}{made}", f"visitor {row.anonymous_id}"]
    put_right = [note for note in row.notes if note != "made_event_id"]
    if put_right:
        words.append(f"put right: {', '.join(put_right)}")
    return Text(plain("  ".join(words)), "bold")


def _share(row: PreviewRow) -> Text:
    name = VENDORS[row.vendor].name if row.vendor is not None else "all vendors"
    outcome = _WORDS.get(row.outcome, row.outcome)
    text = Text(f"  {name:<14}  ")
    text.append(f"{outcome:<13}  ", _STYLES.get(row.outcome, "red"))
    if row.payload is not None:
        contact = ""
        if row.contact is not None:
            ((kind, value),) = row.contact.items()
            contact = f"  (contact to be looked up by {kind} {value})"
        text.append(plain(f"{bytes(row.payload).decode()}{contact}"))
        return text
    reason = "" if row.reason is None else f"{row.reason}: "
    field = "" if row.field is None else f"  (field {row.field})"
    text.append(plain(f"{reason}{row.detail}{field}"))
    return text


def _sums(sums: Counter[tuple[str | None, str]], vendors: Sequence[str]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("vendor")
    for title in ("sent", "skipped", "dead letters"):
        table.add_column(title, justify="right")
    for key in vendors:
        counts = [f"{sums[key, outcome]:,}" for outcome in _COUNTED]
        table.add_row(VENDORS[key].name, *counts)
    for_all = sums[None, Outcome.DEAD_LETTERED]
    if for_all:
        table.add_row("all vendors", "", "", f"{for_all:,}")
    return table
