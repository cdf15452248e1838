"""What one worker's request flows remember: contacts, schemas, accepted clicks. All bounded."""

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

from streams.vendors.voyado.schema import Schema

MAX_CONTACTS = 100_000
MAX_CLICKS = 200_000
"""Of all partitions together, about 130 MiB. At 40 accepted clicks a second it is 83 minutes."""
FOUND_SECONDS = 24 * 3600.0
"""A contact's id does not change; Voyado asks integrations to keep it."""
NOT_FOUND_SECONDS = 300.0
"""Somebody may become a contact at any time."""
SCHEMA_SECONDS = 3600.0
"""A schema cannot be changed, only deleted and created again; a 404 shows that it is gone."""
THINNING_MS = 30 * 60 * 1000

V = TypeVar("V")


class Contact(NamedTuple):
    """The response to a look-up."""

    contact_id: str | None
    """None: there is none, or not exactly one."""
    status: int
    words: str
    """Status and code of the response, nothing of its text."""


class Expiring(Generic[V]):
    """The newest ``size`` values by key, each until its time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[str, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str, now: float) -> V | None:
        """Return what is known and still holds."""
        found = self._values.get(key)
        if found is None:
            return None
        if now >= found[1]:
            del self._values[key]
            return None
        return found[0]

    def put(self, key: str, value: V, until: float) -> None:
        """Remember a value; the one that was put longest ago makes room."""
        self._values[key] = (value, until)
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    def forget(self, key: str) -> None:
        """Forget a value that turned out wrong."""
        self._values.pop(key, None)


class Clicks:
    """When the accepted clicks of a contact on a SKU happened, by the events' own times.

    Of each more than the last, since events may come late: one that lies between two accepted
    clicks is judged by the earlier.
    """

    def __init__(self) -> None:
        self._count = 0
        self._accepted: OrderedDict[tuple[str, str], list[tuple[int, str]]] = OrderedDict()
        """Contact and SKU → times in ms and event ids, the earliest first."""

    def __len__(self) -> int:
        return self._count

    def thin_out(self, contact_id: str, sku: str, at_ms: int, event_id: str) -> bool:
        """Return whether another click within the 30 minutes before this one was accepted."""
        clicks = self._accepted.get((contact_id, sku), ())
        first = bisect_right(clicks, at_ms - THINNING_MS, key=_at)
        last = bisect_right(clicks, at_ms, key=_at)
        return any(clicks[number][1] != event_id for number in range(first, last))

    def accepted(self, contact_id: str, sku: str, at_ms: int, event_id: str) -> None:
        """Note an accepted click."""
        clicks = self._accepted.setdefault((contact_id, sku), [])
        self._accepted.move_to_end((contact_id, sku))
        if (at_ms, event_id) in clicks[bisect_left(clicks, at_ms, key=_at) :]:
            return
        insort(clicks, (at_ms, event_id))
        self._count += 1

    def drop_oldest(self) -> None:
        """Forget the earliest click of the pair that was noted longest ago."""
        oldest = next(iter(self._accepted))
        self._accepted[oldest].pop(0)
        self._count -= 1
        if not self._accepted[oldest]:
            del self._accepted[oldest]


def _at(click: tuple[int, str]) -> int:
    return click[0]


class ContactMemory:
    """One worker's memory: it saves requests and thins clicks."""

    def __init__(self, max_clicks: int = MAX_CLICKS) -> None:
        self._max_clicks = max_clicks
        self.contacts: Expiring[Contact] = Expiring(MAX_CONTACTS)
        self.schemas: Expiring[Schema] = Expiring(100)
        self._clicks: dict[int, Clicks] = {}

    def clicks_of(self, partition: int) -> Clicks:
        """Return the accepted clicks of one partition, for thinning."""
        return self._clicks.setdefault(partition, Clicks())

    def accept_click(
        self, partition: int, contact_id: str, sku: str, at_ms: int, event_id: str
    ) -> None:
        """Note an accepted click; the partition with the most of them makes room."""
        self.clicks_of(partition).accepted(contact_id, sku, at_ms, event_id)
        if sum(map(len, self._clicks.values())) > self._max_clicks:
            max(self._clicks.values(), key=len).drop_oldest()

    def forget_partition(self, partition: int) -> None:
        """Forget a partition that was assigned or revoked."""
        self._clicks.pop(partition, None)
