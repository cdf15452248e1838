"""A sink: one vendor's records in, each to exactly one outcome, kept before it is settled."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from itertools import chain
from time import time
from typing import Any, NamedTuple

import msgspec
from faust.types import TP

from streams.agents.tally import Tally
from streams.core.dead_letter import build_dead_letter, encode_dead_letter
from streams.core.outcome import DeadLetterReason, Outcome, SkipReason, Verdict
from streams.core.records import Origin, Receipt, Source, VendorRecord
from streams.core.times import to_ms, utc_text
from streams.core.topics import Topics
from streams.delivery.courier import Courier
from streams.delivery.progress import Admission, Metadata, Progress, Recalled, read_metadata
from streams.delivery.receipts import LIVE, decode_receipt, encode_receipt
from streams.delivery.strand import Item
from streams.engine.app import Stage, StageApp
from streams.engine.chunks import Records
from streams.engine.failure import leave
from streams.engine.tail import read_to_end, reader
from streams.vendors.base import Vendor, VendorSettings

log = logging.getLogger("streams.sink")

HOUR_MS = 3_600_000
AGES_OF_A_REQUEST = 20
"""How many of a request's events are measured for the ages that are shown."""
FLUSH_SECONDS = 2.0
"""What writing the last receipts may take when the worker stops or a partition goes."""


class RawVendorRecord(VendorRecord, frozen=True, gc=False):
    """A vendor record whose payload is passed on as it is."""

    payload: msgspec.Raw


_decode_raw = msgspec.json.Decoder(RawVendorRecord).decode


class Settlement(NamedTuple):
    """One outcome, of one or more events, that waits to be kept."""

    items: tuple[Item, ...]
    outcome: Outcome
    reason: str | None
    verdict: Verdict | None
    words: str = ""


