"""``streams demo``: what it writes, that its books balance, and that each break is seen."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from streams.core.errors import SettingsError
from streams.core.topics import Topics
from streams.kafka.connection import admin
from streams.lab.demo.ages import Ages, ages_of
from streams.lab.demo.books import Closing
from streams.lab.demo.feed import file_feed, sample_feed
from streams.lab.demo.progress import DemoProgress
from streams.lab.demo.rig import Rig, WorkerFailedError
from streams.lab.demo.run import free_web_port
from streams.worker.supervisor.restart_policy import Ending
from tests.broker_fixtures import Broker

TOPICS = Topics()
EVENT = {"event_id": "e-1", "timestamp": 1_795_000_000_000, "anonymous_id": "v-1"}
EVENT |= {"product_id": "p-1"}


class Watcher:
    """Remembers what the rig tells."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.moments: list[DemoProgress] = []

    def line(self, stage: str, text: str) -> None:
        """Remember a worker's line."""
        self.lines.append((stage, text))

    def ended(self, ending: Ending) -> None:
        """Remember an ending as a line."""
        self.lines.append((ending.stage, f"ended with {ending.code}"))


def demo(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """What the real command does in a process of its own."""
    command = [sys.executable, "-m", "streams", "demo", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=200, **options
    )


def json_lines(path: Path, *objects: Any) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(f"{json.dumps(one)}\n" for one in objects), encoding="utf-8")
    return path


def test_the_sample_has_events_and_the_shop_around_them() -> None:
    """Users and products, clicks and carts, and ten broken records."""
    feed = sample_feed(TOPICS)
    assert {record.topic for record in feed.rows()} == {"shop.users", "shop.products"}
    assert len(list(feed.rows())) == feed.row_count == 507
    assert {record.topic for record in feed.events()} == {"shop.clicks", "shop.add-to-carts"}
    assert len(list(feed.events())) == feed.event_count == 862


def test_a_files_rows_are_written_before_its_events(tmp_path: Path) -> None:
    """Whatever their order in the file: the tables are read when the workers start."""
    row = {"topic": "users", "key": "v-1", "value": {"consent": {"miso": True}}}
    feed = file_feed(json_lines(tmp_path / "events.jsonl", EVENT, row, EVENT), TOPICS)
    assert (feed.row_count, feed.event_count) == (508, 2)
    assert [record.topic for record in feed.rows()][-2:] == ["shop.products", "shop.users"]
    assert [record.key for record in feed.events()] == [b"v-1", b"v-1"]


