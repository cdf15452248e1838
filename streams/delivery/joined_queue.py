"""Several ordered queues that share one request; their events follow each other in it.

Pure. The queues wait until the request has ended. If the vendor refuses it, bisection searches all
parts together, and the queues stay joined while requests follow at once. After a failure, or if
they have to wait, each queue gets its own events back.
"""

from collections.abc import Collection
from itertools import chain, groupby
from operator import attrgetter

from streams.delivery.batching import BatchCause, Batcher, MicroBatch
from streams.delivery.ordered_queue import Item, OrderedQueue

_queue_of = attrgetter("queue")


class JoinedQueue(OrderedQueue):
    """Ordered queues of one lane that share a request; each member counts as in flight."""

    def __init__(self, queues: Collection[OrderedQueue]) -> None:
        """``queues`` share the request that is now in flight."""
        first = next(iter(queues))
        super().__init__(first.partition, Batcher(1, 1, 0.0), is_redelivery=first.is_redelivery)
        self.in_flight = True
        self._members = dict.fromkeys(queues)
        self._was_given_up = False

    @property
    def members(self) -> Collection[OrderedQueue]:
        """The queues that wait for the request."""
        return self._members

    def is_revoked(self) -> bool:
        """Return whether a part's partition was revoked: then no further request is sent."""
        return self._was_given_up or any(queue.closed for queue in self._members)

    def holds(self, item: Item) -> bool:
        """Return whether an event's queue still waits for this request."""
        return item.queue in self._members

    def parts(self, batch: MicroBatch[Item]) -> list[tuple[OrderedQueue, MicroBatch[Item]]]:
        """Return a request's events by queue; released queues are left out."""
        found = []
        begin = 0
        for queue, items in groupby(batch.positions, _queue_of):
            end = begin + sum(1 for _ in items)
            if queue in self._members:
                part = MicroBatch(
                    batch.positions[begin:end], batch.payloads[begin:end], batch.cause
                )
                found.append((queue, part))
            begin = end
        return found

    def give_up(self, partitions: Collection[int]) -> bool:
        """Release the queues of these partitions without a verdict; return whether none is left."""
        gone = [queue for queue in self._members if queue.partition in partitions]
        for queue in gone:
            del self._members[queue]
        self._was_given_up = self._was_given_up or bool(gone)
        return not self._members

    def put_back_unsent(self, batch: MicroBatch[Item], stopped: set[int]) -> None:
        """Remove stopped events and go on with the rest; if none was stopped, break up."""
        super().put_back_unsent(batch, stopped)
        if not stopped:
            self.break_up()

    def break_up(self) -> None:
        """Put the waiting events back to the front of their own queues."""
        left = [] if self._search is None else [self._left_of_search()]
        left += self._again
        self._search = None
        self._again.clear()
        for batch in reversed(left):
            for queue, part in reversed(self.parts(batch)):
                queue.put_first(part)

    def hold_on(self) -> None:
        """Let the queues wait until the request has ended, whatever the outcome of their parts."""
        for queue in self._members:
            queue.in_flight = True

    def free_all_but(self, kept: Collection[OrderedQueue | None]) -> list[OrderedQueue]:
        """Release all queues but these; return the released ones."""
        freed = [queue for queue in self._members if queue not in kept]
        for queue in freed:
            del self._members[queue]
            queue.in_flight = False
        return freed

    def free_finished(self) -> list[OrderedQueue]:
        """Release the queues without waiting events; return them."""
        return self.free_all_but({item.queue for item in self.waiting()})

    def _left_of_search(self) -> MicroBatch[Item]:
        assert self._search is not None
        return self._search.left_behind_next() if self.in_flight else self._search.left()


def join(
    parts: Collection[tuple[OrderedQueue, MicroBatch[Item]]],
) -> tuple[JoinedQueue, MicroBatch[Item]]:
    """Return the queues joined, with their request in flight, and that request's events."""
    batch = MicroBatch(
        tuple(chain.from_iterable(part.positions for _, part in parts)),
        tuple(chain.from_iterable(part.payloads for _, part in parts)),
        BatchCause.AGE,
    )
    return JoinedQueue([queue for queue, _ in parts]), batch
