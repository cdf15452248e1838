"""All strands of one vendor in one worker, and the visitors who wait apart from the others. Pure.

A visitor is *isolated* while an event of theirs keeps failing: then a strand of their own holds
their events, and the strand from which they came goes on without them. Of a request over several
visitors nobody knows whose event it is, so both halves of its visitors are isolated, each half
that fails is halved again, and those who are innocent are through after one request or a few.
Once an isolated strand is empty, its visitors' next events go with the others again.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain

from streams.core.batching import Batcher, MicroBatch
from streams.delivery.ordered_queue import Item, OrderedQueue, queue_number

ISOLATED_UNPROVEN = 8
"""So often a partition's failing requests make way without anything being accepted: where nobody
else could be tried, all would wait for the vendor's word about one. Where it is down, no more than
so many do it in vain."""


class OrderedQueues:
    """The strands of all partitions of a worker."""

    def __init__(self, new_batcher: Callable[[], Batcher[Item]], per_partition: int) -> None:
        """``per_partition``: strands of one partition and lane, isolated ones left out."""
        self._new_batcher = new_batcher
        self._per_partition = per_partition
        self._shared: dict[int, dict[tuple[bool, int], OrderedQueue]] = {}
        """By partition, then by whether it is of redeliveries and by number."""
        self._isolated: dict[int, dict[tuple[bool, str], OrderedQueue]] = {}
        """By partition, then by whether it is of redeliveries and by visitor."""
        self._unproven: Counter[int] = Counter()
        """By partition: requests that made way since an event was accepted."""

    def __iter__(self) -> Iterator[OrderedQueue]:
        return chain.from_iterable(map(self.of_partition, [*self._shared]))

    @property
    def partitions(self) -> AbstractSet[int]:
        """Those of which anything came, and that are not left."""
        return self._shared.keys()

    def of_partition(self, partition: int) -> list[OrderedQueue]:
        """Return a partition's strands, each once."""
        isolated = dict.fromkeys(self._isolated.get(partition, {}).values())
        return [*self._shared.get(partition, {}).values(), *isolated]

    def queue_of(self, item: Item) -> tuple[OrderedQueue, bool]:
        """Return the strand in which an event has to wait, and whether it is a new one."""
        partition, is_redelivery = item.partition, item.run_id is not None
        isolated = self._isolated.get(partition)
        if isolated and (queue := isolated.get((is_redelivery, item.ordering_key))) is not None:
            return queue, False
        queues = self._shared.setdefault(partition, {})
        number = is_redelivery, queue_number(item.ordering_key, self._per_partition)
        if (queue := queues.get(number)) is not None:
            return queue, False
        queue = queues[number] = OrderedQueue(
            partition, self._new_batcher(), is_redelivery=is_redelivery
        )
        return queue, True

    def leave(self, partition: int) -> list[OrderedQueue]:
        """Forget a partition; return its strands, which are closed."""
        queues = self.of_partition(partition)
        for queue in queues:
            queue.closed = True
        self._shared.pop(partition, None)
        self._isolated.pop(partition, None)
        return queues

    def isolate(
        self, queue: OrderedQueue, batch: MicroBatch[Item], *, proven: bool
    ) -> list[OrderedQueue]:
        """Take a failed request's visitors, in two halves, out of its strand.

        ``proven``: others were accepted meanwhile. Return the new strands, with the visitors'
        waiting events behind those of the request; none where nothing is to be gained by it.
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
        for item, payload, since in queue.remove(visitors):
            own.add(item, payload, since)
        return own

    def on_accepted(self) -> None:
        """Note that the vendor takes events: what fails may make way again."""
        self._unproven.clear()

    def release(self, queue: OrderedQueue) -> None:
        """Let an isolated strand's visitors go with the others again, once nothing waits in it."""
        if queue.is_isolated and not len(queue) and not queue.in_flight:
            isolated = self._isolated.get(queue.partition, {})
            for visitor in queue.visitors:
                if isolated.get((queue.is_redelivery, visitor)) is queue:
                    del isolated[queue.is_redelivery, visitor]
