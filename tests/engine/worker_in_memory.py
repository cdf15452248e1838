"""A worker as the watchdog sees it: what it looks at of app and consumer, as plain data."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.engine.chunks import Chunk
from streams.engine.offset_tracker import OffsetTracker
from streams.engine.stash import Stash
from streams.engine.thread import FetchState

CLICKS = TP("shop.clicks", 0)
USERS = TP("shop.users", 0)


class Consumer:
    """One partition of events and one of a table, both read to offset 10 and idle."""

    def __init__(self) -> None:
        self.member = True
        self.assigned = {CLICKS, USERS}
        self.active = {CLICKS, USERS}
        self.fetched = {tp: FetchState(10, 1_000, is_buffered=False) for tp in (CLICKS, USERS)}
        self.remaining = 0
        self.room = self.credit = True
        self.committed = 10
        self.flow_active = True
        self.offset_trackers = {CLICKS: OffsetTracker()}
        self.recovery = SimpleNamespace(remaining_rows=lambda: self.remaining)
        self.thread = SimpleNamespace(
            is_member=lambda: self.member,
            fetch_state=self.fetched.get,
        )
        self.is_seeking = False
        self.epoch = 1
        self.stash: dict[TP, Stash] = {}

    def assignment(self) -> set[TP]:
        """What this worker has been given."""
        return self.assigned

    def hand_out(self, first: int, last: int) -> Chunk:
        """Give out a chunk."""
        offsets = range(first, last + 1)
        records: Any = [SimpleNamespace(offset=at, timestamp=0, value=b"") for at in offsets]
        chunk = Chunk(CLICKS, records)
        self.offset_trackers[CLICKS].hand_out(chunk)
        return chunk

    def hold_back(self, offset: int) -> None:
        """Hold a record back."""
        record: Any = SimpleNamespace(offset=offset, value=b"", key=b"", headers=())
        self.stash.setdefault(CLICKS, Stash()).extend([record])

    def last_commit(self, tp: TP) -> int:  # noqa: ARG002
        """The newest commit."""
        return self.committed

    def _is_changelog_tp(self, tp: TP) -> bool:
        return bool(tp == USERS)

    def _get_active_partitions(self) -> set[TP]:
        return self.active

    def has_room(self, tp: TP) -> bool:  # noqa: ARG002
        """Whether it may be fetched."""
        return self.room

    def has_credit(self, tp: TP) -> bool:  # noqa: ARG002
        """Whether it may be handed out."""
        return self.credit


class Worker:
    """The app around it."""

    def __init__(self) -> None:
        self.consumer = Consumer()
        self.started_consumer: Consumer | None = self.consumer
        self.stage = self
        self.rebalancing = False
        self.is_held_back = self.has_an_excuse = False
        self.rows = 0
        self.completed = True
        self.sender_ended = False
        recovery = SimpleNamespace(
            in_recovery=False, completed=SimpleNamespace(is_set=lambda: self.completed)
        )
        table = SimpleNamespace(rows_applied=0)
        self.recovering: Any = recovery
        self.read_elsewhere = 0
        self.options = SimpleNamespace(read_elsewhere=lambda: self.read_elsewhere)
        self.tables = SimpleNamespace(begun_recovery=recovery, values=lambda: [table])

    def may_hand_out(self, tp: TP) -> bool:  # noqa: ARG002
        """Whether the users' rows are recent enough."""
        return not self.is_held_back

    def may_be_silent(self, tp: TP) -> bool:  # noqa: ARG002
        """Whether the stage knows why nothing is settled."""
        return self.has_an_excuse


Hang = Callable[[Worker], object]
