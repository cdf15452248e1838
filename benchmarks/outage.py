"""An outage of hours, compressed: events wait for Miso and 8SELECT while these are down.

Each round: a quiet while, then both vendors go down, ``--events`` are written as fast as the broker
takes them (720,000 are 4 hours at 50 a second), a while of waiting, the vendors' return, and the
draining to the last event, or for ``--longest-drain`` (8SELECT takes one event a request).
All the time 20 clicks a second of known contacts go to Voyado, too: what these take tells whether
the outage of one vendor is felt by another.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
from aiokafka import AIOKafkaProducer
from installation import Installation, read_events
from kafka_side import make_topics, write
from latency import percentile
from shop import Record, partition_of
from table import conditions, load_average, render
from worker_process import Reading, Worker

from streams.lab.embedded import DEFAULT_VERSION, EmbeddedKafka
from streams.lab.sandbox import Sandbox

VISITORS, CONTACTS, PRODUCTS = 20_000, 200, 1_000
CART_EVERY = 10
LIVE_RATE = 20.0
PIECE = 20_000
"""Events that are made and written at once."""
STAGES = ("enrich", "eightselect", "voyado", "miso")
DOWN = ("eightselect", "miso")
PAGE = 50_000
STALL_SECONDS = 300.0


@dataclass(slots=True)
class Ages:
    """Seconds from an event's sending to its arrival at Voyado, ascending."""

    phase: str
    seconds: list[float]

    def at(self, percent: float) -> float:
        """Return a percentile in milliseconds."""
        return 1000 * percentile(self.seconds, percent) if self.seconds else float("nan")


@dataclass(slots=True)
class Outcome:
    """What a run has come to."""

    ages: list[Ages] = field(default_factory=list)
    memory: list[tuple[float, str, dict[str, float]]] = field(default_factory=list)
    """Time, phase, and MiB in use by stage."""
    drained: list[dict[str, float | None]] = field(default_factory=list)
    """By round: vendor → seconds from its return to its last event; None: not to its last."""
    waiting: list[dict[str, int]] = field(default_factory=list)
    """By round: vendor → vendor records that waited."""
    states: list[dict[str, str]] = field(default_factory=list)
    generations: list[dict[str, list[int]]] = field(default_factory=list)
    """By round: group → the generations that began while vendors were down or drained."""
    written_per_second: list[float] = field(default_factory=list)
    checked: dict[str, str] = field(default_factory=dict)
    """Vendor → what its ledger holds in the end."""


