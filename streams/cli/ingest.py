"""``streams replay --source`` and ``streams dead-letters resend --vendor ingest``."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import typer

from streams.cli.terminal import confirm, echo, print_json, reading_progress
from streams.core.quantities import count
from streams.engine import wall_clock

if TYPE_CHECKING:
    from streams.dead_letters.book import Selection
    from streams.operations.ingest.rewrite import RewriteCounts
    from streams.settings import Settings

_WORDS = {
    "would_write": "would be written",
    "already_written": "are written already; `streams replay --vendor` sends raw events again",
    "changed": "were written with another content; --again writes them anew",
    "superseded": "are rows over which a later one stands",
    "unmapped": "are of no section",
    "refused": "cannot be mapped",
}


def replay_source(
    settings: "Settings",
    source: str,
    from_ms: int,
    to_ms: int,
    *,
    again: bool,
    rate: float | None,
    only_preview: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take the shop's records of a window through a section of ingest once more."""
    from streams.core.errors import SettingsError
    from streams.operations.ingest.rewrite import CHANGED, ingest_writer, read_window

    if source not in settings.ingest:
        known = ", ".join(settings.ingest) or "none: streams.toml has no section [ingest.NAME]"
        raise SettingsError([f'--source: there is no section "{source}"; there are: {known}.'])
    with reading_progress() as tell:
        counts, items = asyncio.run(read_window(settings, source, from_ms, to_ms, tell))
    if only_preview and as_json:
        print_json([counts.to_json()])
        return
    for line in _lines(counts):
        echo(line, err=not only_preview)
    if only_preview:
        return
    to_write = [item for kind, item in items if again or kind != CHANGED]
    if not to_write:
        typer.echo("Nothing would be written.", err=True)
        if as_json:
            print_json([])
        return
    question = f"Write {count(len(to_write), 'record')} to shop.{counts.to}?"
    confirm(yes, question, "Nothing was written.")

    async def write() -> int:
        async with ingest_writer(settings, rate) as writer:
            await writer.write(to_write)
        return writer.written

    done = asyncio.run(write())
    if as_json:
        print_json([counts.to_json() | {"written": done}])
    else:
        typer.echo(f"{count(done, 'record')} written to shop.{counts.to}.")


def _lines(counts: "RewriteCounts") -> list[str]:
    lines = [f"[ingest.{counts.section}]: {count(counts.records, 'record')} in this window"]
    lines += [
        f"  {counts.kinds[kind]:>9,} {words}"
        for kind, words in _WORDS.items()
        if counts.kinds[kind]
    ]
    lines += [f"  {number:>11,} {reason}" for reason, number in counts.reasons.most_common()]
    return lines


def resend_ingest(
    settings: "Settings",
    selection: "Selection",
    *,
    rate: float | None,
    only_preview: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Map the records of open letters of ingest anew, write what can be mapped now, close them."""
    from streams.operations.ingest.resend import plan_resend, resend

    with reading_progress() as tell:
        plans = asyncio.run(plan_resend(settings, selection, tell))
    closing = [plan for plan in plans if plan.closes or plan.items]
    records = sum(len(plan.items) for plan in closing)
    stay = Counter(plan.why_not for plan in plans if not plan.closes)
    row: dict[str, Any] = {
        "vendor": "ingest",
        "letters": len(plans),
        "would_write": records,
        "closes": sum(plan.closes for plan in plans),
        "stay_open": dict(stay),
    }
    if only_preview and as_json:
        print_json([row])
        return
    typer.echo(
        f"{count(len(plans), 'dead letter')} of ingest open: {count(records, 'record')} would "
        f"be written, {row['closes']:,} closed.",
        err=not only_preview,
    )
    for reason, number in stay.most_common():
        echo(f"  {number:,} stay open: {reason}", err=not only_preview)
    if only_preview:
        return
    if not closing:
        if as_json:
            print_json([])
        return
    confirm(yes, "Send?", "Nothing was sent.")
    done = asyncio.run(resend(settings, closing, wall_clock.now_text(), rate))
    if as_json:
        print_json([row | {"written": done}])
    else:
        typer.echo(f"{count(done, 'record')} written, {count(row['closes'], 'letter')} closed.")
