"""States of a real pipeline, made to happen one after the other, and how each must be named.

``python -m tests.kafka.states`` makes all of them happen on a broker of its own, in about ten
minutes, and prints how each was named and how long that took; ``test_findings`` does a handful.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from streams.engine.partitioner import home_of
from streams.lab.embedded import EmbeddedKafka
from streams.status.findings import Finding
from streams.status.judge import judge
from streams.status.observe import observe
from streams.worker.control import set_paused
from tests.broker_fixtures import Elsewhere
from tests.kafka.pipeline import Pipeline, Worker, click, product, user

NAMED_WITHIN_SECONDS = 30.0
ROWS_TO_READ = 1_500_000
"""Seconds of reading: tables that are read within one have no state to be named."""
READING_SECONDS = 120.0
ENV = {
    "STREAMS_VOYADO_API_KEY": "sandbox-secret",
    "STREAMS_VOYADO_USER_AGENT": "TestShop/1.0",
    "STREAMS_VOYADO_CLICKS": "all",
    "STREAMS_EIGHTSELECT_API_ID": "sandbox-id",
    "STREAMS_EIGHTSELECT_USER_ID_SECRET": "a-secret-of-this-test",
}
CONTACT = "5f9d2a4e-6a6b-4b5e-8d3f-2f1c7a9b0c3d"
YES = {"miso": True, "voyado": True}


class State(NamedTuple):
    """One state: how it is made, and the finding that must name it."""

    name: str
    make: Callable[["Live"], Awaitable[None]]
    subject: str
    kind: str
    words: str
    """What its sentence must contain."""
    is_seen_by_workers: bool = True
    """Whether a worker is there that must say the same on its own page."""


class Live:
    """The pipeline on which states are made."""

    def __init__(self, pipeline: Pipeline, kafka: EmbeddedKafka | None = None) -> None:
        self.pipeline = pipeline
        self.kafka = kafka
        self.workers: dict[str, Worker] = {}
        self._numbers = iter(range(1_000_000))

    # -- means

    async def start(self, *stages: str) -> None:
        """Start workers and wait until they are ready."""
        for stage in stages:
            self.workers[stage] = self.pipeline.start(stage)
        await self.pipeline.ready(*(self.workers[stage] for stage in stages))

    async def stop(self, stage: str) -> None:
        """Stop a worker in good order."""
        worker = self.workers.pop(stage)
        worker.terminate()
        await worker.ended(20)

    async def send(self, count: int, visitor: str = "anna", **fields: Any) -> None:
        """Write events that Miso and Voyado get."""
        fields = {"consent": YES} | fields
        await self.pipeline.send(
            *(click(visitor, event_id=f"s{next(self._numbers)}", **fields) for _ in range(count))
        )

    async def write_rows(self, count: int) -> None:
        """Write so many versions of one visitor's row."""
        producer, topic = self.pipeline.producer, self.pipeline.topics.users
        key, value = b"r", b'{"user_id":"u"}'
        partition = home_of(key, self.pipeline.partitions)
        while count:
            batch = producer.create_batch()
            while count and batch.append(key=key, value=value, timestamp=None) is not None:
                count -= 1
            await producer.send_batch(batch, topic, partition=partition)
        await producer.flush()

    async def settle(self) -> None:
        """Wait until Miso runs again and nothing waits for it."""

        async def is_settled() -> bool:
            _, known, _ = await observe(self.pipeline.settings)
            (miso,) = [stage for stage in known.stages if stage.key == "miso"]
            return known.state(miso) == "running" and known.waiting(miso) == 0

        await self.pipeline.until(is_settled, 60, "Miso to run")

    async def findings(self) -> list[Finding]:
        """Return what ``streams status`` shows."""
        _, known, _ = await observe(self.pipeline.settings)
        return judge(known)

    async def of_a_worker(self) -> list[dict[str, Any]] | None:
        """Return the findings of a worker that answers, as its health says them; None: of none."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            for worker in self.workers.values():
                address = f"http://127.0.0.1:{worker.port}/health/ready"
                try:
                    async with http.get(address) as answer:
                        found: list[dict[str, Any]] = (await answer.json())["findings"]
                        return found
                except (aiohttp.ClientError, TimeoutError):
                    continue
        return None

    async def named(self, state: State) -> tuple[float, str]:
        """Wait until the state is named; return how long that took, and the sentence.

        Raises AssertionError with what is said instead.
        """
        began = time.monotonic()
        said: list[str] = []
        while True:
            said = []
            try:
                found = await self.findings() if state.kind != "kafka_away" else []
            except Exception as error:  # the brokers are away, or just coming back
                found, said = [], [repr(error)]
            says = [f for f in found if (f.subject, f.kind) == (state.subject, state.kind)]
            sentence = next((f.sentence() for f in says if state.words in f.sentence()), "")
            said += [f"{f.kind} {f.sentence()}" for f in found]
            by_worker = await self.of_a_worker() if state.is_seen_by_workers else None
            agrees = not state.is_seen_by_workers
            for one in by_worker or ():
                text = " ".join(str(one.get(p, "")) for p in ("text", "cause", "remedy"))
                if (one["subject"], one["kind"]) == (state.subject, state.kind):
                    agrees = agrees or state.words in text
                    sentence = sentence or (text if state.kind == "kafka_away" else "")
            if sentence and agrees:
                return time.monotonic() - began, sentence
            said += [f"worker: {one}" for one in by_worker or ()]
            if time.monotonic() - began > NAMED_WITHIN_SECONDS:
                raise AssertionError("\n".join([f"{state.name} is not named:", *said]))
            await asyncio.sleep(0.5)


async def _nothing(live: Live) -> None:
    """It is so already."""


async def _rows_and_workers(live: Live) -> None:
    await live.pipeline.send(product("p1"), user("anna", {"contact_id": CONTACT}))
    await live.start(*live.pipeline.settings.stages())


async def _miso_stops(live: Live) -> None:
    await live.send(5)
    await asyncio.sleep(2)
    await live.stop("miso")
    await live.send(5)


async def _miso_paused(live: Live) -> None:
    await set_paused(live.pipeline.settings, "miso", paused=True)


async def _miso_starts_paused(live: Live) -> None:
    await live.start("miso")


async def _key_refused(live: Live) -> None:
    await set_paused(live.pipeline.settings, "miso", paused=False)
    live.pipeline.sandbox.faults.set("miso:401")
    await live.send(3)


async def _two_faults(live: Live) -> None:
    await live.stop("enrich")
    await live.send(4)


async def _fault(live: Live, fault: str) -> None:
    live.pipeline.sandbox.faults.clear()
    await live.settle()
    live.pipeline.sandbox.faults.set(fault)
    await live.send(3)


async def _miso_500(live: Live) -> None:
    if "enrich" not in live.workers:
        await live.start("enrich")
    await _fault(live, "miso:500")


async def _miso_429(live: Live) -> None:
    await _fault(live, "miso:429,retry_after=30")


async def _miso_gone(live: Live) -> None:
    await _fault(live, "miso:down")


async def _miso_refuses(live: Live) -> None:
    await _fault(live, "miso:refuse,times=2")


async def _invalid(live: Live) -> None:
    live.pipeline.sandbox.faults.clear()
    await live.pipeline.send(*(("shop.clicks", b"anna", b"{") for _ in range(40)))


async def _nothing_for_8select(live: Live) -> None:
    await live.send(30)


async def _malformed_row(live: Live) -> None:
    await live.pipeline.send(user("mallory", b"no row"))


async def _event_says_no(live: Live) -> None:
    await live.send(30, visitor="nobody", consent={"eightselect": False, "miso": False})


async def _frozen(live: Live) -> None:
    await live.settle()
    os.kill(live.workers["miso"].pid, signal.SIGSTOP)
    await live.send(3)


async def _one_of_two_frozen(live: Live) -> None:
    os.kill(live.workers["miso"].pid, signal.SIGCONT)
    second = live.pipeline.start("miso", "--slot", "1")
    await live.pipeline.ready(second)
    live.workers["miso-1"] = second
    os.kill(second.pid, signal.SIGSTOP)


async def _killed_once(live: Live) -> None:
    frozen = live.workers.pop("miso-1")
    frozen.kill()
    live.workers["miso"].kill()
    live.workers["miso"] = live.pipeline.start("miso", "--last-exit=-9")


async def _crash_loop(live: Live) -> None:
    for _ in range(3):
        await live.pipeline.ready(live.workers["miso"])
        live.workers["miso"].kill()
        live.workers["miso"] = live.pipeline.start("miso", "--last-exit=-9")


async def _enrich_starts(live: Live) -> None:
    await live.stop("enrich")
    await live.write_rows(ROWS_TO_READ)
    enrich = live.workers["enrich"] = live.pipeline.start("enrich")

    async def runs() -> bool:
        return await live.pipeline.health(enrich) is not None

    await live.pipeline.until(runs, READING_SECONDS, "enrich to run")


async def _voyado_asked(live: Live) -> None:
    live.pipeline.sandbox.faults.set("voyado:slow,seconds=20")
    await live.send(4)
    await asyncio.sleep(5)
    live.workers["voyado"].kill()
    live.pipeline.sandbox.faults.clear()
    live.workers["voyado"] = live.pipeline.start("voyado", "--last-exit=-9")


async def _control_unreadable(live: Live) -> None:
    await live.stop("eightselect")
    topic = live.pipeline.topics.control
    await live.pipeline.producer.send_and_wait(topic, b"{", b"eightselect")


async def _well(live: Live) -> None:
    await live.send(3)


async def _kafka_away(live: Live) -> None:
    assert live.kafka is not None
    live.kafka.kill()


STATES: Sequence[State] = (
    State("nothing was ever started", _nothing, "miso", "no_worker", "has run yet", False),
    State("all is well", _rows_and_workers, "pipeline", "all_well", "All is well"),
    State("a vendor's worker was stopped", _miso_stops, "miso", "no_worker", "5 events wait"),
    State("paused, without a worker", _miso_paused, "miso", "no_worker", "paused by an operator"),
    State("paused", _miso_starts_paused, "miso", "paused", "Resume with"),
    State("a key is refused", _key_refused, "miso", "parked", "Miso refuses the key (401)."),
    State("two faults: enrichment is down", _two_faults, "enrich", "no_worker", "4 events wait"),
    State("two faults: the key is refused", _nothing, "miso", "parked", "refuses the key"),
    State("a vendor answers 500", _miso_500, "miso", "degraded", "server error (500)"),
    State("a vendor asks to slow down", _miso_429, "miso", "throttled", "asks to slow down (429)"),
    State("a vendor cannot be reached", _miso_gone, "miso", "degraded", "Nothing is lost"),
    State("a vendor refuses events", _miso_refuses, "miso", "new_dead_letters", "rejected"),
    State("invalid records", _invalid, "enrich", "new_dead_letters", "40 new dead letters"),
    State(
        "a vendor accepts nothing",
        _nothing_for_8select,
        "eightselect",
        "nothing_accepted",
        "accepted none of the last",
    ),
    State(
        "no_consent says which",
        _event_says_no,
        "eightselect",
        "nothing_accepted",
        "(event says no)",
    ),
    State("a malformed row", _malformed_row, "enrich", "malformed_rows", "1 key of shop.users"),
    State("a worker hangs", _frozen, "miso", "no_worker", "stopped reporting"),
    State("one of two workers hangs", _one_of_two_frozen, "miso", "silent_worker", "not reported"),
    State("a worker was killed", _killed_once, "miso", "restarted", "signal 9"),
    State("a crash loop", _crash_loop, "miso", "crash_loop", "keeps failing"),
    State("Voyado is asked after a crash", _voyado_asked, "voyado", "asking_after_restart", "30 s"),
    State("enrichment reads its tables", _enrich_starts, "enrich", "starting", "Tables are being"),
    State(
        "nobody can read whether a vendor is paused",
        _control_unreadable,
        "eightselect",
        "no_worker",
        "control record is unreadable",
    ),
    State("Kafka is away", _kafka_away, "broker", "kafka_away", "cannot be reached"),
)


async def _run(folder: Path) -> int:
    kafka = EmbeddedKafka()
    where = Elsewhere("embedded", kafka.start())
    wrong = 0
    try:
        prefix = f"t{uuid.uuid4().hex[:8]}."
        async with Pipeline(where, prefix, folder, partitions=2, env=ENV) as pipeline:
            live = Live(pipeline, kafka)
            for number, state in enumerate(STATES, 1):
                try:
                    await state.make(live)
                    seconds, sentence = await live.named(state)
                    line = f"{seconds:5.1f} s  {sentence}"
                except Exception as error:  # the next state is tried all the same
                    wrong += 1
                    line = f"  NOT NAMED  {type(error).__name__} {error}"
                print(f"{number:2}. {state.name}\n      {line}", flush=True)
    finally:
        kafka.stop()
    print(f"{len(STATES) - wrong} of {len(STATES)} states were named.")
    return int(wrong > 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(asyncio.run(_run(Path(folder))))
