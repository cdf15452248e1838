"""Writes outcomes: dead letters, then receipts; after that the events are settled."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from streams.core.dead_letter import build_dead_letter, encode_dead_letter
from streams.core.outcome import Outcome, SkipReason, Verdict
from streams.core.receipts import LIVE, REDELIVERY, encode_receipt
from streams.core.records import VISITOR, Origin, Receipt, Source
from streams.core.times import to_ms
from streams.core.topics import Topics
from streams.delivery.ordered_queue import Item
from streams.delivery.progress import PartitionProgress
from streams.engine import wall_clock
from streams.engine.failure import leave
from streams.engine.outputs import Outputs
from streams.vendors.base import Vendor
from streams.worker.counters import Counters

log = logging.getLogger("streams.sink")

AGES_OF_A_REQUEST = 20
"""How many events of a request are measured for the ages, about."""
FLUSH_SECONDS = 1.0
"""How long the last receipts may take when the worker stops or a partition is revoked."""


class Settlement(NamedTuple):
    """One outcome, of one or more events, that waits to be written."""

    items: tuple[Item, ...]
    outcome: Outcome
    reason: str | None
    verdict: Verdict | None
    words: str = ""
    written: asyncio.Future[None] | None = None
    """Done once the outcome is written."""


class OutcomeWriter:
    """Writes the courier's outcomes in rounds, then settles their events."""

    def __init__(
        self,
        vendor: Vendor,
        topics: Topics,
        secrets: tuple[str, ...],
        counters: Counters,
        *,
        new_outputs: Callable[[], Outputs],
        on_written: Callable[[], None],
        on_settled: Callable[[int], None],
        why_no_consent: Callable[[Item], str],
    ) -> None:
        self._vendor = vendor
        self._receipts = topics.receipts(vendor.key)
        self._letters = topics.dead_letters(vendor.key)
        self._secrets = secrets
        self._counters = counters
        self._new_outputs = new_outputs
        self._on_written = on_written
        self._on_settled = on_settled
        """Called with a partition after events of it are settled."""
        self._why_no_consent = why_no_consent
        self._outbox: dict[int, list[Settlement]] = {}
        self._writing: dict[int, asyncio.Task[None]] = {}
        """By partition: one that waits because its topics refuse writes delays no other."""
        self._being_written: dict[int, list[Settlement]] = {}
        """By partition."""
        self._rounds: Counter[int] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()

    def mask(self, secrets: Iterable[str]) -> None:
        """Mask these secrets in dead letters, too."""
        self._secrets = tuple(dict.fromkeys([*self._secrets, *secrets]))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets to mask."""
        return self._secrets

    def write(self, settlement: Settlement) -> None:
        """Write an outcome, together with others that wait for the same partition."""
        partition = settlement.items[0].partition  # all of one queue, so of one partition
        self._outbox.setdefault(partition, []).append(settlement)
        if partition not in self._writing:
            self._idle.clear()
            self._writing[partition] = asyncio.ensure_future(self._write_partition(partition))

    def hand_over(
        self, partition: int, progress: PartitionProgress, start: int, *, is_redelivery: bool
    ) -> None:
        """Let outcomes that are still being written settle in a partition's new progress.

        A topic may refuse receipts for hours, while the partition is revoked and assigned again.
        ``start``: positions below it have been settled by another owner meanwhile.
        """
        waiting = (*self._being_written.get(partition, ()), *self._outbox.get(partition, ()))
        for item in chain.from_iterable(settlement.items for settlement in waiting):
            if (item.run_id is not None) is is_redelivery and item.position >= start:
                item.tag = progress
                progress.await_outcome(item.position)

    def rounds(self, partition: int) -> int | None:
        """Return how many rounds of a partition were written; None while one is being written."""
        return None if partition in self._writing else self._rounds[partition]

    async def flush(self) -> None:
        """Wait until all outcomes are written, at most ``FLUSH_SECONDS``."""
        try:
            await asyncio.wait_for(self._idle.wait(), FLUSH_SECONDS)
        except TimeoutError:
            log.warning(
                "the last receipts were not acknowledged in time; they will be written again"
            )

    # -- called by the courier

    def write_accepted(self, items: tuple[Item, ...], verdict: Verdict) -> Awaitable[None]:
        """Write that the vendor accepted these events; return what is done once it is written."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        now_ms = wall_clock.now_ms()
        if items[0].run_id is None:  # redeliveries are old on purpose
            sampled = items[:: 1 + len(items) // AGES_OF_A_REQUEST]
            ages = [(now_ms - happened_ms(item)) / 1000 for item in sampled]
            self._counters.note_ages(ages, len(items))
            self._counters.note_deliveries([(now_ms - item.raw_ms) / 1000 for item in sampled])
        self.write(Settlement(items, Outcome.ACCEPTED, None, verdict, written=written))
        return written

    def write_rejected(self, item: Item, words: str, verdict: Verdict) -> None:
        """Write that the vendor refused this event, in the vendor's words."""
        self.write(Settlement((item,), Outcome.DEAD_LETTERED, verdict.letter, verdict, words))

    def write_skipped(self, items: tuple[Item, ...], verdict: Verdict) -> None:
        """Write that these events are not sent, with the verdict's reason."""
        self.write(Settlement(items, Outcome.SKIPPED, verdict.skip, verdict))

    def pass_over(self, items: Sequence[Item]) -> None:
        """Settle redeliveries of a stopped run without an outcome."""
        for item in items:
            item.tag.pass_over(item.position)
        self._counters.notes["passed_over"] += len(items)
        for partition in {item.partition for item in items}:
            self._on_settled(partition)

    # -- rounds

    async def _write_partition(self, partition: int) -> None:
        """Write waiting outcomes, round by round: a slow broker only makes rounds larger."""
        try:
            while settlements := self._outbox.pop(partition, []):
                self._rounds[partition] += 1
                self._being_written[partition] = settlements
                await self._write_round(partition, settlements)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            leave(f"writing outcomes failed: {error}", cause=error)
        finally:
            del self._writing[partition]
            self._being_written.pop(partition, None)
            if not self._writing:
                self._idle.set()

    async def _write_round(self, partition: int, settlements: list[Settlement]) -> None:
        at = wall_clock.now_text()
        await self._write_letters(settlements, at)
        outputs = self._new_outputs()
        for settlement in settlements:
            self._append_receipts(outputs, settlement, at)
        written = await (await outputs.send()).acknowledged()
        offsets = chain.from_iterable(written[self._receipts, partition])
        items = chain.from_iterable(settlement.items for settlement in settlements)
        for item, offset in zip(items, offsets, strict=True):
            item.tag.settle(item.position, offset)
        self._on_written()
        self._on_settled(partition)
        for settlement in settlements:
            self._count(settlement)
            if settlement.written is not None and not settlement.written.done():
                settlement.written.set_result(None)

    def _append_receipts(self, outputs: Outputs, settlement: Settlement, at: str) -> None:
        """Append a receipt for each event; values that they share are looked up once."""
        append, topic, why_no_consent = outputs.append, self._receipts, self._why_no_consent
        items, outcome, reason, verdict = settlement[:4]
        status = ref = None
        if verdict is not None:
            status, ref = verdict.status, verdict.vendor_ref
        word = outcome.value
        partition = items[0].partition
        run = items[0].run_id
        lane = LIVE if run is None else REDELIVERY
        for item in items:
            receipt = Receipt(
                item.event_id,
                word,
                at,
                item.attempts,
                item.source,
                lane,
                item.position,
                reason,
                status,
                ref,
                item.run_id or None,
                why_no_consent(item) if reason == SkipReason.NO_CONSENT else None,
            )
            # Receipts outlive the records that name the visitor, which deletion needs.
            headers = [(VISITOR, item.key)] if ref is not None and item.key is not None else None
            append(topic, partition, item.event_id.encode(), encode_receipt(receipt), headers)

    async def _write_letters(self, settlements: list[Settlement], at: str) -> None:
        """Write dead letters first: a receipt says that nothing more needs to be done."""
        outputs = self._new_outputs()
        for settlement in settlements:
            if settlement.outcome is Outcome.DEAD_LETTERED:
                for item in settlement.items:
                    letter = self._letter(item, settlement, at)
                    outputs.append(self._letters, item.partition, item.key, letter)
        if outputs:
            await (await outputs.send()).acknowledged()

    def _count(self, settlement: Settlement) -> None:
        count = len(settlement.items)
        match settlement.outcome:
            case Outcome.ACCEPTED:
                self._counters.accepted += count
            case Outcome.SKIPPED:
                self._counters.skipped[str(settlement.reason)] += count
            case _:
                self._counters.dead_lettered[str(settlement.reason)] += count

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
            answer=None if verdict is None else verdict.answer or verdict.detail,
            attempts=item.attempts,
            at=at,
            source=Origin(source.topic, source.partition, source.offset, item.raw_ms),
            record=item.record,
            secrets=self._secrets,
        )
        self._counters.note_cause(letter)
        return encode_dead_letter(letter)


def happened_ms(item: Item) -> int:
    """Return when it happened (ms); the raw record's Kafka time if the timestamp is malformed."""
    try:
        return to_ms(item.timestamp)
    except ValueError:
        return item.raw_ms
