"""What ``replay`` and ``dead-letters resend`` show: previews, progress, receipts, runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from time import monotonic
from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from streams.cli.terminal import new_table
from streams.core.plain_text import plain
from streams.core.runs import Run, RunReceipt, VendorPart
from streams.core.times import utc_text
from streams.replay.preview_text import LEFT_WORDS, PreviewRow, asked_words

CLEAR = "\r\x1b[K"
"""Back to the start of the line, which is emptied."""
SILENT_SECONDS = 15
"""After so long without a sign of a sink it is said."""


def counts_table(vendors: Sequence[str], rows: Iterable[PreviewRow]) -> Table:
    """Return the figures of a preview, one column a vendor; all text in it is escaped."""
    table = new_table("", numbers=map(_shown, vendors))
    for row in rows:
        table.add_row(_shown(row.name), *map(_shown, row.values), style=row.weight)
    return table


def receipt_table(parts: Sequence[VendorPart]) -> Table:
    """Return what became of a run's events, one column a vendor; all text in it is escaped."""
    receipts = [part.receipt or RunReceipt() for part in parts]
    rows = [PreviewRow("state", tuple(part.state for part in parts))]

    def add(title: str, numbers: Sequence[int], weight: str = "") -> None:
        rows.append(PreviewRow(title, tuple(f"{number:,}" for number in numbers), weight))

    add("selected", [r.selected for r in receipts], "bold")
    add("sent", [r.sent for r in receipts], "dim")
    add("accepted", [r.accepted for r in receipts])
    for title, name in (("refused", "refused"), ("skipped", "skipped"), ("not sent", "left")):
        found: list[Mapping[str, int]] = [getattr(r, name) for r in receipts]
        for word in sorted({word for counts in found for word, n in counts.items() if n}):
            shown = LEFT_WORDS.get(word, word) if name == "left" else word
            add(f"{title}: {shown}", [counts.get(word, 0) for counts in found])
    for title, name, weight in (
        ("passed over", "passed_over", ""),
        ("waiting", "waiting", ""),
        ("records not read yet", "unread", "dim"),
    ):
        numbers = [getattr(r, name) for r in receipts]
        if any(numbers):
            add(title, numbers, weight)
    return counts_table([part.vendor for part in parts], rows)


def run_lines(run: Run, zone: tzinfo, *, has_process: bool) -> list[str]:
    """Return the heading of a run: its id, what it was asked, since when, and what to do."""
    lines = [f"{run.run_id}  {state_word(run, has_process=has_process)}"]
    lines.append(f"  {asked_words(run.asked, zone)}")
    ended = "" if run.ended_at is None else f", ended {run.ended_at}"
    lines.append(f"  started {run.started_at}{ended}")
    if run.state == "running" and not has_process:
        if run.all_written:
            lines.append("  All events are written; the workers are delivering them.")
        else:
            lines.append(
                f"  Its process has ended. Resume it with `streams replay resume {run.run_id}`."
            )
    if run.problem:
        lines.append(f"  {run.problem}")
    return [plain(line) for line in lines]


def run_line(run: Run, *, has_process: bool) -> str:
    """Return one line about a run, for the list."""
    receipts = [part.receipt or RunReceipt() for part in run.parts]
    always = {
        "selected": sum(r.selected for r in receipts),
        "sent": sum(r.sent for r in receipts),
        "accepted": sum(r.accepted for r in receipts),
    }
    more = {
        "refused": sum(sum(r.refused.values()) for r in receipts),
        "skipped": sum(sum(r.skipped.values()) for r in receipts),
        "waiting": sum(r.waiting for r in receipts),
        "passed over": sum(r.passed_over for r in receipts),
    }
    words = [f"{n:,} {word}" for word, n in (always | more).items() if n or word in always]
    state = state_word(run, has_process=has_process)
    return plain(f"{run.run_id}  {state:<11}  {','.join(run.vendors)}  {', '.join(words)}")


def state_word(run: Run, *, has_process: bool) -> str:
    """Return the run's state; ``interrupted`` where nobody is at one that is not all written."""
    if run.state != "running" or has_process:
        return run.state
    return "delivering" if run.all_written else "interrupted"


def run_json(run: Run, *, has_process: bool) -> dict[str, Any]:
    """Return a run as ``--json`` shows it."""
    asked = msgspec.to_builtins(run.asked)
    for name, shown in (("from_ms", "from"), ("to_ms", "to"), ("since_ms", "since")):
        if name in asked:
            asked[shown] = utc_text(asked.pop(name))
    receipts = [(part, part.receipt or RunReceipt()) for part in run.parts]
    vendors = [
        {"vendor": part.vendor, "state": part.state}
        | msgspec.structs.asdict(receipt)
        | {"balanced": receipt.balanced}
        for part, receipt in receipts
    ]
    return {
        "run_id": run.run_id,
        "state": state_word(run, has_process=has_process),
        "asked": asked,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "vendors": vendors,
    }


class Watching:
    """Draws on a terminal, once a second, how far a run is."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._settled: dict[str, tuple[int, float]] = {}
        """By vendor, how much was settled, and when that last changed."""
        self.run: Run | None = None

    def __call__(self, run: Run) -> None:
        """Show a run that was just kept."""
        if self.run is None:
            self._write(f"Run {run.run_id}\n")
        self.run = run
        words = []
        for part in run.parts:
            receipt = part.receipt or RunReceipt()
            settled = part.sent - receipt.waiting - receipt.passed_over
            unread = f", {receipt.unread:,} records to read" if receipt.unread else ""
            words.append(f"{part.vendor}: {part.sent:,} written, {settled:,} settled{unread}")
            self._note_silence(part.vendor, settled, receipt.waiting)
        self._write(f"{CLEAR}{'; '.join(words)}")

    def _note_silence(self, vendor: str, settled: int, waiting: int) -> None:
        """Say once when a sink has taken nothing for a while."""
        known, since = self._settled.get(vendor, (-1, 0.0))
        if settled != known or not waiting:
            self._settled[vendor] = settled, monotonic()
        elif monotonic() - since > SILENT_SECONDS:
            self._settled[vendor] = settled, float("inf")
            self._write(
                f"{CLEAR}{vendor} has settled nothing for {SILENT_SECONDS} s. Check with `streams "
                "status` whether its worker is running, paused or parked. Still waiting.\n"
            )


def _shown(text: str) -> str:
    return escape(plain(text))
