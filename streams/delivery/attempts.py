"""Attempts: one request over a micro-batch, and what its verdict makes of each event."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol

from streams.core.batching import MicroBatch
from streams.core.outcome import DeadLetterReason, RequestOutcome, SkipReason, Verdict
from streams.delivery.joined_queue import JoinedQueue
from streams.delivery.ordered_queue import Item, OrderedQueue
from streams.delivery.ordered_queues import OrderedQueues
from streams.delivery.poison_detection import LONGEST_WAIT_SECONDS
from streams.delivery.redelivery_runs import RedeliveryRuns
from streams.delivery.retry import obeyed, wait_seconds
from streams.delivery.vendor_client import RequestResult, SendFilter, VendorClient
from streams.vendors.base import Vendor

DOUBT_SECONDS = 3.0
"""How soon it is tried again whether a refused key is the vendor's word on everything.

By then others have been tried, at a few events a second too: what it refuses alone parks nobody.
"""
KEPT_TOGETHER_SECONDS = 1.0
"""So long strands that shared a request wait for each other's receipts, to go on together. One
whose receipts take longer, or are refused, must not hold up the others."""
LOOK_AGAIN_SECONDS = 0.1
"""How soon events are looked at again whose visitors' rows are not recent enough."""


class OutcomeHandler(Protocol):
    """Who keeps the outcomes: writes receipts and dead letters, then settles."""

    def write_accepted(self, items: tuple[Item, ...], verdict: Verdict) -> Awaitable[None] | None:
        """Keep that the vendor took these events, all of one strand.

        Return what to wait for before their strand goes on: a request that begins before the last
        one's receipts are kept is one more that a crash could repeat.
        """

    def write_rejected(self, item: Item, words: str, verdict: Verdict) -> None:
        """Keep that the vendor refused this event, in its own words."""

    def write_skipped(self, items: tuple[Item, ...], verdict: Verdict) -> None:
        """Keep that these events, all of one strand, are not sent, for the verdict's reason."""


def ignore(run: str, why: str) -> None:
    """Let a run go on whatever the vendor says of it."""


