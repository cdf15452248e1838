"""What the former owners of partitions may have left at a vendor that can look events up. Pure."""

from collections.abc import Iterable

from streams.delivery.ordered_queue import Item, OrderedQueue

ANSWERED_BY_THEN_SECONDS = 30.0
"""After this time a vendor has finished a request that a dead worker left behind."""

Where = tuple[bool, int]
"""(is redelivery, partition)"""


class FormerOwners:
    """Events that a former owner may have sent without a response that says so."""

    def __init__(self, first_retry_wait: float) -> None:
        self._first_retry_wait = first_retry_wait
        self._open_below: dict[Where, int] = {}
        """A request about a position below this may be unanswered."""
        self.unclear: dict[Where, set[int]] = {}
        """Positions whose response did not say whether the event was stored; not yet read."""
        self._asked: set[OrderedQueue] = set()
        """Queues that wait until the vendor has finished a request of a former owner."""

    def open(self, where: Where, open_below: int, unclear: Iterable[int]) -> None:
        """Record what the former owner of a lane of a partition left."""
        self._open_below[where] = open_below
        self.unclear.pop(where, None)
        if positions := set(unclear):
            self.unclear[where] = positions

    def delay(self, queue: OrderedQueue, item: Item, now: float, *, is_new: bool) -> None:
        """Let the queue wait if the former owner may have sent this event.

        ``is_new``: it is the first event of its queue, about which an unanswered request would be.
        """
        where = queue.is_redelivery, item.partition
        if is_new and item.position < self._open_below.get(where, 0):
            item.unclear = True
            queue.not_before = now + ANSWERED_BY_THEN_SECONDS
            self._asked.add(queue)
        unclear = self.unclear.get(where)
        if unclear and item.position in unclear:
            # It may still be processed.
            unclear.discard(item.position)
            item.unclear = True
            queue.not_before = max(queue.not_before, now + self._first_retry_wait)

    def unread(self, where: Where, read_below: int) -> list[int] | None:
        """Return the unclear positions that are not yet read; None: they are not known."""
        if read_below < self._open_below.get(where, 0):
            return None
        return [at for at in self.unclear.get(where, ()) if at >= read_below]

    def asking(self, now: float) -> int:
        """Return how many events wait until the vendor can say what it stored before a restart."""
        self._asked = {q for q in self._asked if len(q) and not q.closed and q.not_before > now}
        return sum(item.unclear for queue in self._asked for item in queue.waiting())
