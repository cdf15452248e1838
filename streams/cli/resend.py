"""``streams dead-letters resend``: what failed, once more, only to the vendor that failed."""

from typing import Annotated

import typer

from streams.cli.dead_letters import EventId, Fingerprint, Since, Vendor
from streams.cli.replay import NO_TERMINAL, preview_and_run
from streams.cli.terminal import JsonFlag, YesFlag, moment_ms, quiet_settings, require_terminal


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