class Attempts:
    """Makes one vendor's attempts; the courier says when."""

    def __init__(
        self,
        vendor: Vendor,
        client: VendorClient,
        outcome_handler: OutcomeHandler,
        send_filter: SendFilter,
        queues: OrderedQueues,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        on_bad_run: Callable[[str, str], None],
        on_freed: Callable[[Collection[OrderedQueue]], None],
    ) -> None:
        """``on_freed``: told of strands that go on while others of their request cannot yet."""
        self._vendor = vendor
        self._client = client
        self._outcome_handler = outcome_handler
        self._send_filter = send_filter
        self._queues = queues
        self._clock = clock
        self._random = random
        self._on_bad_run = on_bad_run
        self._on_freed = on_freed
        self._runs = RedeliveryRuns()

    async def make(self, queue: OrderedQueue, batch: MicroBatch[Item]) -> Sequence[OrderedQueue]:
        """Make one attempt, and leave in the strand what is still without an outcome.

        Return the strands that were isolated of this one.
        """
        result = await self._send(queue, batch)
        verdict = result.verdict
        for item in batch.positions:
            item.attempts += result.requests
        if verdict is None:
            self._put_back(queue, batch, result)
            return ()
        match verdict.outcome:
            case RequestOutcome.ACCEPTED:
                self._queues.on_accepted()
                self._record_outcomes(batch.positions, ())
                await self._write_accepted(queue, batch, verdict)
                if (found := queue.on_accepted()) is not None and queue.holds(found[0]):
                    self._give_up(*found)
            case RequestOutcome.REJECTED:
                queue.on_verdict()
                self._sort_out(queue, batch, verdict)
            case RequestOutcome.SKIPPED:
                queue.on_verdict()
                for _, part in queue.parts(batch):
                    self._outcome_handler.write_skipped(part.positions, verdict)
                queue.put_back_open(batch, set(range(len(batch))))
            case _:
                return self._all_failed(queue, batch, verdict, contrasted=result.contrasted)
        return ()

    def _put_back(
        self, queue: OrderedQueue, batch: MicroBatch[Item], result: RequestResult
    ) -> None:
        """See to it that what came to no verdict goes again, without what was stopped."""
        for item in batch.positions:
            item.unclear = item.unclear or bool(result.requests)
        self._stop(queue, batch, result.stopped)
        queue.put_back_unsent(batch, set(result.stopped))

    async def _write_accepted(
        self, queue: OrderedQueue, batch: MicroBatch[Item], verdict: Verdict
    ) -> None:
        """Keep what the vendor took, and wait until all of it is kept."""
        kept = [
            (member, self._outcome_handler.write_accepted(part.positions, verdict))
            for member, part in queue.parts(batch)
        ]
        waits: dict[asyncio.Future[None], OrderedQueue] = {
            asyncio.ensure_future(each): member for member, each in kept if each is not None
        }
        if isinstance(queue, JoinedQueue) and waits:
            await self._wait_for_each(queue, waits)
        for each, member in waits.items():
            if member in queue.members:
                await each

    async def _wait_for_each(
        self, joined: JoinedQueue, waits: Mapping[asyncio.Future[None], OrderedQueue]
    ) -> None:
        """Wait until all receipts are kept, and let strands go on that would wait for long."""
        await asyncio.wait(waits, timeout=KEPT_TOGETHER_SECONDS)
        while late := {each: queue for each, queue in waits.items() if not each.done()}:
            joined.break_up()
            self._on_freed(joined.free_all_but(late.values()))
            if not joined.members:
                return
            await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)

    def _all_failed(
        self, queue: OrderedQueue, batch: MicroBatch[Item], verdict: Verdict, *, contrasted: bool
    ) -> Sequence[OrderedQueue]:
        """Let each strand's part of a failed request go again by itself."""
        for item in batch.positions:
            item.unclear = item.unclear or verdict.outcome is RequestOutcome.UNCLEAR
        queue.break_up()
        parts, was_alone = queue.parts(batch), len(batch) == 1
        if len(parts) > 1:
            # Each part goes again by itself soon: one event of another may have been the cause.
            # Where the vendor means everybody, the next failure makes the gate wait as it asks.
            verdict = replace(verdict, retry_after_seconds=None)
        isolated: list[OrderedQueue] = []
        for number, (member, part) in enumerate(parts):
            isolated += self._failed(
                member, part, verdict, contrasted=contrasted, was_alone=was_alone
            )
            if verdict.is_puzzling:
                # They may be stored already: one after the other, so that the gate can close.
                member.not_before += number * self._vendor.retry_waits[0]
        queue.hold_on()
        return isolated

    def _failed(
        self,
        queue: OrderedQueue,
        batch: MicroBatch[Item],
        verdict: Verdict,
        *,
        contrasted: bool,
        was_alone: bool,
    ) -> Sequence[OrderedQueue]:
        """See to it that a request goes again that failed: as it is, in halves or not at all."""
        now, (first, *_) = self._clock(), batch.positions
        if contrasted and was_alone and self._client.poison_detection.is_hopeless(first, now):
            queue.on_verdict()
            last_word = replace(
                verdict, outcome=RequestOutcome.REJECTED, letter=DeadLetterReason.UNDELIVERABLE
            )
            self._outcome_handler.write_rejected(first, verdict.detail, last_word)
            queue.put_back_open(batch, {0})
            return ()
        failures = queue.failures + 1
        again_at = now + self._wait(failures, verdict, contrasted=contrasted)
        isolated: Sequence[OrderedQueue] = ()
        if contrasted or failures > 1:
            isolated = self._queues.isolate(queue, batch, proven=contrasted)
        for own in isolated:
            # A half may be innocent, so it goes at once; who is alone is known to fail.
            is_half = len(isolated) > 1
            own.failures, own.not_before = (1, 0.0) if is_half else (failures, again_at)
        if not isolated:
            queue.put_back_failed(batch, again_at)
        return isolated

    async def _send(self, queue: OrderedQueue, batch: MicroBatch[Item]) -> RequestResult:
        """Lead the conversation, as soon as the send_filter knows what it judges by."""
        while not all(self._send_filter.is_current(member.partition) for member in queue.members):
            # Of a shared request one strand must not hold up the others.
            if queue.is_revoked() or self._client.is_quiesced or len(queue.members) > 1:
                return RequestResult(None, 0)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return await self._client.start_flow(batch, queue.lane, queue.is_revoked)

    def _sort_out(self, queue: OrderedQueue, batch: MicroBatch[Item], verdict: Verdict) -> None:
        """Give up exactly the refused events; the rest goes again at once."""
        refused: Mapping[int, str] = verdict.refused
        if not refused:
            if len(batch) > 1:
                if verdict.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                    queue.split(batch)  # no single event is to blame
                else:
                    queue.bisect(batch, verdict)
                return
            refused = {0: verdict.detail}
        judged = [(batch.positions[index], words) for index, words in refused.items()]
        self._record_outcomes((), [item for item, _ in judged])
        for item, words in judged:
            if queue.holds(item):
                self._outcome_handler.write_rejected(item, words, verdict)
        queue.put_back_open(batch, set(refused))

    def _give_up(self, item: Item, verdict: Verdict) -> None:
        """Give up an event that is left over of a refused request."""
        self._record_outcomes((), (item,))
        self._outcome_handler.write_rejected(item, verdict.detail, verdict)

    def _stop(
        self, queue: OrderedQueue, batch: MicroBatch[Item], stopped: Mapping[int, SkipReason | None]
    ) -> None:
        """Give those their outcome that must not be sent any more."""
        alike: dict[tuple[SkipReason | None, OrderedQueue | None], list[Item]] = {}
        for index, reason in stopped.items():
            item = batch.positions[index]
            if queue.holds(item):
                alike.setdefault((reason, item.queue), []).append(item)
        for (reason, _), items in alike.items():
            if reason is None:
                self._send_filter.pass_over(items)
            else:
                self._outcome_handler.write_skipped(
                    tuple(items), Verdict(RequestOutcome.SKIPPED, skip=reason)
                )

    def _record_outcomes(self, accepted: Sequence[Item], refused: Sequence[Item]) -> None:
        """Count the vendor's last word on events; the gate looks at live ones only."""
        if (accepted or refused)[0].run_id is None:
            self._client.record_outcomes(accepted=len(accepted), refused=len(refused))
            return
        took = Counter(item.run_id for item in accepted)
        refusals = Counter(item.run_id for item in refused)
        for run in dict.fromkeys((*took, *refusals)):
            if run and (why := self._runs.record(run, accepted=took[run], refused=refusals[run])):
                self._on_bad_run(run, why)

    def _wait(self, failures: int, verdict: Verdict, *, contrasted: bool) -> float:
        steps = self._vendor.retry_waits
        if verdict.outcome is RequestOutcome.MISCONFIGURED and not contrasted:
            return DOUBT_SECONDS  # if it is the vendor's, the gate is closed by then
        wait = wait_seconds(failures, steps, self._random)
        if verdict.retry_after_seconds is not None:
            # "Retry-After: 0", or a date that has passed, must not become a hot loop.
            shortest = wait_seconds(1, steps, self._random)
            wait = max(shortest, obeyed(verdict.retry_after_seconds))
        return min(wait, LONGEST_WAIT_SECONDS) if contrasted else wait