class Outage:
    """One run on an embedded broker, with the simulators in a process of their own."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._workers: dict[str, Worker] = {}
        self._status: dict[str, Any] = {}
        self._phase = "start"
        self._began = time.monotonic()
        self._sent: dict[str, float] = {}
        self._written = 0
        self._stopping = False
        self._http: aiohttp.ClientSession
        self._server_log: Path
        self.outcome = Outcome()

    async def run(self) -> None:
        """Run all rounds and check what the vendors hold."""
        async with contextlib.AsyncExitStack() as stack:
            kafka = stack.enter_context(EmbeddedKafka())
            assert kafka.data_dir is not None
            self._server_log = kafka.data_dir / "logs" / "server.log"
            self._http = await stack.enter_async_context(aiohttp.ClientSession())
            self._url = stack.enter_context(simulator(self._folder / "simulator"))
            here = Installation(kafka.bootstrap_servers, "outage.", self._folder, access(self._url))
            self._here = here
            topics = here.settings.topics
            await asyncio.to_thread(make_topics, here.settings, {})
            rows = {topics.users: users(), topics.products: products()}
            await asyncio.to_thread(write, here.settings, rows)
            for stage in STAGES:
                self._workers[stage] = stack.enter_context(here.worker(stage, self._reader(stage)))
            for worker in self._workers.values():
                await asyncio.to_thread(worker.wait, lambda reading: reading.ready)
            watching = asyncio.create_task(self._watch())
            live = asyncio.create_task(self._live())
            try:
                await asyncio.sleep(5)
                for number in range(1, self._options.rounds + 1):
                    await self._round(number)
            finally:
                self._stopping = True
                await live
            ended = [v for v in STAGES[1:] if self.outcome.drained[-1].get(v, 0.0) is not None]
            await self._until(lambda: not any(map(self._waits, ended)), "the last live events")
            watching.cancel()
            await self._check()

    async def _round(self, number: int) -> None:
        window = self._options.window
        await self._measured("quiet", window)
        if len(generations(self._server_log, 0)) < len(STAGES):
            raise SystemExit("the broker's log does not tell of the groups' generations")
        seen = self._server_log.stat().st_size
        for vendor in DOWN:
            await self._fault(vendor, "down")
        began = time.monotonic()
        await self._fill(self._options.events)
        seconds = time.monotonic() - began
        self.outcome.written_per_second.append(self._options.events / seconds)
        await self._until(lambda: self._waits("enrich") < 100, "enrichment")
        self._phase = "settling"
        await self._until(lambda: all(self._state(v) == "parked" for v in DOWN), "parking")
        self.outcome.waiting.append({vendor: self._waits(vendor) for vendor in DOWN})
        if min(self.outcome.waiting[-1].values()) < self._options.events:
            raise SystemExit(f"more waits than the workers say: {self.outcome.waiting[-1]}")
        self.outcome.states.append({vendor: self._state(vendor) for vendor in STAGES[1:]})
        say(f"round {number}: {self.outcome.waiting[-1]} wait, {self.outcome.states[-1]}")
        await self._measured("waiting", window)
        for vendor in DOWN:
            await self._fault(vendor, None)
        returned = time.monotonic()
        drained: dict[str, float | None] = {}
        drain = asyncio.create_task(self._drained(drained, returned))
        await self._measured("draining", window)
        await drain
        self.outcome.drained.append(drained)
        self.outcome.generations.append(generations(self._server_log, seen))
        say(f"round {number}: drained after {drained}")
        self._phase = "settling"

    async def _drained(self, drained: dict[str, float | None], returned: float) -> None:
        for vendor in ("miso", "eightselect"):

            def is_over(vendor: str = vendor) -> bool:
                # What comes in meanwhile is settled within a second.
                is_drained = self._waits(vendor) < 3 * LIVE_RATE
                return is_drained or time.monotonic() - returned > self._options.longest_drain

            await self._until(is_over, f"{vendor} to drain")
            is_drained = self._waits(vendor) < 3 * LIVE_RATE
            drained[vendor] = time.monotonic() - returned if is_drained else None

    async def _measured(self, phase: str, seconds: float) -> None:
        """Note the ages of the live events that are sent within this time."""
        self._phase = phase
        first = len(self._sent)
        await asyncio.sleep(seconds)
        chosen = list(self._sent)[first:]
        await asyncio.sleep(3)
        arrived = {row["event_id"]: row["at"] async for row in self._rows("voyado")}
        late = [event_id for event_id in chosen if event_id not in arrived]
        ages = sorted(arrived[e] - self._sent[e] for e in chosen if e in arrived)
        self.outcome.ages.append(Ages(phase, ages))
        say(
            f"{phase}: Voyado p50 {self.outcome.ages[-1].at(50):.0f} ms, "
            f"p95 {self.outcome.ages[-1].at(95):.0f} ms of {len(ages)}, {len(late)} later than 3 s"
        )

    # -- what is written

    async def _fill(self, events: int) -> None:
        topics = self._here.settings.topics
        first, last = self._written, self._written + events
        for start in range(first, last, PIECE):
            numbers = range(start, min(start + PIECE, last))
            batches = {
                topics.clicks: [event(n) for n in numbers if n % CART_EVERY],
                topics.add_to_carts: [event(n) for n in numbers if n % CART_EVERY == 0],
            }
            self._phase = f"filled {10 * (10 * (start - first) // events)} %"
            await asyncio.to_thread(write, self._here.settings, batches)
            # The next piece once this one is enriched: a backlog before enrichment is not meant.
            await self._until(lambda: self._waits("enrich") < PIECE, "enrichment")
        self._written = last

    async def _live(self) -> None:
        settings = self._here.settings
        producer = AIOKafkaProducer(**settings.kafka.client_options(), acks="all")
        await producer.start()
        try:
            began = time.monotonic()
            while not self._stopping:
                number = len(self._sent)
                await asyncio.sleep(max(0.0, began + number / LIVE_RATE - time.monotonic()))
                record = event(number, live=True)
                self._sent[f"l{number}"] = time.time()
                await producer.send(
                    settings.topics.clicks, record.value, record.key, record.partition
                )
        finally:
            await producer.stop()

    # -- what is seen

    def _reader(self, stage: str) -> Any:
        def read(body: Any) -> Reading:
            self._status[stage] = body
            return read_events(body)

        return read

    def _waits(self, stage: str) -> int:
        return sum(self._status[stage]["lag"].values())

    def _state(self, stage: str) -> str:
        return str(self._status[stage]["vendor"]["state"])

    async def _watch(self) -> None:
        while True:
            for worker in self._workers.values():
                await asyncio.to_thread(worker.reading)
            used = {stage: self._status[stage]["memory_bytes"] / 2**20 for stage in STAGES}
            self.outcome.memory.append((time.monotonic() - self._began, self._phase, used))
            await asyncio.sleep(0.5)

    async def _until(self, condition: Any, what: str) -> None:
        """Wait while anything moves at all."""
        last, moved_at = None, time.monotonic()
        # What is shown is up to a second old.
        await asyncio.sleep(1.5)
        while not condition():
            now = [self._waits(stage) for stage in STAGES]
            if now != last:
                last, moved_at = now, time.monotonic()
            if time.monotonic() - moved_at > STALL_SECONDS:
                raise SystemExit(f"nothing moves while waiting for {what}: {self._status}")
            await asyncio.sleep(0.2)

    async def _fault(self, vendor: str, kind: str | None) -> None:
        where = f"{self._url}/faults"
        if kind is None:
            async with self._http.delete(where, params={"vendor": vendor}) as answer:
                answer.raise_for_status()
        else:
            async with self._http.post(where, json={"kind": kind, "vendor": vendor}) as answer:
                answer.raise_for_status()

    async def _rows(self, vendor: str) -> Any:
        start = 0
        while True:
            params = {"vendor": vendor, "records": "1", "since": str(start), "limit": str(PAGE)}
            async with self._http.get(f"{self._url}/ledger", params=params) as answer:
                rows = json.loads(await answer.read())[vendor]["rows"]
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            start += PAGE

    async def _check(self) -> None:
        """Hold what the vendors have against what was written: all of it, once, in order."""
        wanted = {f"e{n}" for n in range(self._written)} | set(self._sent)
        for vendor in DOWN:
            name = "sku" if vendor == "eightselect" else "event_id"
            stored = [row[name] async for row in self._rows(vendor)]
            missing, repeated = len(wanted - set(stored)), len(stored) - len(set(stored))
            late = overtaken(stored)
            is_drained = self.outcome.drained[-1][vendor] is not None
            rest = f"{missing} {'missing' if is_drained else 'still waiting'}"
            line = f"{len(stored):,} stored, {rest}, {repeated} repeated, {late} out of order"
            self.outcome.checked[vendor] = line
            say(f"{vendor}: {line}")
            if (missing and is_drained) or late or repeated:
                raise SystemExit(f"{vendor}: not every event once and in order")


@contextlib.contextmanager
def simulator(folder: Path) -> Iterator[str]:
    """Run the sandbox in a process of its own; give its address."""
    from streams.lab.embedded.broker import free_port

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ["-m", "streams", "sandbox", "--port", str(port)]
    with Worker(
        command, {}, folder, f"{url}/health", lambda body: Reading(body["status"] == "ok", 0, 0)
    ) as process:
        process.wait(lambda reading: reading.ready)
        yield url


def access(url: str) -> dict[str, str]:
    """Return the settings with which workers send to the sandbox."""
    simulators = Sandbox().simulators.values()
    return dict(line.split("=", 1) for each in simulators for line in each.example_environment(url))


def users() -> list[Record]:
    """Visitors who say no to Voyado, and contacts who say yes."""
    found = []
    for number in range(VISITORS):
        row = {"consent": {"eightselect": True, "voyado": False, "miso": True}}
        found.append(_keyed(f"visitor-{number}", row))
    for number in range(CONTACTS):
        contact = f"c0000000-0000-4000-8000-{number:012d}"
        row = {"consent": dict.fromkeys(STAGES[1:], True), "contact_id": contact}  # type: ignore[dict-item]
        found.append(_keyed(f"contact-{number}", row))
    return found


def products() -> list[Record]:
    """The catalogue; each event names a SKU of its own besides."""
    return [_keyed(f"product-{n}", {"sku": f"any-{n}", "name": "A pan"}) for n in range(PRODUCTS)]


def event(number: int, *, live: bool = False) -> Record:
    """Event ``e{number}`` of a visitor, or ``l{number}`` of a contact; its id is its SKU, too."""
    name = f"{'l' if live else 'e'}{number}"
    visitor = f"contact-{number % CONTACTS}" if live else f"visitor-{number % VISITORS}"
    return _keyed(
        visitor,
        {
            "event_id": name,
            "timestamp": time.time_ns() // 1_000_000,
            "anonymous_id": visitor,
            "product_id": f"product-{number % PRODUCTS}",
            "sku": name,
            "content": {"type": "customSet", "id": f"set-{number % 100}"},
            "page": {"url": f"https://shop.example/products/{number}", "title": "A pan"},
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101",
        },
    )


def _keyed(key: str, value: object) -> Record:
    encoded = key.encode()
    return Record(partition_of(encoded), encoded, json.dumps(value, separators=(",", ":")).encode())


def overtaken(stored: Sequence[str]) -> int:
    """Return how many events came after a later one of the same visitor and raw topic."""
    newest: dict[tuple[str, int, bool], int] = {}
    late = 0
    for name in dict.fromkeys(stored):
        kind, number = name[0], int(name[1:])
        of = number % (CONTACTS if kind == "l" else VISITORS)
        key = (kind, of, kind == "e" and number % CART_EVERY == 0)
        late += number < newest.get(key, -1)
        newest[key] = max(number, newest.get(key, -1))
    return late


def generations(server_log: Path, since: int) -> dict[str, list[int]]:
    """Return the generations that the broker says began, by group, from this byte of its log on."""
    found: dict[str, list[int]] = {}
    with server_log.open(encoding="utf-8", errors="replace") as log:
        log.seek(since)
        for group, number in re.findall(r"Stabilized group (\S+) generation (\d+)", log.read()):
            found.setdefault(group, []).append(int(number))
    return found


def say(line: str) -> None:
    """Tell how far it is."""
    print(line, file=sys.stderr, flush=True)


def show(outcome: Outcome, options: argparse.Namespace, shown: dict[str, Any]) -> str:
    """Return the tables."""
    hours = options.events / 50 / 3600
    cells = [("Memory in use, MiB", *STAGES)]
    for phase in dict.fromkeys(phase for _, phase, _ in outcome.memory):
        series = [used for _, each, used in outcome.memory if each == phase]
        least = {stage: min(used[stage] for used in series) for stage in STAGES}
        most = {stage: max(used[stage] for used in series) for stage in STAGES}
        cells.append((phase, *(f"{least[s]:.0f}-{most[s]:.0f}" for s in STAGES)))
    memory = render(
        f"Outage: {options.events:,} events wait for 8SELECT and Miso ({hours:.1f} h at 50/s)",
        cells,
        {},
    )
    quiet = {p: median(a.at(p) for a in outcome.ages if a.phase == "quiet") for p in (50, 95)}
    cells = [("Voyado, ms from sending to arrival", "p50", "p95", "beside quiet, p95", "wanted")]
    for phase in ("quiet", "waiting", "draining"):
        chosen = [ages for ages in outcome.ages if ages.phase == phase]
        p50, p95 = (median(ages.at(p) for ages in chosen) for p in (50, 95))
        beside = "" if phase == "quiet" else f"{p95 - quiet[95]:+.0f} ms"
        wanted = "" if phase == "quiet" else f"<= +{max(50.0, 0.25 * quiet[95]):.0f} ms"
        cells.append((phase, f"{p50:.0f}", f"{p95:.0f}", beside, wanted))
    ages = render("The other vendor meanwhile, medians of the rounds", cells, {})
    facts = {
        "waiting": outcome.waiting,
        "states": outcome.states,
        "seconds from the return to drained": [
            {vendor: value and round(value, 1) for vendor, value in one.items()}
            for one in outcome.drained
        ],
        "generations that began": outcome.generations,
        "in the ledgers": outcome.checked,
        "written per second": [round(rate) for rate in outcome.written_per_second],
        **shown,
        "load average at the end": load_average(),
    }
    rest = "\n".join(f"{name}: {value}" for name, value in facts.items())
    return f"{memory}\n{ages}\n{rest}"


def main() -> int:
    """Measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="that wait, a round (20,000)")
    parser.add_argument("--rounds", type=int, default=3, help="of outage and return (3)")
    parser.add_argument("--window", type=float, default=20.0, help="seconds of each measuring (20)")
    parser.add_argument(
        "--longest-drain", type=float, default=900.0, help="seconds given to the draining (900)"
    )
    options = parser.parse_args()
    shown = conditions(f"embedded Apache Kafka {DEFAULT_VERSION}, same machine")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        outage = Outage(options, Path(folder))
        asyncio.run(outage.run())
    print(show(outage.outcome, options, shown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
