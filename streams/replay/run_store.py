"""The runs on the broker (``streams.replays``): who runs what, how far it is, what became of it."""

import os
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.core.errors import SettingsError, SetupError
from streams.core.runs import RUNNING, SILENT_MS, STOPPED, Run, decode_run, encode_run
from streams.core.times import to_ms
from streams.engine import wall_clock
from streams.kafka.reader import Following, LogReader, connect
from streams.kafka.writer import connect_writer, writing_failed
from streams.settings import Settings

REUSED_MS = 5_000
"""A process that began so much later than the run spoke has only its id in common with it."""


def has_process(run: Run, now_ms: int) -> bool:
    """Return whether some process goes on with the run now."""
    if run.pid is None:
        return False
    try:
        spoke_ms = to_ms(run.at)
    except ValueError:
        return False
    if run.host == socket.gethostname():
        return _is_alive(run.pid, spoke_ms)
    return now_ms - spoke_ms < SILENT_MS


def _is_alive(pid: int, spoke_ms: int) -> bool:
    """Return whether a process of this host lives, and lived already when it spoke."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        began_ms = Path(f"/proc/{pid}").stat().st_ctime * 1000
    except OSError:
        return True  # no /proc: ids are seldom given anew
    return began_ms < spoke_ms + REUSED_MS


class RunStore:
    """All runs that are kept, as far as ``read_on`` has read."""

    def __init__(
        self, reader: LogReader, producer: AIOKafkaProducer, tp: TopicPartition, start: int
    ) -> None:
        self.runs: dict[str, Run] = {}
        """By run id, in the order in which they were last written."""
        self._reader = reader
        self._producer = producer
        self._tp = tp
        self._following = Following({tp: start})

    async def read_on(self, offset: int | None = None) -> dict[str, Run]:
        """Read what was written since, and return the runs.

        ``offset``: they are returned as they were before the record there.
        """
        before = None
        async for records in self._following.news(self._reader):
            for record in records:
                if record.offset == offset:
                    before = dict(self.runs)
                _enter(self.runs, [record])
        return self.runs if before is None else before

    async def write(self, run: Run) -> int:
        """Write a run's record, return its offset; raises SetupError where the broker refuses."""
        try:
            written = await self._producer.send_and_wait(
                self._tp.topic, encode_run(run), run.run_id.encode(), partition=self._tp.partition
            )
        except KafkaError as error:
            raise SetupError(writing_failed(self._tp.topic)(error)) from error
        return int(written.offset)

    async def claim(self, run: Run, *, is_new: bool) -> Run:
        """Write a run as this process's, as it was written last, and return it.

        Raises SettingsError where another process has it or its vendors; the sentence names the
        run.
        """
        await self.read_on()
        run = self.runs.get(run.run_id, run)
        refuse_taken(run)
        _refuse_second(run, self.runs)
        run.host, run.pid, run.at = socket.gethostname(), os.getpid(), wall_clock.now_text()
        # Of two that begin in one moment the one whose record comes first in the log goes on.
        before = await self.read_on(await self.write(run))
        known = before.get(run.run_id, run)
        if known is not run and has_process(known, wall_clock.now_ms()):
            await self.write(known)
            refuse_taken(known)
        try:
            _refuse_second(run, before)
        except SettingsError:
            run.pid, run.host = None, None
            if is_new:
                for part in run.parts:
                    part.state = STOPPED
            await self.write(run)
            raise
        return run

    def find(self, run_id: str) -> Run:
        """Return a run; raises SettingsError where there is none of this id."""
        run = self.runs.get(run_id)
        if run is None:
            raise SettingsError([f"There is no run {run_id}; `streams replay list` lists them."])
        return run


def _refuse_second(run: Run, runs: Mapping[str, Run]) -> None:
    for other in runs.values():
        if other.run_id == run.run_id:
            continue
        theirs = {part.vendor for part in other.parts if part.state == RUNNING}
        if both := sorted(theirs & set(run.vendors)):
            raise SettingsError([busy_sentence(other, both)])


def refuse_taken(run: Run) -> None:
    """Raise SettingsError where a run has ended, or some process is at it."""
    if run.state != RUNNING:
        words = (
            f"Run {run.run_id} is {run.state}: there is nothing to go on with. What is left can be "
            "sent by another run; what was accepted is not sent again."
        )
        raise SettingsError([words])
    if has_process(run, wall_clock.now_ms()):
        words = (
            f"Run {run.run_id} is running (process {run.pid} on {run.host}). Progress: `streams "
            f"replay show {run.run_id}`."
        )
        raise SettingsError([words])


def busy_sentence(other: Run, vendors: Sequence[str]) -> str:
    """Return why another run keeps one from beginning, and what to do."""
    to = ", ".join(vendors)
    if has_process(other, wall_clock.now_ms()):
        return (
            f"Run {other.run_id} is already sending to {to}. Wait for it, or stop it with "
            f"`streams replay stop {other.run_id}`."
        )
    return (
        f"Run {other.run_id} to {to} is not finished, and only one may run at a time. Resume it "
        f"with `streams replay resume {other.run_id}`, or stop it with `streams replay stop "
        f"{other.run_id}`."
    )


@asynccontextmanager
async def run_store(settings: Settings) -> AsyncIterator[RunStore]:
    """Connect and read all runs; raises SetupError where broker or topic are not there."""
    topic = settings.topics.replays
    async with (
        connect(settings.kafka) as reader,
        connect_writer(settings.kafka, "streams-replay", writing_failed(topic)) as producer,
    ):
        tps = await reader.own(topic)
        store = RunStore(reader, producer, tps[0], (await reader.starts(tps[:1]))[tps[0]])
        await store.read_on()
        yield store


async def list_runs(settings: Settings) -> list[Run]:
    """Return all runs that are kept, the newest first, as their processes last wrote them.

    Raises SetupError where the broker does not answer or the topic is missing.
    """
    async with connect(settings.kafka) as reader:
        tps = await reader.own(settings.topics.replays)
        runs: dict[str, Run] = {}
        async for records in Following(await reader.starts(tps)).news(reader):
            _enter(runs, records)
    return sorted(runs.values(), key=lambda run: run.run_id, reverse=True)


def _enter(runs: dict[str, Run], records: Iterable[ConsumerRecord]) -> None:
    for record in records:
        run_id = (record.key or b"").decode("utf-8", "replace")
        runs.pop(run_id, None)
        if record.value is not None:
            # Somebody else's; what cannot be read cannot be gone on with.
            with suppress(ValueError):
                runs[run_id] = decode_run(record.value)
