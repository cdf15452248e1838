"""A run at work: claims its vendors, writes their parts, keeps the record of the run.

What is kept is never ahead of the broker's word, so a run that dies goes on where it was: what it
wrote and did not count yet is found on the redelivery topics by its run id.

One module, though a long one: what begins, keeps and ends a run works on one record of it.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from aiokafka import AIOKafkaProducer, TopicPartition

from streams.core.control import decode_control
from streams.core.errors import SetupError
from streams.core.runs import DONE, RUNNING, STOPPED, Asked, Run, VendorPart
from streams.engine import wall_clock
from streams.engine.errors import EngineError
from streams.kafka.group_ids import group_id
from streams.kafka.reader import Following, LogReader, connect
from streams.kafka.writer import connect_writer
from streams.replay.delivery_history import read_history
from streams.replay.rows import new_rows
from streams.replay.run_outcomes import outcomes_of, partitions_from
from streams.replay.run_pages import RecordPage, RunPages
from streams.replay.run_store import RunStore
from streams.replay.vendor_run import PartRunner
from streams.replay.window import Window
from streams.settings import Settings
from streams.worker.control import stopped_runs

LOOK_SECONDS = 0.25
"""How often it is looked how far the sinks are."""
KEEP_SECONDS = 1.0
"""How often the run's record is written."""
BEAT_SECONDS = 5.0
"""How often a run says that it lives before it has begun to write."""
FOLLOW_SECONDS = 5.0
"""How often the tables are brought up to date: they are as old as an event may find them."""
PASS_OVER_SECONDS = 10.0
"""How long a run waits for a sink to pass over what it stopped, or to say that it did."""

Watch = Callable[[Run], None]
"""Called with the run whenever its record was kept."""


class Job(ABC):
    """What a run does, be it a replay or a resend."""

    @abstractmethod
    async def begin(self, settings: Settings, run: Run, reader: LogReader) -> None:
        """Read what is needed to judge; fill stops and positions of a run that is new."""

    @abstractmethod
    async def pages(self, part: VendorPart, reader: LogReader) -> RunPages:
        """Return one vendor's share; the reader is that work's alone."""

    async def page_written(  # noqa: B027 - of a replay the receipts say all
        self, run: Run, part: VendorPart, page: RecordPage, producer: AIOKafkaProducer, at: str
    ) -> None:
        """Do what is to be done once a page is written; its place is not kept before."""

    async def written(  # noqa: B027 - as above
        self, run: Run, part: VendorPart, producer: AIOKafkaProducer, at: str
    ) -> None:
        """Do what is to be done once all of a vendor's share is written."""

    async def follow(self, reader: LogReader) -> None:
        """Bring the tables up to date."""
        await self.rows.follow(reader, user_partitions=self._numbers)

    async def load(
        self,
        settings: Settings,
        asked: Asked,
        vendors: Sequence[str],
        window: Window,
        reader: LogReader,
        run_id: str = "",
    ) -> None:
        """Read the tables, and what is known of the window's records; ``run_id``: of the run."""
        self._numbers = {tp.partition for tp in window.stops}
        self.rows = new_rows(settings, vendors, asked)
        await self.follow(reader)
        passed_over = await stopped_runs(settings) | {(vendor, run_id) for vendor in vendors}
        self.history = await read_history(
            reader, settings.topics, vendors, window, passed_over=passed_over
        )


async def execute(settings: Settings, store: RunStore, run: Run, job: Job, *, watch: Watch) -> Run:
    """Go on with a claimed run until nothing of it waits, or it is stopped; return it as kept.

    Cancelled, it leaves the run without a process, to be resumed. Raises SetupError where the
    brokers refuse or stop answering; the run can be resumed then, too.
    """
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(connect(settings.kafka))
        producer = await stack.enter_async_context(new_producer(settings))
        try:
            await _begin_alive(settings, store, run, job, reader)
            await store.write(run)
            runners = [
                await _runner(settings, run, part, job, reader, producer, stack)
                for part in run.parts
                if part.state == RUNNING
            ]
            await _RunCoordinator(
                settings, store, run, job, reader, producer, runners, watch
            ).run_all()
        except EngineError as error:
            raise SetupError(
                f"Run {run.run_id} was interrupted: {error}. Check the brokers, then continue with "
                f"`streams replay resume {run.run_id}`."
            ) from error
        finally:
            run.pid = run.host = None
            run.at = wall_clock.now_text()
            await asyncio.shield(store.write(run))
    return run


