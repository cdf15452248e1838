"""The embedded broker as an object: start, stop, kill, start again."""

import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from streams.core.errors import SetupError
from streams.lab.embedded import watcher
from streams.lab.embedded.jars import DEFAULT_VERSION, java_home, kafka_jars
from streams.lab.embedded.ports import free_port, is_free
from streams.lab.embedded.progress import OnProgress
from streams.lab.embedded.properties import server_properties, write_log_config

READY_SECONDS = 90
STOP_SECONDS = 20
PORT_ATTEMPTS = 3

JVM_OPTIONS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)


class EmbeddedKafka:
    """A one-node Apache Kafka on loopback; a context manager that is up inside its block.

    It ends with this process, also when this is killed. Not for use from several threads at once.
    """

    def __init__(
        self,
        version: str = DEFAULT_VERSION,
        data_dir: Path | None = None,
        port: int | None = None,
        on_progress: OnProgress | None = None,
        properties: Mapping[str, str] | None = None,
        controller_port: int | None = None,
        cluster_id: str | None = None,
        classes: Path | None = None,
    ) -> None:
        """Describe a broker; nothing happens before ``start``.

        Args:
            version: of Apache Kafka; 3.9.x and 4.x are known to run.
            data_dir: where its data lie and stay; None: a temporary folder, deleted in the end.
            port: for clients, on 127.0.0.1; None: a free one.
            on_progress: told about the first download; None draws a bar on stderr.
            properties: the broker's own, beside those that it has; listeners are added.
            controller_port: where it meets the other nodes of a cluster; None: a free one.
            cluster_id: what all nodes of a cluster share; None: a new one.
            classes: a folder of compiled classes that its properties name; None: there are none.
        """
        self._properties = dict(properties or {})
        self.version = version
        self._asked_port = port
        self._port = port or 0
        self._controller_port = controller_port or 0
        self._cluster_id = cluster_id or new_cluster_id()
        self._classes = classes
        self._is_temporary = data_dir is None
        self._folder = data_dir.absolute() if data_dir else None
        self._on_progress = on_progress
        self._watcher: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` for clients, once it was started; stays the same through restarts."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The JVM's process id; None while it is down."""
        return self._pid if self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the JVM runs."""
        return self._watcher is not None and self._watcher.poll() is None

    @property
    def data_dir(self) -> Path | None:
        """The folder with data, configuration and logs; None before the first start."""
        return self._folder

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> str:
        """Start it and wait until it serves clients; return its bootstrap servers.

        Raises:
            SetupError: Java, Kafka or the port cannot be had, or the broker does not come up.
        """
        if self.is_running:
            return self.bootstrap_servers
        jars = kafka_jars(self.version, self._on_progress)
        if self._port and not is_free(self._port):
            raise SetupError(
                f"Port {self._port} on 127.0.0.1 is in use: end the program that listens there "
                "or choose another port for the embedded Kafka."
            )
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="streams-kafka-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start_on_free_ports(self._folder, jars)
        except BaseException:
            self._send("kill")
            self._wait_gone()
            self._forget_folder()
            raise
        return self.bootstrap_servers

    def stop(self) -> None:
        """Shut it down in order; a temporary data folder is deleted."""
        self._shut_down()
        self._forget_folder()

    def kill(self) -> None:
        """Kill it at once (SIGKILL), as a power failure would; its data stay for ``restart``."""
        self._send("kill")
        self._wait_gone()

    def restart(self) -> None:
        """Start it again on the same port and data, after an orderly stop if it still runs."""
        if self._folder is None:
            raise SetupError("An embedded Kafka that was never started cannot be restarted.")
        self._shut_down()
        self.start()

    def _start_on_free_ports(self, folder: Path, jars: list[Path]) -> None:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            chosen_now = self._port == 0
            if chosen_now:
                self._port = free_port()
            if self._controller_port == 0 or not is_free(self._controller_port):
                self._controller_port = free_port(without=self._port)
            problem = self._launch(folder, jars)
            if problem is None:
                return
            was_taken = "Address already in use" in problem
            if not was_taken or attempt == PORT_ATTEMPTS:
                raise SetupError(f"The embedded Kafka {self.version} did not start: {problem}")
            self._controller_port = 0
            if chosen_now:
                self._port = 0

    def _launch(self, folder: Path, jars: list[Path]) -> str | None:
        """Format the data folder if it is new, run the broker; return why it failed or None."""
        logs, data = folder / "logs", folder / "data"
        logs.mkdir(exist_ok=True)
        config = folder / "server.properties"
        properties = server_properties(data, self._port, self._controller_port, self._properties)
        config.write_text(properties, encoding="utf-8")
        log_option = write_log_config(folder, logs / "server.log", self.version)
        own = [] if self._classes is None else [self._classes]
        classpath = ":".join(str(path) for path in [*own, *jars])
        java = [str(java_home() / "bin" / "java"), *JVM_OPTIONS, log_option, "-cp", classpath]
        console = logs / "console.log"
        if not (data / "meta.properties").exists():
            cluster = ["-t", self._cluster_id, "-c", str(config)]
            storage = ["kafka.tools.StorageTool", "format", *cluster]
            formatted = subprocess.run(  # noqa: S603
                [*java, *storage], capture_output=True, text=True, check=False
            )
            if formatted.returncode != 0:
                return (formatted.stderr or formatted.stdout).strip().splitlines()[-1]
        owned = str(folder) if self._is_temporary else "-"
        self._watcher = subprocess.Popen(  # noqa: S603
            [
                *(sys.executable, "-I", "-S", watcher.__file__, owned, str(console)),
                *(*java, "kafka.Kafka", str(config)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            # Ctrl-C in a terminal is for this process, which then ends the broker in order.
            start_new_session=True,
        )
        assert self._watcher.stdout is not None
        self._pid = int(self._watcher.stdout.readline() or 0) or None
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if not self.is_running:
                self._wait_gone()
                return _last_error(logs)
            if serves(self._port):
                return None
            time.sleep(0.1)
        self.kill()
        return f"no answer within {READY_SECONDS} s; {_last_error(logs)}"

    def _shut_down(self) -> None:
        self._send("stop")
        if not self._wait_gone(STOP_SECONDS):
            self.kill()

    def _send(self, order: str) -> None:
        if self._watcher is None or self._watcher.stdin is None or not self.is_running:
            return
        try:
            self._watcher.stdin.write(f"{order}\n".encode())
            self._watcher.stdin.flush()
        except BrokenPipeError:
            self._watcher.wait()  # it went by itself at this very moment

    def _wait_gone(self, seconds: float | None = None) -> bool:
        """Wait until the JVM is gone; False if it is still there after ``seconds``."""
        if self._watcher is None:
            return True
        try:
            self._watcher.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        for pipe in (self._watcher.stdin, self._watcher.stdout):
            if pipe is not None:
                pipe.close()
        self._watcher = None
        return True

    def _forget_folder(self) -> None:
        if self._is_temporary and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def new_cluster_id() -> str:
    """A cluster id as Kafka writes them."""
    return urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "_")


def serves(port: int) -> bool:
    """Whether a broker on 127.0.0.1 answers a Metadata request and counts itself as alive."""
    # api key 3, version 1, correlation id 1, no client id, no topics
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                head = answer.read(12)
    except OSError:
        return False
    if len(head) < 12:
        return False
    _, correlation, brokers = struct.unpack(">iii", head)
    return bool(correlation == 1 and brokers > 0)


def _last_error(logs: Path) -> str:
    """The last complaint in the broker's own words, on one line."""
    lines: list[str] = []
    for name in ("server.log", "console.log"):
        path = logs / name
        if path.exists():
            lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    taken = [line for line in lines if "Address already in use" in line]
    errors = [line for line in lines if " ERROR " in line or " FATAL " in line or "rror:" in line]
    return (taken or errors or lines or ["it wrote nothing"])[-1].strip()[:400]
