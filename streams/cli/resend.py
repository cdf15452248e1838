"""``streams dead-letters resend``: what failed, once more, only to the vendor that failed."""

from functools import partial
from typing import Annotated

import typer

from streams.cli.dead_letters import EventId, Fingerprint, JsonFlag, Since, Vendor
from streams.cli.replay import run_and_show, show_preview
from streams.cli.terminal import local_zone, moment_ms, print_json, quiet_logs, reading_progress
from streams.core.plain_text import plain
from streams.engine import wall_clock


def resend(
    vendor: Vendor = None,
    fingerprint: Fingerprint = None,
    event_id: EventId = None,
    since: Since = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="N", help="Maximum events per second and vendor."),
    ] = None,
    only_preview: Annotated[
        bool, typer.Option("--preview", help="Show what would be sent, then exit.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Skip confirmation.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Resend open dead letters, each to the vendor that failed; those of enrich to all vendors.

    Each event is mapped again from its raw record if Kafka still has it; otherwise the stored copy
    is sent. A resent dead letter is closed. An event that fails again becomes a new dead letter.

    With --vendor ingest, records of your own topics are mapped again and written to the raw topics.
    """
    import asyncio
    import sys

    from streams.cli.ingest import resend_ingest
    from streams.cli.replay_view import counts_table
    from streams.core.errors import SettingsError
    from streams.core.runs import Asked
    from streams.dead_letters.book import INGEST, Selection
    from streams.replay.counts import counts_json, warnings_for
    from streams.replay.in_words import counts_rows, question, resend_lines
    from streams.replay.replay import start_run
    from streams.replay.resend import ResendJob, preview_resend
    from streams.replay.sinks import sink_remarks
    from streams.settings import load_settings

    if not yes and not only_preview and not sys.stdin.isatty():
        words = "There is no terminal for the confirmation: give --yes to send"
        raise SettingsError([f"{words}, or --preview."])
    since_ms = None if since is None else moment_ms(since)
    if vendor == INGEST:
        resend_ingest(
            Selection(vendor, fingerprint, event_id, since_ms),
            rate=rate,
            only_preview=only_preview,
            yes=yes,
            as_json=as_json,
        )
        return
    settings = load_settings()
    asked = Asked(
        "resend",
        owner=vendor,
        fingerprint=fingerprint,
        event_id=event_id,
        since_ms=since_ms,
        rate=rate,
    )
    quiet_logs(settings)
    with reading_progress() as tell:
        now_ms = wall_clock.now_ms()
        seen = asyncio.run(preview_resend(settings, asked, tell=tell, now_ms=now_ms))
    if only_preview and as_json:
        print_json([counts_json(settings, counts, rate) for counts in seen.vendors])
        return
    lines = resend_lines(seen, local_zone())
    if seen.vendors:
        warnings = [words for counts in seen.vendors for words in warnings_for(counts)]
        if seen.would_send:
            sending = [counts.vendor for counts in seen.vendors if counts.sent]
            warnings += asyncio.run(sink_remarks(settings, sending))
        names = [counts.vendor for counts in seen.vendors]
        table = counts_table(names, counts_rows(settings, seen.vendors, rate))
        show_preview(lines, table, warnings, not only_preview)
    else:
        typer.echo("\n".join(map(plain, lines)), err=not only_preview)
    if only_preview:
        return
    if not any(counts.selected for counts in seen.vendors):
        if as_json:
            print_json([])
        return
    if not yes and not typer.confirm(question(seen), err=True):
        typer.echo("Nothing was sent.", err=True)
        raise typer.Exit(1)
    vendors = [counts.vendor for counts in seen.vendors]
    run_and_show(partial(start_run, settings, vendors, asked, ResendJob()), as_json)
