"""Replays and resends in the page: what runs, how far it is, what became of it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from streams.core.masking import masked_id
from streams.core.quantities import count
from streams.core.runs import ONE_VISITOR, Asked, Run, RunReceipt, VendorPart
from streams.core.times import to_ms
from streams.replay.preview_text import LEFT_WORDS
from streams.replay.replay import refreshed_runs
from streams.replay.run_store import has_process, list_runs
from streams.settings import Settings
from streams.vendors import VENDORS
from streams.web import words
from streams.web.apart import apart
from streams.web.authentication import refusal

SHOWN_RUNS = 20


class Replays:
    """The handler; one look at a time, since each reads receipts."""

    def __init__(self, settings: Settings, wall_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._wall_ms = wall_ms
        self._one_at_a_time = asyncio.Lock()

    async def runs(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002
        """Return the newest runs, each vendor's share in words."""
        if self._one_at_a_time.locked():
            return refusal(429, "Another request is reading the runs. Try again in a moment.")
        async with self._one_at_a_time:
            # Bringing receipts up to date writes them down: without a token nothing is written.
            look = refreshed_runs if self._settings.web.token else list_runs
            found = await apart(lambda: look(self._settings))
        newest = sorted(found, key=lambda run: run.run_id, reverse=True)[:SHOWN_RUNS]
        now_ms = self._wall_ms()
        return web.json_response(
            {"runs": [shown(run, alive=has_process(run, now_ms)) for run in newest]}
        )


def shown(run: Run, *, alive: bool) -> dict[str, Any]:
    """Return a run as the page draws it."""
    return {
        "run_id": run.run_id,
        "goes_on": run.state == "running",
        "can": _can(run, alive=alive),
        "what": _asked(run.asked),
        "sentence": _sentence(run, alive=alive),
        "parts": [_part(part) for part in run.parts],
    }


def _can(run: Run, *, alive: bool) -> list[str]:
    """Return what can be done with the run: ``resume``, ``stop``."""
    if run.state != "running":
        return []
    return ["stop"] if alive or run.all_written else ["resume", "stop"]


def _asked(asked: Asked) -> words.Words:
    said: words.Words = [asked.command.replace("_", " ")]
    if asked.from_ms is not None and asked.to_ms is not None:
        said += [" from ", words.at(asked.from_ms), " to ", words.at(asked.to_ms)]
    if asked.owner:
        said.append(f" of {asked.owner}")
    if asked.only:
        said.append(f", only {', '.join(asked.only)}")
    if asked.visitor == ONE_VISITOR:
        said.append(", one visitor")
    elif asked.visitor is not None:
        said.append(f", visitor {masked_id(asked.visitor)}")
    if asked.sku is not None:
        said.append(f", SKU {asked.sku}")
    if asked.fingerprint is not None:
        said.append(f", fingerprint {asked.fingerprint}")
    return said


def _sentence(run: Run, *, alive: bool) -> words.Words:
    begun = [" since ", words.at(to_ms(run.started_at)), "."]
    if run.state == "running":
        if alive:
            return ["Running", *begun]
        if run.all_written:
            return ["All events are written; the workers are delivering them. Started", *begun]
        return ["Interrupted", *begun, " Resume or stop it."]
    ended = "" if run.ended_at is None else ", ended "
    end = [words.at(to_ms(run.ended_at))] if run.ended_at is not None else []
    problem = f" {run.problem}" if run.problem else ""
    return [f"{run.state.capitalize()}{ended}", *end, f".{problem}"]


def _part(part: VendorPart) -> dict[str, Any]:
    receipt = part.receipt or RunReceipt(selected=part.selected, sent=part.sent, waiting=part.sent)
    said = [
        f"{count(receipt.selected)} selected",
        f"{count(receipt.accepted)} accepted",
    ]
    for word, counts in (("refused", receipt.refused), ("skipped", receipt.skipped)):
        said += [f"{count(number)} {word} ({reason})" for reason, number in counts.items()]
    said += [f"{count(number)} {_LEFT.get(why, why)}" for why, number in receipt.left.items()]
    for name in ("passed_over", "waiting", "unread"):
        if number := getattr(receipt, name):
            said.append(f"{count(number)} {_LEFT[name]}")
    name = VENDORS[part.vendor].name if part.vendor in VENDORS else part.vendor
    return {"name": name, "sentence": f"{', '.join(said)}.", "done": _done(part, receipt)}


_LEFT: Mapping[str, str] = LEFT_WORDS | {
    "passed_over": "not sent because the run was stopped",
    "unread": "raw records not read yet",
}


def _done(part: VendorPart, receipt: RunReceipt) -> float:
    """Return how much of its share has an outcome, from 0 to 1."""
    whole = receipt.selected + receipt.unread
    if part.state == "done" or not whole:
        return 1.0 if part.state != "running" else 0.0
    return round((receipt.selected - receipt.waiting) / whole, 3)
