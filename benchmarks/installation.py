"""One throw-away installation: settings of both sides, our worker and the stock one."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from kafka_side import SERVERS
from loop import Loop
from pydantic import SecretStr
from shop import PARTITIONS
from worker_process import Reading, Worker

from streams.lab.embedded.ports import free_port
from streams.settings import Settings, load_settings
from streams.vendors import VENDORS

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))  # the simulators of the tests


class Installation:
    """A topic prefix of its own, so that nothing read or committed before has any effect."""

    def __init__(
        self, servers: str, prefix: str, folder: Path, more: Mapping[str, str] | None = None
    ) -> None:
        self._folder = folder / prefix
        self.environ = {
            SERVERS: servers,
            "STREAMS_KAFKA_TOPIC_PREFIX": prefix,
            "STREAMS_KAFKA_PARTITIONS": str(PARTITIONS),
            "STREAMS_STATE_DIR": str(self._folder / "state"),
            **_all_vendors_on(),
            **_security(),
            **(more or {}),
        }
        self.settings: Settings = load_settings(self.environ)
        self.prefix = prefix
        self._starts = 0

    @property
    def vendors(self) -> tuple[str, ...]:
        """The vendors that are on."""
        return self.settings.enabled_vendors()

    def worker(
        self, stage: str, read: Callable[[Any], Reading] | None = None, slot: int = 0
    ) -> Worker:
        """Return our worker of a stage, as ``streams worker`` runs it; ``read``: its status."""
        environ = {**self.environ, "STREAMS_WEB_PORT": str(free_port())}
        port = load_settings(environ).web_port(stage, slot)
        return Worker(
            ["-m", "streams", "worker", stage, "--slot", str(slot)],
            environ,
            self._next_folder(),
            f"http://127.0.0.1:{port}/api/status",
            read or read_events,
        )

    def stock(self, script: str) -> Worker:
        """Return a stock Faust app, as Faust's own command line runs it."""
        port = free_port()
        folder = self._next_folder()
        return Worker(
            # At -l warn Faust's console switches debug logging on, which would slow it down.
            [str(HERE / script), "worker", "-l", "info", "--web-port", str(port)],
            {**self.environ, "STOCK_FOLDER": str(folder)},
            folder,
            f"http://127.0.0.1:{port}/progress/",
            lambda body: Reading(body["ready"], body["events"], 0, body.get("requests", 0)),
        )

    def loop(self, script: str, *arguments: str, events: int = 0) -> Loop:
        """Return a loop by hand, which says when it has done so many ``events``."""
        command = [str(HERE / script), str(events), *arguments]
        return Loop(command, self.environ, self._next_folder())

    def _next_folder(self) -> Path:
        self._starts += 1
        return self._folder / str(self._starts)


def read_events(body: Any) -> Reading:
    """Read our worker's status; events count from when they are taken up."""
    totals = body["totals"]
    return Reading(
        body["ready"], totals["events"], sum(body["lag"].values()), sum(totals["requests"].values())
    )


def read_requests(body: Any) -> Reading:
    """Read our worker's status where each request carries one event; it counts when answered."""
    reading = read_events(body)
    return replace(reading, events=reading.requests)


def _all_vendors_on() -> dict[str, str]:
    """Enable every registered vendor, with the secrets that its mapping needs."""
    environ = {}
    for key, vendor in VENDORS.items():
        environ[f"STREAMS_{key.upper()}_ENABLED"] = "true"
        for name, field in vendor.settings.model_fields.items():
            is_secret = SecretStr in (field.annotation, *get_args(field.annotation))
            if is_secret and name not in vendor.credentials:
                environ[f"STREAMS_{key.upper()}_{name.upper()}"] = "benchmark-secret"
    return environ


def _security() -> dict[str, str]:
    """Pass on how the given broker wants to be spoken to."""
    names = ("STREAMS_KAFKA_SECURITY", "STREAMS_KAFKA_SASL", "STREAMS_KAFKA_SSL")
    return {name: value for name, value in os.environ.items() if name.startswith(names)}
