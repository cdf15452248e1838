"""What ten open dashboards cost the worker that serves them, by turns with none.

Wanted: CPU per event at most 3 % higher.
"""

import json
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from enrich import PRODUCTS, USERS, Round
from installation import Installation
from kafka_side import broker
from shop import Shop
from table import CPU_NOTE, arguments, conditions, load_average, render
from worker_process import Measure, Worker

VIEWERS = 10


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


@contextmanager
def looked_at(worker: Worker, *, by_any: bool) -> Iterator[Viewers]:
    """Have this worker's dashboard open as often as wanted, or not at all."""
    viewers = Viewers(worker.url)
    if by_any:
        viewers.open()
    try:
        yield viewers
    finally:
        viewers.close()


def run(this: Round, *, by_any: bool) -> tuple[Measure, int]:
    """Let one worker enrich everything; return the measure and how many views were sent."""
    with this.installation.worker("enrich") as worker:
        worker.wait(lambda reading: reading.ready or reading.events > 0)
        with looked_at(worker, by_any=by_any) as viewers:
            measure = worker.work_off(this.events)
            return measure, viewers.views


def main() -> int:
    """Measure, print the table."""
    options = arguments(__doc__ or "", events=400_000).parse_args()
    if options.quick:
        options.rounds, options.events = 1, 50_000
    alone: list[Measure] = []
    watched: list[Measure] = []
    views: list[float] = []
    with broker() as (servers, words), tempfile.TemporaryDirectory() as folder:
        shop = Shop(USERS, PRODUCTS, Installation(servers, "none.", Path(folder)).vendors)
        for number in range(options.rounds):
            for by_any in (False, True) if number % 2 else (True, False):
                name = f"looked{number}{by_any}."
                this = Round(Installation(servers, name, Path(folder)), shop, options.events)
                this.prepare()
                measure, seen = run(this, by_any=by_any)
                (watched if by_any else alone).append(measure)
                if by_any:
                    views.append(seen / measure.seconds / VIEWERS)
        here = conditions(words, events=f"{options.events:,}, {options.rounds} rounds by turns")
    with_pages = [m.cpu_per_100k for m in watched]
    without = [m.cpu_per_100k for m in alone]
    dearer = 100 * (median(with_pages) / median(without) - 1)
    cells = [
        ("", f"{VIEWERS} pages open", "none", "dearer by", "wanted"),
        ("CPU s per 100,000 events", *map(_cell, (with_pages, without)), f"{dearer:.1f} %", "3 %"),
        (
            "events/s",
            *(f"{median([m.rate for m in side]):,.0f}" for side in (watched, alone)),
            "",
            "",
        ),
        ("views a second and page", f"{median(views):.2f}", "", "", ""),
    ]
    here["load average at the end"] = load_average()
    if options.json:
        print(json.dumps({"open": with_pages, "none": without, "views": views, **here}, indent=2))
    else:
        print(render("Enrichment while dashboards are open", cells, here, [CPU_NOTE]))
    return 0


def _cell(values: list[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    sys.exit(main())
