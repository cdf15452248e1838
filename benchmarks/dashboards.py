"""What ten open dashboards cost the worker that serves them, by turns with none, every few seconds.

Wanted: CPU per event at most 3 % higher.
"""

import json
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from statistics import median
from typing import NamedTuple

from enrich import PRODUCTS, USERS, Round
from installation import Installation
from kafka_side import broker
from shop import Shop
from table import CPU_NOTE, arguments, conditions, load_average, render

VIEWERS = 10
SLICE_SECONDS = 3.0


class Viewers:
    """Open pages, as far as the worker can tell: each reads its live stream to the end."""

    def __init__(self, status_url: str) -> None:
        self._url = status_url.replace("/api/status", "/api/stream")
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._look, daemon=True) for _ in range(VIEWERS)]
        self.views = 0

    def open(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Look away."""
        self._is_over.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(5)

    def _look(self) -> None:
        with urllib.request.urlopen(self._url, timeout=30) as stream:
            for line in stream:
                self.views += line.startswith(b"event: view")
                if self._is_over.is_set():
                    return


class Slices(NamedTuple):
    """All stretches of one kind, added up."""

    events: int
    cpu_seconds: float
    seconds: float

    @property
    def cpu_per_100k(self) -> float:
        """CPU seconds for 100,000 events."""
        return self.cpu_seconds / self.events * 100_000


def run(this: Round) -> tuple[Slices, Slices, int]:
    """Let one worker enrich everything, its dashboard open every other few seconds.

    Return the stretches with pages open, those without, and how many views were sent. Whatever
    else the machine does meets both alike.
    """
    found = {True: Slices(0, 0.0, 0.0), False: Slices(0, 0.0, 0.0)}
    views = 0
    is_open = True
    with this.installation.worker("enrich") as worker:
        last = worker.wait(lambda reading: reading.events > 0)
        while last.waiting:
            viewers = Viewers(worker.url)
            if is_open:
                viewers.open()
                time.sleep(0.5)
            before, cpu, began = worker.reading() or last, worker.cpu_seconds(), time.monotonic()
            time.sleep(SLICE_SECONDS)
            last = worker.reading() or before
            used, seconds = (worker.cpu_seconds() or 0.0) - (cpu or 0.0), time.monotonic() - began
            viewers.close()
            views += viewers.views
            if last.waiting:  # the last stretch is partly idle
                sums = found[is_open]
                found[is_open] = Slices(
                    sums.events + last.events - before.events,
                    sums.cpu_seconds + used,
                    sums.seconds + seconds,
                )
            is_open = not is_open
    return found[True], found[False], views


def main() -> int:
    """Measure, print the table."""
    options = arguments(__doc__ or "", events=800_000).parse_args()
    if options.quick:
        options.rounds, options.events = 1, 200_000
    rounds = []
    with broker() as (servers, words), tempfile.TemporaryDirectory() as folder:
        shop = Shop(USERS, PRODUCTS, Installation(servers, "none.", Path(folder)).vendors)
        for number in range(options.rounds):
            this = Round(
                Installation(servers, f"looked{number}.", Path(folder)), shop, options.events
            )
            this.prepare()
            rounds.append(run(this))
        here = conditions(words, events=f"{options.events:,}, {options.rounds} rounds")
    watched, alone = (
        [one[0].cpu_per_100k for one in rounds],
        [one[1].cpu_per_100k for one in rounds],
    )
    dearer = [100 * (a / b - 1) for a, b in zip(watched, alone, strict=True)]
    rate = [one[1].events / one[1].seconds for one in rounds]
    views = [one[2] / VIEWERS / one[0].seconds for one in rounds]
    cells = [
        ("", f"{VIEWERS} pages open", "none", "dearer by", "wanted"),
        (
            *("CPU s per 100,000 events", _cell(watched, 3), _cell(alone, 3)),
            *(f"{_cell(dearer, 1)} %", "3 %"),
        ),
        ("events/s", "", _cell(rate, 0), "", ""),
        ("views a second and page", _cell(views, 2), "", "", ""),
    ]
    here["load average at the end"] = load_average()
    if options.json:
        print(json.dumps({"open": watched, "none": alone, "dearer %": dearer, **here}, indent=2))
    else:
        print(render("Enrichment while dashboards are open", cells, here, [CPU_NOTE]))
    return 0


def _cell(values: list[float], digits: int) -> str:
    low, high = min(values), max(values)
    spread = f" ({low:,.{digits}f}-{high:,.{digits}f})" if len(values) > 1 else ""
    return f"{median(values):,.{digits}f}{spread}"


if __name__ == "__main__":
    sys.exit(main())
