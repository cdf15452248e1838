"""An ordered queue: its events stay in order, so at most one of its requests is in flight.

Pure: time comes in as an argument.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Any
from zlib import crc32

import msgspec

from streams.core.consent import Ground
from streams.core.outcome import Verdict
from streams.delivery.batching import BatchCause, Batcher, MicroBatch, halves, joined, without
from streams.delivery.bisection import Bisection
from streams.delivery.lanes import Lane
from streams.delivery.poison_detection import Failures


class Item(msgspec.Struct, eq=False):
    """One vendor record that is being delivered."""

    partition: int
    position: int
    event_id: str
    source: str
    timestamp: str
    """When it happened in the shop: RFC 3339."""
    record: bytes
    """The value of the vendor record, for a dead letter."""
    raw_ms: int
    """Kafka time of the raw record."""
    key: bytes | None = None
    """The vendor record's key."""
    tag: Any = None
    """Set by the sink: the progress in which the outcome is settled."""
    run_id: str | None = None
    """Of a redelivery; None: a live event."""
    ground: Ground = "row"
    """Why the visitor's consent counts as given."""
    ordering_key: str = ""
    """Events with the same key are sent in the order in which they came."""
    attempts: int = 0
    failures: Failures | None = None
    """Failures of its requests since the vendor last judged it."""
    unclear: bool = False
    """An earlier request may have stored it although no response came."""
    queue: "OrderedQueue | None" = None
    """The queue in which it waits or last waited."""


