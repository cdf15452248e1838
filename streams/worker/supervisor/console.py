"""One console for several workers: each line led by its stage, or a JSON line that names it.

Workers under a supervisor write JSON lines into a pipe. A terminal shows them as text, without
letting what strangers sent steer it; elsewhere they stay JSON lines, with the stage as a field.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from streams.core.plain_text import plain
from streams.worker.supervisor.restart_policy import Ending

_COLOURS = ("cyan", "magenta", "green", "blue", "yellow")
_LEVEL_STYLES = {"warning": "yellow", "error": "red", "critical": "bold red"}


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a worker, read."""

    words: str
    level: str | None = None
    """None: no log line, but something that was printed."""
    at: datetime | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    trace: str = ""

    @property
    def matters(self) -> bool:
        """Whether a person should see it even if nothing else is shown."""
        return self.level in (None, "warning", "error", "critical")


def read_line(line: str) -> Said:
    """Return what a line says; one that is no log line is its own words."""
    try:
        content = json.loads(line)
    except ValueError:
        return Said(line)
    if not isinstance(content, dict) or not isinstance(content.get("event"), str):
        return Said(line)
    known = {"event", "level", "timestamp", "logger", "exception", "stage"}
    try:
        at = datetime.fromisoformat(str(content.get("timestamp"))).astimezone()
    except ValueError:
        at = None
    return Said(
        words=content["event"],
        level=str(content.get("level", "info")),
        at=at,
        values={name: value for name, value in content.items() if name not in known},
        trace=str(content.get("exception", "")),
    )


def ending_words(ending: Ending) -> str:
    """Return in a sentence how a worker ended and what happens next."""
    code = ending.code
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    if ending.pause_seconds is None:
        return f"{ending.stage} {how} and is not started again"
    return f"{ending.stage} {how}; it is started again in {ending.pause_seconds:g} s"


class SharedConsole:
    """Writes what the workers say to one stream."""

    def __init__(self, stages: Sequence[str], stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._rich = Console(file=self._stream, highlight=False, markup=False, emoji=False)
        self._width = max(map(len, stages), default=0)
        self._colours = {s: _COLOURS[i % len(_COLOURS)] for i, s in enumerate(stages)}

    def line(self, stage: str, text: str) -> None:
        """Write one line of a worker."""
        if self._rich.is_terminal:
            self._rich.print(self.shown(stage, read_line(text)), soft_wrap=True)
            return
        if text.startswith('{"'):
            # Still one JSON object: log collectors read these. A stage it names itself stays.
            own = '"stage":' in text
            out = text if own else f'{{"stage": {json.dumps(stage)}, {text[1:]}'
        else:
            out = f"{stage:<{self._width}} | {text}"
        self._stream.write(f"{out}\n")
        self._stream.flush()

    def ended(self, ending: Ending) -> None:
        """Write that a worker ended, as a log line of the supervisor."""
        record = {
            "event": ending_words(ending),
            "level": "error" if ending.pause_seconds is None else "warning",
            "logger": "streams.supervisor",
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
        self.line(ending.stage, json.dumps(record))

    def shown(self, stage: str, said: Said) -> Text:
        """Return the line for a terminal."""
        text = Text()
        text.append(f"{said.at:%H:%M:%S} " if said.at else " " * 9, style="dim")
        text.append(f"{stage:<{self._width}} ", style=self._colours.get(stage, "cyan"))
        style = _LEVEL_STYLES.get(said.level or "", "")
        text.append(plain(said.words), style=style)
        for name, value in said.values.items():
            text.append(f" {plain(name)}=", style="dim")
            text.append(plain(str(value)))
        for row in said.trace.splitlines():
            text.append(f"\n{'':{self._width + 10}}{plain(row)}", style="dim")
        return text
