"""All queues of one vendor in one worker, and the visitors who wait apart from the others. Pure.

A visitor is *isolated* while one of their events keeps failing: their events wait in a queue of
their own, and all others go on. If a request with several visitors fails, the failing event is not
known. Both halves of its visitors are then isolated, and each half that fails is split again.
Once an isolated queue is empty, its visitors' next events join the shared queue again.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain

from streams.delivery.batching import Batcher, MicroBatch
from streams.delivery.ordered_queue import Item, OrderedQueue, queue_number

ISOLATED_UNPROVEN = 8
"""How many failing requests of a partition are isolated without a success in between. If none were,
one bad event would block its partition; if all were, a vendor outage would isolate everybody."""


class OrderedQueues:
    """The ordered queues of all partitions of a worker."""

    def __init__(self, new_batcher: Callable[[], Batcher[Item]], per_partition: int) -> None:
        """``per_partition``: shared queues of one partition and lane."""
        self._new_batcher = new_batcher
        self._per_partition = per_partition
        self._shared: dict[int, dict[tuple[bool, int], OrderedQueue]] = {}
        """By partition, then by (is redelivery, number)."""
        self._isolated: dict[int, dict[tuple[bool, str], OrderedQueue]] = {}
        """By partition, then by (is redelivery, visitor)."""
        self._unproven: Counter[int] = Counter()
        """By partition: requests that were isolated since an event was accepted."""

    def __iter__(self) -> Iterator[OrderedQueue]:
        return chain.from_iterable(map(self.of_partition, [*self._shared]))

    @property
    def partitions(self) -> AbstractSet[int]:
        """The partitions that have had events and are still assigned."""
        return self._shared.keys()

    def of_partition(self, partition: int) -> list[OrderedQueue]:
        """Return a partition's queues, each once."""
        isolated = dict.fromkeys(self._isolated.get(partition, {}).values())
        return [*self._shared.get(partition, {}).values(), *isolated]

    def queue_of(self, item: Item) -> tuple[OrderedQueue, bool]:
        """Return the queue for an event, and whether it is new."""
        partition, is_redelivery = item.partition, item.run_id is not None
        isolated = self._isolated.get(partition)
        if isolated and (queue := isolated.get((is_redelivery, item.ordering_key))) is not None:
            return queue, False
        number = is_redelivery, queue_number(item.ordering_key, self._per_partition)
        queues = self._shared.get(partition)
        if queues is None:
            queues = self._shared[partition] = {}
        elif (queue := queues.get(number)) is not None:
            return queue, False
        queue = queues[number] = OrderedQueue(
            partition, self._new_batcher(), is_redelivery=is_redelivery
        )
        return queue, True

    def leave(self, partition: int) -> list[OrderedQueue]:
        """Close and return a partition's queues, and forget the partition."""
        queues = self.of_partition(partition)
        for queue in queues:
            queue.closed = True
        self._shared.pop(partition, None)
        self._isolated.pop(partition, None)
        return queues

    def isolate(
        self, queue: OrderedQueue, batch: MicroBatch[Item], *, proven: bool
    ) -> list[OrderedQueue]:
        """Move a failed request's visitors, in two halves, to queues of their own.

        ``proven``: other events were accepted meanwhile. Return the new queues, with the events of
        the request first; empty if isolating them would not help.
        """
        if queue.closed:
            return []
        visitors = list(dict.fromkeys(item.ordering_key for item in batch.positions))
        isolated = self._isolated.setdefault(queue.partition, {})
        if queue.is_isolated and len(visitors) == 1 and len(queue.visitors) == 1:
            return []
        if not proven:
            if self._unproven[queue.partition] >= ISOLATED_UNPROVEN:
                return []
            self._unproven[queue.partition] += 1
        queue.put_back(batch)
        middle = len(visitors) // 2
        new = []
        for half in (visitors[:middle], visitors[middle:]):
            if half:
                own = self._isolate(queue, frozenset(half))
                isolated.update({(queue.is_redelivery, visitor): own for visitor in half})
                new.append(own)
        queue.visitors -= frozenset(visitors)
        queue.on_verdict()
        return new

    def _isolate(self, queue: OrderedQueue, visitors: frozenset[str]) -> OrderedQueue:
        own = OrderedQueue(
            queue.partition,
            self._new_batcher(),
            is_redelivery=queue.is_redelivery,
            visitors=visitors,
        )
        for item, payload, since in queue.remove(lambda item: item.ordering_key in visitors):
            own.add(item, payload, since)
        return own

    def on_accepted(self) -> None:
        """Record that the vendor accepts events: failing requests may be isolated again."""
        self._unproven.clear()

    def release(self, queue: OrderedQueue) -> None:
        """Let an isolated queue's visitors use the shared queue again, once it is empty."""
        if queue.is_isolated and not len(queue) and not queue.in_flight:
            isolated = self._isolated.get(queue.partition, {})
            for visitor in queue.visitors:
                if isolated.get((queue.is_redelivery, visitor)) is queue:
                    del isolated[queue.is_redelivery, visitor]
