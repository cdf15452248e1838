"""The first download, shown to the person who waits for it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class DownloadProgress(NamedTuple):
    """How far the first download is."""

    step: str
    """What is being done, for people."""
    done: int
    """Files that are there."""
    total: int
    """Files needed; 0 while that is not known."""


OnProgress = Callable[[DownloadProgress], None]


@contextmanager
def bar() -> Iterator[OnProgress]:
    """Draw a bar on stderr; where that is no terminal, one line for each step."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        said: set[str] = set()

        def say(progress: DownloadProgress) -> None:
            if progress.step not in said:
                said.add(progress.step)
                print(progress.step, file=sys.stderr, flush=True)

        yield say
        return
    with Bars(console=console, transient=True) as bars:
        task = bars.add_task("", total=None)

        def draw(progress: DownloadProgress) -> None:
            bars.update(
                task,
                description=progress.step,
                completed=progress.done,
                total=progress.total or None,
            )

        yield draw
