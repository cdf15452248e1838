"""The sink stage: reads one vendor's records, delivers them, writes outcomes, settles.

The way of a record: ``_run`` reads chunks, ``_admit`` queues new events, the courier sends them,
``OutcomeWriter`` writes their outcomes, and ``_advance`` tells the engine what is settled.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP

from streams.core.control import UnreadableControl, VendorControl, decode_control
from streams.core.topics import Topics
from streams.delivery.courier import Courier
from streams.delivery.ordered_queue import Item
from streams.delivery.progress import Metadata, PartitionProgress, Recalled, read_metadata
from streams.delivery.receipts import (
    LIVE,
    REDELIVERY,
    ReceiptsOfSinks,
    decode_receipt,
    is_of_a_sink,
)
from streams.engine import wall_clock
from streams.engine.app import Stage, StageApp
from streams.engine.chunks import Records
from streams.engine.expired import ALL, ExpiredRecords, total_by_topic
from streams.engine.failure import leave
from streams.engine.outputs import Outputs
from streams.engine.positions import StartPosition
from streams.engine.tables import MALFORMED, GlobalTopicTable, TopicTable
from streams.kafka.tail import log_ends, reader, search_to
from streams.kafka.topic_search import FoundRecord
from streams.stages.sink.intake import Intake
from streams.stages.sink.outcome_writer import OutcomeWriter
from streams.stages.sink.run_stops import RunStops, WriteStop
from streams.stages.sink.send_filter import RowSendFilter, admit_said
from streams.vendors.base import Vendor, VendorSettings
from streams.worker.counters import Counters

log = logging.getLogger("streams.sink")

RECEIPTS_SECONDS = 10.0
"""How often the end of the receipts is read."""


class SinkStage(Stage):
    """One vendor's stage in one process; ``bind`` connects it to its app."""

    app: StageApp
    courier: Courier
    users: TopicTable
    """User rows of this worker's partitions, reduced to what they say about the vendor."""
    control: GlobalTopicTable
    """Operator commands, by vendor."""

    def __init__(
        self,
        vendor: Vendor,
        settings: VendorSettings,
        topics: Topics,
        secrets: tuple[str, ...],
        *,
        write_stop: WriteStop,
    ) -> None:
        self.counters = Counters()
        self._vendor = vendor
        self._topics = topics
        self._control_applied = VendorControl()
        self._events = topics.events(vendor.key)
        self._redelivery = topics.redelivery(vendor.key)
        self._receipts = topics.receipts(vendor.key)
        self._progress: dict[TP, PartitionProgress] = {}
        self._expired: dict[TP, ExpiredRecords] = {}
        self._learning: asyncio.Task[None] | None = None
        self._runs = RunStops(vendor.name, write_stop)
        self.send_filter = RowSendFilter(
            topics.users,
            settings.max_age_hours,
            wall_ms=wall_clock.now_ms,
            passed_over=self._settle_passed_over,
        )
        self.outcome_writer = OutcomeWriter(
            vendor,
            topics,
            secrets,
            self.counters,
            new_outputs=self._new_outputs,
            on_written=self._on_written,
            why_no_consent=self.send_filter.why_no_consent,
        )
        self._intake = Intake(vendor, self.outcome_writer, self.counters, self.send_filter)

    def bind(self, app: StageApp, courier: Courier, *, partitions: int) -> None:
        """Declare this stage's tables and agent; ``partitions``: how many its topics have."""
        self._partitions = partitions
        self.app = app
        self.courier = courier
        courier.send_one_at_a_time()
        self.users = app.topic_table(
            "users",
            topic=self._topics.users,
            admit=admit_said(self._vendor.key),
            malformed_row="says no to every vendor",
        )
        self.send_filter.users = self.users
        self.send_filter.delay_seconds = self._users_delay
        self.control = app.global_topic_table(
            "control",
            topic=self._topics.control,
            partitions=1,
            admit=decode_control,
            malformed_row="pauses its vendor",
            on_change=self._on_control_change,
        )

        topics = (self._events, self._redelivery)

        @app.chunk_agent(*topics, name=f"sink-{self._vendor.key}")
        async def sink(stream: Any) -> None:
            await self._run(stream)

    # -- what the engine asks

    def may_hand_out(self, tp: TP) -> bool:
        """Return whether the partition's user rows are recent enough."""
        return self.send_filter.is_current(tp.partition)

    def commit_metadata(self, tp: TP, offset: int) -> str | None:
        """Return what the next owner of this partition must know; None: not known here."""
        progress = self._progress.get(tp)
        if progress is None:
            return None
        expired = self._expired[tp]
        unclear = self.courier.unclear(
            tp.partition, progress.read_below, is_redelivery=tp.topic == self._redelivery
        )
        return progress.metadata(
            unclear=unclear,
            expired=expired.below(offset).get(ALL, 0),
            expired_gaps=expired.gaps_below(offset),
        )

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """Read from metadata and receipts what was settled above each committed offset."""
        await self.courier.close_partitions({tp.partition for tp in positions})
        await self.outcome_writer.flush()
        known = {tp: _read(tp, start.metadata) for tp, start in positions.items()}
        async with reader(self.app.options.client_options) as consumer:
            starts = self._receipts_from(positions, known)
            ends = await log_ends(consumer, starts)
            found = search_to(consumer, starts, ends, ReceiptsOfSinks(), _is_ours)
            recalled = await self._recall(positions, found)
        for tp, start in positions.items():
            of_receipts = (self._receipts, tp.partition)
            metadata, is_redelivery = known[tp], tp.topic == self._redelivery
            receipts_end = ends.get(of_receipts, 0)
            if is_redelivery and not start.metadata:
                metadata = Metadata(receipts=receipts_end)
            # Without metadata the partition had no owner that could have left something open.
            left_open_below = 0 if metadata.clean or not start.metadata else start.log_end
            self.courier.open_partition(
                tp.partition,
                left_open_below,
                unclear=metadata.unclear,
                is_redelivery=is_redelivery,
            )
            self._expired[tp] = ExpiredRecords({ALL: metadata.expired}, metadata.expired_gaps)
            self._progress[tp] = PartitionProgress(
                start.offset,
                metadata,
                recalled[tp],
                receipts_end,
                of_runs=is_redelivery,
            )
            self.outcome_writer.hand_over(
                tp.partition, self._progress[tp], start.offset, is_redelivery=is_redelivery
            )
        if self._learning is None:
            self._learning = asyncio.ensure_future(self._keep_learning_receipts())
        live = sum(tp.topic == self._events for tp in positions)
        self.courier.set_share(live / self._partitions)
        self.courier.resume()

    def _receipts_from(
        self, positions: Mapping[TP, StartPosition], known: Mapping[TP, Metadata]
    ) -> dict[tuple[str, int], int]:
        """Return the offsets from which receipts may be about open positions."""
        starts: dict[tuple[str, int], int] = {}
        for tp, start in positions.items():
            of_receipts = (self._receipts, tp.partition)
            is_new = tp.topic == self._redelivery and not start.metadata
            # An upgrade must not read all receipts for a lane that had no owner before.
            first = sys.maxsize if is_new else known[tp].receipts
            starts[of_receipts] = min(first, starts.get(of_receipts, first))
        return starts

    async def _recall(
        self, positions: Mapping[TP, StartPosition], found: AsyncIterator[list[FoundRecord]]
    ) -> dict[TP, dict[int, Recalled]]:
        """Return, by lane, the receipts of positions from the committed offset on."""
        recalled: dict[TP, dict[int, Recalled]] = {tp: {} for tp in positions}
        topics = {LIVE: self._events, REDELIVERY: self._redelivery}
        async for records in found:
            for record in records:
                try:
                    receipt = decode_receipt(record.value or b"")
                except ValueError:
                    continue  # not a receipt of ours: its event, if any, is sent again
                tp = TP(topics.get(receipt.lane, ""), record.tp.partition)
                start, position = positions.get(tp), receipt.position
                if start is not None and position is not None and position >= start.committed:
                    recalled[tp][position] = Recalled(
                        receipt.source, record.timestamp, record.offset
                    )
        return recalled

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
        ends = await self.app.consumer.log_ends([TP(self._receipts, n) for n in partitions])
        for tp, (progress, rounds) in before.items():
            # Receipts written meanwhile may lie below the end and not be settled yet.
            is_quiet = rounds is not None and rounds == self.outcome_writer.rounds(tp.partition)
            if is_quiet and self._progress.get(tp) is progress:
                progress.record_receipts_end(ends[TP(self._receipts, tp.partition)])

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget partitions that may belong to another worker now."""
        for tp in tps:
            # Their user rows are dropped, too, so no event may be judged here any more.
            self.courier.leave_partition(tp.partition)
            self._progress.pop(tp, None)
            self._expired.pop(tp, None)

    def may_be_silent(self, tp: TP) -> bool:
        """Return whether this partition has a known reason to settle nothing.

        The courier has one, or user rows are too old. The watchdog checks that rows are fetched.
        """
        partition = tp.partition
        return self.courier.may_be_silent(partition) or not self.send_filter.is_current(partition)

    async def settle(self, seconds: float) -> None:
        """Start no request, wait for responses in time, and write their outcomes."""
        await self.courier.quiesce(seconds)
        await self.outcome_writer.flush()

    def expired(self) -> Mapping[str, int]:
        """Return, by topic, how many vendor records were deleted unread."""
        return total_by_topic(self._expired)

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """Count and log records that were deleted before they were read."""
        progress = self._progress.get(tp)
        records = end - first if progress is None else progress.forget_deleted(first, end)
        self._expired[tp].record(first, end, {ALL: records})
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
        control = self.control.by_key.get(self._vendor.key.encode(), VendorControl())
        if control is MALFORMED:
            control = UnreadableControl.after(self._control_applied)
        if control != self._control_applied:
            self._control_applied = control
            self.apply_control(control)

    def apply_control(self, control: VendorControl) -> None:
        """Apply operator commands; at the start before anything is sent."""
        if stopped := self._runs.apply(control.stopped_runs):
            self._pass_over_stopped(stopped)
        self.send_filter.stopped_runs = self._runs.stopped
        self.courier.apply(control, wall_clock.now_ms())

    def stop_run(self, run: str, why: str) -> None:
        """Stop a run whose events the vendor mostly refuses."""
        if self._runs.stop(run, why):
            self.counters.notes["run_stopped"] += 1
            self._pass_over_stopped({run})

    def _pass_over_stopped(self, runs: Collection[str]) -> None:
        self.send_filter.stopped_runs = self._runs.stopped
        for tp, progress in self._progress.items():
            if tp.topic == self._redelivery:
                for run in runs:
                    progress.forget_run(run)
        self.courier.drop_redeliveries(lambda item: item.run_id in runs)

    def _settle_passed_over(self, items: Sequence[Item]) -> None:
        for item in items:
            item.tag.pass_over(item.position)
        self.counters.notes["passed_over"] += len(items)
        for partition in {item.partition for item in items}:
            self._advance(partition)

    # -- records

    async def _run(self, stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                for chunk in event.value:
                    self._admit(chunk.tp, chunk.value)
                    chunk.release()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            leave(f"the sink for {self._vendor.name} stopped: {error!r}", cause=error)

    def _admit(self, tp: TP, records: Records) -> None:
        progress = self._progress.get(tp)
        if progress is None:
            return  # revoked meanwhile: the next owner starts from the commit
        is_redelivery = tp.topic == self._redelivery
        self._intake.admit(tp, records, progress, self.courier, is_redelivery=is_redelivery)
        self.courier.start_requests()
        self._advance(tp.partition)

    def _users_delay(self, tp: TP) -> float:
        delay: float = self.app.consumer.recovery.delay_seconds(tp)
        return delay

    def _new_outputs(self) -> Outputs:
        return self.app.new_outputs()

    def _on_written(self, partition: int) -> None:
        self.courier.on_outcomes_written()
        self._advance(partition)

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


def _read(tp: TP, metadata: str) -> Metadata:
    try:
        return read_metadata(metadata)
    except ValueError as error:
        log.warning("%s partition %d: %s; all receipts are read instead", *tp, error)
        return Metadata()


def _is_ours(record: FoundRecord) -> bool:
    """Return whether a receipt may be a sink's; sinks do not use transactions."""
    value = record.value
    return value is not None and not record.is_transactional and is_of_a_sink(value)
