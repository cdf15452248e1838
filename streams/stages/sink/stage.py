"""The sink stage: reads one vendor's records, delivers them, writes outcomes, settles.

The way of a record, from top to bottom: ``_take`` gets chunks, ``Intake`` queues their events, the
courier sends them, ``OutcomeWriter`` writes what came of them, ``_advance`` settles them. Below
stand the opening and closing of partitions, and what operators command.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from random import random
from time import monotonic

from aiokafka.errors import KafkaError
from faust.types import TP

from streams.core.consent import ConsentMode
from streams.core.control import UnreadableControl, VendorControl, decode_control
from streams.core.topics import Topics
from streams.delivery.courier import Courier
from streams.delivery.progress import PartitionProgress
from streams.delivery.vendor_client import HttpTransport
from streams.engine import wall_clock
from streams.engine.app import Stage, StageApp
from streams.engine.chunks import Chunk
from streams.engine.expired import ALL, ExpiredRecords
from streams.engine.failure import leave
from streams.engine.positions import StartPosition
from streams.engine.tables import MALFORMED, GlobalTopicTable, TopicTable
from streams.stages.sink.intake import Intake
from streams.stages.sink.left_behind import find_left_behind
from streams.stages.sink.outcome_writer import OutcomeWriter
from streams.stages.sink.run_stops import RunStops, WriteStop
from streams.stages.sink.send_filter import RowSendFilter, admit_said
from streams.vendors.base import Vendor, VendorSettings
from streams.worker.counters import Counters

log = logging.getLogger("streams.sink")

RECEIPTS_SECONDS = 10.0
"""How often the end of the receipts is read."""


class SinkStage(Stage):
    """One vendor's stage in one process."""

    def __init__(
        self,
        app: StageApp,
        vendor: Vendor,
        settings: VendorSettings,
        topics: Topics,
        sender: HttpTransport,
        *,
        partitions: int,
        mode: ConsentMode,
        secrets: tuple[str, ...],
        current_settings: Callable[[], tuple[VendorSettings, list[str]]],
        write_stop: WriteStop,
    ) -> None:
        """Declare the tables and the agent; ``partitions``: how many the vendor's topics have.

        ``current_settings`` reads the secret files again, and returns the secrets, too.
        """
        super().__init__(app)
        self.counters = Counters()
        self._vendor = vendor
        self._topics = topics
        self._partitions = partitions
        self._events = topics.events(vendor.key)
        self._redelivery = topics.redelivery(vendor.key)
        self._receipts = topics.receipts(vendor.key)
        self._current_settings = current_settings
        self._control_applied = VendorControl()
        self._progress: dict[TP, PartitionProgress] = {}
        self._learning: asyncio.Task[None] | None = None
        self._runs = RunStops(vendor.name, write_stop)
        users = app.new_table(
            TopicTable,
            "users",
            topic=topics.users,
            admit=admit_said(vendor.key),
            malformed_row="says no to every vendor",
        )
        self._control = app.new_table(
            GlobalTopicTable,
            "control",
            topic=topics.control,
            partitions=1,
            admit=decode_control,
            malformed_row="pauses its vendor",
            hidden_rows=(
                "later pauses, resumes and stops of runs have no effect yet. To stop sending "
                "meanwhile, stop the workers"
            ),
            on_change=self._on_control_change,
        )
        self._send_filter = RowSendFilter(
            users,
            self._runs,
            settings.max_age_hours,
            delay_seconds=partial(app.row_delay, topics.users),
            wall_ms=wall_clock.now_ms,
        )
        self.outcome_writer = OutcomeWriter(
            vendor,
            topics,
            secrets,
            self.counters,
            new_outputs=app.new_outputs,
            on_written=lambda: self.courier.on_outcomes_written(),  # noqa: PLW0108 - made below
            on_settled=self._advance,
            why_no_consent=self._send_filter.why_no_consent,
        )
        self.courier = Courier(
            vendor,
            settings,
            sender,
            self.outcome_writer,
            clock=monotonic,
            random=random,
            current_settings=self._settings_with_current_secrets,
            on_defect=self._leave,
            send_filter=self._send_filter,
            on_bad_run=self._stop_run,
            may_act=app.may_act,
        )
        self.courier.send_one_at_a_time()
        self._intake = Intake(
            vendor, self.courier, self.outcome_writer, self.counters, self._runs, mode
        )
        app.read_chunks(self._events, self._redelivery, name=f"sink-{vendor.key}", take=self._take)

    # -- the way of a record

    async def _take(self, chunks: Sequence[Chunk]) -> None:
        """Queue the events of these chunks."""
        for chunk in chunks:
            tp = chunk.tp
            # Not where it was revoked meanwhile: the next owner starts from the commit.
            if (progress := self._progress.get(tp)) is not None:
                is_redelivery = tp.topic == self._redelivery
                self._intake.admit(tp, chunk.value, progress, is_redelivery=is_redelivery)
                self.courier.start_requests()
                self._advance(tp.partition)
            chunk.release()

    def _advance(self, partition: int) -> None:
        """Tell the engine how far both lanes of a partition are settled."""
        lanes = [TP(topic, partition) for topic in (self._events, self._redelivery)]
        here = {tp: self._progress[tp] for tp in lanes if tp in self._progress}
        # The receipts of both lanes are on one partition, so their known end is the same.
        receipts_end = max((progress.receipts_end for progress in here.values()), default=0)
        for tp, progress in here.items():
            progress.record_receipts_end(receipts_end)
            below = progress.safe_below()
            self.app.consumer.settle_below(tp, below, progress.settled_ahead)

    def _leave(self, error: BaseException) -> None:
        leave(f"delivering to {self._vendor.name} failed: {error!r}", cause=error)

    def _settings_with_current_secrets(self) -> VendorSettings:
        settings, secrets = self._current_settings()
        self.outcome_writer.mask(secrets)
        return settings

    # -- partitions: opened, committed, settled, gone

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """Read from metadata and receipts what was settled above each committed offset."""
        await self.courier.close_partitions({tp.partition for tp in positions})
        await self.outcome_writer.flush()
        left_behind = await find_left_behind(
            positions, self._vendor.key, self._topics, self.app.options.client_options
        )
        for tp, left in left_behind.items():
            is_redelivery, start = tp.topic == self._redelivery, positions[tp].offset
            self.courier.open_partition(
                tp.partition,
                left.open_below,
                unclear=left.metadata.unclear,
                is_redelivery=is_redelivery,
            )
            known = left.metadata
            self.expired[tp] = ExpiredRecords({ALL: known.expired}, known.expired_gaps)
            self._progress[tp] = PartitionProgress(
                start, known, left.recalled, left.receipts_end, of_runs=is_redelivery
            )
            self.outcome_writer.hand_over(
                tp.partition, self._progress[tp], start, is_redelivery=is_redelivery
            )
        if self._learning is None:
            self._learning = asyncio.ensure_future(self._keep_learning_receipts())
        live = sum(tp.topic == self._events for tp in positions)
        self.courier.set_share(live / self._partitions)
        self.courier.resume()

    async def _keep_learning_receipts(self) -> None:
        """Learn the end of the receipts from time to time.

        Otherwise, while nothing is settled, the next start would read all of enrichment's
        receipts.
        """
        while True:
            await asyncio.sleep(RECEIPTS_SECONDS)
            try:
                await self.learn_receipts()
            except (KafkaError, TimeoutError) as error:
                log.warning("the end of the receipts could not be read: %r", error)

    async def learn_receipts(self) -> None:
        """Record that all receipts so far are known, for partitions where none is being written.

        Raises KafkaError or TimeoutError if a broker does not respond.
        """
        before = {
            tp: (p, self.outcome_writer.rounds(tp.partition)) for tp, p in self._progress.items()
        }
        partitions = {tp.partition for tp in before}
        ends = await self.app.consumer.thread.log_ends([TP(self._receipts, n) for n in partitions])
        for tp, (progress, rounds) in before.items():
            # Receipts written meanwhile may lie below the end and not be settled yet.
            is_quiet = rounds is not None and rounds == self.outcome_writer.rounds(tp.partition)
            if is_quiet and self._progress.get(tp) is progress:
                progress.record_receipts_end(ends[TP(self._receipts, tp.partition)])

    def records_wanted_at(self) -> float | None:
        """Return when the next micro-batch is due, while events wait for one."""
        return self.courier.micro_batch_due_at()

    def may_hand_out(self, tp: TP) -> bool:
        """Return whether the partition's user rows are recent enough."""
        return self._send_filter.is_current(tp.partition)

    def commit_metadata(self, tp: TP, offset: int) -> str | None:
        """Return what the next owner of this partition must know; None: not known here."""
        progress = self._progress.get(tp)
        if progress is None:
            return None
        expired = self.expired[tp]
        unclear = self.courier.unclear(
            tp.partition, progress.read_below, is_redelivery=tp.topic == self._redelivery
        )
        return progress.metadata(
            unclear=unclear,
            expired=expired.below(offset).get(ALL, 0),
            expired_gaps=expired.gaps_below(offset),
        )

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget partitions that may belong to another worker now."""
        for tp in tps:
            # Their user rows are dropped, too, so no event may be judged here any more.
            self.courier.leave_partition(tp.partition)
            self._progress.pop(tp, None)
            self.expired.pop(tp, None)

    def may_be_silent(self, tp: TP) -> bool:
        """Return whether this partition has a known reason to settle nothing.

        The courier has one, or user rows are too old. The watchdog checks that rows are fetched.
        """
        partition = tp.partition
        return self.courier.may_be_silent(partition) or not self._send_filter.is_current(partition)

    async def settle(self, seconds: float) -> None:
        """Start no request, wait for responses in time, and write their outcomes."""
        await self.courier.quiesce(seconds)
        await self.outcome_writer.flush()

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """Count and log records that were deleted before they were read."""
        progress = self._progress.get(tp)
        records = end - first if progress is None else progress.forget_deleted(first, end)
        self.expired[tp].record(first, end, {ALL: records})
        self.counters.expired[tp.topic] += records
        log.error(
            "%d events for %s (partition %d) were deleted by retention before they were sent",
            records,
            self._vendor.name,
            tp.partition,
        )

    def on_refused(self, partitions: Mapping[int, str]) -> None:
        """Hold partitions whose receipts or dead letters cannot be written."""
        self.courier.hold(partitions.keys())

    # -- operator commands

    def _on_control_change(self) -> None:
        """Apply operator commands; at the start before anything is sent."""
        control = self._control.by_key.get(self._vendor.key.encode(), VendorControl())
        if control is MALFORMED:
            control = UnreadableControl.after(self._control_applied)
        if control != self._control_applied:
            self._control_applied = control
            if stopped := self._runs.apply(control.stopped_runs):
                self._pass_over_stopped(stopped)
            self.courier.apply(control, wall_clock.now_ms())

    def _stop_run(self, run: str, why: str) -> None:
        """Stop a run whose events the vendor mostly refuses."""
        if self._runs.stop(run, why):
            self.counters.notes["run_stopped"] += 1
            self._pass_over_stopped({run})

    def _pass_over_stopped(self, runs: Collection[str]) -> None:
        for tp, progress in self._progress.items():
            if tp.topic == self._redelivery:
                for run in runs:
                    progress.forget_run(run)
        self.courier.drop_redeliveries(lambda item: item.run_id in runs)