async def _begin_alive(
    settings: Settings, store: RunStore, run: Run, job: Job, reader: LogReader
) -> None:
    """Begin, and say meanwhile that this process lives: much may have to be read first."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            run.at = wall_clock.now_text()
            await store.write(run)

    beating = asyncio.create_task(beat())
    try:
        await _begin(settings, run, job, reader)
    finally:
        beating.cancel()


async def _begin(settings: Settings, run: Run, job: Job, reader: LogReader) -> None:
    """Fix, for a part that is new, where its records and receipts may begin."""
    topics = settings.topics
    for part in run.parts:
        if not part.written_to:
            names = (topics.redelivery(part.vendor), topics.receipts(part.vendor))
            found = await reader.partitions(names, needed=names)
            for name, to in zip(names, (part.written_to, part.receipts_from), strict=True):
                ends = await reader.ends(found[name])
                to.update({str(tp.partition): ends[tp] for tp in found[name]})
    await job.begin(settings, run, reader)


async def _runner(
    settings: Settings,
    run: Run,
    part: VendorPart,
    job: Job,
    reader: LogReader,
    producer: AIOKafkaProducer,
    stack: AsyncExitStack,
) -> PartRunner:
    written, ends = await _written(settings, run.run_id, part, reader)
    own = await stack.enter_async_context(connect(settings.kafka))
    return PartRunner(
        run,
        part,
        settings.topics,
        await job.pages(part, own),
        producer,
        written=written,
        ends=ends,
        fields=settings.field_maps(),
    )


async def _written(
    settings: Settings, run_id: str, part: VendorPart, reader: LogReader
) -> tuple[dict[str, set[int]], dict[int, int]]:
    """Return what the run wrote for a vendor and may not have counted, and where the logs end."""
    written: dict[str, set[int]] = {}
    starts = partitions_from(settings.topics.redelivery(part.vendor), part.written_to)
    begins = await reader.starts(list(starts))
    starts = {tp: max(at, begins[tp]) for tp, at in starts.items()}
    ends = await reader.ends(list(starts))
    async for _, records in reader.read(starts, ends):
        for record in records:
            headers = dict(record.headers)
            if headers.get("run-id") == run_id.encode():
                source = (headers.get("source") or b"").decode("utf-8", "replace")
                place, _, offset = source.rpartition("/")
                if offset.isdecimal():
                    written.setdefault(place, set()).add(int(offset))
    return written, {tp.partition: max(ends[tp], at) for tp, at in starts.items()}


class _RunCoordinator:
    """Looks how far the sinks are, obeys a stop, and keeps the run's record."""

    def __init__(
        self,
        settings: Settings,
        store: RunStore,
        run: Run,
        job: Job,
        reader: LogReader,
        producer: AIOKafkaProducer,
        runners: Sequence[PartRunner],
        watch: Watch,
    ) -> None:
        self._settings = settings
        self._store = store
        self._run = run
        self._job = job
        self._reader = reader
        self._producer = producer
        self._runners = runners
        self._watch = watch
        self._settled = {
            runner.part.vendor: outcomes_of(settings.topics, run.run_id, runner.part)
            for runner in runners
        }
        self._control: Following | None = None
        self._give_up_at: dict[str, float] = {}
        self._followed_at = time.monotonic()

    async def run_all(self) -> None:
        """Return once no part runs any more."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for runner in self._runners:
                    tasks.create_task(self._write(runner))
                tasks.create_task(self._keep())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _write(self, runner: PartRunner) -> None:
        def written(page: RecordPage) -> Awaitable[None]:
            return self._job.page_written(
                self._run, runner.part, page, self._producer, wall_clock.now_text()
            )

        await runner.write(written)
        if runner.part.all_written:
            await self._job.written(self._run, runner.part, self._producer, wall_clock.now_text())

    async def _keep(self) -> None:
        kept_at = 0.0
        while any(runner.part.state == RUNNING for runner in self._runners):
            await self._look()
            if time.monotonic() - kept_at >= KEEP_SECONDS:
                await self._apply()
                await self._keep_record()
                kept_at = time.monotonic()
            if time.monotonic() - self._followed_at >= FOLLOW_SECONDS:
                await self._job.follow(self._reader)
                self._followed_at = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
        self._run.end(wall_clock.now_text())
        await self._keep_record()

    async def _look(self) -> None:
        """Ask how far each sink is; end the parts of which nothing waits."""
        for runner in self._runners:
            part = runner.part
            if part.state != RUNNING:
                continue
            runner.committed = await passed(self._reader, self._settings, part)
            runner.changed.set()
            is_passed = runner.is_passed()
            if runner.is_stopped:
                if is_passed or self._has_waited(f"stop {part.vendor}"):
                    part.state = STOPPED
                    await self._close(runner, is_passed)
            elif part.all_written and is_passed:
                settled = self._settled[part.vendor]
                await settled.follow(self._reader)
                # A sink that stops a run by itself passes over the rest before it can say so.
                if settled.events >= part.sent or self._has_waited(f"word {part.vendor}"):
                    part.state = DONE
                    await self._close(runner, True)

    def _has_waited(self, what: str) -> bool:
        limit = self._give_up_at.setdefault(what, time.monotonic() + PASS_OVER_SECONDS)
        return time.monotonic() > limit

    async def _close(self, runner: PartRunner, is_over: bool) -> None:
        settled = self._settled[runner.part.vendor]
        await settled.follow(self._reader)
        part = runner.part
        part.receipt = settled.receipt(part, is_over=is_over, unread=runner.pages.unread())
        refused = sum(part.receipt.refused.values())
        if part.state == STOPPED and refused > part.receipt.accepted:
            self._run.problem = (
                f"{part.vendor} refused most of what came: `streams dead-letters list` says why."
            )

    async def _apply(self) -> None:
        """Stop the parts that an operator, or the sink over too many refusals, has stopped."""
        topic = self._settings.topics.control
        if self._control is None:
            tps = (await self._reader.partitions([topic]))[topic]
            self._control = Following(await self._reader.starts(tps))
        async for records in self._control.news(self._reader):
            for record in records:
                try:
                    stopped = decode_control(record.value).stopped_runs
                except ValueError:
                    continue
                for runner in self._runners:
                    is_meant = record.key == runner.part.vendor.encode()
                    if is_meant and self._run.run_id in stopped:
                        runner.is_stopped = True
                        runner.changed.set()

    async def _keep_record(self) -> None:
        for runner in self._runners:
            part = runner.part
            if part.state == RUNNING:
                settled = self._settled[part.vendor]
                await settled.follow(self._reader)
                part.receipt = settled.receipt(part, is_over=False, unread=runner.pages.unread())
        self._run.at = wall_clock.now_text()
        await self._store.write(self._run)
        self._watch(self._run)


async def passed(reader: LogReader, settings: Settings, part: VendorPart) -> dict[int, int]:
    """Return by partition of the redelivery topic up to where the sink has settled it."""
    topic = settings.topics.redelivery(part.vendor)
    tps = [TopicPartition(topic, int(number)) for number in part.written_to]
    begins = await reader.starts(tps)
    commits = await reader.commits(group_id(settings.topics.prefix, part.vendor), tps)
    return {tp.partition: max(begins[tp], commits[tp].offset if tp in commits else 0) for tp in tps}


def new_producer(settings: Settings) -> AbstractAsyncContextManager[AIOKafkaProducer]:
    """Return a started producer as a context; raises SetupError where a broker refuses."""
    return connect_writer(
        settings.kafka,
        "streams-replay",
        lambda error: (
            f"Writing redeliveries failed: {error!r}. Check the brokers and at what this user "
            "may write, then go on with `streams replay resume`."
        ),
        max_batch_size=512 * 1024,
    )
