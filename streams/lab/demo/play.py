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
from streams.lab.demo.feed import sample_feed
from streams.lab.demo.writing import audit_at_rest, write
from streams.operations.audit.table import audit_lines, audit_table
from streams.settings import Settings, is_loopback, load_settings
from streams.telemetry import setup_logging
from streams.vendors import VENDORS


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
        written = asyncio.run(write(settings, feed, events=False))
        print(f"{written:,} users and products written")
        return 0
    print(f"Playing {feed.event_count:,} events: {feed.name}", flush=True)
    asyncio.run(write(settings, feed, events=True))
    report = asyncio.run(audit_at_rest(settings))
    console = Console()
    console.print(audit_table(report))
    for line in audit_lines(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0 if report.balanced else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