class SinkStage(Stage):
    """One vendor's stage in one process; ``bind`` connects it to its app."""

    app: StageApp
    courier: Courier

    def __init__(
        self, vendor: Vendor, settings: VendorSettings, topics: Topics, secrets: tuple[str, ...]
    ) -> None:
        self.tally = Tally()
        self._vendor = vendor
        self._settings = settings
        self._secrets = secrets
        self._topics = topics
        self._events = topics.events(vendor.key)
        self._receipts = topics.receipts(vendor.key)
        self._letters = topics.dead_letters(vendor.key)
        self._progress: dict[int, Progress] = {}
        self._max_age_ms = (
            None if settings.max_age_hours is None else round(settings.max_age_hours * HOUR_MS)
        )
        self._outbox: list[Settlement] = []
        self._keep = asyncio.Event()
        self._kept = asyncio.Event()
        self._kept.set()
        self._keeper: asyncio.Task[None] | None = None

    def bind(self, app: StageApp, courier: Courier) -> None:
        """Declare this stage's agent."""
        self.app = app
        self.courier = courier

        @app.chunk_agent(self._events, name=f"sink-{self._vendor.key}")
        async def sink(stream: Any) -> None:
            await self._run(stream)

    # -- what the engine asks

    def commit_metadata(self, tp: TP, offset: int) -> str:  # noqa: ARG002
        """Return what the next owner of this partition must know."""
        progress = self._progress.get(tp.partition)
        return progress.metadata() if progress is not None else ""

    async def on_start_positions(self, positions: Mapping[TP, tuple[int, str]]) -> None:
        """Recall from metadata and receipts what was settled above each committed offset."""
        for tp in positions:
            await self.courier.close_partition(tp.partition)
        await self._flushed()
        known = {tp.partition: _read(tp, metadata) for tp, (_, metadata) in positions.items()}
        starts = {(self._receipts, p): metadata.receipts for p, metadata in known.items()}
        async with reader(self.app.options.client_options) as consumer:
            found, ends = await read_to_end(consumer, starts)
        for tp, (offset, _) in positions.items():
            of_receipts = (self._receipts, tp.partition)
            recalled = _recall(found.get(of_receipts, []), offset)
            self._progress[tp.partition] = Progress(
                offset, known[tp.partition], recalled, ends.get(of_receipts, 0)
            )
        if self._keeper is None:
            self._keeper = asyncio.ensure_future(self._keep_outcomes())
        self.courier.resume()

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget partitions that may belong to another worker now."""
        for tp in tps:
            self._progress.pop(tp.partition, None)

    async def settle(self, seconds: float) -> None:
        """Begin no request, take the answers that come in time, and keep them."""
        await self.courier.quiesce(seconds)
        await self._flushed()

    def on_expired(self, tp: TP, records: int) -> None:
        """Count and say what retention deleted before it was read."""
        self.tally.expired[tp.topic] += records
        log.error(
            "%d events for %s (partition %d) were deleted by retention before they were sent",
            records,
            self._vendor.name,
            tp.partition,
        )

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
                raw_ms = int(headers.get("source-time") or record.timestamp)
                vendor_record = _decode_raw(value or b"")
                admission = admit(position, source, record.timestamp)
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
                progress,
            )
            tally.events += 1
            if self._max_age_ms is not None and now_ms - _ms(item) > self._max_age_ms:
                self._settle(Settlement((item,), Outcome.SKIPPED, SkipReason.TOO_OLD, None))
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
            tag=self._progress[tp.partition],
        )
        self._progress[tp.partition].take_foreign(record.offset)
        words = f"no vendor record: {problem}"
        self._settle(
            Settlement((item,), Outcome.DEAD_LETTERED, DeadLetterReason.INVALID_JSON, None, words)
        )

    # -- the courier's desk

    def accepted(self, items: tuple[Item, ...], verdict: Verdict) -> None:
        """Keep that the vendor took these events."""
        now_ms = time() * 1000
        sampled = items[:: 1 + len(items) // AGES_OF_A_REQUEST]
        self.tally.note_ages([(now_ms - _ms(item)) / 1000 for item in sampled])
        self._settle(Settlement(items, Outcome.ACCEPTED, None, verdict))

    def rejected(self, item: Item, words: str, verdict: Verdict) -> None:
        """Keep that the vendor refused this event, in its own words."""
        reason = DeadLetterReason.REJECTED
        self._settle(Settlement((item,), Outcome.DEAD_LETTERED, reason, verdict, words))

    def skipped(self, items: tuple[Item, ...], verdict: Verdict) -> None:
        """Keep that these events are not sent, for the verdict's named reason."""
        self._settle(Settlement(items, Outcome.SKIPPED, verdict.skip, verdict))

    def _settle(self, settlement: Settlement) -> None:
        self._outbox.append(settlement)
        self._kept.clear()
        self._keep.set()

    # -- keeping outcomes

    async def _flushed(self) -> None:
        try:
            await asyncio.wait_for(self._kept.wait(), FLUSH_SECONDS)
        except TimeoutError:
            log.warning("the last receipts were not acknowledged in time; they are written again")

    async def _keep_outcomes(self) -> None:
        """Write what waits, one round after the other: a slow broker only makes rounds bigger."""
        try:
            while True:
                await self._keep.wait()
                self._keep.clear()
                settlements, self._outbox = self._outbox, []
                if settlements:
                    await self._write(settlements)
                if not self._outbox:
                    self._kept.set()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            leave(f"keeping outcomes failed: {error}", cause=error)

    async def _write(self, settlements: list[Settlement]) -> None:
        outputs = self.app.new_outputs()
        append = outputs.append
        at = utc_text(int(time() * 1000))
        by_partition: dict[int, list[Item]] = {}
        for settlement in settlements:
            for item in settlement.items:
                partition = item.partition
                by_partition.setdefault(partition, []).append(item)
                receipt = encode_receipt(_receipt(item, settlement, at))
                append(self._receipts, partition, item.event_id.encode(), receipt)
                if settlement.outcome is Outcome.DEAD_LETTERED:
                    letter = self._letter(item, settlement, at)
                    append(self._letters, partition, _visitor_key(item), letter)
        written = await (await outputs.send()).acknowledged()
        for partition, items in by_partition.items():
            offsets = chain.from_iterable(written[self._receipts, partition])
            for item, offset in zip(items, offsets, strict=True):
                item.tag.settle(item.position, offset)
            self._advance(partition)
        for settlement in settlements:
            self._count(settlement)

    def _advance(self, partition: int) -> None:
        progress = self._progress.get(partition)
        if progress is not None:
            self.app.consumer.settle_below(TP(self._events, partition), progress.safe_below())

    def _count(self, settlement: Settlement) -> None:
        count = len(settlement.items)
        match settlement.outcome:
            case Outcome.ACCEPTED:
                self.tally.accepted += count
            case Outcome.SKIPPED:
                self.tally.skipped[str(settlement.reason)] += count
            case _:
                self.tally.dead_lettered[str(settlement.reason)] += count

    def _letter(self, item: Item, settlement: Settlement, at: str) -> bytes:
        verdict = settlement.verdict
        source = Source.parse(item.source)
        letter = build_dead_letter(
            stage="deliver",
            vendor=self._vendor.key,
            event_id=item.event_id,
            reason=str(settlement.reason),
            detail=settlement.words,
            vendor_message=settlement.words,
            status=None if verdict is None else verdict.status,
            answer=None if verdict is None else verdict.detail,
            attempts=item.attempts,
            at=at,
            source=Origin(source.topic, source.partition, source.offset, item.raw_ms),
            record=item.record,
            secrets=self._secrets,
        )
        return encode_dead_letter(letter)


def _receipt(item: Item, settlement: Settlement, at: str) -> Receipt:
    verdict = settlement.verdict
    return Receipt(
        item.event_id,
        settlement.outcome,
        at,
        item.attempts,
        item.source,
        LIVE,
        item.position,
        settlement.reason,
        None if verdict is None else verdict.status,
        None if verdict is None else verdict.vendor_ref,
    )


def _ms(item: Item) -> int:
    """Return when it happened; the raw record's Kafka time where a stranger wrote nonsense."""
    try:
        return to_ms(item.timestamp)
    except ValueError:
        return item.raw_ms


def _visitor_key(item: Item) -> bytes | None:
    try:
        return _decode_raw(item.record).anonymous_id.encode()
    except msgspec.DecodeError:
        return None


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
