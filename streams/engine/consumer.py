"""The consumer: fetches ahead, hands out chunks by credit, commits what is settled.

Three loops share one event loop: fetching (Faust's fetcher runs it), handing out, committing.
Rules that keep it from losing records:

- A fetched record is dropped only if a seek that started after its fetch reads it again. Rows of
  tables that are dropped are sought again at once.
- A chunk enters the offset tracker before an agent sees it; only its own ack removes it.
- The open records of a partition are bounded, in number and bytes, so that no agent's queue ever
  fills and blocks other partitions. Further fetched records wait here, up to a second bound;
  beyond it the partition is not fetched.
- After a seek nothing is handed out before the flow resumes: Faust empties the agents' queues then,
  and what is settled after a lost chunk would count for the chunk, too.
- A partition has an offset tracker only between the end of its seek and its revocation. Only
  partitions with one are fetched, handed out and committed, so that no commit of the last owner is
  overwritten before the stage has read it.

The module is long because its safety depends on the order in which the loops use one state.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from streams.engine.chunks import Chunk, ChunksMessage, Record, together
from streams.engine.coordinator import refusal_words
from streams.engine.failure import (
    SERVICE_LOG,
    FencedError,
    leave,
    leave_fenced,
    leave_recreated,
)
from streams.engine.offset_tracker import FULL_PARTITIONS, OffsetTracker
from streams.engine.positions import StartPosition
from streams.engine.recovery import Recovery
from streams.engine.stash import Stash
from streams.engine.thread import Committed, ConsumerThread

log = logging.getLogger("streams.engine")

FETCH_TIMEOUT_SECONDS = 0.5
METADATA_REFRESH_SECONDS = 10.0
PROMPT_CHUNKS = 4
"""With fewer open chunks of a partition, fetched records are handed out at once."""
GATHER_SECONDS = 0.05
"""With more, records are collected for this long to fill a chunk: small chunks are costly."""


class Consumer(driver.Consumer):
    """Faust's consumer with chunks, credit and offset trackers."""

    logger = SERVICE_LOG
    thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offset_trackers: dict[TP, OffsetTracker] = {}
        self.recovery = Recovery(self.app)
        self.known_ends: dict[TP, int] = {}
        """The last known ends of logs that are not fetched for lack of room."""
        self.stash: dict[TP, Stash] = {}
        self._credit = self.app.credit
        """Of each partition, by how many of them have open records."""
        self._handed_out_at: dict[TP, float] = {}
        self._next_offset: dict[TP, int] = {}
        self._committed: dict[TP, tuple[int, str]] = {}
        self._committed_at: dict[TP, float] = {}
        self._started_at: dict[TP, int] = {}
        self.epoch = 0
        self.is_seeking = False
        self._awaits_flow = False
        """Between a seek and the flow's start, when Faust empties the agents' queues once more."""
        self._committing = asyncio.Lock()
        """Commits are sequential: a retried one must not overtake a newer one, or a seek."""
        self._not_fetching = asyncio.Event()
        self._not_fetching.set()
        self._work = asyncio.Event()
        self._turn = 0

    def _new_consumer_thread(self) -> ConsumerThread:
        self.thread = ConsumerThread(self, loop=self.loop, beacon=self.beacon)
        return self.thread

    # -- fetching

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch ahead until Faust's fetcher stops."""
        stopped = self._stopped.is_set
        try:
            while not (stopped() or fetcher._stopped.is_set()):
                if self.is_seeking or not self.flow_active:
                    await asyncio.sleep(0.01)
                    continue
                await self._fetch_once()
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                leave("the Kafka consumer stopped by itself; starting again")
        except asyncio.CancelledError:
            raise
        except FencedError:
            leave_fenced()
        except Exception as error:
            refusal = refusal_words(error, self.app.options.group)
            leave(f"fetching from Kafka failed: {refusal or repr(error)}", cause=error)

    async def _fetch_once(self) -> None:
        active = self._get_active_partitions()
        tables = {tp for tp in active if self._is_changelog_tp(tp)}
        wanted = tables | self.with_room(active)
        if not wanted:
            await asyncio.sleep(0.01)
            return
        epoch = self.epoch
        self._not_fetching.clear()
        try:
            fetched = await self.thread.fetch(wanted, tables, FETCH_TIMEOUT_SECONDS)
        finally:
            self._not_fetching.set()
        rows = {tp: found for tp, found in fetched.records.items() if found and tp in tables}
        if epoch != self.epoch:
            # A seek has started meanwhile and reads these records again, except those of tables.
            self._fetch_again(rows)
            return
        if (tp := self.recovery.began_anew(fetched.ends)) is not None:
            leave(
                f"{tp.topic} partition {tp.partition} ends before rows that were read: the topic "
                "was recreated; starting again to read it"
            )
        left = {tp: found for tp, found in rows.items() if not self.recovery.apply(tp, found)}
        self._fetch_again(left)
        for tp, records in fetched.records.items():
            if epoch != self.epoch:
                return
            if records and tp not in tables:
                await self._stash_records(tp, records)
        await self._pass_over(wanted - tables, epoch)
        if left:
            await asyncio.sleep(0.01)  # until recovery knows these partitions
        else:
            self.recovery.record_current(fetched.current_at)
            self.recovery.maybe_end(fetched.positions)
        self._work.set()
        if fetched.records:
            await asyncio.sleep(0)  # let other tasks run

    def _fetch_again(self, rows: Mapping[TP, list[Record]]) -> None:
        """Go back to rows that no table took: a position behind them would say that they are read.

        Faust seeks tables only at the start of a recovery.
        """
        assigned = self.assignment()
        back = {tp: records[0].offset for tp, records in rows.items() if tp in assigned}
        if back:
            self.thread.seek_all(back)

    def with_room(self, tps: Iterable[TP]) -> set[TP]:
        """Return those of these partitions of which more records may be fetched."""
        options = self.app.options
        filled = max(FULL_PARTITIONS, sum(map(bool, self.stash.values())))
        most_records = options.stash_records * FULL_PARTITIONS // filled
        most_bytes = options.stash_bytes * FULL_PARTITIONS // filled
        return {
            tp
            for tp in tps
            if tp in self.offset_trackers
            and (
                (stash := self.stash.get(tp)) is None
                or (len(stash) < most_records and stash.size < most_bytes)
            )
        }

    def has_room(self, tp: TP) -> bool:
        """Return whether more records of a partition may be fetched."""
        return bool(self.with_room((tp,)))

    async def refresh_log_ends(self) -> None:
        """Read the ends of logs that are not fetched now; fetches return the ends of the others.

        Raises KafkaError or TimeoutError if a broker does not respond.
        """
        full = self.stash.keys() - self.with_room(self.stash)
        self.known_ends = await self.thread.log_ends(full) if full else {}

    async def _stash_records(self, tp: TP, records: list[Record]) -> None:
        expected = self._next_offset.get(tp)
        if expected is not None and records[0].offset > expected:
            epoch = self.epoch
            await self._note_gap(tp, expected, records[0].offset)
            if epoch != self.epoch:
                return
        elif expected is not None and records[0].offset < expected:
            leave_recreated(self.app.options.stage, tp, expected, records[0].offset)
        self._next_offset[tp] = records[-1].offset + 1
        self.stash.setdefault(tp, Stash()).extend(records)

    async def _pass_over(self, tps: Iterable[TP], epoch: int) -> None:
        """Go on behind markers of transactions, aborted records and what compaction took away.

        Otherwise they would count as waiting until the next record comes, and as expired if they
        are deleted before. All that was fetched since ``epoch`` began is stashed, so of each
        partition nothing else lies between what is stashed and its position.
        """
        for tp in tps:
            if epoch != self.epoch:
                return  # what was fetched may not be stashed; a seek reads it again
            fetched, expected = self.thread.fetch_state(tp), self._next_offset.get(tp)
            position = None if fetched is None else fetched.position
            if position is not None and expected is not None and position > expected:
                await self._note_gap(tp, expected, position)
                if epoch == self.epoch:
                    self._next_offset[tp] = position

    async def _note_gap(self, tp: TP, expected: int, found: int) -> None:
        """Report records that were deleted; compaction and transaction markers are no loss."""
        start = (await self.earliest_offsets(tp))[tp]
        if start is not None and start > expected:
            self.app.stage.on_expired(tp, expected, min(start, found))

    # -- handing out

    @Service.task
    async def _hand_out_chunks(self) -> None:
        while not self.should_stop:
            self._work.clear()
            try:
                handed_out = await self._hand_out_round()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                leave(f"handing out records failed: {error!r}", cause=error)
            if handed_out:
                continue
            # After the timeout, partitions held back by a late table are checked again.
            is_held_back = any(self.stash.values())
            try:
                await asyncio.wait_for(self._work.wait(), 0.05 if is_held_back else None)
            except TimeoutError:
                continue

    async def _hand_out_round(self) -> bool:
        """Hand out at most one chunk of each partition, starting with another one each time.

        Small chunks of a topic share an event: its cost does not depend on its size.
        """
        tps = [tp for tp, stash in self.stash.items() if stash]
        if len(tps) > 1:
            self._turn = (self._turn + 1) % len(tps)
            tps = tps[self._turn :] + tps[: self._turn]
        if self.is_seeking or self._awaits_flow or not self.flow_active:
            return False
        epoch = self.epoch
        self._credit = self.app.credit.among(sum(map(bool, self.offset_trackers.values())))
        found = [chunk for tp in tps if (chunk := self._next_chunk(tp)) is not None]
        for chunks in together(found, self.app.options.chunk_records):
            if epoch != self.epoch:
                break  # these chunks are no longer tracked
            await self._give_to_agents(ChunksMessage(chunks, self.app.consumer_generation_id))
        return bool(found)

    def _next_chunk(self, tp: TP) -> Chunk | None:
        """Return the next chunk of a partition, already tracked; None: it must wait."""
        stash = self.stash[tp]
        if not self.has_credit(tp) or not self.app.stage.may_hand_out(tp):
            return None
        tracker, credit = self.offset_trackers[tp], self._credit
        room = min(tracker.room(credit).size, credit.size // PROMPT_CHUNKS)
        batch = stash.pop(self.app.options.chunk_records, room)
        chunk = Chunk(tp, batch.records)
        tracker.hand_out(chunk, batch)
        self._handed_out_at[tp] = monotonic()
        return chunk

    async def _give_to_agents(self, message: ChunksMessage) -> None:
        """Put chunks into their agent's queue, which has room by credit; not during a rebalance.

        Outside a rebalance this does not yield to the event loop, so that all chunks of a fetch
        are processed, and their outputs written, together.
        """
        app = self.app
        if app.topics._tp_to_callback_lock.locked() or not app.flow_control.is_active():
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
        else:
            await self.callback(message)

    def has_credit(self, tp: TP) -> bool:
        """Return whether waiting records may be handed out now."""
        tracker = self.offset_trackers.get(tp)
        if tracker is None:
            return False
        whole = self.app.options.chunk_records
        waiting = min(len(self.stash.get(tp, ())), whole)
        room = tracker.room(self._credit)
        if room.size <= 0 or room.records < max(1, waiting):
            return False
        return (
            waiting == whole
            or len(tracker) < PROMPT_CHUNKS
            or monotonic() - self._handed_out_at.get(tp, 0.0) >= GATHER_SECONDS
        )

    # -- settling and committing

    def ack(self, chunk: Any) -> bool:
        """Record that a whole chunk is settled."""
        if chunk.acked:
            return False
        chunk.acked = True
        chunk.release()
        if (tracker := self.offset_trackers.get(chunk.tp)) is not None:
            tracker.record_ack(chunk)
        self._work.set()
        return True

    def committable(self, tp: TP) -> int | None:
        """Return the offset below which all is settled, never below the commit; None: not known."""
        tracker, known = self.offset_trackers.get(tp), self._committed.get(tp)
        found = (
            None if known is None else known[0],
            None if tracker is None else tracker.committable(),
            self.read_below(tp),
        )
        return max((offset for offset in found if offset is not None), default=None)

    def read_below(self, tp: TP) -> int | None:
        """Return the offset below which all is read and settled; None: a record is open.

        It is behind markers of transactions that end the log.
        """
        tracker = self.offset_trackers.get(tp)
        if tracker is None or len(tracker) or self.stash.get(tp):
            return None
        return self._next_offset.get(tp)

    def is_in_hand(self, chunk: Chunk) -> bool:
        """Return whether a chunk is still open here: no rebalance has revoked it."""
        tracker = self.offset_trackers.get(chunk.tp)
        return tracker is not None and chunk in tracker

    def settle_below(self, tp: TP, offset: int, ahead: int) -> None:
        """Record that all records of a partition below this offset are settled.

        ``ahead``: how many of the records above it are settled, too.
        """
        tracker = self.offset_trackers.get(tp)
        if tracker is not None:
            for chunk in tracker.settle_below(offset, ahead):
                self.ack(chunk)
            self._work.set()

    async def force_commit(
        self,
        topics: Any = None,  # noqa: ARG002 - Faust's signature
        start_new_transaction: bool = True,  # noqa: ARG002
    ) -> bool:
        """Commit the settled offset and metadata of each partition, if either is new."""
        return await self._commit_due(at_last=False)

    async def commit_last(self) -> bool:
        """Commit the settled offsets and all current metadata, now that nothing is in flight."""
        return await self._commit_due(at_last=True)

    async def _commit_due(self, *, at_last: bool) -> bool:
        async with self._committing:
            epoch, due = self.epoch, self._due(at_last=at_last)
            if not due or not await self._commit_points(due):
                return False
            if epoch == self.epoch:
                self._committed.update(due)
                self._committed_at.update(dict.fromkeys(due, monotonic()))
                self._committed_offset.update({tp: offset for tp, (offset, _) in due.items()})
            return True

    async def _commit_points(self, due: Mapping[TP, tuple[int, str]]) -> bool:
        try:
            committed: bool = await self.thread.commit_with_metadata(due)
        except FencedError:
            leave_fenced()
        except KafkaError as error:
            if refusal_words(error, self.app.options.group) is not None:
                return False  # logged and retried; in the end the watchdog ends the worker
            leave(f"committing to Kafka failed: {error!r}", cause=error)
        return committed

    def _point(self, tp: TP, offset: int) -> tuple[int, str] | None:
        """Return what to commit at this offset; None: the stage does not know it yet."""
        metadata = self.app.stage.commit_metadata(tp, offset)
        return None if metadata is None else (offset, metadata)

    def _due(self, *, at_last: bool) -> dict[TP, tuple[int, str]]:
        now = monotonic()
        due = {}
        for tp in self.offset_trackers:
            offset, known = self.committable(tp), self._committed.get(tp)
            if offset is None:
                continue
            advanced = known is None or offset > known[0]
            stale = now - self._committed_at.get(tp, 0.0) >= METADATA_REFRESH_SECONDS
            if advanced or stale or at_last:
                point = self._point(tp, offset)
                if point is not None and point != known:
                    due[tp] = point
        return due

    # -- seeking and rebalancing

    async def perform_seek(self) -> None:
        """Start each source partition at the committed offset, or at its beginning."""
        self.is_seeking = self._awaits_flow = True
        try:
            await self._not_fetching.wait()
            self.epoch += 1
            self._clear(self.assignment())
            await self._seek_to_committed(self.epoch)
        except FencedError:
            leave_fenced()
        except asyncio.CancelledError as error:
            # Faust would take a cancellation from within for its own stop, and wait for ever.
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                leave(f"opening partitions was cancelled from within: {error!r}", cause=error)
            raise
        finally:
            self.is_seeking = False

    def resume_flow(self) -> None:
        """Begin to hand out: what an agent's queue held before is gone by now."""
        super().resume_flow()
        self._awaits_flow = False
        self._work.set()

    def cancel_seek(self) -> None:
        """Let a running seek end without effect: this worker is about to stop.

        The commits of the last owner stay as they are for the next one.
        """
        self.epoch += 1

    async def _seek_to_committed(self, epoch: int) -> None:
        tps = [tp for tp in self.assignment() if not self._is_changelog_tp(tp)]
        async with self._committing:
            found: Mapping[TP, Committed] = await self.thread.committed(tps)
        start_at: dict[TP, int] = {}
        deleted: dict[TP, int] = {}
        for tp, at in found.items():
            offset = at.log_start if at.offset is None else at.offset
            if offset > at.log_end:
                leave_recreated(self.app.options.stage, tp, offset, at.log_end)
            if offset < at.log_start:
                deleted[tp] = offset
                offset = at.log_start
            start_at[tp] = offset
        await self.app.stage.on_start_positions(
            {
                tp: StartPosition(
                    start_at[tp],
                    deleted.get(tp, start_at[tp]),
                    at.metadata,
                    at.log_end,
                    at.log_start,
                )
                for tp, at in found.items()
            }
        )
        if epoch != self.epoch:
            # Revoked meanwhile: the next seek opens the partitions that are still assigned.
            self.app.stage.on_partitions_gone(tps)
            return
        self._warn_of_missing_offsets(found)
        for tp, first in deleted.items():
            self.app.stage.on_expired(tp, first, start_at[tp])
        self.thread.seek_all(start_at)
        await self._begin(found, start_at)

    async def _begin(self, found: Mapping[TP, Committed], start_at: Mapping[TP, int]) -> None:
        """Open these partitions, and commit their start: the next owner then knows of this one."""
        for tp, offset in start_at.items():
            if (at := found[tp].offset) is not None:
                self._committed[tp] = (at, found[tp].metadata)
            self._started_at[tp] = self._next_offset[tp] = self._read_offset[tp] = offset
            self.offset_trackers[tp] = OffsetTracker()
        epoch = self.epoch
        async with self._committing:
            points = {tp: self._point(tp, at) for tp, at in start_at.items()}
            due = {
                tp: point
                for tp, point in points.items()
                if point is not None and point != self._committed.get(tp)
            }
            if not due:
                return
            if await self._commit_points(due) and epoch == self.epoch:
                self._committed.update(due)
                return
        # A rebalance has begun. Nothing may start before it is committed that it has started.
        self._clear(start_at)
        self.app.stage.on_partitions_gone(start_at)

    def _warn_of_missing_offsets(self, found: Mapping[TP, Committed]) -> None:
        """Log that this group starts at the beginning although there are records."""
        records: Counter[str] = Counter()
        for tp, at in found.items():
            if at.offset is None:
                records[tp.topic] += at.log_end - at.log_start
        for topic, count in records.items():
            if count:
                log.warning(
                    "the group %s has no committed offset for %s and starts from the beginning: "
                    "%d records. If this stage has run before, its offsets are gone (after "
                    "offsets.retention.minutes without a worker, or deleted), and these records "
                    "are processed again",
                    self.app.options.group,
                    topic,
                    count,
                )

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Settle and commit what is in flight while this worker still owns the partitions."""
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        await self.app.stage.settle(self.app.settle_on_revoke_seconds)
        await self.commit_last()
        await super().on_partitions_revoked(revoked)
        self.epoch += 1
        self._clear(revoked)
        self.app.stage.on_partitions_gone(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Drop the rows of partitions that are now assigned to another worker."""
        self.epoch += 1  # an earlier seek does not know these partitions
        if self.offset_trackers:
            stale = set(self.offset_trackers)
            self._clear(stale)
            self.app.stage.on_partitions_gone(stale)
        for table in self.app.tables.values():
            kept = {tp.partition for tp in assigned if tp.topic == table.topic_name}
            for partition in set(table.rows) - kept:
                table.drop(partition)
                self.recovery.forget(TP(table.topic_name, partition))
        await super().on_partitions_assigned(assigned, generation_id)

    def _clear(self, tps: Iterable[TP]) -> None:
        for tp in tuple(tps):
            self.stash.pop(tp, None)
            self._handed_out_at.pop(tp, None)
            self.offset_trackers.pop(tp, None)
            self._next_offset.pop(tp, None)
            self._committed.pop(tp, None)
            self._committed_at.pop(tp, None)

    def last_commit(self, tp: TP) -> int | None:
        """Return the group's committed offset; without one, where this worker has begun."""
        known = self._committed.get(tp)
        return known[0] if known else self._started_at.get(tp)

    # -- Faust's checks, which do not fit chunks

    async def verify_all_partitions_active(self) -> None:
        """Skip Faust's livelock check: it does not know chunks."""
