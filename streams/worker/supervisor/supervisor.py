"""Several workers as one command: a process a stage, watched, restarted, on one console."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Protocol

from streams.worker.supervisor.console import SharedConsole
from streams.worker.supervisor.restart_policy import DO_NOT_RESTART, SET_UP, Ending, RestartPolicy

STOP_SECONDS = 12.0
"""A worker settles for up to 8 s and exits within 10 s; what is then left is killed."""

_LONGEST_LINE = 256 * 1024

Command = Callable[[str], Sequence[str]]
"""Stage → the command line of its worker."""


class Console(Protocol):
    """Where the workers' output goes."""

    def line(self, stage: str, text: str) -> None:
        """Take one line that a worker wrote, without its end."""

    def ended(self, ending: Ending) -> None:
        """Take the news that a worker has ended by itself."""


@dataclass(eq=False)
class Supervisor:
    """Keeps one worker of each stage running.

    The workers get a stdin that ends when this process does, and a session of their own, so that
    Ctrl-C in a terminal is for the supervisor, which then ends them in order.
    """

    stages: Sequence[str]
    """One worker each."""
    command: Command
    console: Console
    _: KW_ONLY
    environ: Mapping[str, str] | None = None
    """Of the workers; None: this process's."""
    policy: Callable[[], RestartPolicy] = RestartPolicy
    """Makes the rules of restarting, one object a worker."""
    stop_seconds: float = STOP_SECONDS
    """How long workers that were told to end may take."""

    def __post_init__(self) -> None:
        self._running: dict[str, Process] = {}
        self._ending = asyncio.Event()

    @property
    def pids(self) -> Mapping[str, int]:
        """The process ids of the workers that run now, by stage."""
        return {stage: process.pid for stage, process in self._running.items()}

    async def run(self, stop: asyncio.Event) -> int:
        """Run until ``stop`` is set (0), a set-up is wrong (1), or every worker gave up (2)."""
        tasks = [asyncio.create_task(self._keep(stage)) for stage in self.stages]
        stopping = asyncio.create_task(stop.wait())
        waiting: set[asyncio.Task[int]] = set(tasks)
        try:
            while waiting and not stopping.done():
                await asyncio.wait({*waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                done = {task for task in waiting if task.done()}
                if any(task.result() == SET_UP for task in done):
                    return SET_UP
                waiting -= done
            return 0 if stopping.done() else DO_NOT_RESTART
        finally:
            stopping.cancel()
            await self._end(tasks)

    async def _keep(self, stage: str) -> int:
        """Start a worker again and again; return the exit code with which it is given up."""
        policy = self.policy()
        code: int | None = None
        while True:
            started = time.monotonic()
            code = await self._run_once(stage, code)
            if self._ending.is_set():
                return 0
            pause = policy.after(code, time.monotonic() - started)
            self.console.ended(Ending(stage, code, pause))
            if pause is None:
                return code
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)
            if self._ending.is_set():
                return 0

    async def _run_once(self, stage: str, last_exit: int | None) -> int:
        told = [] if last_exit is None else [f"--last-exit={last_exit}"]
        process = await asyncio.create_subprocess_exec(
            *self.command(stage),
            *told,
            stdin=PIPE,  # the life line: see parent_watch.py
            stdout=PIPE,
            stderr=STDOUT,
            env=self.environ,
            start_new_session=True,
        )
        self._running[stage] = process
        try:
            if self._ending.is_set():
                _tell(process, signal.SIGTERM)
            assert process.stdout is not None
            async for line in _lines(process.stdout):
                self.console.line(stage, line)
            return await process.wait()
        finally:
            del self._running[stage]

    async def _end(self, tasks: Sequence["asyncio.Task[int]"]) -> None:
        """Tell all workers to end, kill those that do not, and wait until they are gone."""
        self._ending.set()
        for process in self._running.values():
            _tell(process, signal.SIGTERM)
        _, late = await asyncio.wait(tasks, timeout=self.stop_seconds)
        if late:
            self._kill()
            await asyncio.wait(late)
        for task in tasks:
            task.result()

    def _kill(self) -> None:
        """Kill each worker's whole session: what it left behind would hold its output open."""
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _tell(process: Process, number: signal.Signals) -> None:
    """Send a signal; asyncio's own way can take the exit code from whoever waits for it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield lines without their ends; a longer one than ``_LONGEST_LINE`` comes in pieces."""
    rest = b""
    while piece := await stream.read(64 * 1024):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        if len(rest) > _LONGEST_LINE:
            yield rest.decode("utf-8", "replace")
            rest = b""
    if rest:
        yield rest.decode("utf-8", "replace")


def worker_command(stage: str, slot: int | None = None) -> list[str]:
    """Return the command line of one worker that ends with its supervisor."""
    slots = [] if slot is None else ["--slot", str(slot)]
    return [sys.executable, "-m", "streams", "worker", stage, *slots, "--supervised"]


def supervise(stages: Sequence[str], slot: int | None = None) -> int:
    """Run one worker of each stage until SIGTERM or SIGINT; return the exit code.

    0 after a signal, 1 where the set-up is wrong at the start, 2 where every worker has ended in a
    way that a restart cannot help.
    """
    return asyncio.run(_supervise(stages, slot))


async def _supervise(stages: Sequence[str], slot: int | None) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console = SharedConsole(stages)
    return await Supervisor(stages, lambda stage: worker_command(stage, slot), console).run(stop)
