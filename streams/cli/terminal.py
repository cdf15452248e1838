"""What commands share: strangers' text that is shown, files to read, times, progress."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import TaskID

    from streams.operations.log_reader import Tell


def plain(text: str) -> str:
    """Return text in which control characters are spelled out; markup is left to the caller."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def file_or_stdin(path: Path | None) -> Path | None:
    """Check an argument that names a file to read, or ``-``; typer's own check refuses the dash."""
    if path is not None and str(path) != "-" and (not path.exists() or path.is_dir()):
        raise typer.BadParameter(f"there is no file {plain(str(path))}")
    return path


def moment_ms(text: str) -> int:
    """Return ms since the epoch; raises SettingsError for what is no time."""
    from datetime import datetime

    from streams.core.errors import SettingsError

    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        remedy = "give RFC 3339 with an offset, such as 2026-05-01T08:00:00Z, or ms since the epoch"
        raise SettingsError([f'--since: "{text}" is no time; {remedy}.'])
    return round(moment.timestamp() * 1000)


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
