"""The embedded Kafka itself: a real broker for each of these tests."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from streams.core.errors import SetupError
from streams.kafka.connection import admin
from streams.kafka.topics import until_visible
from streams.lab.embedded import EmbeddedKafka
from streams.settings import KafkaSettings
from tests.lab.embedded.test_watcher import assert_gone, is_gone

pytestmark = pytest.mark.kafka


async def make_topic(address: str, name: str) -> None:
    """Make a topic of one partition."""
    async with admin(KafkaSettings(bootstrap_servers=address)) as client:
        await client.create_topics([NewTopic(name, 1, 1)])
        await until_visible(client, {name})


async def topics(address: str) -> list[str]:
    """The topics that the broker has."""
    async with admin(KafkaSettings(bootstrap_servers=address)) as client:
        found: list[str] = await client.list_topics()
    return found


async def test_killed_broker_comes_back_with_address_and_data() -> None:
    """After SIGKILL a restart serves the same topics at the same address."""
    with EmbeddedKafka() as kafka:
        address, pid = kafka.bootstrap_servers, kafka.pid
        assert pid is not None
        await make_topic(address, "kept")
        kafka.kill()
        assert (kafka.is_running, kafka.pid) == (False, None)
        assert is_gone(pid)
        kafka.restart()
        assert kafka.bootstrap_servers == address
        assert await topics(address) == ["kept"]


async def test_folder_of_the_user_outlives_the_broker(tmp_path: Path) -> None:
    """Data in a given folder are there for the next broker; a stopped one leaves no process."""
    with EmbeddedKafka(data_dir=tmp_path / "kafka") as first:
        await make_topic(first.bootstrap_servers, "kept")
        pid = first.pid
    assert pid is not None
    assert is_gone(pid)
    with EmbeddedKafka(data_dir=tmp_path / "kafka") as second:
        assert await topics(second.bootstrap_servers) == ["kept"]


def test_killed_parent_leaves_no_jvm_and_no_folder() -> None:
    """SIGKILL of the process that started the broker ends the broker, too."""
    program = (
        "import time\n"
        "from streams.lab.embedded import EmbeddedKafka\n"
        "kafka = EmbeddedKafka()\n"
        "kafka.start()\n"
        "print(kafka.pid, kafka.data_dir, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().decode().split()
        assert not is_gone(int(pid))
        assert Path(folder).is_dir()
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert_gone(int(pid))
    assert_folder_gone(Path(folder))


def assert_folder_gone(folder: Path) -> None:
    """Fail if the folder is still there some seconds later."""
    deadline = time.monotonic() + 10
    while folder.exists():
        assert time.monotonic() < deadline, f"{folder} is still there"
        time.sleep(0.02)


def test_port_in_use_is_a_sentence() -> None:
    """The port is named with what to do, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        kafka = EmbeddedKafka(port=port)
        with pytest.raises(SetupError, match=rf"^Port {port} on 127\.0\.0\.1 is in use: "):
            kafka.start()
    assert (kafka.is_running, kafka.data_dir) == (False, None)


def test_data_of_another_cluster_fails_with_the_brokers_own_words(tmp_path: Path) -> None:
    """A broker that does not come up says why in one line, and nothing is left running."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("version=7\n")
    kafka = EmbeddedKafka(data_dir=tmp_path)
    with pytest.raises(SetupError, match=r"^The embedded Kafka 4\.1\.0 did not start: ") as caught:
        kafka.start()
    assert "\n" not in str(caught.value)
    assert not kafka.is_running
