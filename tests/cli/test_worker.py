"""``streams worker``: one process a stage, watched; wrong set-ups in a sentence; an orderly end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from streams.core.snapshot import WorkerSnapshot
from streams.kafka.topics import create_topics
from streams.lab.demo.run import free_web_port
from streams.settings import Settings, load_settings
from streams.status.status import read_status
from tests.broker_fixtures import Broker


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Settings of a worker whose vendor is nobody and whose broker is not there."""
    return {
        "STREAMS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "STREAMS_STATE_DIR": str(tmp_path / "state"),
        "STREAMS_WEB_PORT": str(free_web_port()),
        "STREAMS_MISO_API_KEY": "sandbox-secret",
        "STREAMS_MISO_BASE_URL": "http://127.0.0.1:1",
    }


@contextmanager
def worker(*arguments: str, environ: dict[str, str], **options: Any) -> Iterator[Any]:
    """The real command; killed at the end of the block if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streams", "worker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environ,
        **options,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ended(environ: dict[str, str], *arguments: str) -> tuple[int, list[str]]:
    """The exit code and the lines of a worker that ends by itself."""
    with worker(*arguments, environ=environ) as process:
        output, _ = process.communicate(timeout=60)
    return process.returncode, output.splitlines()


def test_no_vendor_that_is_on_is_told_once(environ: dict[str, str]) -> None:
    """Exit code 2, before any process is started."""
    code, lines = ended(environ | {"STREAMS_MISO_ENABLED": "false"})
    assert code == 2
    assert any("STREAMS_MISO_API_KEY" in line for line in lines)
    assert not any(" | " in line for line in lines)


def test_an_unknown_stage_is_told_with_those_there_are(environ: dict[str, str]) -> None:
    """Exit code 2."""
    code, lines = ended(environ, "enrich", "misa")
    assert code == 2
    assert lines[0].startswith('"misa" is not a stage; there are: enrich, ')


def test_a_broker_that_is_not_there_ends_all_with_1(environ: dict[str, str]) -> None:
    """The sentence is led by the stage; at the start nothing is tried again."""
    code, lines = ended(environ, "enrich", "miso")
    assert code == 1
    sentences = [line for line in lines if "cannot be reached (connection refused)" in line]
    assert sentences
    assert sentences[0].startswith(("enrich | Kafka at 127.0.0.1:1", "miso   | Kafka at"))


@pytest.mark.kafka
def test_a_missing_topic_ends_all_with_1(
    broker: Broker, prefix: str, environ: dict[str, str]
) -> None:
    """The sentence names the topic and the command."""
    environ |= {"STREAMS_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    environ |= {"STREAMS_KAFKA_TOPIC_PREFIX": prefix}
    code, lines = ended(environ, "enrich", "miso")
    assert code == 1
    wanted = f"Topic {prefix}streams.status does not exist: run `streams topics create`."
    assert any(line.endswith(wanted) for line in lines)


@pytest.fixture
async def installed(broker: Broker, prefix: str, environ: dict[str, str]) -> Settings:
    """An installation with its topics; ``environ`` leads to it."""
    environ |= {"STREAMS_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    environ |= {"STREAMS_KAFKA_TOPIC_PREFIX": prefix, "STREAMS_KAFKA_PARTITIONS": "2"}
    settings = load_settings(environ)
    await create_topics(settings)
    return settings


def told(output: IO[str], words: str) -> dict[str, Any]:
    """The next log line that holds these words."""
    for line in output:
        if words in line:
            content: dict[str, Any] = json.loads(line)
            return content
    raise AssertionError(f"the worker ended without saying {words!r}")


async def until_ready(settings: Settings, pids: set[int]) -> dict[str, WorkerSnapshot]:
    """Each stage's worker once both are ready, none of them one of ``pids``."""
    while True:
        board = await read_status(settings)
        found = {s.stage: s for s in board.snapshots.values() if s.ready and s.pid not in pids}
        if len(found) == 2:
            return found


@pytest.mark.kafka
async def test_workers_are_started_again_and_end_in_order(
    installed: Settings, environ: dict[str, str]
) -> None:
    """Both come up; one that is killed comes back alone; SIGTERM ends them with exit code 0."""
    with worker(environ=environ, stdin=subprocess.DEVNULL) as process:
        first = await until_ready(installed, set())
        assert sorted(first) == ["enrich", "miso"]
        assert len({process.pid, *(one.pid for one in first.values())}) == 3
        os.kill(first["miso"].pid, signal.SIGKILL)
        line = told(process.stdout, "was ended by signal 9")
        assert (line["stage"], line["level"]) == ("miso", "warning")
        assert line["event"] == "miso was ended by signal 9; it is started again in 1 s"
        second = await until_ready(installed, {first["miso"].pid})
        assert second["enrich"].pid == first["enrich"].pid

        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)
        assert process.returncode == 0
    for one in second.values():
        with pytest.raises(ProcessLookupError):
            os.kill(one.pid, 0)
