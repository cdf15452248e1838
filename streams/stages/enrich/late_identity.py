"""Late identity: when a visitor's contact becomes known, earlier events can be sent.

Enrichment sees each user row and records those that name a new contact. A little later, when the
events that were enriched without it have their receipts, it searches the partition for the
visitor's events.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

from streams.core.consent import Malformed
from streams.core.errors import StreamsError
from streams.core.rows import InvalidRow, Product, User, decode_user
from streams.engine.app import StageApp
from streams.engine.errors import EngineError
from streams.engine.tables import MALFORMED, GlobalTopicTable, Row, TopicTable
from streams.stages.enrich.joined_rows import JoinedRows
from streams.vendors import VENDORS

log = logging.getLogger("streams.enrich")

SETTLE_SECONDS = 2.0
"""Wait after a row, until the events that were enriched without it have their receipts."""
AGAIN_SECONDS = 3.0
TRIES = 5
FAILED_SECONDS = 10.0
LOOK_SECONDS = 0.5


class _Noted(NamedTuple):
    row_ms: int
    due_at: float
    tries: int


class TableRows:
    """One partition's rows in this worker's tables."""

    def __init__(self, users: TopicTable, products: GlobalTopicTable, partition: int) -> None:
        self._users = users.rows.get(partition, {})
        self._forgotten = users.forgotten.get(partition, {})
        self._products = products.by_key
        self._decoded = JoinedRows()

    def user(self, key: bytes) -> User | Malformed | None:
        """Return the visitor's row, or that it is malformed; None: there is none."""
        return self._decoded.user(self._users, key)

    def forgotten_ms(self, key: bytes) -> int | None:
        """Return the Kafka time of the visitor's newest tombstone."""
        return self._forgotten.get(key)

    def product(self, product_id: str) -> Product | None:
        """Return the product's row; None: there is none, or it is malformed."""
        return self._decoded.product(self._products, product_id)


Replay = Callable[[TableRows, int, Mapping[bytes, int]], Awaitable[Collection[bytes] | None]]
"""(rows, partition, visitor → Kafka time of the row) → visitors with events still under way.

None: it cannot be done now.
"""


class LateIdentity:
    """Records new contacts and replays the events of their visitors, one partition at a time."""

    def __init__(
        self,
        app: StageApp,
        users: TopicTable,
        products: GlobalTopicTable,
        window_ms: int,
        replay: Replay,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        """Listen to user rows; ``window_ms``: rows older than this are ignored."""
        self._app = app
        self._users = users
        self._products = products
        self._window_ms = window_ms
        self._replay = replay
        self._wall_ms = wall_ms
        self._noted: dict[int, dict[bytes, _Noted]] = {}
        self._task: asyncio.Task[None] | None = None
        users.on_row = self.add

    def add(self, partition: int, key: bytes, before: Row | None, row: Row, row_ms: int) -> None:
        """Record a row that names a new contact; ignore others.

        At the start of a worker rows are read again. Events that were sent are not sent twice.
        """
        if row_ms < self._wall_ms() - self._window_ms:
            return
        contact = _contact(row)
        if contact is None or contact == _contact(before):
            return
        loop = asyncio.get_running_loop()
        noted = _Noted(row_ms, loop.time() + SETTLE_SECONDS, TRIES)
        self._noted.setdefault(partition, {})[key] = noted
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        """Replay what is due until nothing is left."""
        loop = asyncio.get_running_loop()
        while self._noted:
            for partition in list(self._noted):
                if partition not in self._users.rows:
                    del self._noted[partition]  # another worker's now, which reads its rows anew
                    continue
                await self._look(partition, loop.time())
            if self._noted:
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, partition: int, now: float) -> None:
        noted = self._noted[partition]
        due = {key: one for key, one in noted.items() if one.due_at <= now}
        if not due:
            return
        again = None
        try:
            if self._app.may_act():
                rows = TableRows(self._users, self._products, partition)
                visitors = {key: one.row_ms for key, one in due.items()}
                again = await self._replay(rows, partition, visitors)
        except (StreamsError, EngineError) as error:
            log.warning("events of visitors who became known are not sent yet: %s", error)
        if again is None:
            for key, one in due.items():
                noted[key] = one._replace(due_at=now + FAILED_SECONDS)
            return
        for key, one in due.items():
            if noted.get(key) is not one:
                continue  # a newer row came meanwhile
            if key in again and one.tries > 1:
                noted[key] = _Noted(one.row_ms, now + AGAIN_SECONDS, one.tries - 1)
            else:
                del noted[key]
        if not noted:
            del self._noted[partition]


def _contact(row: Row | None) -> tuple[str, str, str] | None:
    """Return the keys by which a row names a contact; None: it names none."""
    if row is None or row is MALFORMED:
        return None
    try:
        user = decode_user(row, VENDORS)
    except InvalidRow:
        return None
    contact = (user.contact_id or "", user.custom_key or "", user.email or "")
    return contact if any(contact) else None
