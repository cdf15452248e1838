"""``streams dead-letters list``, ``show``, ``drop`` and ``resend``."""

import asyncio
import heapq
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.replay import NO_TERMINAL, preview_and_run
from streams.cli.terminal import (
    JsonFlag,
    PreviewFlag,
    YesFlag,
    confirm,
    echo,
    json_text,
    moment_ms,
    print_json,
    quiet_settings,
    reading_progress,
    require_terminal,
)
from streams.core.plain_text import plain
from streams.core.quantities import count
from streams.engine import wall_clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.dead_letters.book import Group, Letter
    from streams.dead_letters.dead_letters import FoundLetters, Letters
    from streams.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="List, show, resend and drop dead letters, grouped by cause.",
)

Vendor = Annotated[
    str | None,
    typer.Option(
        metavar="V|enrich|ingest",
        help="Only this vendor's dead letters; enrich: invalid records; ingest: your own topics.",
    ),
]
Fingerprint = Annotated[
    str | None, typer.Option(metavar="F", help="Only dead letters with this fingerprint.")
]
EventId = Annotated[str | None, typer.Option(metavar="E", help="Only dead letters of this event.")]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="T", help="Only dead letters written at T or later: 2h ago, 2026-11-20 14:00, …"
    ),
]

_DETAIL_CHARS = 300
_CUT_MARGIN_BYTES = 64
"""A cut letter may be so much smaller than the largest: a character is kept whole."""


@app.command("list")
def list_(
    vendor: Vendor = None,
    fingerprint: Fingerprint = None,
    event_id: EventId = None,
    since: Since = None,
    as_json: JsonFlag = False,
) -> None:
    """List the open dead letters by cause: count, since when, an example and the likely fix.

    Dead letters with the same cause share a fingerprint. Dropped and resent dead letters are not
    open. An event that fails again becomes a new dead letter.
    """
    _, found = _find(vendor, fingerprint, event_id, since)
    groups = found.groups
    if as_json:
        print_json([one.to_json() for one in groups])
        return
    for one in groups:
        typer.echo("\n".join(group_lines(one)) + "\n")
    typer.echo(_sum(found, groups))


