"""The courier: takes one vendor's events through micro-batches, HTTP and retries to an outcome.

Every event is reported exactly once to the ``OutcomeHandler``: accepted, refused or skipped. Events
that the vendor has not judged are retried without end.

The module is long because the choice of the next queue depends on all of its state.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from streams.core.control import VendorControl
from streams.delivery.attempts import KEPT_TOGETHER_SECONDS, Attempts, OutcomeHandler
from streams.delivery.batching import BatchCause, Batcher, MicroBatch
from streams.delivery.former_owner import FormerOwners
from streams.delivery.joined_queue import JoinedQueue, join
from streams.delivery.lanes import Lane
from streams.delivery.ordered_queue import Item, OrderedQueue
from streams.delivery.ordered_queues import OrderedQueues
from streams.delivery.poison_detection import GiveUpRule
from streams.delivery.ready_queue import ReadyQueue
from streams.delivery.vendor_client import HttpTransport, SendAll, SendFilter, VendorClient
from streams.vendors.base import Vendor

CLOSE_SECONDS = 30.0
"""How long a rebalance waits for requests in flight; then they count as unanswered."""
MAX_UNCLEAR = 40
"""At most this many positions are named to the next owner; otherwise it checks all candidates."""
LONGEST_REQUEST_SECONDS = 900.0
"""Of a request flow, with its waits for the rate limit; a longer one never ends."""

Attempt = asyncio.Task[Sequence[OrderedQueue]]


class Courier:
    """One vendor's deliveries in one worker."""

    def __init__(
        self,
        vendor: Vendor,
        settings: Any,
        sender: HttpTransport,
        outcome_handler: OutcomeHandler,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        on_defect: Callable[[BaseException], None],
        current_settings: Callable[[], Any] | None = None,
        send_filter: SendFilter | None = None,
        on_bad_run: Callable[[str, str], None] = lambda run, why: None,  # noqa: ARG005
        give_up: GiveUpRule | None = None,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        """``current_settings`` reads the secret files again; called for each probe.

        While ``may_act`` is false the partitions may be another worker's, and nothing is sent.
        ``on_bad_run`` is called with (run id, why) for each run that the vendor mostly refuses.
        ``give_up``: when an event on which only this vendor's requests fail becomes a dead letter.
        """
        self._vendor = vendor
        self._settings = settings
        self._clock = clock
        self._on_defect = on_defect
        self._outcome_handler = outcome_handler
        self._send_filter = send_filter or SendAll()
        self._queues = OrderedQueues(self._new_batcher, vendor.queues)
        self._touched: dict[OrderedQueue, None] = {}
        self._ready = ReadyQueue()
        self._timers: dict[OrderedQueue, asyncio.TimerHandle] = {}
        self._requests: dict[Attempt, OrderedQueue] = {}
        # The memory of a request flow with several requests belongs to one partition.
        self._may_join = vendor.request_flow is None
        self._begun_at: dict[int, float] = {}
        """By partition: when its newest request started."""
        self._breaker_timer: asyncio.TimerHandle | None = None
        self._probing: asyncio.Task[None] | None = None
        self._concurrency = vendor.concurrency(settings)
        # Live events must find a free slot however slow the redeliveries are.
        self._redelivery_slots = max(1, self._concurrency // 2)
        # An event whose requests time out holds a slot for a minute each time.
        self._suspect_slots = max(1, self._concurrency // 4)
        self._in_flight: Counter[Lane] = Counter()
        self._former_owners = FormerOwners(vendor.retry_waits[0])
        self._on_hold: frozenset[int] = frozenset()
        self._one_at_a_time = False
        self.client = VendorClient(
            vendor, settings, sender, clock, current_settings, self._send_filter, give_up, may_act
        )
        self._attempts = Attempts(
            vendor,
            self.client,
            outcome_handler,
            self._send_filter,
            self._queues,
            clock=clock,
            random=random,
            on_bad_run=on_bad_run,
            on_freed=self._consider_all,
        )

    # -- called by the sink

    def add(self, item: Item, payload: bytes, key: str) -> None:
        """Add an event; events with the same key are sent in the order in which they are added.

        Call ``start_requests`` after the last event at hand.
        """
        item.ordering_key = key
        queue, is_new = self._queues.queue_of(item)
        now = self._clock()
        if is_new or self._former_owners.unclear:
            self._former_owners.delay(queue, item, now, is_new=is_new)
        queue.add(item, payload, now)
        self._touched[queue] = None

    def start_requests(self) -> None:
        """Start the requests that can start with the events that were added."""
        touched, self._touched = self._touched, {}
        self._consider_all(touched)

    def open_partition(
        self,
        partition: int,
        left_open_below: int,
        *,
        unclear: Iterable[int] = (),
        is_redelivery: bool = False,
    ) -> None:
        """Open a partition whose former owner may have left requests without a response.

        Those requests were about positions below ``left_open_below`` of this lane; 0: none.
        ``unclear``: positions whose response did not say whether the event was stored.
        """
        self.client.memory.forget_partition(partition)
        if self._vendor.can_look_up_delivered:
            self._former_owners.open((is_redelivery, partition), left_open_below, unclear)

    def send_one_at_a_time(self) -> None:
        """Send one request at a time until ``on_outcomes_written``.

        If no outcome can be written, each start of a worker then repeats only one request.
        """
        self._one_at_a_time = True

    def on_outcomes_written(self) -> None:
        """Send as many requests at a time as the vendor allows."""
        if self._one_at_a_time:
            self._one_at_a_time = False
            self._consider_ready()

    def hold(self, partitions: Collection[int]) -> None:
        """Start no request for these partitions; release all others."""
        released = self._on_hold - frozenset(partitions)
        self._on_hold = frozenset(partitions)
        for partition in released:
            self._consider_all(self._queues.of_partition(partition))

    @property
    def is_on_hold(self) -> bool | None:
        """Whether all partitions are on hold; None: some of them."""
        if not self._on_hold:
            return False
        all_are = self._one_at_a_time or self._on_hold >= self._queues.partitions
        return True if all_are else None

    def drop_redeliveries(self, is_unwanted: Callable[[Item], bool]) -> None:
        """Drop waiting redeliveries without a receipt; requests in flight go on."""
        for queue in self._queues:
            if queue.is_redelivery and (dropped := queue.drop(is_unwanted)):
                self._queues.release(queue)
                self._outcome_handler.pass_over(dropped)

    def unclear(
        self, partition: int, read_below: int, *, is_redelivery: bool = False
    ) -> list[int] | None:
        """Return the waiting positions that the vendor may have stored.

        None: not known. A request of this partition is unanswered or may start, or a former owner
        may have left one about a position that is not yet read (from ``read_below`` on).
        """
        if not self.client.is_quiesced or self._in_flight_of({partition}):
            return None
        if not self._vendor.can_look_up_delivered:
            return []
        unread = self._former_owners.unread((is_redelivery, partition), read_below)
        if unread is None:
            return None
        found = [
            item.position
            for queue in self._queues.of_partition(partition)
            if queue.is_redelivery is is_redelivery
            for item in queue.waiting()
            if item.unclear
        ]
        found += unread
        return found if len(found) <= MAX_UNCLEAR else None

    def set_share(self, share: float) -> None:
        """Set this worker's share of the vendor's rate limit: its partitions / all partitions."""
        if self.client.rate_limit is not None:
            self.client.rate_limit.set_share(share, self._clock())

    def leave_partition(self, partition: int) -> None:
        """Forget a partition's waiting events: its next owner reads them again.

        Requests in flight may still get a response; no further one is started.
        """
        for queue in self._queues.leave(partition):
            self._cancel_timer(queue)

    async def close_partitions(self, partitions: Collection[int]) -> None:
        """Leave partitions and wait for all their requests in flight.

        A request without a response in time counts as unanswered. If it is shared with other
        partitions, its response still decides about their events.
        """
        for partition in partitions:
            self.leave_partition(partition)
        # Partitions on hold wait for their receipts, maybe for hours.
        waited_for, until = set(partitions) - self._on_hold, self._clock() + CLOSE_SECONDS
        while requests := self._in_flight_of(waited_for):
            if (left := until - self._clock()) <= 0:
                break
            # A shared request may release these partitions long before it ends.
            await asyncio.wait(requests, timeout=min(left, KEPT_TOGETHER_SECONDS))
        hanging = self._in_flight_of(partitions)
        if given_up := [one for one in hanging if self._requests[one].give_up(partitions)]:
            for request in given_up:
                request.cancel()
            await asyncio.wait(given_up)

    def _in_flight_of(self, partitions: Collection[int]) -> set[Attempt]:
        return {
            request
            for request, queue in self._requests.items()
            if not request.done()
            and any(member.partition in partitions for member in queue.members)
        }

    async def quiesce(self, seconds: float) -> None:
        """Start no request and wait at most this long for the responses of those in flight."""
        self.client.quiesce()
        if self._requests:
            await asyncio.wait(set(self._requests), timeout=seconds)

    def resume(self) -> None:
        """Start requests again after ``quiesce``."""
        self.client.is_quiesced = False
        self._consider_ready()

    def apply(self, control: VendorControl, wall_ms: int) -> None:
        """Apply operator commands at once; ``wall_ms``: the time of day in ms since the epoch."""
        self.client.apply(control, wall_ms)
        self._consider_ready()

    def waiting(self) -> int:
        """Return how many events wait for a request; those in flight do not count."""
        joined = [each for each in self._requests.values() if isinstance(each, JoinedQueue)]
        return sum(map(len, self._queues)) + sum(map(len, joined))

    def may_be_silent(self, partition: int) -> bool:
        """Return whether this partition's events have a reason to wait that will end.

        Reasons: the circuit breaker, an operator, a hold, a request in flight, the wait before a
        retry, no free slot.
        """
        if (
            self.client.is_quiesced
            or self.client.breaker.state != "running"
            or partition in self._on_hold
        ):
            return True
        if self._in_flight_of({partition}):
            return self._clock() - self._begun_at[partition] < LONGEST_REQUEST_SECONDS
        if len(self._requests) >= (1 if self._one_at_a_time else self._redelivery_slots):
            return True
        if self._in_flight[Lane.SUSPECT] >= self._suspect_slots:
            return True
        return any(queue in self._timers for queue in self._queues.of_partition(partition))

    def micro_batch_due_at(self) -> float | None:
        """Return when the next request is due for which events gather; None: none gathers."""
        gathering = (queue for queue in self._timers if queue.is_fresh and queue.not_before == 0.0)
        return min(filter(None, map(OrderedQueue.due_at, gathering)), default=None)

    def asking(self) -> int:
        """Return how many events wait until the vendor can say what it stored before a restart."""
        return self._former_owners.asking(self._clock())

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return len(self._requests)

    # -- when an ordered queue's next request goes

    def _new_batcher(self) -> Batcher[Item]:
        vendor, settings = self._vendor, self._settings
        return Batcher(
            vendor.max_batch_records(settings),
            vendor.max_batch_bytes(settings),
            vendor.linger_seconds(settings),
        )

    def _consider_all(self, queues: Iterable[OrderedQueue]) -> None:
        for queue in queues:
            self._consider(queue)

    def _consider(self, queue: OrderedQueue) -> bool:
        """Start the queue's next request, or set a timer for it.

        Return whether a request was started.
        """
        if queue.closed or queue.in_flight or queue.partition in self._on_hold:
            return False
        now = self._clock()
        if not self._may_begin(now, queue.lane):
            self._ready.add(queue)
            self._watch_breaker(now)
            return False
        alone, is_fresh = self.client.breaker.is_trying, queue.is_fresh
        batch = queue.next_batch(now, alone=alone)
        if batch is None:
            self._set_timer(queue, now)
            return False
        self._cancel_timer(queue)
        if self._may_join and is_fresh and not alone and batch.cause is BatchCause.AGE:
            queue, batch = self._share_request(queue, batch, now)
        self._begin(queue, batch)
        return True

    def _share_request(
        self, queue: OrderedQueue, batch: MicroBatch[Item], now: float
    ) -> tuple[OrderedQueue, MicroBatch[Item]]:
        """Add events of idle queues of the same lane that fit into the same request."""
        records, size = len(batch), sum(map(len, batch.payloads)) + len(batch)
        parts = [(queue, batch)]
        for other in self._queues:
            if other.is_redelivery is not queue.is_redelivery or not self._may_share(other):
                continue
            if (part := other.next_batch_beside(now, records, size)) is not None:
                parts.append((other, part))
                records += len(part)
                size += sum(map(len, part.payloads)) + len(part)
                self._cancel_timer(other)
        return join(parts) if len(parts) > 1 else (queue, batch)

    def _may_share(self, queue: OrderedQueue) -> bool:
        # A queue whose visitors' rows are late waits for them alone.
        partition = queue.partition
        return partition not in self._on_hold and self._send_filter.is_current(partition)

    def _begin(self, queue: OrderedQueue, batch: MicroBatch[Item]) -> None:
        request, lane = self.client.breaker.on_request_started(), queue.lane
        self._in_flight[lane] += 1
        task = asyncio.ensure_future(self._attempts.make(queue, batch))
        self._requests[task] = queue
        for member in queue.members:
            self._begun_at[member.partition] = self._clock()
        task.add_done_callback(lambda done: self._call(self._end, done, queue, lane, request))

    def _end(self, task: Attempt, queue: OrderedQueue, lane: Lane, request: int) -> None:
        self.client.breaker.on_request_ended(request)
        del self._requests[task]
        self._in_flight[lane] -= 1
        if not task.cancelled():
            if (error := task.exception()) is not None:
                self._on_defect(error)
                return
            for isolated in task.result():
                self._consider(isolated)
        if isinstance(queue, JoinedQueue):
            self._continue(queue)
        else:
            self._consider_again(queue)
        self._consider_ready()

    def _consider_again(self, queue: OrderedQueue) -> None:
        self._queues.release(queue)
        if len(queue):
            if self._ready:
                self._ready.add(queue)  # its slot goes to the queue that waits for it
            else:
                self._consider(queue)

    def _continue(self, joined: JoinedQueue) -> None:
        """Start the next request with the remaining events, or release all queues.

        It keeps its slot: if it had to wait for one, all its queues would have to.
        """
        now = self._clock()
        freed = joined.free_finished()
        if joined.members:
            batch = joined.next_batch(now) if self._may_continue(now, joined) else None
            if batch is not None:
                self._begin(joined, batch)
            else:
                joined.break_up()
                freed += joined.free_all_but(())
        for queue in freed:
            self._consider_again(queue)

    def _may_continue(self, now: float, joined: JoinedQueue) -> bool:
        if (
            joined.is_revoked()
            or self.client.breaker.is_trying
            or not self._may_begin(now, joined.lane)
        ):
            return False
        return all(self._may_share(queue) for queue in joined.members)

    def _consider_ready(self) -> None:
        now = self._clock()
        while lanes := [lane for lane in self._ready.lanes() if self._may_begin(now, lane)]:
            queue = self._ready.pop(lanes)
            if self._consider(queue):
                self._ready.record_start(queue, lanes)
        if self._ready:
            # They may have waited for a slot only, and the circuit breaker may have opened since.
            self._watch_breaker(self._clock())

    def _may_begin(self, now: float, lane: Lane) -> bool:
        # A request counts until its receipts are written: a crash repeats no more than these.
        has_room = len(self._requests) < (1 if self._one_at_a_time else self._concurrency)
        if lane is Lane.REDELIVERY and self._in_flight[lane] >= self._redelivery_slots:
            return False
        if lane is Lane.SUSPECT and self._in_flight[lane] >= self._suspect_slots:
            return False
        return has_room and not self.client.is_quiesced and self.client.breaker.may_send(now)

    def _call_later(
        self, seconds: float, callback: Callable[..., None], *args: Any
    ) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self._call, callback, *args)

    def _call(self, callback: Callable[..., None], *args: Any) -> None:
        """Call back; the event loop would only log an exception."""
        try:
            callback(*args)
        except Exception as defect:
            self._on_defect(defect)

    def _set_timer(self, queue: OrderedQueue, now: float) -> None:
        due = queue.due_at()
        if due is None or queue in self._timers:
            return
        self._timers[queue] = self._call_later(max(0.0, due - now), self._on_timer, queue)

    def _on_timer(self, queue: OrderedQueue) -> None:
        self._timers.pop(queue, None)
        self._consider(queue)

    def _cancel_timer(self, queue: OrderedQueue) -> None:
        timer = self._timers.pop(queue, None)
        if timer is not None:
            timer.cancel()

    # -- while the circuit breaker is open

    def _watch_breaker(self, now: float) -> None:
        if self._breaker_timer is not None or self.client.breaker.may_send(now):
            return
        until = self.client.breaker.sends_again_at()
        wait = 0.5 if until is None else max(0.01, until - now)
        self._breaker_timer = self._call_later(wait, self._check_breaker)

    def _check_breaker(self) -> None:
        self._breaker_timer = None
        now = self._clock()
        if (
            self.client.breaker.probe_due(now)
            and not self.client.is_quiesced
            and self._probing is None
        ):
            self._probing = asyncio.ensure_future(self._probe())
        self._consider_ready()

    async def _probe(self) -> None:
        try:
            await self.client.probe()
            self._retry_now()
        except Exception as defect:
            self._on_defect(defect)
            return
        finally:
            self._probing = None
        self._consider_ready()

    def _retry_now(self) -> None:
        """Let all queues retry at once after a good probe."""
        if not self.client.breaker.may_send(self._clock()):
            return
        for queue in self._queues:
            if queue.failures and not queue.in_flight:
                queue.not_before = 0.0
                self._cancel_timer(queue)
                self._ready.add(queue)
