"""The tables ``users`` and ``products`` as they are now, for commands; they can follow along."""

from collections.abc import Collection, Iterable
from functools import lru_cache

from aiokafka import TopicPartition

from streams.core.consent import NO_TO_ALL, Malformed
from streams.core.records import TopicRecord, is_moved
from streams.core.rows import InvalidRow, Product, User, decode_product, decode_user, strip_email
from streams.core.runs import Asked
from streams.core.topics import Topics
from streams.engine.partitioner import NewestPlaces, home_of
from streams.kafka.reader import LogReader, Tell, silent
from streams.settings import Settings
from streams.vendors import VENDORS

DECODED_ROWS = 100_000


def new_rows(settings: Settings, vendors: Collection[str], asked: Asked) -> "Rows":
    """Return empty tables that keep what a run's mappings for these vendors need."""
    visitors = None if asked.visitor is None else {asked.visitor.encode()}
    return Rows(settings.topics, keep_email=settings.keeps_email(vendors), visitors=visitors)


class Rows:
    """User and product rows by key, encoded; a look-up decodes."""

    def __init__(
        self,
        topics: Topics,
        *,
        keep_email: bool,
        visitors: Collection[bytes] | None = None,
        product_ids: Collection[bytes] | None = None,
        partitions: int = 1,
    ) -> None:
        """Start empty; only rows of these visitors and products are kept; None: of all.

        ``partitions`` are those of ``shop.users``; ``follow`` finds them out.
        """
        self._topics = topics
        self._keep_email = keep_email
        self._visitors = visitors
        self._product_ids = product_ids
        self._users: dict[int, dict[bytes, bytes]] = {}
        """By partition: after partitions were added a visitor may have rows on two."""
        self._partitions = partitions
        self._forgotten: dict[bytes, int] = {}
        self._products: dict[bytes, bytes] = {}
        self._newest_products = NewestPlaces()
        self._read_to: dict[TopicPartition, int] = {}

    async def follow(
        self, reader: LogReader, tell: Tell = silent, user_partitions: Iterable[int] | None = None
    ) -> None:
        """Read both topics from where this last ended to their ends as they are now.

        With ``user_partitions`` only these of ``shop.users``.
        """
        topics = self._topics
        found = await reader.partitions([topics.users, topics.products])
        self._partitions = len(found[topics.users])
        kept = None if user_partitions is None else set(user_partitions)
        users = [tp for tp in found[topics.users] if kept is None or tp.partition in kept]
        for tps, keys, apply in (
            (users, self._visitors, self.apply_users),
            (found[topics.products], self._product_ids, self.apply_products),
        ):
            if keys is not None and not keys:
                continue
            ends = await reader.ends(tps)
            begins = await reader.starts(tps)
            starts = {tp: max(begins[tp], self._read_to.get(tp, 0)) for tp in tps}
            async for _, records in reader.read(starts, ends, tell):
                apply(records)
            self._read_to.update(ends)

    def apply_users(self, records: Iterable[TopicRecord]) -> None:
        """Take user rows and tombstones of one partition in log order."""
        for record in records:
            key = record.key
            if key is None or (self._visitors is not None and key not in self._visitors):
                continue
            rows = self._users.setdefault(record.partition, {})
            value, moved = record.value, is_moved(record.headers)
            if value is None:
                rows.pop(key, None)
                if not moved:
                    self._forgotten[key] = max(record.timestamp, self._forgotten.get(key, 0))
            elif not (moved and key in rows):
                rows[key] = value if self._keep_email else strip_email(value, VENDORS)

    def apply_products(self, records: Iterable[TopicRecord]) -> None:
        """Take product rows and tombstones of one partition in log order."""
        for record in records:
            key = record.key
            if key is None or (self._product_ids is not None and key not in self._product_ids):
                continue
            if not self._newest_products.admit(record.partition, key, record.timestamp):
                continue
            if record.value is None:
                self._products.pop(key, None)
            else:
                self._products[key] = record.value

    def user(self, key: bytes) -> User | Malformed | None:
        """Return the visitor's row; NO_TO_ALL for one out of shape, None where there is none."""
        row = self._row_of(key)
        return None if row is None else _decoded_user(row)

    def home_of(self, key: bytes) -> int:
        """Return the partition of ``shop.users`` where a key belongs."""
        return home_of(key, self._partitions)

    def _row_of(self, key: bytes) -> bytes | None:
        """Return the visitor's row; of several that on the partition where the key belongs."""
        found = {at: rows[key] for at, rows in self._users.items() if key in rows}
        if len(found) > 1 and (home := self.home_of(key)) in found:
            return found[home]
        return next(iter(found.values()), None)

    def forgotten_ms(self, key: bytes) -> int | None:
        """Return the Kafka time of the visitor's newest tombstone."""
        return self._forgotten.get(key)

    def product(self, product_id: str) -> Product | None:
        """Return the product's row; None where there is none or one out of shape."""
        row = self._products.get(product_id.encode())
        return None if row is None else _decoded_product(row)


@lru_cache(DECODED_ROWS)
def _decoded_user(row: bytes) -> User | Malformed:
    try:
        return decode_user(row, VENDORS)
    except InvalidRow:
        return NO_TO_ALL


@lru_cache(DECODED_ROWS)
def _decoded_product(row: bytes) -> Product | None:
    try:
        return decode_product(row)
    except InvalidRow:
        return None