@app.command("show")
def show(
    vendor: Vendor = None,
    fingerprint: Fingerprint = None,
    event_id: EventId = None,
    since: Since = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Show the newest N (default 10; all with --json)."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show open dead letters in full: response and record, with keys and addresses masked."""
    from streams.dead_letters.dead_letters import read_whole

    settings, found = _find(vendor, fingerprint, event_id, since)
    letters: Letters = found.open
    if limit is None and not as_json:
        limit = 10
    if limit is not None:
        letters = heapq.nlargest(limit, letters, key=lambda one: (one.last_ms, one.position))
    printed = 0

    def print_one(letter: "Letter", value: bytes) -> None:
        nonlocal printed
        if as_json:
            sys.stdout.write(("[\n" if printed == 0 else ",\n") + json_text(_row(letter, value)))
        else:
            typer.echo("\n".join(letter_lines(letter, value)) + "\n")
        printed += 1

    gone = asyncio.run(read_whole(settings, letters, print_one))
    if as_json:
        typer.echo("\n]" if printed else "[]")
    else:
        typer.echo(_sum(found))
    if len(letters) < len(found.open):
        typer.echo(f"These are the newest {len(letters):,}; --limit shows more.", err=True)
    _tell_gone(gone)


@app.command("drop")
def drop(
    vendor: Vendor = None,
    fingerprint: Fingerprint = None,
    event_id: EventId = None,
    since: Since = None,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Drop open dead letters: they are marked as closed; nothing is deleted.

    They are no longer listed. They stay on their topic until its retention ends, and count as
    dead-lettered in `streams audit`. If the cause occurs again, new dead letters are written.
    """
    from streams.dead_letters.dead_letters import drop_letters
    from streams.replay.resend import refuse_while_resent

    problem = "There is no terminal for the confirmation: give --yes to drop."
    require_terminal(yes, problem)
    settings, found = _find(vendor, fingerprint, event_id, since)
    for one in found.groups:
        detail = one.words.detail if one.words else ""
        typer.echo(f"{_heading(one)}: {plain(_cut(detail))}", err=True)
    if not len(found.open):
        typer.echo(_sum(found), err=True)
    else:
        typer.echo(
            f"{count(len(found.open), 'dead letter')} will be closed: no longer listed and "
            "never sent. They stay on their topics until retention deletes them.",
            err=True,
        )
        confirm(yes, "Drop?", "Nothing was dropped.")
        asyncio.run(refuse_while_resent(settings, found.selection))
    now = wall_clock.now_text()
    done = asyncio.run(drop_letters(settings, found.open, at=now))
    if as_json:
        names = ("vendor", "fingerprint", "reason")
        counts = done.by_cause.items()
        print_json([dict(zip(names, key, strict=True)) | {"dropped": n} for key, n in counts])
    elif len(found.open):
        typer.echo(f"{count(done.letters, 'dead letter')} dropped.")
    _tell_gone(done.gone)


@app.command("resend")
def resend(
    vendor: Vendor = None,
    fingerprint: Fingerprint = None,
    event_id: EventId = None,
    since: Since = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="N", help="Maximum events per second and vendor."),
    ] = None,
    only_preview: PreviewFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Resend open dead letters, each to the vendor that failed; those of enrich to all vendors.

    Each event is mapped again from its raw record if Kafka still has it; otherwise the stored copy
    is sent. A resent dead letter is closed. An event that fails again becomes a new dead letter.

    With --vendor ingest, records of your own topics are mapped again and written to the raw topics.
    """
    from streams.cli.ingest import resend_ingest
    from streams.core.runs import Asked
    from streams.dead_letters.book import INGEST, Selection

    require_terminal(yes or only_preview, NO_TERMINAL)
    since_ms = None if since is None else moment_ms(since)
    settings = quiet_settings()
    if vendor == INGEST:
        resend_ingest(
            settings,
            Selection(vendor, fingerprint, event_id, since_ms),
            rate=rate,
            only_preview=only_preview,
            yes=yes,
            as_json=as_json,
        )
        return
    asked = Asked(
        "resend",
        owner=vendor,
        fingerprint=fingerprint,
        event_id=event_id,
        since_ms=since_ms,
        rate=rate,
    )
    preview_and_run(settings, asked, only_preview=only_preview, yes=yes, as_json=as_json)


def _find(
    vendor: str | None, fingerprint: str | None, event_id: str | None, since: str | None
) -> "tuple[Settings, FoundLetters]":
    from streams.dead_letters.book import Selection
    from streams.dead_letters.dead_letters import find_letters

    since_ms = None if since is None else moment_ms(since)
    settings = quiet_settings()
    selection = Selection(vendor, fingerprint, event_id, since_ms)
    with reading_progress() as tell:
        found = asyncio.run(find_letters(settings, selection, tell=tell))
    for topic, number in found.unreadable.items():
        words = f"{topic}: {number:,} records are no dead letters, such as {found.examples[topic]}."
        echo(words, err=True)
    return settings, found


def group_lines(group: "Group") -> list[str]:
    """Return what ``list`` says of one cause; no control character is left in it."""
    words = group.words
    event_id, detail = (words.event_id, words.detail) if words else (group.example.place_id, "")
    lines = [
        _heading(group),
        f"  seen     {group.first_seen} to {group.last_seen}",
        f"  example  {event_id}: {_cut(detail)}",
        f"  fix      {group.fix}",
    ]
    return [plain(line) for line in lines]


def letter_lines(letter: "Letter", value: bytes) -> list[str]:
    """Return what ``show`` says of one letter; no control character is left in it."""
    import msgspec

    from streams.core.dead_letter import MAX_LETTER_BYTES
    from streams.dead_letters.book import words_of

    words = words_of(letter, value)
    whole: dict[str, Any] = msgspec.json.decode(value)
    given_up = (f"{name} {whole[name]}" for name in ("at", "stage", "attempts") if name in whole)
    facts: list[tuple[str, Any]] = [
        ("vendor", letter.owner),
        ("reason", letter.cause.reason),
        ("fingerprint", letter.cause.fingerprint),
        ("event id", words.event_id),
        ("source", letter.source),
        ("given up", ", ".join(given_up)),
        ("copies", letter.copies if letter.copies > 1 else None),
        ("status", words.status),
        ("detail", words.detail),
        ("answer", whole.get("answer")),
        ("fix", words.fix(letter)),
    ]
    lines = [str(letter.position)]
    lines += [f"  {name:<12} {shown}" for name, shown in facts if shown is not None]
    cut = len(value) >= MAX_LETTER_BYTES - _CUT_MARGIN_BYTES
    record, size = whole.get("record"), whole.get("record_bytes")
    encoded = record.get("base64") if isinstance(record, dict) else None
    kind = " in base64" if encoded is not None else ""
    of_bytes = f", {size:,} bytes" if type(size) is int else ""
    lines.append(f"  record{kind}{of_bytes}{', cut' if cut else ''}:")
    lines.append(f"    {record if encoded is None else encoded}")
    return [plain(line) for line in lines]


def _row(letter: "Letter", value: bytes) -> dict[str, Any]:
    """Return a letter as ``show --json`` has it: its own members, and what is known around it."""
    import msgspec

    from streams.dead_letters.book import words_of

    row: dict[str, Any] = msgspec.json.decode(value)
    known = {"copies": letter.copies, "fix": words_of(letter, value).fix(letter)}
    return row | {"position": str(letter.position)} | known


def _heading(group: "Group") -> str:
    cause = group.cause
    return plain(f"{group.owner}  {cause.reason}  {cause.fingerprint}  {group.open:,} open")


def _cut(text: str) -> str:
    return text if len(text) <= _DETAIL_CHARS else f"{text[: _DETAIL_CHARS - 1]}…"


def _sum(found: "FoundLetters", groups: "Sequence[Group] | None" = None) -> str:
    resolved = ", ".join(f"{n:,} {plain(action)}" for action, n in found.resolved.most_common())
    also = f" Closed: {resolved}." if resolved else ""
    if not len(found.open):
        return f"No dead letter is open here.{also}"
    causes = "" if groups is None else f" of {len(groups):,} cause{'s' if len(groups) > 1 else ''}"
    return f"{count(len(found.open), 'dead letter')}{causes} open.{also}"


def _tell_gone(gone: int) -> None:
    if gone:
        typer.echo(f"{count(gone, 'dead letter')} deleted by retention meanwhile.", err=True)
