"""Several strands that share one request: what waits in each of them, one part behind the other.

Pure. The joined strands are held up until the request has ended. Where the vendor refuses it, the
refused events are searched for over all parts at once, and only what goes on at once stays joined:
after a failure, or where it may not go on, each strand gets back what is its own.
"""

from collections.abc import Collection
from itertools import chain, groupby
from operator import attrgetter

from streams.core.batching import BatchCause, Batcher, MicroBatch
from streams.delivery.ordered_queue import Item, OrderedQueue

_queue_of = attrgetter("queue")


class JoinedQueue(OrderedQueue):
    """Strands of one lane that share a request; each of them is under way as long as it is here."""

    def __init__(self, queues: Collection[OrderedQueue]) -> None:
        """``queues``: those that share the request which is now under way."""
        first = next(iter(queues))
        super().__init__(first.partition, Batcher(1, 1, 0.0), is_redelivery=first.is_redelivery)
        self.in_flight = True
        self._members = dict.fromkeys(queues)
        self._was_given_up = False

    @property
    def members(self) -> Collection[OrderedQueue]:
        """The strands that are held up."""
        return self._members

    def is_revoked(self) -> bool:
        """Return whether a part belongs to another worker by now: then nothing more is asked."""
        return self._was_given_up or any(queue.closed for queue in self._members)

    def holds(self, item: Item) -> bool:
        """Return whether an event's strand is still held up."""
        return item.queue in self._members

    def parts(self, batch: MicroBatch[Item]) -> list[tuple[OrderedQueue, MicroBatch[Item]]]:
        """Return a request's events by strand, without those that were given up."""
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
        """Let the strands of these partitions go, unjudged; return whether none is left."""
        gone = [queue for queue in self._members if queue.partition in partitions]
        for queue in gone:
            del self._members[queue]
        self._was_given_up = self._was_given_up or bool(gone)
        return not self._members

    def put_back_unsent(self, batch: MicroBatch[Item], stopped: set[int]) -> None:
        """Take out what was stopped, for the rest to go on; otherwise each gets its own back."""
        super().put_back_unsent(batch, stopped)
        if not stopped:
            self.break_up()

    def break_up(self) -> None:
        """Give each strand back what waits here, before all others that wait in it."""
        left = [] if self._search is None else [self._left_of_search()]
        left += self._again
        self._search = None
        self._again.clear()
        for batch in reversed(left):
            for queue, part in reversed(self.parts(batch)):
                queue.put_first(part)

    def hold_on(self) -> None:
        """Hold the strands up until the request has ended, whatever became of their parts."""
        for queue in self._members:
            queue.in_flight = True

    def free_all_but(self, kept: Collection[OrderedQueue | None]) -> list[OrderedQueue]:
        """Hold up no strands but these; return those that go on."""
        freed = [queue for queue in self._members if queue not in kept]
        for queue in freed:
            del self._members[queue]
            queue.in_flight = False
        return freed

    def free_finished(self) -> list[OrderedQueue]:
        """Hold those up no longer of which nothing waits here; return them."""
        return self.free_all_but({item.queue for item in self.waiting()})

    def _left_of_search(self) -> MicroBatch[Item]:
        assert self._search is not None
        return self._search.left_behind_next() if self.in_flight else self._search.left()


def join(
    parts: Collection[tuple[OrderedQueue, MicroBatch[Item]]],
) -> tuple[JoinedQueue, MicroBatch[Item]]:
    """Return the strands as one whose request is under way, and that request's events."""
    batch = MicroBatch(
        tuple(chain.from_iterable(part.positions for _, part in parts)),
        tuple(chain.from_iterable(part.payloads for _, part in parts)),
        BatchCause.AGE,
    )
    return JoinedQueue([queue for queue, _ in parts]), batch
