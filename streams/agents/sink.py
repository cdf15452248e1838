"""A sink: one vendor's records in, each to exactly one outcome, kept before it is settled."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from time import time
from typing import Annotated, Any

import msgspec
from faust.types import TP

from streams.agents.keeper import Keeper, Settlement, happened_ms
from streams.agents.tally import Tally
from streams.core.consent import word_for
from streams.core.control import Will, decode_will
from streams.core.dead_letter import letter_key
from streams.core.outcome import DeadLetterReason, Outcome, SkipReason
from streams.core.records import VendorRecord
from streams.core.rows import decode_user
from streams.core.times import utc_text
from streams.core.topics import Topics
from streams.delivery.courier import Courier
from streams.delivery.progress import Admission, Metadata, Progress, Recalled, read_metadata
from streams.delivery.receipts import LIVE, decode_receipt
from streams.delivery.strand import Item
from streams.engine.app import Stage, StageApp
from streams.engine.chunks import Records
from streams.engine.expired import ALL, Expired, total_by_topic
from streams.engine.failure import leave
from streams.engine.outputs import Outputs
from streams.engine.positions import StartPosition
from streams.engine.tables import MALFORMED, GlobalTopicTable, TopicTable
from streams.engine.tail import read_to_end, reader
from streams.vendors.base import Vendor, VendorSettings

log = logging.getLogger("streams.sink")

HOUR_MS = 3_600_000
MAX_ID_CHARS = 512
"""A stranger's longer one might make a receipt that fits no batch."""
MAX_TIME_DIGITS = 15


class RawVendorRecord(VendorRecord, frozen=True, gc=False):
    """A vendor record whose payload is passed on as it is."""

    event_id: Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)]
    payload: msgspec.Raw


_decode_raw = msgspec.json.Decoder(RawVendorRecord).decode


