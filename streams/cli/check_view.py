"""How ``streams check --mapping`` looks: a block a line of the file, then the sums by vendor."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from streams.cli.terminal import new_table
from streams.core.fields import FIELDS
from streams.core.notes import note_words
from streams.core.outcome import Outcome
from streams.core.plain_text import plain
from streams.core.quantities import count
from streams.operations.check.mapping_preview import ROW, SENT, MappingRow
from streams.operations.check.topic_preview import Coverage, TopicPreview
from streams.vendors import VENDORS

_STYLES = {SENT: "green", ROW: "green", Outcome.SKIPPED: "yellow"}
_WORDS = {Outcome.DEAD_LETTERED: "dead letter", "malformed_row": "malformed row"}
_COUNTED = (SENT, Outcome.SKIPPED, Outcome.DEAD_LETTERED)


def show_preview(console: Console, rows: Iterable[MappingRow], vendors: Sequence[str]) -> set[str]:
    """Print the rows as they come and then the sums; return which outcomes came."""
    sums: Counter[tuple[str | None, str]] = Counter()
    shown: tuple[int, str | None] | None = None
    for row in rows:
        if row.outcome == ROW and not row.notes:
            continue
        if (row.line, row.event_id) != shown:
            shown = row.line, row.event_id
            console.print(_heading(row))
        console.print(show_row(row))
        sums[row.vendor, row.outcome] += 1
    console.print(_sums(sums, vendors))
    return {outcome for _, outcome in sums}


def show_topic_preview(console: Console, found: TopicPreview, vendors: Sequence[str]) -> None:
    """Print how each section reads its records, and what becomes of them at the vendors."""
    console.print(Text(plain(f"The newest {count(found.sampled, 'record')} of {found.topic}:")))
    for coverage in found.coverages:
        console.print()
        console.print(_coverage_table(coverage))
        if coverage.unmapped:
            words = f"{count(coverage.unmapped, 'record')} unmapped"
            console.print(Text(plain(f"{coverage.name}: {words}")))
    console.print()
    sums = Counter((row.vendor, row.outcome) for row in found.rows)
    console.print(_sums(sums, vendors))
    reasons = Counter(
        (row.vendor, row.reason) for row in found.rows if row.vendor is not None and row.reason
    )
    for (vendor, reason), number in reasons.most_common():
        console.print(Text(plain(f"{VENDORS[vendor or ''].name}: {reason} {number:,}")))


def _coverage_table(coverage: Coverage) -> Table:
    numbers = (f"of {coverage.records:,}", "share", "failed")
    table = new_table(escape(plain(coverage.name)), numbers=numbers)
    table.add_column("why, of one")
    names = {**dict.fromkeys(coverage.fields), **coverage.present, **coverage.failed}
    for name in sorted(names):
        has, failed = coverage.present[name], coverage.failed[name]
        share = f"{has / coverage.records:.1%}" if coverage.records else ""
        counts = f"{has:,}", share, f"{failed:,}" if failed else ""
        table.add_row(Text(plain(name)), *counts, Text(plain(coverage.reasons.get(name, ""))))
    return table


def _heading(row: MappingRow) -> Text:
    words = [f"line {row.line}"]
    if row.topic is not None:
        words.append(row.topic)
    if row.event_id is not None:
        made = " (from its position in Kafka)" if "made_event_id" in row.notes else ""
        words.append(f"{row.event_type or 'event'} {row.event_id}{made}")
    if row.anonymous_id is not None:
        words.append(f"visitor {row.anonymous_id}")
    corrected = [note for note in row.notes if note != "made_event_id"]
    if corrected:
        words += [note_words(note) for note in corrected]
    return Text(plain("  ".join(words)), "bold")


def show_row(row: MappingRow) -> Text:
    """Return one line: a vendor, the outcome, and the payload or the reason."""
    name = VENDORS[row.vendor].name if row.vendor is not None else "all vendors"
    outcome = _WORDS.get(row.outcome, row.outcome)
    text = Text(f"  {name:<14}  ")
    text.append(f"{outcome:<13}  ", _STYLES.get(row.outcome, "red"))
    if row.payload is not None:
        contact = ""
        if row.contact is not None:
            ((kind, value),) = row.contact.items()
            contact = f"  (contact to be looked up by {kind} {value})"
        odd = "" if row.detail is None else f"  (odd: {row.detail})"
        text.append(plain(f"{bytes(row.payload).decode()}{contact}{odd}"))
        return text
    if row.outcome == ROW:
        return text
    reason = "" if row.reason is None else f"{row.reason}: "
    field = "" if row.field is None else f"  (field {row.field})"
    text.append(plain(f"{reason}{row.detail}{field}"))
    return text


def fields_table(
    events: Mapping[str, int], fields: Mapping[str, Counter[str]], titles: Mapping[str, str]
) -> Table:
    """Return how many records of each raw topic had each field; ``titles`` are by topic."""
    topics = [topic for topic in fields if events.get(topic)]
    table = new_table("field", numbers=[f"of {events[t]:,} {titles[t]}" for t in topics])
    found = {field for topic in topics for field in fields[topic]}
    for name in FIELDS:
        parts = sorted(field for field in found if field.startswith(f"{name}."))
        # A field that no record has is the one that somebody looks for.
        for field in parts or [name]:
            table.add_row(field, *(f"{fields[topic][field]:,}" for topic in topics))
    return table


def _sums(sums: Mapping[tuple[str | None, str], int], vendors: Sequence[str]) -> Table:
    table = new_table("vendor", numbers=("sent", "skipped", "dead letters"))
    for key in vendors:
        counts = [f"{sums[key, outcome]:,}" for outcome in _COUNTED]
        table.add_row(VENDORS[key].name, *counts)
    for_all = [sums[None, outcome] for outcome in _COUNTED]
    if any(for_all):
        table.add_row("all vendors", *(f"{number:,}" if number else "" for number in for_all))
    return table
