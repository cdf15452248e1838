"""``streams forget VISITOR``: the tombstone, what waits is stopped, deletion at the vendors."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import (
    YesFlag,
    confirm,
    print_json,
    quiet_settings,
    reading_progress,
    require_terminal,
)
from streams.core.plain_text import plain
from streams.core.quantities import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.operations.forget.report import Report, VendorWord
    from streams.operations.forget.survey import Survey
    from streams.settings import Settings


def forget(
    visitor: Annotated[str, typer.Argument(metavar="VISITOR", help="The anonymous_id.")],
    yes: YesFlag = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object.")
    ] = False,
) -> None:
    """Forget a visitor: stop sending their older events, and ask vendors to delete their data.

    Writes a tombstone to shop.users, waits until the running workers have read it, and sends a
    deletion request to each vendor that supports it. At Voyado it deletes the interactions of the
    visitor's contacts that have an eventId, in the schemas of your settings. Reports what was done,
    what you must do by hand, and how long data stays on the topics.

    This cannot be undone. It is safe to repeat. Later events that have their own consent are sent.
    Exit code 1: something failed; run it again to complete it.
    """
    from streams.operations.forget.forget import run_forget
    from streams.operations.forget.survey import survey

    problem = "There is no terminal for the confirmation: give --yes to forget."
    require_terminal(yes, problem)
    settings = quiet_settings()
    with reading_progress() as tell:
        found = asyncio.run(survey(settings, visitor, tell=tell))
    for line in survey_lines(settings, found):
        typer.echo(line, err=True)
    confirm(yes, "Forget?", "Nothing was changed.")

    def say(words: str) -> None:
        typer.echo(f"… {words}", err=True)

    with reading_progress() as tell:
        report = asyncio.run(run_forget(settings, found, tell=tell, say=say))
    if as_json:
        print_json(report.to_json())
    else:
        typer.echo("\n".join(report_lines(report)))
    if not report.complete:
        raise typer.Exit(1)


def survey_lines(settings: "Settings", found: "Survey") -> list[str]:
    """Return what is known of the visitor and what will be done; no control character is left."""
    from streams.vendors import VENDORS

    traces = found.traces
    records = sum(held.records for held in traces.held.values())
    if records:
        topics = count(len(traces.held), "topic")
        lines = [f"Visitor {traces.visitor}: {count(records, 'record')} on {topics}."]
    else:
        lines = [f"The topics hold no record of visitor {traces.visitor}. Check the id."]
    for key in found.vendors:
        there, vendor = traces.at_vendor[key], VENDORS[key]
        line = f"  {vendor.name}: {count(len(there.accepted), 'event')} accepted"
        if there.open:
            line += f", {len(there.open):,} waiting, which will not be sent"
        if vendor.forgetting is not None and settings.has_credentials(key):
            erasure = vendor.forgetting.plan(traces.trail(key), settings.vendors[key])
            line += f"; to be deleted: {erasure.what}" if erasure.what else ""
        lines.append(f"{line}.")
    lines.append("This cannot be undone.")
    return [plain(line) for line in lines]


def report_lines(report: "Report") -> list[str]:
    """Return the report for a person; no control character is left in it."""
    from streams.core.times import utc_text

    lines = [f"Visitor {report.visitor}: tombstone written, {report.tombstone}.", "", "Workers"]
    lines += [f"  {word.stage:<12} {word.sentence}" for word in report.stages]
    lines += ["", "Vendors"]
    for vendor in report.vendors:
        lines += [f"  {vendor.name:<14} {sentence}" for sentence in vendor_sentences(vendor)]
    lines += ["", "Still on the topics until retention deletes it"]
    for held in report.held:
        until = held.note or f"deleted by {utc_text(held.gone_by_ms or 0)[:16]}Z at the latest"
        lines.append(f"  {held.topic}: {count(held.records, 'record')}, {until}")
    lines += [f"  {sentence}" for sentence in report.not_ours]
    if not report.held:
        lines.append("  only the tombstone")
    done = "All steps are complete."
    left = "Some steps are not complete. See above, then run this command again."
    return [plain(line) for line in [*lines, "", done if report.complete else left]]


def vendor_sentences(word: "VendorWord") -> "Sequence[str]":
    """Return what became of the visitor at one vendor."""
    from streams.operations.forget.report import Done

    known = count(word.accepted, "event")
    match word.done:
        case Done.DELETED:
            said = [f"deleted {word.deleted} ({known} had been accepted)."]
        case Done.FAILED:
            said = [f"NOT deleted. {word.problem}"]
        case _:
            said = [f"no deletion request possible or needed ({known} had been accepted)."]
    if word.waiting:
        said.append(
            f"{count(word.waiting, 'event')} without an outcome will be stopped before sending. "
            "Run this command again afterwards, in case a request was in flight."
        )
    if word.by_hand:
        said.append(f"manual step: {word.by_hand}")
    return said
