"""A pipeline under test: real worker processes on a real broker, Miso's simulator in this process.

    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        await pipeline.products("p1")
        worker = await pipeline.worker("enrich")
        await pipeline.send(click("anna", event_id="e1"))
        await pipeline.until(lambda: pipeline.stored() == ["e1"])

Whatever happens, no process is left behind; what the workers wrote is printed when a test fails.
"""

import asyncio
import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.kafka.topics import create_topics
from streams.lab.sandbox import Ledger, Sandbox
from streams.operations.audit.audit import run_audit
from streams.operations.audit.report import AuditReport
from streams.settings import Settings, load_settings
from tests.broker_fixtures import Broker

CREDENTIALS = {
    "EIGHTSELECT": "STREAMS_EIGHTSELECT_API_ID",
    "VOYADO": "STREAMS_VOYADO_API_KEY",
    "MISO": "STREAMS_MISO_API_KEY",
}
READY_SECONDS = 40.0
UNTIL_SECONDS = 40.0
SHOWN_LOG_CHARS = 6_000
ALL_SOURCES = """
[source.orders]
enabled = true
[source.content-views]
enabled = true
[source.events]
enabled = true
[events.review]
miso = "rate"
voyado_schema_id = "productClick"
voyado_fields = {productSku = "_product.sku", brand = "properties.maker"}
eightselect_action = "review"
"""
"""Settings by which all kinds of events are on."""
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

Record = tuple[str, bytes | None, bytes | None]
"""Topic without prefix, key, value."""


