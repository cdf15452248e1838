"""How ``streams diff`` looks: the sums by vendor, then the fields of those that differ."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.terminal import new_table
from streams.core.plain_text import plain
from streams.core.quantities import count
from streams.operations.diff.compare import Example, VendorChanges
from streams.operations.diff.diff import SettingsDifference
from streams.vendors import VENDORS

MAX_SHOWN_CHARS = 300


def show_difference(console: Console, found: SettingsDifference) -> None:
    """Print all of it."""
    where = f" of {', '.join(found.topics)}" if found.topics else ""
    console.print(Text(plain(f"Compared over {count(found.events, 'record')}{where}.")))
    console.print(_sums(found.vendors))
    for changes in found.vendors:
        if not changes.is_equal:
            _show_vendor(console, changes)
    for remark in found.remarks:
        console.print(Text(plain(remark)))
    if found.is_equal:
        console.print(Text("Each vendor would get the same."))


def _sums(vendors: Sequence[VendorChanges]) -> Table:
    table = new_table("payloads", numbers=("same", "added", "gone", "changed"))
    for one in vendors:
        counts = (one.same, one.added, one.gone, one.changed)
        table.add_row(VENDORS[one.vendor].name, *map(count, counts))
    return table


def _show_vendor(console: Console, changes: VendorChanges) -> None:
    console.print()
    name = VENDORS[changes.vendor].name
    if changes.fields:
        title = f"{name}: field of a changed payload"
        table = new_table(title, numbers=("added", "gone", "changed"))
        table.add_column("example")
        for path, one in sorted(changes.fields.items()):
            counts = map(count, (one.added, one.gone, one.changed))
            example = one.examples[0]
            words = f"{_value(example.old)} → {_value(example.new)}"
            table.add_row(Text(plain(path)), *counts, Text(plain(words)))
        console.print(table)
    _show_whole(console, f"{name}: gone", changes.gone_because, changes.gone_examples)
    _show_whole(console, f"{name}: added, were", changes.added_because, changes.added_examples)


def _show_whole(
    console: Console, title: str, because: Counter[str], examples: Sequence[Example]
) -> None:
    if not because:
        return
    reasons = ", ".join(f"{why} {number:,}" for why, number in because.most_common())
    console.print(Text(plain(f"{title}: {reasons}")))
    example = examples[0]
    payload = example.new if example.old is None else example.old
    console.print(Text(plain(f"  for example {example.event_id}: {_value(payload)}")))


def _value(value: Any) -> str:
    text = "nothing" if value is None else msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 1]}…"
