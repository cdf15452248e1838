"""The one table that a benchmark prints, and the conditions under which it was measured."""

import argparse
import json
import logging
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Self

from worker_process import Measure

CPU_NOTE = (
    "CPU is user and system time of the worker's process, from its first events to its last; its "
    "start is left out. Cells: the median of the rounds, and from the least to the most."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of all sides: the rounds' values, of which the table shows the median."""

    name: str
    ours: Sequence[float]
    stock: Sequence[float] = ()
    digits: int = 0
    ratio: str | None = None
    """``less`` or ``more``: which side of 1 is good, and the ratio is written so."""
    wanted: str = ""
    loop: Sequence[float] = ()
    """Of a loop by hand, where one is measured."""

    @classmethod
    def of(
        cls,
        name: str,
        figure: Callable[[Measure], float],
        ours: Iterable[Measure],
        stock: Iterable[Measure],
        loop: Iterable[Measure],
        **how: Any,
    ) -> Self:
        """Return the row of one figure of all sides' rounds."""
        by_loop = [*map(figure, loop)]
        return cls(name, [*map(figure, ours)], [*map(figure, stock)], loop=by_loop, **how)


@dataclass(slots=True)
class Table:
    """A title, rows, conditions."""

    title: str
    conditions: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self, *, as_json: bool) -> None:
        """Print it."""
        self.conditions["load average at the end"] = load_average()
        print(json.dumps(self._plain(), indent=2) if as_json else self._text())

    def _plain(self) -> dict[str, Any]:
        rows = [
            {
                "name": row.name,
                "streams": _figures(row.ours),
                "stock": _figures(row.stock),
                "times_better": _times(row, row.stock),
                "loop": _figures(row.loop),
                "times_better_than_loop": _times(row, row.loop),
                "wanted": row.wanted or None,
            }
            for row in self.rows
        ]
        return {
            "benchmark": self.title,
            "conditions": self.conditions,
            "rows": rows,
            "notes": self.notes,
        }

    def _text(self) -> str:
        sides = [("stock Faust", [row.stock for row in self.rows])]
        if any(row.loop for row in self.rows):
            sides.append(("loop by hand", [row.loop for row in self.rows]))
        cells = [["", "streams", *(cell for side, _ in sides for cell in (side, "times better"))]]
        cells[0].append("wanted")
        for number, row in enumerate(self.rows):
            line = [row.name, _cell(row, row.ours)]
            for _, values in sides:
                times = _times(row, values[number])
                line += [
                    _cell(row, values[number]),
                    "" if times is None else f"{times:.1f}" if times >= 2 else f"{times:.2f}",
                ]
            cells.append([*line, row.wanted])
        return render(self.title, cells, self.conditions, self.notes)


def render(
    title: str,
    cells: Sequence[Sequence[str]],
    conditions: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> str:
    """Return the table as text: first column to the left, the others to the right."""
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [title, ""]
    for number, line in enumerate(cells):
        first, *others = line
        padded = [first.ljust(widths[0])]
        padded += [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(padded).rstrip())
        if number == 0:
            lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
    lines.append("")
    lines += [f"{name}: {value}" for name, value in conditions.items()]
    lines += list(notes)
    return "\n".join(lines)


def _figures(values: Sequence[float]) -> dict[str, Any] | None:
    if not values:
        return None
    return {"median": round(median(values), 4), "rounds": [round(value, 4) for value in values]}


def _times(row: Row, other: Sequence[float]) -> float | None:
    if row.ratio is None or not row.ours or not other:
        return None
    ours, theirs = median(row.ours), median(other)
    return round(theirs / ours if row.ratio == "less" else ours / theirs, 2)


def _cell(row: Row, values: Sequence[float]) -> str:
    if not values:
        return ""
    shown = f"{median(values):,.{row.digits}f}"
    if len(values) > 1:
        low, high = min(values), max(values)
        shown += f" ({low:,.{row.digits}f}-{high:,.{row.digits}f})"
    return shown


def conditions(broker: str, **more: Any) -> dict[str, Any]:
    """Return what a reader must know of this run; the load average is taken now."""
    # What the clients say of a broker that is just starting would stand before the table.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    packages = ("faust-streaming", "aiokafka", "mode-streaming", "httpx", "aiohttp", "msgspec")
    return {
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "broker": broker,
        **more,
        "load average at the start": load_average(),
    }


def load_average() -> str:
    """Return the number of processes that want a core, over 1 and 5 minutes."""
    one, five, _ = os.getloadavg()
    return f"{one:.1f}, {five:.1f}"


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def arguments(description: str, *, events: int, unit: str = "events") -> argparse.ArgumentParser:
    """Return the options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(f"--{unit}", type=int, default=events, help=f"for our side ({events:,})")
    parser.add_argument(f"--stock-{unit}", type=int, help="for the stock app (default: fewer)")
    parser.add_argument("--rounds", type=int, default=3, help="of each side, by turns (3)")
    parser.add_argument("--quick", action="store_true", help="one small round, to see it work")
    parser.add_argument("--json", action="store_true", help="one JSON object a table")
    return parser