class SinkStage(Stage):
    """One vendor's stage in one process; ``bind`` connects it to its app."""

    app: StageApp
    courier: Courier
    users: TopicTable
    """The visitors of this worker's partitions: of each row only what it says about the vendor."""
    control: GlobalTopicTable
    """The operator's will, by vendor."""

    def __init__(
        self, vendor: Vendor, settings: VendorSettings, topics: Topics, secrets: tuple[str, ...]
    ) -> None:
        self.tally = Tally()
        self._vendor = vendor
        self._topics = topics
        self._will = Will()
        self._events = topics.events(vendor.key)
        self._receipts = topics.receipts(vendor.key)
        self._progress: dict[int, Progress] = {}
        self._expired: dict[TP, Expired] = {}
        self._max_age_ms = (
            None if settings.max_age_hours is None else round(settings.max_age_hours * HOUR_MS)
        )
        self.keeper = Keeper(
            vendor,
            topics,
            secrets,
            self.tally,
            new_outputs=self._new_outputs,
            settled=self._advance,
        )

    def bind(self, app: StageApp, courier: Courier, *, partitions: int) -> None:
        """Declare this stage's tables and agent; ``partitions``: how many its topics have."""
        self._partitions = partitions
        self.app = app
        self.courier = courier
        key = self._vendor.key
        self.users = app.topic_table(
            "users",
            topic=self._topics.users,
            admit=lambda value: word_for(key, decode_user(value)),
        )
        self.control = app.global_topic_table(
            "control",
            topic=self._topics.control,
            partitions=1,
            admit=decode_will,
            on_change=self._look_at_control,
        )

        @app.chunk_agent(self._events, name=f"sink-{self._vendor.key}")
        async def sink(stream: Any) -> None:
            await self._run(stream)

    # -- what the engine asks

    def commit_metadata(self, tp: TP, offset: int) -> str:
        """Return what the next owner of this partition must know."""
        progress = self._progress.get(tp.partition)
        if progress is None:
            return ""
        expired = self._expired[tp].below(offset).get(ALL, 0)
        return progress.metadata(clean=self.courier.is_clean(tp.partition), expired=expired)

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """Recall from metadata and receipts what was settled above each committed offset."""
        for tp in positions:
            await self.courier.close_partition(tp.partition)
        await self.keeper.flushed()
        known = {tp.partition: _read(tp, start.metadata) for tp, start in positions.items()}
        starts = {(self._receipts, p): metadata.receipts for p, metadata in known.items()}
        async with reader(self.app.options.client_options) as consumer:
            found, ends = await read_to_end(consumer, starts)
        for tp, start in positions.items():
            of_receipts = (self._receipts, tp.partition)
            metadata = known[tp.partition]
            # Without any metadata it never had an owner who could have left something open.
            is_clean = metadata.clean or not start.metadata
            self.courier.open_partition(tp.partition, 0 if is_clean else start.log_end)
            self._expired[tp] = Expired({ALL: metadata.expired})
            self._progress[tp.partition] = Progress(
                start.offset,
                metadata,
                _recall(found.get(of_receipts, []), start.committed),
                ends.get(of_receipts, 0),
            )
        self.keeper.start()
        self.courier.set_share(len(positions) / self._partitions)
        self.courier.resume()

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget partitions that may belong to another worker now."""
        for tp in tps:
            self._progress.pop(tp.partition, None)
            self._expired.pop(tp, None)

    async def settle(self, seconds: float) -> None:
        """Begin no request, take the answers that come in time, and keep them."""
        await self.courier.quiesce(seconds)
        await self.keeper.flushed()

    def expired(self) -> Mapping[str, int]:
        """Return how many vendor records retention ever deleted unread, by topic."""
        return total_by_topic(self._expired)

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """Count and say what retention deleted before it was read."""
        progress = self._progress.get(tp.partition)
        records = end - first if progress is None else progress.forget_deleted(first, end)
        self._expired[tp].note(end, {ALL: records})
        self.tally.expired[tp.topic] += records
        log.error(
            "%d events for %s (partition %d) were deleted by retention before they were sent",
            records,
            self._vendor.name,
            tp.partition,
        )

    # -- the operator's will

    def _look_at_control(self) -> None:
        will = self.control.by_key.get(self._vendor.key.encode(), Will())
        if will is not MALFORMED and will != self._will:
            self._will = will
            self.on_will(will)

    def on_will(self, will: Will) -> None:
        """Obey an operator, as soon as it is read: at start before anything is sent."""
        self.courier.obey(will, int(time() * 1000))

    # -- records

    async def _run(self, stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                self._take(event.message.tp, event.value)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            leave(f"the sink for {self._vendor.name} stopped: {error!r}", cause=error)

    def _take(self, tp: TP, records: Records) -> None:
        partition = tp.partition
        progress = self._progress.get(partition)
        if progress is None:
            return  # revoked meanwhile: the next owner starts from the commit
        now_ms = int(time() * 1000)
        add, admit = self.courier.add, progress.admit
        strand_key = self._vendor.strand_key
        tally = self.tally
        for record in records:
            position, value = record.offset, record.value
            headers = dict(record.headers)
            try:
                source = (headers["source"] or b"").decode()
                raw_ms = int(
                    (headers.get("source-time") or b"")[:MAX_TIME_DIGITS] or record.timestamp
                )
                vendor_record = _decode_raw(value or b"")
                admission = admit(position, source, record.timestamp, raw_ms)
            except (KeyError, ValueError, msgspec.DecodeError) as error:
                self._refuse_foreign(tp, record, repr(error))
                continue
            if admission is not Admission.NEW:
                tally.repeats += 1
                continue
            item = Item(
                partition,
                position,
                vendor_record.event_id,
                source,
                vendor_record.timestamp,
                value or b"",
                raw_ms,
                record.key,
                progress,
            )
            tally.events += 1
            if self._max_age_ms is not None and now_ms - happened_ms(item) > self._max_age_ms:
                self.keeper.keep(Settlement((item,), Outcome.SKIPPED, SkipReason.TOO_OLD, None))
                continue
            add(item, bytes(vendor_record.payload), strand_key(vendor_record))
        self.courier.go()
        self._advance(partition)

    def _refuse_foreign(self, tp: TP, record: Any, problem: str) -> None:
        """Keep a record that enrichment cannot have written as a dead letter of its own."""
        item = Item(
            partition=tp.partition,
            position=record.offset,
            event_id=f"{tp.topic}-{tp.partition}-{record.offset}",
            source=f"{tp.topic}/{tp.partition}/{record.offset}",
            timestamp=utc_text(record.timestamp),
            record=record.value or b"",
            raw_ms=record.timestamp,
            key=letter_key(record.key),
            tag=self._progress[tp.partition],
        )
        self._progress[tp.partition].take_foreign(record.offset)
        words = f"no vendor record: {problem}"
        self.keeper.keep(
            Settlement((item,), Outcome.DEAD_LETTERED, DeadLetterReason.INVALID_JSON, None, words)
        )

    def _new_outputs(self) -> Outputs:
        return self.app.new_outputs()

    def _advance(self, partition: int) -> None:
        progress = self._progress.get(partition)
        if progress is not None:
            self.app.consumer.settle_below(TP(self._events, partition), progress.safe_below())


def _read(tp: TP, metadata: str) -> Metadata:
    try:
        return read_metadata(metadata)
    except ValueError as error:
        log.warning("%s partition %d: %s; all receipts are read instead", *tp, error)
        return Metadata()


def _recall(records: Iterable[Any], committed: int) -> dict[int, Recalled]:
    """Return the live lane's receipts for positions from the committed offset on."""
    recalled = {}
    for record in records:
        try:
            receipt = decode_receipt(record.value)
        except ValueError:
            continue  # not ours: it can only be an event's that is then sent again
        if receipt.lane == LIVE and receipt.position is not None and receipt.position >= committed:
            recalled[receipt.position] = Recalled(receipt.source, record.timestamp)
    return recalled
