"""The sample for a relay that runs already: ``python -m streams.lab.demo.play rows|events``.

For the containers of ``docker-compose.yml``: the rows before the workers start, then the events,
which end with the audit's table. Exit codes as of every command.
"""

import asyncio
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from rich.console import Console

from streams.core.errors import SettingsError, SetupError
from streams.lab.demo.feed import Feed, sample_feed
from streams.lab.demo.records import stream
from streams.lab.demo.rig import SLOWEST_RATE, STALL_SECONDS, WRITE_SECONDS
from streams.operations.audit.audit import AuditReport, run_audit
from streams.operations.audit.table import audit_lines, audit_table
from streams.operations.produce import write_records
from streams.settings import Settings, is_loopback, load_settings
from streams.telemetry import setup_logging
from streams.vendors import VENDORS

_PAUSE_SECONDS = 0.5


def require_simulators(settings: Settings) -> None:
    """Raise SettingsError where made-up events would reach a vendor itself."""
    real = [
        f"The sample's events are made up, but {VENDORS[key].name} is at "
        f"{settings.vendors[key].base_url}: play it to the simulators only."
        for key in settings.enabled_vendors()
        if not is_loopback(urlsplit(settings.vendors[key].base_url).hostname or "")
    ]
    if real:
        raise SettingsError(real)


async def write_rows(settings: Settings, feed: Feed) -> int:
    """Write users and products; return how many."""
    return await _write(settings, feed, events=False)


async def play(settings: Settings, feed: Feed) -> AuditReport:
    """Write the events at the demo's pace and return the audit once nothing waits any more.

    Returns also where nothing has moved for a minute: what waits then stands in the report.
    """
    await _write(settings, feed, events=True)
    loop = asyncio.get_running_loop()
    last, moved_at = None, loop.time()
    while True:
        report = await run_audit(settings)
        waiting = [books.waiting for books in report.vendors]
        if waiting != last:
            last, moved_at = waiting, loop.time()
        if not any(waiting) or loop.time() - moved_at > STALL_SECONDS:
            return report
        await asyncio.sleep(_PAUSE_SECONDS)


async def _write(settings: Settings, feed: Feed, *, events: bool) -> int:
    records = feed.events() if events else feed.rows()
    rate = max(SLOWEST_RATE, feed.event_count / WRITE_SECONDS) if events else None
    produced = await write_records(settings, stream(records), rate=rate)
    if produced.bad:
        number, why = produced.bad[0]
        raise SetupError(f"{len(produced.bad):,} records were not written: record {number} {why}.")
    return produced.written.total()


def main(arguments: Sequence[str]) -> int:
    """Play what is named: rows or events; return the exit code."""
    if list(arguments) not in (["rows"], ["events"]):
        print("usage: python -m streams.lab.demo.play rows|events", file=sys.stderr)
        return 2
    try:
        return _main(events=arguments[0] == "events")
    except SettingsError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    except SetupError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _main(*, events: bool) -> int:
    settings = load_settings()
    require_simulators(settings)
    setup_logging(stream=sys.stderr, level="ERROR", secrets=settings.secrets())
    feed = sample_feed(settings.topics)
    if not events:
        print(f"{asyncio.run(write_rows(settings, feed)):,} users and products written")
        return 0
    print(f"Playing {feed.event_count:,} events: {feed.name}", flush=True)
    report = asyncio.run(play(settings, feed))
    console = Console()
    console.print(audit_table(report))
    for line in audit_lines(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0 if report.balanced else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
