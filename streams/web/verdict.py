"""The one sentence at the top: is something wrong, and with whom. Pure."""

from collections.abc import Sequence
from typing import Any

from streams.operations.status.status import WorkerStatus
from streams.web import words
from streams.web.vendors import GONE, LIVE, STARTING, VendorSummary
from streams.web.words import Words

GOOD, LOOK, BAD = "good", "look", "bad"
"""All is well; somebody should look; somebody must act."""


def verdict(
    vendors: Sequence[VendorSummary],
    enrich: Sequence[WorkerStatus],
    *,
    enrich_rate: float,
    raw_expired: int = 0,
) -> dict[str, Any]:
    """Return the level, the sentence, and the key of the vendor to look at first (or None).

    ``raw_expired``: raw events that retention deleted unread within the hour.
    """
    said: list[tuple[str, Words, str | None]] = []
    if not [worker for worker in enrich if not worker.is_stale]:
        start = "No enrichment worker runs: nothing new reaches any vendor. "
        said.append((BAD, [start, "Start one with `streams worker enrich`."], None))
    if raw_expired:
        gone = words.count(raw_expired, "raw event")
        words_of_loss = f"Within the hour retention deleted {gone} before enrichment read them."
        said.append((BAD, [words_of_loss], None))
    for level, of_level in ((BAD, _bad), (LOOK, _look)):
        found = [(vendor, text) for vendor in vendors if (text := of_level(vendor))]
        said += [(level, text, vendor.key) for vendor, text in found]
    not_ready = [w for w in enrich if not w.is_stale and not w.snapshot.ready]
    if not_ready and not said:
        reasons = " ".join(not_ready[0].snapshot.not_ready)
        said.append((LOOK, [f"Enrichment is starting. {reasons}"], None))
    if not said:
        return {"level": GOOD, "text": [_all_well(vendors, enrich_rate)], "vendor": None, "more": 0}
    level, text, first = said[0]
    more = len(said) - 1
    if more:
        text = [*text, f" {words.count(more, 'more thing')} to look at below."]
    return {"level": level, "text": text, "vendor": first, "more": more}


def silent_broker(seconds: float) -> dict[str, Any]:
    """Return the verdict of a worker that Kafka tells nothing."""
    said = (
        f"Kafka has told this worker nothing for {words.span(seconds)}: look at the brokers. "
        "What follows is what was known before."
    )
    return {"level": BAD, "text": [said], "vendor": None, "more": 0}


def _bad(vendor: VendorSummary) -> Words | None:
    if vendor.state == GONE:
        return [f"No worker runs for {vendor.name}: its events wait."]
    if vendor.state == "parked" and vendor.status is not None:
        why = words.cause(vendor.name, vendor.status.reason)
        lost = "" if vendor.expired_lately else " Nothing is lost."
        waits = words.count(vendor.waiting, "event")
        verb = "waits" if vendor.waiting == 1 else "wait"
        return [
            f"{vendor.name} is parked since ",
            words.at(vendor.status.since),
            f": {why} {waits} {verb}.{lost}",
        ]
    if vendor.expired_lately:
        gone = words.count(vendor.expired_lately, "event")
        return [
            f"Within the hour retention deleted {gone} for {vendor.name} before they were read."
        ]
    return None


def _look(vendor: VendorSummary) -> Words | None:
    status = vendor.status
    if vendor.state in {"degraded", "throttled", "paused"} and status is not None:
        waits = (
            f"{words.count(vendor.waiting, 'event')} {'waits' if vendor.waiting == 1 else 'wait'}"
        )
        said = f"; {waits} and nothing is lost."
        return [f"{vendor.name} is {vendor.state} since ", words.at(status.since), said]
    if vendor.state == STARTING:
        return [f"{vendor.name} is starting: {' '.join(dict.fromkeys(vendor.not_ready))}"]
    if vendor.falls_behind:
        lane = vendor.lanes[LIVE]
        oldest: Words = []
        if lane.oldest_ms is not None:
            oldest = [", the oldest since ", words.at(lane.oldest_ms)]
        waits = words.count(vendor.waiting, "event")
        return [f"{vendor.name} takes less than comes in: {waits} wait", *oldest, "."]
    if vendor.gone:
        return [f"A worker of {vendor.name} stopped speaking; the others go on."]
    return None


def _all_well(vendors: Sequence[VendorSummary], enrich_rate: float) -> str:
    names = words.listing([vendor.name for vendor in vendors]) if vendors else "No vendor"
    waiting = sum(vendor.waiting for vendor in vendors)
    if not vendors:
        return "No vendor is on."
    if enrich_rate <= 0 and waiting == 0:
        return f"All is well. {names} have taken everything; nothing comes in at the moment."
    verb = "takes" if len(vendors) == 1 else "take"
    return f"All is well. {names} {verb} what comes, {words.rate(enrich_rate)} raw events a second."
