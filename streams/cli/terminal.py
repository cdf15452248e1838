"""What commands share: options, settings, questions, files, times, progress, JSON."""

import json
import sys
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.core.plain_text import plain
from streams.engine import wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import tzinfo

    from rich.console import Console
    from rich.progress import TaskID
    from rich.table import Table

    from streams.kafka.reader import Tell
    from streams.settings import Settings

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON array.")]
PreviewFlag = Annotated[bool, typer.Option("--preview", help="Show what would be sent, then exit.")]
YesFlag = Annotated[bool, typer.Option("--yes", help="Skip confirmation.")]

LEVEL_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
"""Of findings."""


def load_settings(environ: "Mapping[str, str] | None" = None) -> "Settings":
    """Load the settings, by default of this process; see ``streams.settings``."""
    from streams import settings

    return settings.load_settings(environ)


def quiet_settings() -> "Settings":
    """Load the settings, and let clients log no retries: what goes wrong ends in a sentence."""
    from streams.telemetry import setup_logging

    settings = load_settings()
    # Not above ERROR: why a broker cannot be reached is read from what aiokafka logs.
    setup_logging(stream=sys.stderr, level="ERROR", secrets=settings.secrets())
    return settings


def require_terminal(yes: bool, problem: str) -> None:
    """Raise SettingsError with this sentence where the confirmation can be given by nobody."""
    from streams.core.errors import SettingsError

    if not yes and not sys.stdin.isatty():
        raise SettingsError([problem])


def confirm(yes: bool, question: str, refused: str) -> None:
    """Ask, unless ``yes``; where the answer is no, print ``refused`` and exit with code 1."""
    if not yes and not typer.confirm(question, err=True):
        typer.echo(refused, err=True)
        raise typer.Exit(1)


def new_table(*names: str, numbers: Iterable[str] = (), **options: Any) -> "Table":
    """Return an empty table; the columns of ``numbers`` follow those of ``names``."""
    from rich.table import Table

    table = Table(show_edge=False, pad_edge=False, **options)
    for name in names:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def lines_of(file: Path) -> Iterable[bytes]:
    """Yield the lines of a file; ``-`` is stdin."""
    if str(file) == "-":
        yield from sys.stdin.buffer
        return
    with file.open("rb") as opened:
        yield from opened


def file_or_stdin(path: Path | None) -> Path | None:
    """Check an argument that names a file to read, or ``-``; typer's own check refuses the dash."""
    if path is not None and str(path) != "-" and (not path.exists() or path.is_dir()):
        raise typer.BadParameter(f"there is no file {plain(str(path))}")
    return path


def read_text(path: Path) -> str:
    """Return the content of a file, or of stdin for ``-``; raises SettingsError: it is no UTF-8."""
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


def echo(line: str, *, err: bool = False) -> None:
    """Print a line of which parts are a stranger's: it is shown, never obeyed by the terminal."""
    typer.echo(plain(line), err=err)


def plain_console() -> "Console":
    """Return stdout for lines that are not broken, whatever their length."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def print_json(content: Any) -> None:
    """Print JSON in ASCII, which no terminal obeys; a deleting 127 is spelled out, too."""
    typer.echo(json_text(content))


def json_text(content: Any) -> str:
    """Return what ``print_json`` prints."""
    return json.dumps(content, indent=2).replace("\x7f", "\\u007f")
