"""Logging: pretty in a terminal, one JSON object a line elsewhere; quiet, and without secrets.

Lines are for changes of state and failures. What Faust and aiokafka say looks like what this
project says.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, TextIO

import structlog

from streams.core.addresses import without_emails
from streams.core.plain_text import plain

QUIET = {
    "aiohttp.access": logging.ERROR,
    "aiokafka": logging.WARNING,
    "asyncio": logging.WARNING,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    # A late timer says no more than the load does.
    "mode.timers": logging.ERROR,
    # Their request lines print addresses, which can hold e-mails and keys.
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    # What Apprise sends with: addresses of receivers hold keys.
    "urllib3": logging.CRITICAL,
    "requests_oauthlib": logging.CRITICAL,
    "oauthlib": logging.CRITICAL,
}
"""Packages that log more than changes of state, and the lowest level that is let through."""

REPEATING = ("aiokafka", "faust", "mode")
"""Packages that say the same 20 to 40 times a second while a broker is away."""

_REPEAT_SECONDS = 10.0
_REMEMBERED = 500

Event = MutableMapping[str, Any]


class LogRateLimit(logging.Filter):
    """Lets one line per logger and message through in ten seconds, for the packages that repeat.

    The next one let through says how many were held back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this record is written."""
        if record.name.partition(".")[0] not in REPEATING:
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        since, held_back = self._seen.get(key, (float("-inf"), 0))
        if now - since < _REPEAT_SECONDS:
            self._seen[key] = since, held_back + 1
            return False
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[key] = now, 0
        if held_back:
            record.held_back = held_back
        return True


class Masked(logging.Formatter):
    """Another formatter's lines without known secrets and e-mail addresses."""

    def __init__(self, inner: logging.Formatter, secrets: Iterable[str]) -> None:
        super().__init__()
        self._inner = inner
        self._secrets: list[str] = []
        self.hide(secrets)

    def hide(self, secrets: Iterable[str]) -> None:
        """Replace these too from now on."""
        # Longest first: a secret may be part of another. As JSON writes it: quotes are escaped.
        both = {form for text in secrets if text for form in (text, json.dumps(text)[1:-1])}
        self._secrets = sorted({*self._secrets, *both}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """The line as it is written."""
        line = self._inner.format(record)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        # A vendor's words can quote a visitor.
        return without_emails(line)


def setup_logging(
    *, stream: TextIO | None = None, level: str = "INFO", secrets: Iterable[str] = ()
) -> None:
    """Send all logging of this process to one stream, stdout unless told, in place of what was.

    ``secrets`` are never written, whatever line they turn up in. Commands whose stdout is their
    result pass ``sys.stderr``. Faust's worker must be told ``override_logging=False``.
    """
    stream = stream or sys.stdout
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow={"held_back"}),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *(_pretty() if stream.isatty() else _json()),
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Masked(formatter, secrets))
    handler.addFilter(LogRateLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, lowest in QUIET.items():
        # At debug level the Kafka clients say who joins, who leads and what is assigned; their own
        # debug lines are of every request, and are never let through.
        talks = root.level == logging.DEBUG and name in REPEATING
        logging.getLogger(name).setLevel(logging.INFO if talks else max(lowest, root.level))
    logging.captureWarnings(capture=True)


def hide(secrets: Iterable[str]) -> None:
    """Never write these either: for secrets that are read again while the process runs."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, Masked):
            handler.formatter.hide(secrets)


def _json() -> list[Any]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
    ]


def _pretty() -> list[Any]:
    # The rich one prints local variables, keys among them.
    traceback = structlog.dev.plain_traceback
    return [_printable, structlog.dev.ConsoleRenderer(exception_formatter=traceback)]


def _printable(_logger: Any, _method: str, event: Event) -> Event:
    """Show what strangers sent without letting it steer the terminal."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = plain(value)
    return event
