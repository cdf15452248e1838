"""What has been handed out and not yet settled, and so how far each partition may be committed.

The ledger holds the very message objects that went out. A late ack of an object that a rebalance
has taken out of the ledger can therefore commit nothing, and gaps in the log need no handling.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class HandedOut(Protocol):
    """What the ledger needs to know of a chunk."""

    offset: int
    """The last record's."""
    acked: bool
    settled_below: int
    value: Sequence[Any]
    """Its records, each with an offset."""


class Ledger:
    """One partition's chunks in the order in which they were handed out."""

    def __init__(self) -> None:
        self._chunks: deque[HandedOut] = deque()
        self._safe: int | None = None

    def __len__(self) -> int:
        """Return the number of chunks that are not settled yet."""
        self._advance()
        return len(self._chunks)

    def __contains__(self, chunk: object) -> bool:
        """Return whether this very chunk is handed out and not settled."""
        return any(each is chunk for each in self._chunks)

    def hand_out(self, chunk: HandedOut) -> None:
        """Note a chunk before anybody else sees it."""
        self._chunks.append(chunk)

    def settle_below(self, offset: int) -> Iterable[HandedOut]:
        """Mark all records below ``offset`` as settled; return the chunks that end with this."""
        ended = []
        for chunk in self._chunks:
            if chunk.offset < offset:
                if not chunk.acked:
                    ended.append(chunk)
            else:
                chunk.settled_below = max(chunk.settled_below, offset)
                break
        return ended

    def committable(self) -> int | None:
        """Return the offset below which everything handed out is settled; None: nothing new."""
        self._advance()
        if self._chunks:
            head = self._chunks[0].settled_below
            if self._safe is None or head > self._safe:
                return head
        return self._safe

    def oldest_open(self) -> Any:
        """Return the first record that is handed out and not settled, or None."""
        self._advance()
        if not self._chunks:
            return None
        head = self._chunks[0]
        return next((r for r in head.value if r.offset >= head.settled_below), head.value[-1])

    def _advance(self) -> None:
        while self._chunks and self._chunks[0].acked:
            self._safe = self._chunks.popleft().offset + 1
