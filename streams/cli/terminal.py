"""What commands share: strangers' text that is shown, files to read, times, progress."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from streams.core.plain_text import plain
from streams.engine import wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from rich.progress import TaskID

    from streams.kafka.reader import Tell
    from streams.settings import Settings


def counted(number: int, word: str) -> str:
    """Return a number and what it counts: ``1 event``, ``1,204 events``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def file_or_stdin(path: Path | None) -> Path | None:
    """Check an argument that names a file to read, or ``-``; typer's own check refuses the dash."""
    if path is not None and str(path) != "-" and (not path.exists() or path.is_dir()):
        raise typer.BadParameter(f"there is no file {plain(str(path))}")
    return path


def read_text(path: Path) -> str:
    """Return the content of a file, or of stdin for ``-``; raises SettingsError: it is no UTF-8."""
    import sys

    from streams.core.errors import SettingsError

    content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError([f"{plain(str(path))}: is not UTF-8."]) from None


def moment_ms(text: str, option: str = "--since") -> int:
    """Return ms since the epoch of a moment as people write it, read in this machine's zone.

    Raises SettingsError, led by the option's name, for what is no time.
    """
    from streams.core.errors import SettingsError
    from streams.core.moments import read_moment

    try:
        return read_moment(text, wall_clock.now_ms(), local_zone())
    except ValueError as problem:
        raise SettingsError([f"{option}: {problem}."]) from None


def local_zone() -> "tzinfo":
    """Return the zone of this machine, or of the variable ``TZ``, with its clock changes."""
    from datetime import UTC, datetime, timedelta, tzinfo

    class LocalZone(tzinfo):
        """Asks the system; a moment shown twice is its first without ``fold``."""

        def utcoffset(self, moment: datetime | None) -> timedelta:
            return _here(moment).utcoffset() or timedelta()

        def dst(self, _moment: datetime | None) -> timedelta | None:
            return None

        def tzname(self, moment: datetime | None) -> str:
            return _here(moment).tzname() or ""

        def fromutc(self, moment: datetime) -> datetime:
            there = moment.replace(tzinfo=UTC).astimezone()
            found = there.replace(tzinfo=self)
            return found if found.utcoffset() == there.utcoffset() else found.replace(fold=1)

    def _here(moment: datetime | None) -> datetime:
        return (moment or datetime.now(UTC)).replace(tzinfo=None).astimezone()

    return LocalZone()


@contextmanager
def reading_progress() -> "Iterator[Tell]":
    """Draw on a terminal's stderr how far the reading is; elsewhere nothing is drawn."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(topic: str, read: int, total: int) -> None:
            if topic not in tasks:
                tasks[topic] = bars.add_task(escape(plain(topic)), total=total)
            bars.update(tasks[topic], completed=read)

        yield tell


def quiet_logs(settings: "Settings") -> None:
    """What goes wrong ends in a sentence; a client's retries are not news."""
    import sys

    from streams.telemetry import setup_logging

    setup_logging(stream=sys.stderr, level="ERROR", secrets=settings.secrets())


def print_json(rows: list[dict[str, Any]]) -> None:
    """Print a JSON array in ASCII, which no terminal obeys."""
    import json

    typer.echo(json.dumps(rows, indent=2).replace("\x7f", "\\u007f"))
