"""A rolling restart under load: three workers of a stage, one after the other, with a gap.

Each worker is stopped, stays away for the gap, starts, and is ready before the next one stops, as
a StatefulSet does it. Measured: how long the vendor hears nothing, how long an event waits, and
whether each event arrives once. A gap longer than ``kafka.session_seconds`` gives the partitions
to the other workers; a shorter one does not.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from aiokafka import AIOKafkaProducer
from installation import Installation
from kafka_side import make_topics, write
from latency import percentile
from outage import access, generations, products, simulator, users
from outage import event as click
from table import conditions, load_average, render
from worker_process import Worker

from streams.kafka.group_ids import group_id
from streams.lab.embedded import DEFAULT_VERSION, EmbeddedKafka

VENDOR = "miso"
WORKERS = 3
BEFORE_SECONDS, AFTER_SECONDS = 5.0, 5.0
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of the table."""

    stage: str
    gap_seconds: float
    session_seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One rolling restart."""

    away_seconds: Sequence[float]
    """Of each worker, from the signal until it is ready again."""
    silence_seconds: float
    """The longest time between two arrivals at the vendor."""
    ages_seconds: Sequence[float]
    """Of each event on arrival, ascending."""
    rebalances: int
    missing: int
    twice: int


class Load(threading.Thread):
    """Clicks at an even rate until it is stopped."""

    def __init__(self, here: Installation, rate: float, first: int) -> None:
        super().__init__()
        self.sent: dict[str, float] = {}
        self._here, self._rate, self._first = here, rate, first
        self._ending = threading.Event()
        self._failed: Exception | None = None

    def run(self) -> None:
        """Write."""
        try:
            asyncio.run(self._write())
        except Exception as error:  # end() raises it
            self._failed = error

    def end(self) -> None:
        """Write no more; return when the broker has everything."""
        self._ending.set()
        self.join()
        if self._failed is not None:
            raise self._failed

    async def _write(self) -> None:
        settings = self._here.settings
        producer = AIOKafkaProducer(**settings.kafka.client_options(), acks="all")
        await producer.start()
        try:
            began, written = time.monotonic(), []
            while not self._ending.is_set():
                due = began + len(self.sent) / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                number = self._first + len(self.sent)
                record = click(number)
                self.sent[f"e{number}"] = time.time()
                written.append(
                    await producer.send(
                        settings.topics.clicks, record.value, record.key, record.partition
                    )
                )
            await asyncio.gather(*written)
        finally:
            await producer.stop()


@contextmanager
def workers(here: Installation, stage: str) -> Iterator[list[Worker]]:
    """Run three workers of a stage and one of the other, all ready and each with partitions."""
    other = VENDOR if stage == "enrich" else "enrich"
    with ExitStack() as stack:
        stack.enter_context(here.worker(other))
        rolled = [stack.enter_context(here.worker(stage, slot=n)) for n in range(WORKERS)]
        for worker in rolled:
            worker.wait(lambda reading: reading.ready)
        yield rolled


def arrivals(url: str) -> list[tuple[str, float]]:
    """Return the event ids at the vendor and when each came, in seconds."""
    with urllib.request.urlopen(f"{url}/ledger?records=1&limit=1000000", timeout=30) as answer:
        rows = json.load(answer)[VENDOR]["rows"]
    return [(row["event_id"], row["at"]) for row in rows]


def audit(here: Installation) -> str:
    """Return what ``streams audit`` says: where events are that have not arrived."""
    command = [sys.executable, "-m", "streams", "audit"]
    environ = os.environ | here.environ
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False).stdout


def measure(
    here: Installation, cell: Cell, server_log: Path, url: str, options: argparse.Namespace
) -> Figures:
    """Restart the workers one after the other while events come in."""
    before = len(arrivals(url))
    load = Load(here, options.rate, before)
    with workers(here, cell.stage) as rolled:
        load.start()
        time.sleep(BEFORE_SECONDS)
        seen = server_log.stat().st_size
        away = []
        for worker in rolled:
            began = time.monotonic()
            worker.stop()
            time.sleep(cell.gap_seconds)
            worker.__enter__()
            worker.wait(lambda reading: reading.ready)
            away.append(time.monotonic() - began)
        time.sleep(AFTER_SECONDS)
        load.end()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while load.sent.keys() - {name for name, _ in arrivals(url)}:
            if time.monotonic() > deadline:
                print(audit(here), file=sys.stderr)
                break
            time.sleep(1)
    came = arrivals(url)[before:]
    counted = Counter(name for name, _ in came)
    group = group_id(here.prefix, cell.stage)
    return Figures(
        away_seconds=away,
        silence_seconds=max(later - earlier for (_, earlier), (_, later) in pairwise(came)),
        ages_seconds=sorted(at - load.sent[name] for name, at in came),
        rebalances=len(generations(server_log, seen).get(group, ())),
        missing=len(load.sent.keys() - counted.keys()),
        twice=sum(number - 1 for number in counted.values()),
    )


HEAD = (
    *("stage, gap, session", "away, s", "vendor hears nothing, s", "event waits at most, s"),
    *("p50, s", "p99, s", "rebalances", "events", "missing", "twice"),
)


def line(cell: Cell, runs: Sequence[Figures]) -> tuple[str, ...]:
    """Return the table's line of a cell: the worst of its runs; times away: median and range."""
    away = sorted(seconds for run in runs for seconds in run.away_seconds)
    ages = sorted(age for run in runs for age in run.ages_seconds)
    return (
        f"{cell.stage}, {cell.gap_seconds:g} s, {cell.session_seconds:g} s",
        f"{median(away):.1f} ({away[0]:.1f}-{away[-1]:.1f})",
        f"{max(run.silence_seconds for run in runs):.1f}",
        f"{ages[-1]:.1f}",
        f"{percentile(ages, 50):.1f}",
        f"{percentile(ages, 99):.1f}",
        "/".join(str(run.rebalances) for run in runs),
        f"{len(ages):,}",
        str(sum(run.missing for run in runs)),
        str(sum(run.twice for run in runs)),
    )


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def main() -> int:
    """Measure each pair of gap and session; print the table; 1 if an event is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", default="miso,enrich", help="of three workers (miso,enrich)")
    parser.add_argument("--gaps", type=_numbers, default=[5.0, 15.0], help="seconds (5,15)")
    parser.add_argument("--sessions", type=_numbers, default=[10.0, 30.0], help="seconds (10,30)")
    parser.add_argument("--rate", type=float, default=100.0, help="events a second (100)")
    parser.add_argument("--rounds", type=int, default=1, help="of each (1)")
    options = parser.parse_args()
    runs: dict[Cell, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as name, EmbeddedKafka() as kafka:
        folder = Path(name)
        facts = conditions(
            f"embedded Apache Kafka {DEFAULT_VERSION}, same machine",
            load=f"{options.rate:g} clicks a second, 6 partitions, {WORKERS} workers",
        )
        assert kafka.data_dir is not None
        server_log = kafka.data_dir / "logs" / "server.log"
        with simulator(folder / "simulator") as url:
            others = {"STREAMS_EIGHTSELECT_ENABLED": "false", "STREAMS_VOYADO_ENABLED": "false"}
            cells = [
                Cell(stage, gap, session)
                for stage in options.stages.split(",")
                for session in options.sessions
                for gap in options.gaps
            ]
            for number in range(options.rounds):
                for at, cell in enumerate(cells):
                    session = {"STREAMS_KAFKA_SESSION_SECONDS": str(cell.session_seconds)}
                    here = Installation(
                        kafka.bootstrap_servers,
                        f"rolling{number}-{at}.",
                        folder,
                        {**access(url), **others, **session},
                    )
                    make_topics(here.settings, {})
                    topics = here.settings.topics
                    write(here.settings, {topics.users: users(), topics.products: products()})
                    figures = measure(here, cell, server_log, url, options)
                    runs.setdefault(cell, []).append(figures)
                    print(", ".join(line(cell, [figures])), file=sys.stderr, flush=True)
    facts["load average at the end"] = load_average()
    cells_shown = [HEAD, *(line(cell, found) for cell, found in runs.items())]
    print(render("Rolling restart: the worst of the rounds", cells_shown, facts))
    return 1 if any(run.missing for found in runs.values() for run in found) else 0


if __name__ == "__main__":
    sys.exit(main())
