"""Where is my event? A timeline from the topics alone; reads what it must and writes nothing.

It runs as long as somebody waits for it: cancelling the task ends it at once.
"""

import time
from collections.abc import Iterator
from typing import Literal

from streams.core.errors import SettingsError
from streams.core.times import utc_text
from streams.kafka.reader import Tell, silent
from streams.operations.trace.follow import Facts, follow
from streams.operations.trace.locate import locate
from streams.operations.trace.logs import open_logs
from streams.operations.trace.rows import explain_by_rows
from streams.operations.trace.shop import never_written, read_shop_records
from streams.operations.trace.slices import Located, Query
from streams.operations.trace.timeline import Step, Trace, TracedEvent
from streams.operations.trace.traced_event import traced_event
from streams.settings import ENRICH, Settings
from streams.status.judge import judge
from streams.status.observe import known_of, with_open_letters
from streams.status.status import StatusBoard, read_status
from streams.vendors import VENDORS

DEFAULT_WINDOW_MS = 60 * 60_000
MAX_EVENTS = 50
MAX_ASKED_CHARS = 512

Kind = Literal["event", "visitor", "user", "sku"]


async def run_trace(
    settings: Settings,
    kind: Kind,
    text: str,
    *,
    now_ms: int,
    since_ms: int | None = None,
    limit: int = MAX_EVENTS,
    tell: Tell = silent,
) -> Trace:
    """Return the newest events that are asked for, from ``since_ms`` on, by default an hour ago.

    An id that is made of a place is found however old it is. ``tell`` is called with what is read,
    how many offsets of how many. Raises SetupError for a broker that does not answer or a topic
    that is missing, SettingsError for what is no text.
    """
    began = time.monotonic()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingsError(["The search text is not valid UTF-8: type it again."]) from None
    if since_ms is None:
        since_ms = now_ms - DEFAULT_WINDOW_MS
    query = Query(kind, text, max(0, since_ms), limit)
    async with open_logs(settings, now_ms, tell) as logs:
        located = await locate(logs, query)
        facts = await follow(logs, located.raw, query.since_ms)
        await read_shop_records(logs, facts)
        await explain_by_rows(logs, facts)
        names = {key: vendor.name for key, vendor in VENDORS.items()}

        def traced() -> list[TracedEvent]:
            return [traced_event(facts[source], logs.parse, names, text) for source in located.raw]

        events, records = traced(), logs.search.records
        if any(step.kind == "waiting" for event in events for step in _steps(event)):
            await _add_stage_states(facts, settings, await read_status(settings))
            events = traced()
        if not events and kind == "event":
            events = await never_written(logs, text, query.since_ms)
    return Trace(
        asked={kind: text},
        since=utc_text(query.since_ms),
        until=utc_text(now_ms),
        events=events,
        more=located.more,
        notes=_notes(query, located) if located.raw or not events else [],
        records=records,
        seconds=round(time.monotonic() - began, 3),
    )


def _steps(event: TracedEvent) -> Iterator[Step]:
    yield from event.steps
    for vendor in event.vendors:
        yield from vendor.steps


async def _add_stage_states(facts: Facts, settings: Settings, board: StatusBoard) -> None:
    """Let what waits say why, as the workers themselves do."""
    known = await with_open_letters(settings, known_of(settings, board, (), {}))
    says = {finding.subject: finding.sentence() for finding in reversed(judge(known))}
    for one in facts.values():
        one.enrich.says = says.get(ENRICH, _RUNNING)
        for vendor, found in one.vendors.items():
            found.live.says = found.redelivery.says = says.get(vendor, _RUNNING)


_RUNNING = "The worker is running."


def _notes(query: Query, located: Located) -> list[str]:
    notes = list(located.notes)
    since = utc_text(query.since_ms)[:19] + "Z"
    if not located.raw:
        what = {
            "event": "No event with this id",
            "visitor": "No event of this visitor",
            "user": "No event of this user",
            "sku": "No event with this SKU",
        }[query.kind]
        notes.append(
            f"{what} was written since {since}. Look further back with --since, "
            'such as --since "1d ago"; raw events are kept for 7 days unless set otherwise.'
        )
    if located.more:
        notes.append(
            f"There are more: the newest {query.limit} are shown. Narrow the time with --since."
        )
    return notes