class Worker:
    """One worker process, what it wrote, and the port of its web view."""

    def __init__(
        self,
        stage: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        port: int,
        program: Sequence[str] = ("-m", "streams"),
    ) -> None:
        self.stage = stage
        self.port = port
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"{stage}-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *program, *arguments],
                env=dict(env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - the tests have no other threads
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def output(self) -> str:
        """All that it wrote to stdout and stderr."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """SIGKILL it and take its body away."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """SIGTERM it."""
        self._process.send_signal(signal.SIGTERM)

    async def ended(self, seconds: float) -> int:
        """Wait for it to end by itself and return its exit code."""
        await until(lambda: self.code is not None, seconds, f"{self.stage} to end")
        assert self.code is not None
        return self.code


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Pipeline:
    """Topics, settings, simulator and workers of one test."""

    def __init__(
        self,
        broker: Broker,
        prefix: str,
        folder: Path,
        *,
        partitions: int = 3,
        env: Mapping[str, str] | None = None,
        sandbox: Sandbox | None = None,
        all_sources: bool = False,
    ) -> None:
        """``all_sources``: all kinds of events are on, for ``many`` of ``ALL_KINDS``."""
        self.folder = folder
        self.sandbox = sandbox or Sandbox()
        self.workers: list[Worker] = []
        self._web_port, self._web_ports_held = _free_web_ports()
        self._env = {
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "STREAMS_KAFKA_TOPIC_PREFIX": prefix,
            "STREAMS_KAFKA_PARTITIONS": str(partitions),
            "STREAMS_MISO_API_KEY": "sandbox-secret",
            "STREAMS_WEB_PORT": str(self._web_port),
            "STREAMS_STATE_DIR": str(folder / "state"),
            **(env or {}),
        }
        if all_sources:
            config = folder / "all-sources.toml"
            config.write_text(ALL_SOURCES)
            self._env["STREAMS_CONFIG"] = str(config)
        self.partitions = partitions
        self.settings: Settings
        self.producer: AIOKafkaProducer
        self.admin: AIOKafkaAdminClient
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        await self.sandbox.start()
        for vendor, credential in CREDENTIALS.items():
            if credential in self._env:
                self._env.setdefault(f"STREAMS_{vendor}_BASE_URL", self.sandbox.url)
        self.settings = load_settings(self._env)
        self.topics = self.settings.topics
        await create_topics(self.settings)
        options = self.settings.kafka.client_options()
        self.producer = AIOKafkaProducer(**options, linger_ms=5, max_request_size=4 * 1024 * 1024)
        self.admin = AIOKafkaAdminClient(**options)
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2))
        await self.producer.start()
        await self.admin.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            if worker.code is None:
                worker.kill()
        await self._http.close()
        await self.producer.stop()
        await self.admin.close()
        await self.sandbox.stop()
        self._web_ports_held.close()
        if kind is not None:
            self.show_logs()

    # -- workers

    @property
    def env(self) -> dict[str, str]:
        """The variables under which commands find this pipeline."""
        return dict(self._env)

    def start(
        self,
        stage: str,
        *arguments: str,
        program: Sequence[str] = ("-m", "streams"),
        **env: str,
    ) -> Worker:
        """Start a worker; ``arguments`` and environment beside those of the pipeline.

        ``program``: what Python runs, if not the package itself.
        """
        whole = {
            name: value for name, value in os.environ.items() if not name.startswith("STREAMS_")
        }
        whole |= self._env | env
        slot = int(arguments[arguments.index("--slot") + 1]) if "--slot" in arguments else 0
        port = load_settings({n: v for n, v in whole.items() if n.startswith("STREAMS_")}).web_port(
            stage, slot
        )
        command = ("worker", stage, *arguments)
        worker = Worker(stage, command, whole, self.folder / "logs", port, program)
        self.workers.append(worker)
        return worker

    async def worker(self, stage: str, *arguments: str, **env: str) -> Worker:
        """Start a worker and wait until it is ready."""
        worker = self.start(stage, *arguments, **env)
        await self.ready(worker)
        return worker

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings of its workers, for commands beside them."""
        return dict(self._env)

    async def both(self) -> tuple[Worker, Worker]:
        """Start ``enrich`` and ``miso`` and wait until both are ready."""
        workers = self.start("enrich"), self.start("miso")
        await self.ready(*workers)
        return workers

    async def ready(self, *workers: Worker, seconds: float = READY_SECONDS) -> None:
        """Wait until ``/health/ready`` of these workers answers 200."""
        for worker in workers:

            async def is_ready(worker: Worker = worker) -> bool:
                assert worker.code is None, f"{worker.stage} ended with {worker.code}"
                return await self.health(worker) == 200

            await until(is_ready, seconds, f"{worker.stage} to be ready")

    async def health(self, worker: Worker) -> int | None:
        """Return the status of ``/health/ready``; None where nothing answers."""
        try:
            async with self._http.get(f"http://127.0.0.1:{worker.port}/health/ready") as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def status(self, worker: Worker) -> dict[str, Any]:
        """Return a worker's ``/api/status``."""
        async with self._http.get(f"http://127.0.0.1:{worker.port}/api/status") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    def show_logs(self) -> None:
        """Print the end of what each worker wrote."""
        for worker in self.workers:
            print(f"---- {worker.stage} (pid {worker.pid}, exit {worker.code})")
            print(worker.output()[-SHOWN_LOG_CHARS:])

    # -- topics

    async def send(self, *records: Record) -> None:
        """Write records in order and wait for the broker."""
        waiting = [
            await self.producer.send(self.settings.kafka.topic_prefix + topic, key=key, value=value)
            for topic, key, value in records
        ]
        await asyncio.gather(*waiting)

    async def products(self, *product_ids: str) -> None:
        """Write a row for each product; its SKU is ``S-`` and the id."""
        await self.send(*(product(product_id) for product_id in product_ids))

    async def allow_large_records(self, topic: str) -> None:
        """Let this topic take records of 4 MiB, as a shop's own may."""
        await alter_topic(self.admin, topic, {"max.message.bytes": str(4 * 1024 * 1024)})

    async def outcome(self, event_id: str) -> str:
        """Wait for an event's receipt and return its outcome."""
        found: list[str] = []

        async def is_settled() -> bool:
            found[:] = [r["outcome"] for r in await self.receipts() if r["event_id"] == event_id]
            return bool(found)

        await until(is_settled, UNTIL_SECONDS, f"the receipt of {event_id}")
        return found[0]

    async def read(self, topic: str) -> list[ConsumerRecord]:
        """Return all committed records of a topic, each partition in log order."""
        consumer = AIOKafkaConsumer(
            **self.settings.kafka.client_options(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        await consumer.start()
        try:
            tps = [TopicPartition(topic, p) for p in await self.producer.partitions_for(topic)]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            await consumer.seek_to_beginning(*tps)
            found: list[ConsumerRecord] = []
            while True:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
                if all([await consumer.position(tp) >= ends[tp] for tp in tps]):
                    return sorted(found, key=lambda record: (record.partition, record.offset))
        finally:
            await consumer.stop()

    async def letters(self, topic: str | None = None) -> list[dict[str, Any]]:
        """Return the dead letters of enrichment, or of another topic."""
        records = await self.read(topic or self.topics.enrich_dead_letters)
        return [json.loads(record.value) for record in records]

    async def receipts(self) -> list[dict[str, Any]]:
        """Return all receipts of Miso."""
        return [
            json.loads(record.value) for record in await self.read(self.topics.receipts("miso"))
        ]

    async def outcomes(self) -> Counter[tuple[str, str | None]]:
        """Return how many receipts there are by outcome and reason."""
        return Counter((r["outcome"], r.get("reason")) for r in await self.receipts())

    async def committed(self, stage: str) -> dict[TopicPartition, Any]:
        """Return offset and metadata that a stage has committed."""
        group = f"{self.settings.kafka.topic_prefix}streams-{stage}"
        found: dict[TopicPartition, Any] = await self.admin.list_consumer_group_offsets(group)
        return {TopicPartition(*tp): at for tp, at in found.items()}

    async def enriched(self, records: int) -> None:
        """Wait until enrichment has committed so many offsets: a kill then leaves nothing open."""
        raw = self.topics.raw

        async def are_committed() -> bool:
            found = await self.committed("enrich")
            return bool(sum(at.offset for tp, at in found.items() if tp.topic in raw) == records)

        await self.until(are_committed)

    async def commit(self, stage: str, tp: TopicPartition, offset: int, metadata: str = "") -> None:
        """Commit for a stage of which no worker runs."""
        consumer = AIOKafkaConsumer(
            **self.settings.kafka.client_options(),
            group_id=f"{self.settings.kafka.topic_prefix}streams-{stage}",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            consumer.assign([tp])
            await consumer.commit({tp: (offset, metadata)})
        finally:
            await consumer.stop()

    # -- the simulator

    @property
    def ledger(self) -> Ledger:
        """What the simulator stored."""
        return self.sandbox.ledgers["miso"]

    def stored(self) -> list[str]:
        """Return the event ids in the order of storing, repeats included."""
        return self.ledger.event_ids()

    async def until(
        self,
        condition: Callable[[], bool | Awaitable[bool]],
        seconds: float = UNTIL_SECONDS,
        what: str = "the condition to hold",
    ) -> None:
        """Wait until the condition holds."""
        await until(condition, seconds, what)

    def record_requests(self, vendor: str = "miso") -> list[float]:
        """Return a list that grows by the time of each request to the simulator, probes too."""
        times: list[float] = []
        ledger = self.sandbox.ledgers[vendor]
        count = ledger.open_request

        def note() -> int:
            times.append(time.monotonic())
            return count()

        ledger.open_request = note  # type: ignore[method-assign]
        return times

    async def stored_unanswered(self, act: Callable[[], None], vendor: str = "miso") -> None:
        """Call ``act`` when the vendor has stored the next request and not answered it yet."""
        ledger = self.sandbox.ledgers[vendor]
        close_request, before = ledger.close_request, len(ledger)
        acted = asyncio.Event()

        def close(ending: int | str) -> None:
            if len(ledger) > before and not acted.is_set():
                act()
                acted.set()
            close_request(ending)

        ledger.close_request = close  # type: ignore[method-assign]
        try:
            await asyncio.wait_for(acted.wait(), UNTIL_SECONDS)
        finally:
            ledger.close_request = close_request  # type: ignore[method-assign]

    async def written(self, events: int) -> None:
        """Wait until enrichment has written so many vendor records."""

        async def are_there() -> bool:
            return len(await self.read(self.topics.events("miso"))) >= events

        await until(are_there, UNTIL_SECONDS, f"{events} vendor records")

    async def gone(self, topic: str) -> None:
        """Wait until a deleted topic is no longer there."""

        async def is_gone() -> bool:
            return topic not in await self.admin.list_topics()

        await until(is_gone, UNTIL_SECONDS, f"{topic} to be gone")

    async def audit(self) -> AuditReport:
        """Return the audit as of now."""
        return await run_audit(self.settings, keep_ids=True)

    async def settled(self, events: int, seconds: float = UNTIL_SECONDS) -> AuditReport:
        """Wait until so many raw events have their outcomes; return the audit, which balances."""
        last: list[AuditReport] = []

        async def is_settled() -> bool:
            last[:] = [await run_audit(self.settings, keep_ids=True)]
            (books,) = last[0].vendors
            return books.raw >= events and books.waiting == 0

        try:
            await until(is_settled, seconds, f"{events} events to be settled")
        except AssertionError:
            print(last)
            raise
        report = last[0]
        assert report.vendors[0].raw == events
        assert report.balanced, report
        return report

    async def order_violations(self) -> list[str]:
        """Return whose events the simulator first stored in another order than a raw topic has.

        Each kind of events is an order of its own.
        """
        first: dict[str, int] = {}
        for position, event_id in enumerate(self.stored()):
            first.setdefault(event_id, position)
        wrong = []
        for topic in self.topics.raw:
            last: dict[bytes, int] = {}
            for record in await self.read(topic):
                event_id = json.loads(record.value)["event_id"]
                if event_id not in first:
                    continue
                if first[event_id] < last.get(record.key, -1):
                    wrong.append(f"{record.key.decode()}: {event_id}")
                last[record.key] = first[event_id]
        return wrong


async def alter_topic(client: AIOKafkaAdminClient, topic: str, config: Mapping[str, str]) -> None:
    """Alter a topic of a single broker, and wait until the broker works by it.

    A broker describes a change shortly before it has applied it. It applies one after the other:
    once it describes a second change, the first one holds.
    """
    named = ConfigResource(ConfigResourceType.TOPIC, topic)
    for wanted in (config, {**config, "file.delete.delay.ms": "60001"}):
        change = ConfigResource(ConfigResourceType.TOPIC, topic, dict(wanted))
        await client.alter_configs([change])

        async def is_described(wanted: Mapping[str, str] = wanted) -> bool:
            (answer,) = await client.describe_configs([named])
            described = {name: value for name, value, *_ in answer.resources[0][4]}
            return wanted.items() <= described.items()

        await until(is_described, 10, f"{topic} to be altered")


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float, what: str) -> None:
    """Poll until the condition holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(0.05)


def _free_web_ports() -> tuple[int, socket.socket]:
    """Return a port from which on the web views of three slots find theirs free, and what holds it.

    No other pipeline gets it until the socket is closed: that is bound to the same number by UDP.
    """
    while True:
        port = random.randrange(15_000, 32_000, 40)
        held = socket.socket(type=socket.SOCK_DGRAM)
        try:
            held.bind(("127.0.0.1", port))
            for each in (port + n + 10 * slot for n in range(5) for slot in range(3)):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
        except OSError:
            held.close()
            continue
        return port, held


# -- records


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def event(visitor: str, **fields: Any) -> dict[str, Any]:
    """An event that Miso gets: of now, on product p1, with a yes of its own."""
    return {
        "timestamp": now_ms(),
        "anonymous_id": visitor,
        "product_id": "p1",
        "consent": {"miso": True},
    } | fields


def _encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def click(visitor: str, **fields: Any) -> Record:
    """A record of ``shop.clicks``."""
    return "shop.clicks", visitor.encode(), _encode(event(visitor, **fields))


def cart(visitor: str, **fields: Any) -> Record:
    """A record of ``shop.add-to-carts``."""
    return "shop.add-to-carts", visitor.encode(), _encode(event(visitor, **fields))


def order(visitor: str, **fields: Any) -> Record:
    """A record of ``shop.orders``: one line with the product, an order id of its own."""
    placed = event(visitor, **fields)
    line = {"product_id": placed["product_id"], "quantity": 1, "price": 19.9, "currency": "EUR"}
    order_id = f"order-{placed.get('event_id')}"
    return _of_kind("orders", visitor, {"order_id": order_id, "lines": [line]} | placed)


def view(visitor: str, **fields: Any) -> Record:
    """A record of ``shop.content-views`` in which the product was seen."""
    seen = event(visitor, **fields)
    return _of_kind("content-views", visitor, {"product_ids": [seen["product_id"]]} | seen)


def review(visitor: str, **fields: Any) -> Record:
    """A record of ``shop.events``: the product is rated."""
    rated = {"name": "review", "rating": 4, "properties": {"maker": "Acme"}}
    return _of_kind("events", visitor, rated | event(visitor, **fields))


def _of_kind(source: str, visitor: str, value: Any) -> Record:
    return f"shop.{source}", visitor.encode(), _encode(value)


ALL_KINDS = (click, order, cart, view, review)
"""What writes a record of each kind."""
MISO_TYPES = {
    "product_detail_page_view", "checkout", "add_to_cart", "viewable_impression", "rate"
}  # fmt: skip
"""What Miso receives of them."""


def user(visitor: str, row: Mapping[str, Any] | bytes | None) -> Record:
    """A record of ``shop.users``; None is a tombstone, bytes go as they are."""
    value = row if row is None or isinstance(row, bytes) else _encode(row)
    return "shop.users", visitor.encode(), value


def product(product_id: str, **fields: Any) -> Record:
    """A record of ``shop.products``."""
    return "shop.products", product_id.encode(), _encode({"sku": f"S-{product_id}"} | fields)


def visitors(count: int) -> list[str]:
    """Names of visitors."""
    return [f"v{number}" for number in range(count)]


def many(
    count: int,
    names: Sequence[str],
    start: int = 0,
    kinds: Sequence[Callable[..., Record]] = (click, click, cart),
    **fields: Any,
) -> Iterable[Record]:
    """So many events of these visitors and kinds in turn, numbered ids."""
    for number in range(start, start + count):
        kind = kinds[number % len(kinds)]
        yield kind(names[number % len(names)], event_id=f"e{number}", **fields)
