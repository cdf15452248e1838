"""Strands that could go and may not yet, by lane, each lane in order. Pure."""

from streams.delivery.lanes import Lane, Turns
from streams.delivery.ordered_queue import OrderedQueue


class ReadyQueue:
    """Who waits for a request slot, and who gets the next one."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._queues: dict[Lane, dict[OrderedQueue, None]] = {lane: {} for lane in Lane}

    def __bool__(self) -> bool:
        return any(self._queues.values())

    def add(self, queue: OrderedQueue) -> None:
        """Take a strand, behind the others of its lane."""
        self._queues[queue.lane][queue] = None

    def lanes(self) -> list[Lane]:
        """Return the lanes in which a strand waits."""
        return [lane for lane, queues in self._queues.items() if queues]

    def pop(self, lanes: list[Lane]) -> OrderedQueue:
        """Remove and return the strand whose turn it is among these lanes, which are not empty."""
        queues = self._queues[self._turns.next(lanes)]
        queue = next(iter(queues))
        del queues[queue]
        return queue

    def record_start(self, queue: OrderedQueue, lanes: list[Lane]) -> None:
        """Note that a strand that was taken began a request, while these lanes waited."""
        self._turns.record(queue.lane, lanes)
