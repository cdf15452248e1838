"""Our consumer without Faust and Kafka: a group's commits and a stage, as plain data."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.engine.consumer import Consumer
from streams.engine.offset_tracker import Credit
from streams.engine.positions import StartPosition
from streams.engine.thread import Committed


class Thread:
    """What the consumer thread does for the group, done at once."""

    def __init__(self) -> None:
        self.group: dict[TP, Committed] = {}
        self.commits: list[dict[TP, tuple[int, str]]] = []
        self.sought: list[dict[TP, int]] = []

    async def committed(self, tps: Iterable[TP]) -> dict[TP, Committed]:
        """Where the group stands."""
        return {tp: self.group[tp] for tp in tps}

    def seek_all(self, offsets: Mapping[TP, int]) -> None:
        """Note where reading begins."""
        self.sought.append(dict(offsets))

    async def commit_with_metadata(self, due: Mapping[TP, tuple[int, str]]) -> bool:
        """Take a commit."""
        await asyncio.sleep(0)
        self.commits.append(dict(due))
        for tp, (offset, metadata) in due.items():
            known = self.group[tp]
            self.group[tp] = Committed(offset, metadata, known.log_start, known.log_end)
        return True


class App:
    """A stage that knows of a partition what it was told when it took it up."""

    def __init__(self) -> None:
        self.stage = self
        self.tables: Any = {}
        self.known: dict[TP, str] = {}
        self.gone: list[set[TP]] = []
        self.expired: list[tuple[TP, int, int]] = []
        self.settle_on_revoke_seconds = 0.0
        self.options = SimpleNamespace(
            stage="voyado",
            group="streams-voyado",
            chunk_records=500,
            stash_records=4_000,
            stash_bytes=16 * 2**20,
        )
        self.credit = Credit()
        self.flow_control = SimpleNamespace(
            suspend=lambda: None, clear=lambda: None, is_active=lambda: True
        )
        self.topics = SimpleNamespace(_tp_to_callback_lock=asyncio.Lock())
        self.consumer_generation_id = 1
        self.taking_up: Callable[[], Awaitable[object]] = _at_once

    def commit_metadata(self, tp: TP, offset: int) -> str | None:  # noqa: ARG002
        """What was left for the next owner."""
        return self.known.get(tp)

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """Take as long as the test wants."""
        await self.taking_up()
        self.known.update({tp: start.metadata for tp, start in positions.items()})

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget them."""
        self.gone.append(set(tps))
        for tp in tps:
            self.known.pop(tp, None)

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """Note what retention took."""
        self.expired.append((tp, first, end))

    def may_hand_out(self, tp: TP) -> bool:  # noqa: ARG002
        """Whether rows are recent enough."""
        return True

    async def settle(self, seconds: float) -> None:
        """Nothing is in flight."""


async def _at_once() -> None:
    """Take no time."""


class OurConsumer(Consumer):
    """The consumer under test, with what Faust would have set."""

    app: Any
    thread: Any

    def assignment(self) -> set[TP]:
        """What the group gave this worker."""
        return set(self.thread.group)

    def stop_flow(self) -> None:
        """Faust's: nothing flows here."""

    def _is_changelog_tp(self, tp: TP) -> bool:  # noqa: ARG002
        return False


def consumer_in_memory(
    monkeypatch: pytest.MonkeyPatch, group: Mapping[TP, Committed]
) -> OurConsumer:
    """Return a consumer whose group stands here and gives it all of these partitions."""

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(driver.Consumer, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", nothing)
    monkeypatch.setattr(driver.Consumer, "on_partitions_assigned", nothing)
    monkeypatch.setattr(OurConsumer, "app", App(), raising=False)
    made = OurConsumer()
    made.thread = Thread()
    made.thread.group.update(group)
    made._read_offset, made._committed_offset = {}, {}
    made.can_resume_flow = made.suspend_flow = asyncio.Event()
    made.flow_active = True
    return made
