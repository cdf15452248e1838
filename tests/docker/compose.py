"""A relay in containers, with a project name and ports of its own, and what one can ask of it."""

import json
import os
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from streams.lab.embedded.ports import free_port
from streams.vendors import VENDORS

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
STAGES = ("enrich", *VENDORS)
PROFILES = ("--profile", "sandbox", "--profile", "sample")
UP_SECONDS = 420
"""The first time the image is built."""


def require_docker() -> None:
    """Fail with what is missing; never skip: whoever asks for these tests wants to know."""
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            pytest.fail(f"Docker does not answer ({' '.join(command)}: {error}).", pytrace=False)
        if done.returncode:
            pytest.fail(
                f"Docker does not answer ({' '.join(command)}: {done.stderr.strip()}). "
                "Start it, or run the other tests with: make test",
                pytrace=False,
            )


class Compose:
    """One project of ``docker-compose.yml``; ``remove`` leaves nothing of it behind."""

    def __init__(self) -> None:
        self.name = f"streams-test-{uuid.uuid4().hex[:8]}"
        self._sandbox_port = free_port()
        own = {
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_PROGRESS": "plain",
            "RELAY_KAFKA_PORT": str(free_port()),
            "RELAY_SANDBOX_PORT": str(self._sandbox_port),
        }
        around = {n: v for n, v in os.environ.items() if not n.startswith(("COMPOSE_", "RELAY_"))}
        self._environ = around | own

    def run(
        self, *arguments: str, seconds: float = 60, fails: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``docker compose``; an exit code other than expected fails with its words."""
        # No .env of whoever runs the tests: it may hold keys.
        command = ["docker", "compose", "--env-file", "/dev/null", *PROFILES, *arguments]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environ | variables,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if bool(done.returncode) != fails:
            raise AssertionError(
                f"{' '.join(command)}: {done.returncode}\n{done.stdout[-4000:]}\n"
                f"{done.stderr[-4000:]}"
            )
        return done

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, stopped ones included, by their number."""
        return self.run("ps", "--all", "--quiet", service).stdout.split()

    def streams(self, *arguments: str) -> list[Any]:
        """Run a listing command in a worker's container and return its JSON."""
        done = self.run("exec", "-T", "enrich", "streams", *arguments, "--json", seconds=120)
        rows: list[Any] = json.loads(done.stdout)
        return rows

    def audit(self) -> dict[str, Any]:
        """The audit once nothing waits any more."""

        def settled() -> dict[str, Any] | None:
            report: dict[str, Any] = self.streams("audit")[0]
            return report if not any(v["waiting"] for v in report["vendors"]) else None

        return until(settled, 120, "something still waits")

    def workers(self, stage: str) -> list[dict[str, Any]]:
        """The snapshots of a stage's live workers, by slot."""
        rows = [row for row in self.streams("status") if row["stage"] == stage]
        return sorted((r for r in rows if not r["stale"]), key=lambda row: int(row["slot"]))

    def ledgers(self, shown: str = "ids") -> dict[str, Any]:
        """What the simulators hold; ``records`` shows the request of each entry, too."""
        url = f"http://127.0.0.1:{self._sandbox_port}/ledger?{shown}=1"
        with urllib.request.urlopen(url, timeout=20) as answer:
            held: dict[str, Any] = json.load(answer)
        return held

    def remove(self) -> None:
        """Remove containers, network and volumes."""
        self.run("down", "--volumes", "--timeout", "1", seconds=120)


def docker(*arguments: str, stdin: str | None = None) -> str:
    """Run ``docker`` and return what it says; a failure is an error."""
    return subprocess.run(
        ["docker", *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


def states(containers: Sequence[str]) -> list[dict[str, Any]]:
    """The states of containers as Docker tells them."""
    return [json.loads(docker("inspect", "-f", "{{json .State}}", one)) for one in containers]


def until(ask: Callable[[], T | None], seconds: float, otherwise: str) -> T:
    """What ``ask`` returns once that is something; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while (found := ask()) is None:
        assert time.monotonic() < deadline, f"after {seconds:.0f} s {otherwise}"
        time.sleep(0.5)
    return found
