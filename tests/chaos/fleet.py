"""The worker processes, started again when they end, as a supervisor does."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

import streams
from streams.worker.supervisor.restart_policy import RestartPolicy
from tests.chaos.waiting import until
from tests.chaos.worker import set_offset

READY_SECONDS = 90.0
TERM_SECONDS = 20.0
PACKAGE = Path(streams.__file__).parents[1]
"""Workers run the very code that this process runs."""
SHOWN_CHARS = 3_000


@dataclass(frozen=True, slots=True)
class Ending:
    """A worker that ended without being told to."""

    at: float
    worker: str
    code: int
    words: str
    """The last lines that it wrote."""


class Worker:
    """One worker of a stage; its process changes, its slot stays."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], folder: Path, url: str
    ) -> None:
        self.name = name
        self.stage = name.partition("-")[0]
        self.url = url
        self._command = command
        self._clock = folder / f"{name}.clock"
        set_offset(self._clock, 0.0)
        self._env = {**env, "CHAOS_CLOCK": str(self._clock)}
        self._log = folder / f"{name}.log"
        self.wanted = False
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.policy = RestartPolicy()

    def start(self) -> None:
        """Start its process; it ends with this one, however this one ends."""
        self.wanted = True
        self.started_at = time.monotonic()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=self._log.parent,
                stdin=subprocess.PIPE,  # the life line of --supervised
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL it and take its body away; it is not started again by itself."""
        self.wanted = False
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()
            self._close()

    def freeze(self) -> None:
        """SIGSTOP it: nothing of it goes on, and nobody is told."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def step_clock(self, seconds: float) -> None:
        """Set its time of day so far from the machine's."""
        set_offset(self._clock, seconds)

    async def terminate(self) -> int:
        """SIGTERM it, wait for its end, return its exit code."""
        self.wanted = False
        process = self.process
        assert process is not None
        process.terminate()
        await until(lambda: process.poll() is not None, TERM_SECONDS, f"the end of {self.name}")
        self._close()
        return process.returncode

    def words(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-SHOWN_CHARS:]

    def _close(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


class Fleet:
    """All workers of a run, by name: the stage, or stage and slot."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._folder = folder
        self._port = free_ports()
        self.environ: dict[str, str] = {
            **{n: v for n, v in os.environ.items() if not n.startswith("STREAMS_")},
            **environ,
            "STREAMS_WEB_PORT": str(self._port),
            "STREAMS_STATE_DIR": str(folder / "state"),
            "PYTHONPATH": str(PACKAGE),
        }
        """What all of them get: the settings of this run."""
        self.workers: dict[str, Worker] = {}
        self.endings: list[Ending] = []
        self._stages = ("enrich", "eightselect", "voyado", "miso", "ingest")
        self._watching: asyncio.Task[None] | None = None
        self._due: dict[str, float] = {}

    def worker(self, stage: str, slot: int = 0) -> Worker:
        """Return a worker; it is made when it is asked for first, and not started."""
        name = stage if slot == 0 else f"{stage}-{slot}"
        if name not in self.workers:
            port = self._port + self._stages.index(stage) + 10 * slot
            program = [sys.executable, "-m", "tests.chaos.worker"]
            command = [*program, "worker", stage, "--slot", str(slot)]
            self.workers[name] = Worker(
                name,
                [*command, "--supervised"],
                self.environ,
                self._folder,
                f"http://127.0.0.1:{port}/health/ready",
            )
        return self.workers[name]

    def add(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> Worker:
        """Return a process that is no worker of ours; it is not started."""
        self.workers[name] = Worker(name, command, {**self.environ, **environ}, self._folder, "")
        return self.workers[name]

    def watch(self) -> None:
        """From now on start again what ends by itself, with a supervisor's pauses."""
        self._watching = asyncio.create_task(self._watch())

    async def ready(self, *workers: Worker) -> None:
        """Wait until these workers say that they are ready."""
        for worker in workers:

            async def is_ready(worker: Worker = worker) -> bool:
                return await self.is_ready(worker)

            await until(is_ready, READY_SECONDS, f"{worker.name} to be ready")

    async def answering(self, worker: Worker) -> None:
        """Wait until a worker's web view answers, whatever it says."""

        async def answers() -> bool:
            return await _status(worker.url) is not None

        await until(answers, READY_SECONDS, f"{worker.name} to answer")

    async def is_ready(self, worker: Worker) -> bool:
        """Whether a worker says that it is ready."""
        return await _status(worker.url) == 200

    def wipe_state(self) -> None:
        """Delete the state folder."""
        shutil.rmtree(self._folder / "state", ignore_errors=True)

    async def stop(self) -> None:
        """End all; nothing is left behind."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        for worker in self.workers.values():
            worker.kill()

    async def _watch(self) -> None:
        while True:
            now = time.monotonic()
            for worker in self.workers.values():
                if not worker.wanted or worker.process is None:
                    self._due.pop(worker.name, None)
                    continue
                code = worker.process.poll()
                if code is None:
                    continue
                if worker.name not in self._due:
                    self.endings.append(Ending(now, worker.name, code, worker.words()))
                    pause = worker.policy.after(code, now - worker.started_at)
                    # A supervisor would give up for good; the run goes on and tells of it.
                    self._due[worker.name] = now + (5.0 if pause is None else pause)
                elif now >= self._due[worker.name]:
                    del self._due[worker.name]
                    worker.start()
            await asyncio.sleep(0.05)


async def _status(url: str) -> int | None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        try:
            async with session.get(url) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None


def free_ports() -> int:
    """Return a port from which on those of two slots are free."""
    for first in random.sample(range(15_000, 19_960, 40), 100):
        try:
            for port in (first + n + 10 * slot for n in range(5) for slot in range(2)):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise SystemExit("no free ports for the workers' web views between 15000 and 20000")
