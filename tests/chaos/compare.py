"""The same kills for three ways of delivering to Miso: streams, a stock Faust app, a plain loop.

Measured, never asserted. Enrichment is ours and runs undisturbed in all three; the one that
delivers is killed (-9) again and again and started again at once, then the vendor misbehaves.
"""

import asyncio
import random
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from streams.kafka.topics import create_topics
from streams.lab.embedded import EmbeddedKafka
from streams.lab.sandbox import Sandbox
from streams.settings import load_settings
from tests.chaos.blame import back_after
from tests.chaos.books import overtaken, repeats
from tests.chaos.faults import carry_out
from tests.chaos.fleet import PACKAGE, Fleet, Worker
from tests.chaos.ledgers import Door
from tests.chaos.logs import Logs
from tests.chaos.producer import Producer
from tests.chaos.run import PARTITIONS
from tests.chaos.schedule import DOWN, DROPS, ERRORS, KILL, Plan
from tests.chaos.shop import ACCEPTED, Event
from tests.chaos.site import Happened, Site
from tests.chaos.waiting import TooLateError, until

RIVALS = ("streams", "stock Faust app", "plain aiokafka loop")
BACK_SECONDS = 150.0
"""A stock app's group misses a killed member after 60 s."""
QUIET_SECONDS = 75.0
"""So long nothing has come, and nothing more will: longer than any session."""
HEAD = (
    *("delivery to Miso", "10 kills -9: missing", "out of order", "stored again"),
    *("requests open at the kills", "back, median", "back, worst"),
    *("vendor 503, down, drops: missing", "stored again"),
)


@dataclass(slots=True)
class Measured:
    """What one of them did."""

    name: str
    kills: int
    missing: int
    overtaken: int
    again: int
    open: int
    back: list[float]
    missing_later: int
    """Beyond those of the kills, after the vendor's faults."""
    again_later: int

    def row(self) -> list[str]:
        """Return its line of the table."""
        back = [f"{median(self.back):.1f} s", f"{max(self.back):.1f} s"] if self.back else ["", ""]
        counts = (self.missing, self.overtaken, self.again, self.open)
        later = (self.missing_later, self.again_later)
        return [self.name, *map(str, counts), *back, *map(str, later)]


async def compare(
    kills: int, seed: int, rate: float, folder: Path, say: Callable[[str], None]
) -> list[Measured]:
    """Measure the three, one after the other."""
    measured = []
    for name in RIVALS:
        here = folder / name.split()[0]
        here.mkdir()
        measured.append(await _measure(name, kills, random.Random(seed), rate, here, say))
        say(" | ".join(measured[-1].row()))
    return measured


async def _measure(
    name: str,
    kills: int,
    choose: random.Random,
    rate: float,
    folder: Path,
    say: Callable[[str], None],
) -> Measured:
    async with AsyncExitStack() as stack:
        site = await _set_up(stack, rate, folder)
        worker = _rival(name, site.fleet, folder)
        worker.start()
        site.producer.begin()
        door = site.doors["miso"]
        await until(lambda: len(door.stored) >= 100, 120, f"{name}'s first events")
        site.fleet.watch()
        happened, back = [], []
        for number in range(1, kills + 1):
            wanted = len(door.first_at) + choose.randint(20, 400)
            await until(lambda wanted=wanted: len(door.first_at) >= wanted, 120, "more events")  # type: ignore[misc]
            fault = Happened(number, Plan(KILL, "miso"), time.monotonic())
            fault.mended = fault.began
            fault.open["miso"] = door.open
            worker.kill()
            worker.start()
            happened.append(fault)
            back.append(await _back(fault, site, name))
            say(f"{name}, kill {number}: back {back[-1]:.1f} s")
        missing, again, late = await _quiet(site), len(repeats(door)), await _overtaken(site)
        for kind, seconds in ((ERRORS, 3.0), (DOWN, 3.0), (DROPS, 10.0)):
            fault = await carry_out(site, 0, Plan(kind, "miso", seconds))
            say(f"{name}, {kind}: back {await _back(fault, site, name):.1f} s")
        await site.producer.stop()
        missing_later = await _quiet(site)
        return Measured(
            name=name,
            kills=kills,
            missing=missing,
            overtaken=late,
            again=again,
            open=sum(fault.open["miso"] for fault in happened),
            back=back,
            missing_later=missing_later - missing,
            again_later=len(repeats(door)) - again,
        )


async def _set_up(stack: AsyncExitStack, rate: float, folder: Path) -> Site:
    kafka = EmbeddedKafka()
    servers = await asyncio.to_thread(kafka.start)
    stack.push_async_callback(asyncio.to_thread, kafka.stop)
    sandbox = Sandbox()
    doors = {"miso": Door("miso", sandbox.ledgers["miso"])}
    await sandbox.start()
    stack.push_async_callback(sandbox.stop)
    access = dict(line.split("=", 1) for line in sandbox.example_environment())
    environ = {
        "STREAMS_KAFKA_BOOTSTRAP_SERVERS": servers,
        "STREAMS_KAFKA_PARTITIONS": str(PARTITIONS),
        **{n: v for n, v in access.items() if n.startswith("STREAMS_MISO_")},
    }
    await create_topics(load_settings(environ))
    producer = Producer(servers, rate)
    await producer.start()
    stack.push_async_callback(producer.stop)
    fleet = Fleet(environ, folder)
    stack.push_async_callback(fleet.stop)
    site = Site(kafka, sandbox, doors, fleet, producer, Logs(servers, PARTITIONS, ["miso"]))
    site.answer_as_usual("miso")
    enrich = fleet.worker("enrich")
    enrich.start()
    await fleet.ready(enrich)
    return site


def _rival(name: str, fleet: Fleet, folder: Path) -> Worker:
    if name == RIVALS[0]:
        return fleet.worker("miso")
    if name == RIVALS[1]:
        script = str(PACKAGE / "benchmarks" / "stock_deliver.py")
        command: Sequence[str] = [
            *(sys.executable, script, "worker", "-l", "info", "--web-port", str(_free_port()))
        ]
    else:
        command = [sys.executable, "-m", "tests.chaos.plain_loop"]
    return fleet.add("rival", command, {"STOCK_FOLDER": str(folder / "stock")})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _back(fault: Happened, site: Site, name: str) -> float:
    door, producer = site.doors["miso"], site.producer
    first = producer.last_sent_before(fault.mended)

    def seconds() -> float | None:
        return back_after(fault, door, producer.sent_at, first)

    await until(lambda: seconds() is not None, BACK_SECONDS, f"{name} to go on")
    found = seconds()
    assert found is not None
    return found


async def _quiet(site: Site) -> int:
    """Wait until none is missing, or the missing ones have long not come; return their number."""
    door, last = site.doors["miso"], -1
    upto = len(site.producer.sent_at)
    while True:
        await site.logs.read()
        known = (n for n in site.logs.partition_of if n < upto)
        due = {n for n in known if Event(n).outcome("miso") == ACCEPTED}
        missing = len(due - door.first_at.keys())
        if missing in (0, last):
            return missing
        last = missing
        try:
            await until(lambda: due <= door.first_at.keys(), QUIET_SECONDS, "the last events")  # noqa: B023
        except TooLateError:
            continue


async def _overtaken(site: Site) -> int:
    return len(overtaken(site.logs.raw.values(), site.doors["miso"].stored))
