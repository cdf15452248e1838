"""Dead letters in the page: groups, one as an example, and dropping a group."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from streams.core.errors import SettingsError
from streams.core.json_decoder import json_decoder
from streams.core.masking import masked_json, masked_text, names_in
from streams.core.times import utc_text
from streams.dead_letters.book import Group, Letter, Selection, kafka_time
from streams.dead_letters.dead_letters import (
    FoundLetters,
    drop_letters,
    find_letters,
    read_whole,
)
from streams.replay.resend import refuse_while_resent
from streams.settings import Settings
from streams.web.apart import apart
from streams.web.authentication import refusal

DEFAULT_HOURS = 7 * 24
MAX_HOURS = 90 * 24
SHOWN_GROUPS = 100
MAX_BYTES = 32 * 2**20
"""What a search may take of the worker's memory; what else it needs is well below as much again."""
NO_JSON = "not JSON, so it is not shown here. `streams dead-letters show` prints it."
_HOUR_MS = 3_600_000
_BUSY = "Another search of the dead letters is running. Try again in a moment."


class Letters:
    """The handlers; one search at a time, since each reads whole topics."""

    def __init__(self, settings: Settings, wall_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._wall_ms = wall_ms
        self._secrets = settings.secrets()
        self._one_at_a_time = asyncio.Lock()

    async def groups(self, request: web.Request) -> web.StreamResponse:
        """Return the open letters of the last ``hours`` by cause; ``vendor`` narrows it."""
        hours = _hours(request.query.get("hours"))
        selection = Selection(
            owner=request.query.get("vendor") or None,
            since_ms=self._wall_ms() - int(hours * _HOUR_MS),
        )
        found = await self._find(selection)
        return web.json_response(
            {
                "since": selection.since_ms,
                "groups": [self._shown(one) for one in found.groups[:SHOWN_GROUPS]],
                "more_groups": max(0, len(found.groups) - SHOWN_GROUPS),
                "left_out": _left_out(found),
            }
        )

    async def example(self, request: web.Request) -> web.StreamResponse:
        """Return the newest letter of a group, masked."""
        selection = _selection(request.query.get("vendor"), request.query.get("fingerprint"))
        found = await self._find(selection)
        shown: list[Any] = []

        def take(_letter: Letter, value: bytes) -> None:
            shown.append(_masked(msgspec.json.decode(value), self._secrets))

        newest = [one.example for one in found.groups[:1]]
        await apart(lambda: read_whole(self._settings, newest, take))
        if not shown:
            return refusal(404, "No dead letter with this cause is open any more.")
        return web.json_response({"letter": shown[0]})

    async def drop(self, request: web.Request) -> web.StreamResponse:
        """Drop the letters of a group that are not newer than the page has shown."""
        asked = await _body(request)
        selection = _selection(asked.get("vendor"), asked.get("fingerprint"))
        until = asked.get("until")
        if type(until) is not int:
            raise SettingsError(["until: is missing."])
        found = await self._find(selection)
        at = utc_text(self._wall_ms())
        await apart(lambda: refuse_while_resent(self._settings, selection))
        dropped = await apart(
            lambda: drop_letters(self._settings, found.open, at=at, until_ms=until)
        )
        return web.json_response({"dropped": dropped.letters, "gone": dropped.gone})

    async def _find(self, selection: Selection) -> FoundLetters:
        """Return the open letters; raises HTTPTooManyRequests while another search is running."""
        if self._one_at_a_time.locked():
            raise web.HTTPTooManyRequests(reason=_BUSY)
        async with self._one_at_a_time:
            return await apart(lambda: find_letters(self._settings, selection, max_bytes=MAX_BYTES))

    def _shown(self, one: Group) -> dict[str, Any]:
        shown = one.to_json()
        example = shown["example"]
        for name in ("detail", "event_id"):
            example[name] = masked_text(example[name], self._secrets)
        return shown | {"until": one.last_ms, "open": f"{shown['open']:,}"}


def _left_out(found: FoundLetters) -> str:
    """Return what the figures do not have, in a sentence; nothing where they are whole."""
    if found.full_at_ms is None:
        return ""
    return (
        f"{found.left_out:,} letters since {kafka_time(found.full_at_ms)} did not fit into this "
        "worker's memory and are not counted. Choose a shorter time, or run "
        "`streams dead-letters list`."
    )


def _masked(letter: dict[str, Any], secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return a letter fit to be shown: its own words stay, what they say of people goes."""
    letter = letter | {"source": _place(letter.get("source"))}
    record = _readable(letter.get("record"))
    if record is None:
        return _words(letter, secrets) | {"record": NO_JSON}
    hidden = [*secrets, *names_in(record)]
    return _words(letter, hidden) | {"record": masked_json(record, secrets)}


def _words(letter: dict[str, Any], hidden: Sequence[str]) -> dict[str, Any]:
    return {
        name: masked_text(value, hidden) if type(value) is str else value
        for name, value in letter.items()
    }


def _place(source: object) -> object:
    """Return a raw record's place as all pages write it: ``topic/partition/offset``."""
    match source:
        case {"topic": topic, "partition": partition, "offset": offset}:
            return f"{topic}/{partition}/{offset}"
    return source


def _readable(record: object) -> object:
    """Return a letter's record as JSON, so that its fields can be masked; None: it is none."""
    if type(record) is not str:
        return None
    try:
        return msgspec.json.decode(record)
    except (msgspec.DecodeError, RecursionError):
        return None


def _selection(owner: object, fingerprint: object) -> Selection:
    if not isinstance(owner, str) or not isinstance(fingerprint, str) or not owner:
        raise SettingsError(["vendor and fingerprint: both are needed."])
    return Selection(owner=owner, fingerprint=fingerprint)


_decode_body = json_decoder(dict[str, Any])


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        return _decode_body(await request.read())
    except msgspec.DecodeError:
        raise SettingsError(["The body must be a JSON object."]) from None


def _hours(text: str | None) -> float:
    try:
        hours = float(text or DEFAULT_HOURS)
    except ValueError:
        hours = -1.0
    if not 0 < hours <= MAX_HOURS:
        raise SettingsError([f"hours: must be a number up to {MAX_HOURS}."])
    return hours
