"""The sample written to a relay, and the wait until the relay has done with it."""

import asyncio
from collections.abc import Callable

from streams.core.errors import SetupError
from streams.lab.demo.feed import Feed
from streams.lab.demo.records import stream
from streams.operations.audit.audit import run_audit
from streams.operations.audit.report import AuditReport
from streams.operations.produce import write_records
from streams.settings import Settings

STALL_SECONDS = 60.0
"""How long nothing may move while events wait."""

_WRITE_SECONDS = 7.0
"""Over which the events are spread, so that one can watch them."""
_SLOWEST_RATE = 50.0
_PAUSE_SECONDS = 0.3


async def write(
    settings: Settings,
    feed: Feed,
    *,
    events: bool,
    on_written: Callable[[int], None] | None = None,
) -> int:
    """Write the events at the demo's pace, or users and products at once; return how many.

    Raises SetupError where a record was not written.
    """
    records = feed.events() if events else feed.rows()
    rate = max(_SLOWEST_RATE, feed.event_count / _WRITE_SECONDS) if events else None
    produced = await write_records(settings, stream(records), rate=rate, tell=on_written)
    if produced.bad:
        number, why = produced.bad[0]
        raise SetupError(f"{len(produced.bad):,} records were not written: record {number} {why}.")
    return produced.written.total()


async def audit_at_rest(
    settings: Settings, stall_seconds: float = STALL_SECONDS, *, keep_ids: bool = False
) -> AuditReport:
    """Return the audit once nothing waits any more.

    Returns also where nothing has moved for so long: what waits then stands in the report.
    """
    loop = asyncio.get_running_loop()
    last, moved_at = None, loop.time()
    while True:
        report = await run_audit(settings, keep_ids=keep_ids)
        waiting = [books.waiting for books in report.vendors]
        if waiting != last:
            last, moved_at = waiting, loop.time()
        if not any(waiting) or loop.time() - moved_at > stall_seconds:
            return report
        await asyncio.sleep(_PAUSE_SECONDS)
