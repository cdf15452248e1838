"""Attempts: one request over a micro-batch, and the outcome that its verdict gives each event."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol

from streams.core.outcome import DeadLetterReason, RequestOutcome, SkipReason, Verdict
from streams.delivery.batching import MicroBatch
from streams.delivery.joined_queue import JoinedQueue
from streams.delivery.ordered_queue import Item, OrderedQueue
from streams.delivery.ordered_queues import OrderedQueues
from streams.delivery.poison_detection import LONGEST_WAIT_SECONDS
from streams.delivery.redelivery_runs import RedeliveryRuns
from streams.delivery.retry import obeyed, wait_seconds
from streams.delivery.vendor_client import RequestResult, SendFilter, VendorClient
from streams.vendors.base import Vendor

DOUBT_SECONDS = 3.0
"""The wait before a request is repeated whose key was refused.

Other events are tried in that time, even at a few events a second. If they are accepted, only this
event is refused, and the vendor is not parked.
"""
KEPT_TOGETHER_SECONDS = 1.0
"""How long queues that shared a request wait for each other's receipts, to go on together. A queue
whose receipts take longer, or are refused by Kafka, does not delay the others."""
LOOK_AGAIN_SECONDS = 0.1
"""How often events are checked again whose visitors' rows are not recent enough."""


class OutcomeHandler(Protocol):
    """Writes receipts and dead letters, then settles the events."""

    def write_accepted(self, items: tuple[Item, ...], verdict: Verdict) -> Awaitable[None] | None:
        """Write that the vendor accepted these events, all of one queue.

        Return what the queue waits for before its next request: a crash could repeat each request
        whose receipts are not yet written.
        """

    def write_rejected(self, item: Item, words: str, verdict: Verdict) -> None:
        """Write that the vendor refused this event, in the vendor's words."""

    def write_skipped(self, items: tuple[Item, ...], verdict: Verdict) -> None:
        """Write that these events, all of one queue, are not sent, with the verdict's reason."""

    def pass_over(self, items: Sequence[Item]) -> None:
        """Settle redeliveries of a stopped run without an outcome."""


class Attempts:
    """Makes one vendor's attempts; the courier decides when."""

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
        """``on_freed`` is called with queues that may go on while others of their request wait."""
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
        """Make one attempt. Events without an outcome go back to the queue.

        Return the queues that were isolated from this one.
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
        """Put back the events of a request without a verdict, except the stopped ones."""
        for item in batch.positions:
            item.unclear = item.unclear or bool(result.requests)
        self._stop(queue, batch, result.stopped)
        queue.put_back_unsent(batch, set(result.stopped))

    async def _write_accepted(
        self, queue: OrderedQueue, batch: MicroBatch[Item], verdict: Verdict
    ) -> None:
        """Write receipts for accepted events, and wait until they are written."""
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
        """Wait until all receipts are written; release queues that would wait for long."""
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
        """Retry each queue's part of a failed request by itself."""
        for item in batch.positions:
            item.unclear = item.unclear or verdict.outcome is RequestOutcome.UNCLEAR
        queue.break_up()
        parts, was_alone = queue.parts(batch), len(batch) == 1
        if len(parts) > 1:
            # Each part is retried by itself soon: an event of another part may be the cause.
            # If the vendor means every request, the next failure opens the circuit breaker.
            verdict = replace(verdict, retry_after_seconds=None)
        isolated: list[OrderedQueue] = []
        for number, (member, part) in enumerate(parts):
            isolated += self._failed(
                member, part, verdict, contrasted=contrasted, was_alone=was_alone
            )
            if verdict.is_puzzling:
                # They may be stored already: one by one, so that the breaker can open in between.
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
        """Retry a failed request as it is or in halves; or give the event up."""
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
            # A half may be innocent, so it goes at once; a single event is known to fail.
            is_half = len(isolated) > 1
            own.failures, own.not_before = (1, 0.0) if is_half else (failures, again_at)
        if not isolated:
            queue.put_back_failed(batch, again_at)
        return isolated

    async def _send(self, queue: OrderedQueue, batch: MicroBatch[Item]) -> RequestResult:
        """Send the batch as soon as the rows that the send filter needs are recent enough."""
        while not all(self._send_filter.is_current(member.partition) for member in queue.members):
            # One queue of a shared request must not delay the others.
            if queue.is_revoked() or self._client.is_quiesced or len(queue.members) > 1:
                return RequestResult(None, 0)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return await self._client.start_flow(batch, queue.lane, queue.is_revoked)

    def _sort_out(self, queue: OrderedQueue, batch: MicroBatch[Item], verdict: Verdict) -> None:
        """Write dead letters for exactly the refused events; retry the rest at once."""
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
        """Write the dead letter of the event that bisection has found."""
        self._record_outcomes((), (item,))
        self._outcome_handler.write_rejected(item, verdict.detail, verdict)

    def _stop(
        self, queue: OrderedQueue, batch: MicroBatch[Item], stopped: Mapping[int, SkipReason | None]
    ) -> None:
        """Write the outcome of events that must no longer be sent."""
        alike: dict[tuple[SkipReason | None, OrderedQueue | None], list[Item]] = {}
        for index, reason in stopped.items():
            item = batch.positions[index]
            if queue.holds(item):
                alike.setdefault((reason, item.queue), []).append(item)
        for (reason, _), items in alike.items():
            if reason is None:
                self._outcome_handler.pass_over(items)
            else:
                self._outcome_handler.write_skipped(
                    tuple(items), Verdict(RequestOutcome.SKIPPED, skip=reason)
                )

    def _record_outcomes(self, accepted: Sequence[Item], refused: Sequence[Item]) -> None:
        """Count accepted and refused events; the circuit breaker counts live events only."""
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
            return DOUBT_SECONDS  # if every request is refused, the breaker is open by then
        wait = wait_seconds(failures, steps, self._random)
        if verdict.retry_after_seconds is not None:
            # "Retry-After: 0", or a date in the past, must not become a hot loop.
            shortest = wait_seconds(1, steps, self._random)
            wait = max(shortest, obeyed(verdict.retry_after_seconds))
        return min(wait, LONGEST_WAIT_SECONDS) if contrasted else wait
