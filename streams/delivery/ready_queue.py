"""Ordered queues that wait for a request slot, by lane, each lane in order. Pure."""

from streams.delivery.lanes import Lane, Turns
from streams.delivery.ordered_queue import OrderedQueue


class ReadyQueue:
    """Decides which ordered queue gets the next request slot."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._queues: dict[Lane, dict[OrderedQueue, None]] = {lane: {} for lane in Lane}

    def __bool__(self) -> bool:
        return any(self._queues.values())

    def add(self, queue: OrderedQueue) -> None:
        """Append an ordered queue to its lane."""
        self._queues[queue.lane][queue] = None

    def lanes(self) -> list[Lane]:
        """Return the lanes in which a queue waits."""
        return [lane for lane, queues in self._queues.items() if queues]

    def pop(self, lanes: list[Lane]) -> OrderedQueue:
        """Remove and return the queue with the next turn among these lanes; none is empty."""
        queues = self._queues[self._turns.next(lanes)]
        queue = next(iter(queues))
        del queues[queue]
        return queue

    def record_start(self, queue: OrderedQueue, lanes: list[Lane]) -> None:
        """Record that a popped queue started a request while these lanes waited."""
        self._turns.record(queue.lane, lanes)