class OrderedQueue:
    """Waiting events, retries first, and the time from which they may be sent."""

    def __init__(
        self,
        partition: int,
        batcher: Batcher[Item],
        *,
        is_redelivery: bool = False,
        visitors: frozenset[str] = frozenset(),
    ) -> None:
        """``visitors``: the ordering keys of an isolated queue; empty: a shared queue."""
        self.partition = partition
        self.visitors = visitors
        self.is_isolated = bool(visitors)
        self.is_redelivery = is_redelivery
        self.in_flight = False
        self.closed = False
        self.failures = 0
        self.not_before = 0.0
        self._batcher = batcher
        self._search: Bisection[Item] | None = None
        """The search for an event that was refused unnamed; it goes before all others."""
        self._again: deque[MicroBatch[Item]] = deque()

    def __len__(self) -> int:
        searched = 0
        if self._search is not None:
            in_flight = len(self._search.next_batch()) if self.in_flight else 0
            searched = len(self._search) - in_flight
        return searched + len(self._batcher) + sum(map(len, self._again))

    @property
    def members(self) -> Collection["OrderedQueue"]:
        """The queues that wait for its requests: itself."""
        return (self,)

    def is_revoked(self) -> bool:
        """Return whether a partition of its request was revoked."""
        return self.closed

    def holds(self, item: Item) -> bool:  # noqa: ARG002
        """Return whether the outcome of this event is still decided here."""
        return True

    def parts(self, batch: MicroBatch[Item]) -> "list[tuple[OrderedQueue, MicroBatch[Item]]]":
        """Return a request's events by the queue in which they waited."""
        return [(self, batch)]

    def give_up(self, partitions: Collection[int]) -> bool:  # noqa: ARG002
        """Release the events of these partitions; return whether no other queue waits."""
        return True

    def break_up(self) -> None:
        """Return waiting events to their own queues, where several queues share a request."""

    def hold_on(self) -> None:
        """Let queues that share a request wait until it has ended."""

    @property
    def lane(self) -> Lane:
        """The lane of its next request."""
        if self.is_redelivery:
            return Lane.REDELIVERY
        if self.failures and len(self.visitors) == 1:
            return Lane.SUSPECT
        return Lane.RETRY if self.failures else Lane.LIVE

    def add(self, item: Item, payload: bytes, now: float) -> None:
        """Append an event; its linger time counts from ``now``."""
        item.queue = self
        self._batcher.add(item, payload, now)

    def due_at(self) -> float | None:
        """Return when the next request may be due; None: when an event is added."""
        if self._search is not None or self._again:
            return self.not_before
        due = self._batcher.due_at()
        return None if due is None else max(due, self.not_before)

    def next_batch(self, now: float, *, alone: bool = False) -> MicroBatch[Item] | None:
        """Return the next request's events and mark the queue as in flight, if one is due.

        ``alone``: only the first event; the others stay at the front.
        """
        if self.in_flight or self.closed or now < self.not_before:
            return None
        # Only the failing event of an isolated visitor is sent alone; batches follow after it.
        alone = alone or (self.failures > 0 and len(self.visitors) == 1)
        if alone:
            self._end_search()
        batch = self._next_batch(now)
        self.in_flight = batch is not None
        if batch is not None and alone and len(batch) > 1:
            self.put_first(without(batch, {0}))
            return without(batch, range(1, len(batch)))
        return batch

    def _next_batch(self, now: float) -> MicroBatch[Item] | None:
        if self._search is not None:
            return self._search.next_batch()
        if self._again:
            return self._again.popleft()
        cause = self._batcher.ready(now)
        return None if cause is None else self._batcher.next_batch(cause)

    def next_batch_beside(self, now: float, records: int, size: int) -> MicroBatch[Item] | None:
        """Return all waiting events for a shared request, and mark the queue as in flight.

        None: nothing is due, the events are retries, or they do not fit beside this many records
        and bytes (one byte more for each record).
        """
        if self.in_flight or self.closed or now < self.not_before or not self.is_fresh:
            return None
        if not len(self._batcher) or not self._batcher.fits_beside(records, size):
            return None
        self.in_flight = True
        return self._batcher.next_batch(BatchCause.AGE)

    @property
    def is_fresh(self) -> bool:
        """Whether all waiting events are first tries and may share a request."""
        return not (self.failures or self.is_isolated or self._again or self._search)

    def on_verdict(self) -> None:
        """Record that the vendor has judged the request: the next one may be sent."""
        self.in_flight = False
        self.failures = 0
        self.not_before = 0.0

    def on_accepted(self) -> tuple[Item, Verdict] | None:
        """Record that the vendor accepted the request: the next one may be sent.

        Return the refused event of an earlier request if it is now known, with the verdict that
        refused it.
        """
        self.on_verdict()
        search = self._search
        if search is None:
            return None
        found = search.on_accepted()
        if search.is_over:
            self._search = None
            self.put_first(search.left())
        return None if found is None else (found, search.verdict)

    def put_back_failed(self, batch: MicroBatch[Item], not_before: float) -> None:
        """Put a failed request back to the front, to be sent no earlier than ``not_before``."""
        self.failures += 1
        self.not_before = not_before
        self.put_back(batch)

    def put_back_open(self, batch: MicroBatch[Item], judged: set[int]) -> None:
        """Put the events without an outcome back to the front, to be sent at once."""
        left = without(batch, judged)
        if self._search is not None:
            left = joined(left, self._search.left_behind_next())
            self._search = None
        self.put_first(left)

    def put_back_unsent(self, batch: MicroBatch[Item], stopped: set[int]) -> None:
        """Put a request without a verdict back to the front, except the stopped events."""
        if stopped:
            self.in_flight = False
            self.put_back_open(batch, stopped)
        else:
            self.put_back(batch)

    def drop(self, is_unwanted: Callable[[Item], bool]) -> list[Item]:
        """Remove and return unwanted waiting events; requests in flight go on."""
        if self._search is not None and self.in_flight:
            return []
        return [item for item, _, _ in self.remove(is_unwanted)]

    def waiting(self) -> Iterator[Item]:
        """Yield the waiting events, not those in flight."""
        if self._search is not None and not self.in_flight:
            yield from self._search.left().positions
        for batch in self._again:
            yield from batch.positions
        yield from self._batcher.waiting()

    def put_back(self, batch: MicroBatch[Item]) -> None:
        """Put a request without any result back to the front."""
        self.in_flight = False
        if self._search is None:
            self._again.appendleft(batch)

    def remove(self, is_wanted: Callable[[Item], bool]) -> list[tuple[Item, bytes, float]]:
        """Remove and return waiting events, in order, as they were added.

        Retries count as added long ago: they do not wait for a batch to fill again.
        """
        self._end_search()
        tried: list[tuple[Item, bytes, float]] = []
        again, self._again = self._again, deque()
        for batch in again:
            wanted = [n for n, item in enumerate(batch.positions) if is_wanted(item)]
            tried += [(batch.positions[n], batch.payloads[n], 0.0) for n in wanted]
            left = without(batch, set(wanted))
            if len(left):
                self._again.append(left)
        return tried + self._batcher.remove(is_wanted)

    def bisect(self, batch: MicroBatch[Item], verdict: Verdict) -> None:
        """Search for the event for which this request was refused."""
        if self._search is None:
            self._search = Bisection(batch, verdict)
        else:
            self._search.on_refused(verdict)

    def split(self, batch: MicroBatch[Item]) -> None:
        """Put a request that was too large back to the front, in two halves."""
        if self._search is not None:
            self.put_first(self._search.left_behind_next())
            self._search = None
        first, second = halves(batch)
        self._again.extendleft((second, first))

    def put_first(self, batch: MicroBatch[Item]) -> None:
        """Put events before all other waiting ones."""
        if len(batch):
            self._again.appendleft(batch)

    def _end_search(self) -> None:
        if self._search is not None:
            self.put_first(self._search.left())
            self._search = None


def queue_number(key: str, queues: int) -> int:
    """Return the number of the queue for a key; the same in every process."""
    return 0 if queues == 1 else crc32(key.encode()) % queues
