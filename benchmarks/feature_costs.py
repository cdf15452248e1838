"""What the truth about each event costs: our sink beside itself with parts of it switched off.

Wanted: all of it together less than 15 % of the CPU of an event, at Miso and at 8SELECT.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from clients import acceptor
from installation import HERE, Installation, read_events
from kafka_side import make_topics, write
from shop import Record, Shop
from table import CPU_NOTE, conditions, render
from worker_process import Worker

from streams.lab.embedded.ports import free_port
from streams.settings import load_settings
from streams.vendors import VENDORS

USERS, PRODUCTS = 20_000, 2_000
BRIEFLY = ("everything", "without guard, lanes, marks", "without any of it")
"""Of 8SELECT: where a request carries one event, a part by itself is lost in the noise."""
VARIANTS = {
    "everything": "",
    "without guard": "guard",
    "without lanes": "lanes",
    "without marks": "marks",
    "without receipts": "receipts",
    "without guard, lanes, marks": "guard,lanes,marks",
    "without any of it": "guard,lanes,marks,receipts",
}
WANTED_PERCENT = 15
NOTE = (
    "Each part is switched off by a double in the benchmark (sink_without.py); the runs go by "
    "turns. Share: what the part adds to the CPU of an event, of the whole, by the least of the "
    "rounds, since what disturbs only ever adds. "
    f"Wanted: everything together below {WANTED_PERCENT} %. An accepting server of our own."
)


def measure_feature_costs(
    servers: str, words: str, folder: Path, *, events: int, rounds: int
) -> str:
    """Return the table of both vendors."""
    found: dict[tuple[str, str], list[float]] = {}
    records: dict[str, list[Record]] = {}
    counts = {"miso": events, "eightselect": max(2_000, events // 12)}
    with acceptor(0) as server:
        for number in range(rounds):
            for vendor, count in counts.items():
                for name, without in _by_turns(vendor, number):
                    here = _installation(servers, folder, vendor, server.url, len(found), number)
                    records.setdefault(vendor, _records(here, vendor, count))
                    used = _run(here, vendor, records[vendor], without)
                    found.setdefault((vendor, name), []).append(used)
    return _table(found, counts, rounds, words)


def _names(vendor: str) -> Sequence[str]:
    return tuple(VARIANTS) if vendor == "miso" else BRIEFLY


def _by_turns(vendor: str, number: int) -> Sequence[tuple[str, str]]:
    """Return the variants, each round beginning with another one."""
    variants = [(name, VARIANTS[name]) for name in _names(vendor)]
    first = number * 3 % len(variants)
    return variants[first:] + variants[:first]


def _installation(
    servers: str, folder: Path, vendor: str, url: str, run: int, number: int
) -> Installation:
    access = {
        "STREAMS_MISO_BASE_URL": url,
        "STREAMS_MISO_API_KEY": "benchmark-secret",
        "STREAMS_EIGHTSELECT_BASE_URL": url,
        "STREAMS_EIGHTSELECT_API_ID": "benchmark",
    }
    prefix = f"care{number}-{run}-{free_port()}-{vendor}."
    here = Installation(servers, prefix, folder, access)
    make_topics(here.settings, {})
    return here


def _shop(here: Installation, vendor: str) -> Shop:
    return Shop(USERS, PRODUCTS, here.vendors, in_content=vendor == "eightselect")


def _records(here: Installation, vendor: str, count: int) -> list[Record]:
    plan = here.settings.plan_for(vendor)
    return list(_shop(here, vendor).vendor_records(here.settings.topics, plan, count))


def _run(here: Installation, vendor: str, records: list[Record], without: str) -> float:
    """Return the CPU µs of an event."""
    topics = here.settings.topics
    users = _shop(here, vendor).user_rows()
    write(here.settings, {topics.users: users, topics.events(vendor): records})
    with _worker(here, vendor, without) as worker:
        measure = worker.work_off(len(records))
        worker.kill()
    return measure.cpu_seconds / measure.events * 1e6


@contextmanager
def _worker(here: Installation, stage: str, without: str) -> Iterator[Worker]:
    environ = {**here.environ, "STREAMS_WEB_PORT": str(free_port()), "SINK_WITHOUT": without}
    port = load_settings(
        {name: value for name, value in environ.items() if name.startswith("STREAMS_")}
    ).web_port(stage)
    read: Callable[[Any], Any] = read_events
    command = [str(HERE / "sink_without.py"), "worker", stage]
    url = f"http://127.0.0.1:{port}/api/status"
    with Worker(command, environ, Path(here.environ["STREAMS_STATE_DIR"]), url, read) as worker:
        yield worker


def _table(
    found: dict[tuple[str, str], list[float]], counts: dict[str, int], rounds: int, words: str
) -> str:
    cells: list[tuple[str, ...]] = [("CPU µs of an event", "median", "least-most", "share")]
    for vendor in counts:
        whole = min(found[vendor, "everything"])
        for name in _names(vendor):
            values = found[vendor, name]
            share = "" if name == "everything" else f"{(1 - min(values) / whole) * 100:.1f} %"
            cells.append(
                (
                    f"{VENDORS[vendor].name}: {name}",
                    f"{median(values):,.1f}",
                    f"{min(values):,.1f}-{max(values):,.1f}",
                    share,
                )
            )
    events = ", ".join(f"{VENDORS[v].name} {count:,}" for v, count in counts.items())
    facts = conditions(words, events=events, rounds=rounds)
    return render("What the truth about each event costs", cells, facts, [CPU_NOTE, NOTE])