def test_lines_that_cannot_be_written_are_named_before_anything_starts(tmp_path: Path) -> None:
    """A slip in the file costs no half minute."""
    path = tmp_path / "events.jsonl"
    path.write_text('{"product_id": "p-1"}\n\nno json\n', encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        file_feed(path, TOPICS)
    first, second = caught.value.problems
    assert first == f"{path}, line 1 has neither a key nor an anonymous_id to take it from."
    assert second.startswith(f"{path}, line 3 is not JSON")


def test_a_file_without_events_is_refused(tmp_path: Path) -> None:
    """Exit code 2 and a sentence."""
    path = json_lines(tmp_path / "events.jsonl")
    ran = demo("--once", "--events", str(path))
    assert (ran.returncode, ran.stderr) == (
        2,
        f"{path} contains no events: give one JSON object per line.\n",
    )


def last_of_four_ports() -> socket.socket:
    """Listen on a port behind three free ones, below those that systems give to anybody."""
    for first in range(random.randrange(10_000, 14_000, 4), 15_000, 4):
        try:
            for free in range(first, first + 3):
                socket.create_server(("127.0.0.1", free)).close()
            return socket.create_server(("127.0.0.1", first + 3))
        except OSError:
            continue
    raise AssertionError("no four free ports in a row")


def test_a_port_in_use_is_told_before_anything_starts() -> None:
    """Exit code 1 and a sentence."""
    with last_of_four_ports() as server:
        taken = server.getsockname()[1]
        ran = demo("--once", "--port", str(taken - 3))
    assert ran.returncode == 1
    assert ran.stderr == (
        f"Port {taken} on 127.0.0.1 is in use: stop what listens there, or give --port another "
        "one; it and the next 3 must be free.\n"
    )


def test_percentiles_are_ages_that_occurred() -> None:
    """By nearest rank, whatever the order; none of nothing."""
    assert ages_of([0.3, 0.1, 0.2]) == Ages(3, 0.2, 0.3)
    assert ages_of([float(n) for n in range(1, 101)]) == Ages(100, 50.0, 95.0)
    assert ages_of([0.4]) == Ages(1, 0.4, 0.4)
    assert ages_of([]) is None


@pytest.mark.kafka
def test_demo_once_accounts_for_every_event_and_exits_0(tmp_path: Path) -> None:
    """The command itself, on its own broker, with a person's settings and streams.toml ignored."""
    (tmp_path / "streams.toml").write_text("[nonsense]\n", encoding="utf-8")
    mine = os.environ | {"STREAMS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    ran = demo("--once", "--port", str(free_web_port()), cwd=tmp_path, env=mine)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = [line.split() for line in ran.stdout.splitlines()]
    for row in (
        # 8SELECT, Voyado Engage, Miso
        ["events", "in", "867", "867", "867"],
        ["=", "accepted", "182", "382", "764"],
        ["+", "skipped", "675", "475", "93"],
        ["no_consent", "59", "59", "82"],
        ["own_pathway", "0", "4", "0"],
        ["no_contact", "0", "262", "0"],
        ["outside_content", "605", "0", "0"],
        ["thinned", "0", "139", "0"],
        ["unknown_product", "11", "11", "11"],
        ["+", "dead-lettered", "10", "10", "10"],
        ["difference", "✓", "0", "✓", "0", "✓", "0"],
        ["in", "the", "simulator's", "ledger", "182", "382", "764"],
        ["compared", "with", "the", "receipts", *["✓", "same,", "once"] * 3],
    ):
        assert row in rows, ran.stdout
    assert "each of the 867 events is accounted for at every vendor" in ran.stdout
    assert ran.stderr == ""


@pytest.mark.slow
@pytest.mark.kafka
def test_demo_stays_up_until_ctrl_c_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """With a file's events: 0 in the end, no process and no folder left."""
    path = json_lines(tmp_path / "events.jsonl", EVENT | {"sku": "s-1", "consent": {"miso": True}})
    port = str(free_web_port())
    running = subprocess.Popen(
        [sys.executable, "-m", "streams", "demo", "--events", str(path), "--port", port],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert running.stdout is not None
    shown = []
    for line in running.stdout:
        shown.append(line)
        if "every event accounted for" in line:
            break
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    workers = [int(pid) for pid in children.read_text("ascii").split()] if children.exists() else []
    running.send_signal(signal.SIGINT)
    rest = running.stdout.read()
    running.stdout.close()
    assert running.wait(30) == 0, "".join(shown) + rest
    assert any(line.split() == ["=", "accepted", "0", "0", "1"] for line in shown)
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert [one.name for one in tmp_path.iterdir()] == ["events.jsonl"]


@asynccontextmanager
async def rig_on(broker: Broker, prefix: str, folder: Path, web_port: int) -> AsyncIterator[Rig]:
    """A rig with topics and rows, its workers not yet started."""
    watcher = Watcher()
    rig = Rig(broker.bootstrap_servers, folder, web_port, watcher, os.environ, prefix)
    async with rig:
        await rig.write_rows(sample_feed(rig.settings.topics))
        yield rig


@asynccontextmanager
async def producer_to(servers: str) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def closed(rig: Rig, written: int) -> tuple[int, list[str]]:
    """The exit code of books that are closed now, without waiting, and what is wrong with them."""
    closing: Closing = await rig.close_books(written, stall_seconds=0)
    return closing.exit_code, closing.problems()


@pytest.mark.slow
@pytest.mark.kafka
async def test_each_side_that_breaks_is_seen_and_ends_with_1(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Ledger, receipts, dead letters, raw events: one after the other, in the real places."""
    async with (
        producer_to(broker.bootstrap_servers) as producer,
        rig_on(broker, prefix, tmp_path, free_web_port()) as rig,
    ):
        topics = rig.settings.topics
        await rig.start_workers()
        written = await rig.play(sample_feed(topics), lambda _: None)
        assert written == 867
        assert await closed(rig, written) == (0, [])

        # One that the demo believes it wrote, and the topics do not hold.
        assert await closed(rig, written + 1) == (
            1,
            ["868 events were written, but the topics hold 867."],
        )

        # The ledger: a repeat and an invention, sent to the simulator as a request like any other.
        known = await stored_payload(rig)
        event_id = known["context"]["custom_context"]["uuid"]
        await post_to_miso(rig, known)
        repeated = (
            "miso: 1 events are in the simulator's ledger more often than accepted: "
            + event_id
            + "."
        )
        assert await closed(rig, written) == (1, [repeated])
        known["context"]["custom_context"]["uuid"] = "invented"
        await post_to_miso(rig, known)
        invented = "miso: 1 events are in the simulator's ledger without a receipt: invented."
        assert await closed(rig, written) == (1, [invented, repeated])

        # The ledger loses what it held.
        await ask_sandbox(rig, "DELETE", "/ledger")
        code, problems = await closed(rig, written)
        assert code == 1
        words = "events are accepted by the receipts and not in the simulator's ledger: "
        for problem, lost in zip(
            problems, ("eightselect: 182", "voyado: 382", "miso: 764"), strict=True
        ):
            assert problem.startswith(f"{lost} {words}")
        lost_ledgers = problems

        # A receipt and a vendor record about events that do not exist.
        receipt: dict[str, Any] = {
            "event_id": "e",
            "outcome": "skipped",
            "reason": "no_consent",
            "lane": "live",
        }
        receipt |= {"at": "2026-11-20T10:00:00.000Z", "attempts": 0, "position": None}
        receipt["source"] = f"{topics.clicks}/0/99999"
        await producer.send_and_wait(topics.receipts("miso"), encoded(receipt), partition=0)
        code, problems = await closed(rig, written)
        assert code == 1
        invented = "miso: 1 records are about events that do not exist (such as"
        assert [problem for problem in problems if problem.startswith(invented)]
        assert [one for one in problems if not one.startswith(invented)] == lost_ledgers

        # With nobody at work: an event that nobody reads waits.
        await rig.stop_workers()
        await producer.send_and_wait(topics.clicks, encoded(EVENT), key=b"v-1", partition=0)
        code, problems = await closed(rig, written + 1)
        assert code == 1
        assert "miso: 1 events still wait for an outcome." in problems

        # Receipts and raw events that are deleted.
        receipts = await delete_all(rig, topics.receipts("miso"), 1)
        code, problems = await closed(rig, written + 1)
        assert code == 1
        assert any(
            one.startswith(f"miso: {receipts:,} events are missing: they were read")
            for one in problems
        )
        raw = await delete_all(rig, topics.clicks, 2)
        code, problems = await closed(rig, written + 1)
        assert code == 1
        assert f"868 events were written, but the topics hold {868 - raw}." in problems


@pytest.mark.kafka
async def test_a_worker_that_fails_is_told_in_its_own_words(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A port that somebody took in the last moment: the worker's sentence is the demo's."""
    web_port = free_web_port()
    with socket.create_server(("127.0.0.1", web_port)):
        async with rig_on(broker, prefix, tmp_path, web_port) as rig:
            starting = asyncio.create_task(rig.start_workers())
            error = await asyncio.wait_for(rig.failed, 30)
            starting.cancel()
            await asyncio.wait({starting})
    assert isinstance(error, WorkerFailedError)
    first, second = str(error).splitlines()[:2]
    assert first == "Worker enrich ended with exit code 1 and is not started again:"
    assert second.startswith(f"The web view cannot listen on 127.0.0.1:{web_port}")


def encoded(content: Any) -> bytes:
    """A record's value."""
    return json.dumps(content).encode()


async def ask_sandbox(rig: Rig, method: str, path: str, content: Any = None) -> Any:
    """What the sandbox answers, as JSON."""
    async with (
        aiohttp.ClientSession(headers={"X-API-KEY": "sandbox-secret"}) as session,
        session.request(method, rig.sandbox.url + path, json=content) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def stored_payload(rig: Rig) -> Any:
    """One payload as Miso's simulator has it."""
    return (await ask_sandbox(rig, "GET", "/ledger?payloads=1"))["miso"]["payloads"][0]


async def post_to_miso(rig: Rig, payload: Any) -> None:
    """Have Miso's simulator store this."""
    await ask_sandbox(rig, "POST", "/v1/interactions", {"data": [payload]})


async def delete_all(rig: Rig, topic: str, partition: int) -> int:
    """Delete all records of a partition, as retention would; return how many there were."""
    tp = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(bootstrap_servers=rig.settings.kafka.servers)
    await consumer.start()
    try:
        end = (await consumer.end_offsets([tp]))[tp]
    finally:
        await consumer.stop()
    async with admin(rig.settings.kafka) as client:
        await client.delete_records({tp: RecordsToDelete(before_offset=end)})
    return int(end)
