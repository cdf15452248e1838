"""The broker that tests run on: embedded by default, else STREAMS_TEST_BROKER says which.

``embedded`` or ``embedded:3.9.1``: a real Apache Kafka from packages.
``docker`` or ``docker:3.9.1``: the image apache/kafka by testcontainers.
``host:port``: a broker that is there; destructive tests get an embedded one of their own.

Under pytest-xdist all workers share one broker, which the controlling process starts when the
first worker asks for it, and which ends with that process.
"""

import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from streams.lab.embedded import DEFAULT_VERSION, EmbeddedKafka
from streams.lab.embedded.broker import serves
from streams.lab.embedded.ports import free_port

WANTED = os.environ.get("STREAMS_TEST_BROKER") or "embedded"
FIRST_DOWNLOAD_SECONDS = 600
CONTAINER_SECONDS = 60


class Broker(Protocol):
    """A broker for tests."""

    kind: str
    bootstrap_servers: str


class OwnBroker(Broker, Protocol):
    """A broker of one test alone, which that test may take down."""

    def kill(self) -> None:
        """SIGKILL it."""

    def restart(self) -> None:
        """Start it again on the same address and data; return when it answers."""


class Elsewhere:
    """A broker that something else runs."""

    def __init__(self, kind: str, bootstrap_servers: str) -> None:
        self.kind = kind
        self.bootstrap_servers = bootstrap_servers

    def stop(self) -> None:
        """Leave it running."""


class Embedded:
    """The product's own embedded Kafka."""

    def __init__(self, version: str) -> None:
        self.kind = f"embedded Apache Kafka {version}"
        self._kafka = EmbeddedKafka(version)
        self.bootstrap_servers = self._kafka.start()
        self.kill = self._kafka.kill
        self.restart = self._kafka.restart
        self.stop = self._kafka.stop


class Container:
    """The image apache/kafka, reached by a fixed port so that it survives restarts."""

    def __init__(self, version: str) -> None:
        from testcontainers.core.container import DockerContainer

        self.kind = f"container apache/kafka:{version}"
        self._port = free_port()
        self.bootstrap_servers = f"127.0.0.1:{self._port}"
        settings = {
            "NODE_ID": "1",
            "PROCESS_ROLES": "broker,controller",
            "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            # The port of the host is not there inside, where the broker writes transaction markers
            # to itself.
            "INTER_BROKER_LISTENER_NAME": "INTERNAL",
            "LISTENER_SECURITY_PROTOCOL_MAP": (
                "CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT"
            ),
            "LISTENERS": "EXTERNAL://:9092,INTERNAL://:29092,CONTROLLER://:9093",
            "ADVERTISED_LISTENERS": (
                f"EXTERNAL://{self.bootstrap_servers},INTERNAL://localhost:29092"
            ),
            "AUTO_CREATE_TOPICS_ENABLE": "false",
            "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "OFFSETS_TOPIC_NUM_PARTITIONS": "4",
            "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
            "BROKER_SESSION_TIMEOUT_MS": "3000",
            "BROKER_HEARTBEAT_INTERVAL_MS": "500",
        }
        container = DockerContainer(f"apache/kafka:{version}")
        # Loopback only, which with_bind_ports cannot say.
        container.ports["9092/tcp"] = ("127.0.0.1", self._port)
        for name, value in settings.items():
            container.with_env(f"KAFKA_{name}", value)
        self._container = container.start()
        try:
            self._wait_until_up()
        except BaseException:
            self._container.stop()
            raise

    def kill(self) -> None:
        """SIGKILL it."""
        self._container.get_wrapped_container().kill()

    def restart(self) -> None:
        """Start it again, on the same port and data."""
        self._container.get_wrapped_container().restart()
        self._wait_until_up()

    def stop(self) -> None:
        """Remove it."""
        self._container.stop()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + CONTAINER_SECONDS
        while not serves(self._port):
            assert time.monotonic() < deadline, f"{self.kind} does not answer"
            time.sleep(0.1)


def _start(wanted: str) -> Any:
    what, _, version = wanted.partition(":")
    if what == "embedded":
        return Embedded(version or DEFAULT_VERSION)
    if what == "docker":
        return Container(version or DEFAULT_VERSION)
    return Elsewhere(f"broker at {wanted}", wanted)


class OnDemand(threading.Thread):
    """Starts the broker in the controlling process once a worker has asked for it."""

    def __init__(self) -> None:
        super().__init__(name="broker-on-demand", daemon=True)
        self.folder = Path(tempfile.mkdtemp(prefix="streams-tests-"))
        self._ended = threading.Event()
        self._broker: Any = None

    def run(self) -> None:
        """Wait for the request, then answer it with an address or with why there is none."""
        while not (self.folder / "wanted").exists():
            if self._ended.wait(0.1):
                return
        try:
            self._broker = _start(WANTED)
            answer = f"up\n{self._broker.kind}\n{self._broker.bootstrap_servers}"
        except Exception as error:
            answer = f"failed\n{type(error).__name__}: {error}"
        fresh = self.folder / "answer.new"
        fresh.write_text(answer, encoding="utf-8")
        fresh.replace(self.folder / "answer")

    def end(self) -> None:
        """Stop the broker, if there is one, and forget it."""
        self._ended.set()
        self.join()
        if self._broker is not None:
            self._broker.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _ask(folder: Path) -> Elsewhere:
    (folder / "wanted").touch()
    deadline = time.monotonic() + FIRST_DOWNLOAD_SECONDS
    while not (folder / "answer").exists():
        assert time.monotonic() < deadline, "the controlling process started no broker"
        time.sleep(0.1)
    state, *words = (folder / "answer").read_text(encoding="utf-8").split("\n", 2)
    assert state == "up", "\n".join(words)
    return Elsewhere(*words)


_shared: list[OnDemand] = []


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker, from the controlling process, where to ask for the broker."""
    if not _shared:
        _shared.append(OnDemand())
        _shared[0].start()
    node.workerinput["broker_folder"] = str(_shared[0].folder)


def pytest_unconfigure() -> None:
    """End what the controlling process started."""
    while _shared:
        _shared.pop().end()


def pytest_report_header() -> str:
    """Say on which broker the tests run."""
    what, _, version = WANTED.partition(":")
    names = {"embedded": "embedded Apache Kafka", "docker": "container apache/kafka"}
    shown = f"{names[what]} {version or DEFAULT_VERSION}" if what in names else WANTED
    return f"broker: {shown} (STREAMS_TEST_BROKER={WANTED})"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a broker."""
    for item in items:
        if {"broker", "own_broker"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """The broker that all tests of a run share: take names under ``prefix`` only."""
    if hasattr(request.config, "workerinput"):
        yield _ask(Path(request.config.workerinput["broker_folder"]))
        return
    started = _start(WANTED)
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def own_broker() -> Iterator[OwnBroker]:
    """A broker of this test's own, to kill and restart; embedded where the shared one is given."""
    started = _start(WANTED if WANTED.partition(":")[0] == "docker" else _embedded())
    try:
        yield started
    finally:
        started.stop()


def _embedded() -> str:
    return WANTED if WANTED.startswith("embedded") else "embedded"


@pytest.fixture
def prefix() -> str:
    """A topic prefix that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}."
