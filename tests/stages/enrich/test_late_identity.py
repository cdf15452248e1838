"""Late identity: which rows make a visitor known, and when what came before is looked for."""

import asyncio
import json
from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from streams.core.errors import SetupError
from streams.engine.tables import MALFORMED
from streams.stages.enrich import late_identity
from streams.stages.enrich.late_identity import LateIdentity, TableRows

NOW = 1_777_622_400_000


def row(**fields: Any) -> bytes:
    """A user row."""
    return json.dumps(fields).encode()


KNOWN = row(custom_key="k1")


class Users:
    """The table's partitions that this worker has."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[bytes, bytes]] = {0: {}, 1: {}}
        self.forgotten: dict[int, dict[bytes, int]] = {}


class Replays:
    """Remembers what was asked for; answers as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, dict[bytes, int]]] = []
        self.again: list[Collection[bytes] | SetupError | None] = []

    async def __call__(
        self, _rows: TableRows, partition: int, visitors: Mapping[bytes, int]
    ) -> Collection[bytes] | None:
        """Note the call."""
        self.asked.append((partition, dict(visitors)))
        answer = self.again.pop(0) if self.again else ()
        if isinstance(answer, SetupError):
            raise answer
        return answer


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> Replays:
    """Without waiting."""
    for name in ("SETTLE_SECONDS", "AGAIN_SECONDS", "FAILED_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(late_identity, name, 0.0)
    return Replays()


def late(replays: Replays, users: Users | None = None) -> LateIdentity:
    """With a window of a minute."""
    table: Any = users or Users()
    app: Any = SimpleNamespace(may_act=lambda: True)
    products: Any = SimpleNamespace(by_key={})
    return LateIdentity(app, table, products, 60_000, replays, wall_ms=lambda: NOW)


async def settled(identity: LateIdentity) -> None:
    """Wait until nothing is noted any more."""
    if identity._task is not None:
        await asyncio.wait_for(identity._task, 5)


@pytest.mark.parametrize(
    ("before", "after", "is_looked_for"),
    [
        (None, KNOWN, True),
        (row(user_id="u1"), KNOWN, True),
        (MALFORMED, row(contact_id="8d8ac610-566d-4ef0-9c22-186b2a5ed793"), True),
        (KNOWN, row(custom_key="k2"), True),
        (None, row(email="a@b.example"), True),
        (KNOWN, row(custom_key="k1", user_id="u1"), False),
        (None, row(user_id="u1"), False),
        (None, row(custom_key=""), False),
    ],
)
async def test_a_row_that_names_another_contact_makes_the_visitor_known(
    replays: Replays, before: Any, after: bytes, is_looked_for: bool
) -> None:
    """The same contact once more, or none, changes nothing."""
    identity = late(replays)
    identity.add(0, b"anna", before, after, NOW)
    await settled(identity)
    assert replays.asked == ([(0, {b"anna": NOW})] if is_looked_for else [])


async def test_a_row_from_before_the_window_has_nothing_left_to_send(replays: Replays) -> None:
    """At a worker's start all rows are read again, most of them old."""
    identity = late(replays)
    identity.add(0, b"anna", None, KNOWN, NOW - 60_001)
    identity.add(0, b"bert", None, KNOWN, NOW - 60_000)
    await settled(identity)
    assert replays.asked == [(0, {b"bert": NOW - 60_000})]


async def test_visitors_of_one_partition_are_looked_for_together(replays: Replays) -> None:
    """One reading for all who became known meanwhile."""
    identity = late(replays)
    identity.add(0, b"anna", None, KNOWN, NOW)
    identity.add(0, b"bert", None, KNOWN, NOW - 1)
    identity.add(1, b"carl", None, KNOWN, NOW)
    await settled(identity)
    assert replays.asked == [(0, {b"anna": NOW, b"bert": NOW - 1}), (1, {b"carl": NOW})]


async def test_what_is_still_on_its_way_is_looked_for_once_more_and_not_for_ever(
    replays: Replays,
) -> None:
    """Only the visitors of whom something is."""
    replays.again = [[b"anna"]] * 20
    identity = late(replays)
    identity.add(0, b"anna", None, KNOWN, NOW)
    identity.add(0, b"bert", None, KNOWN, NOW)
    await settled(identity)
    assert replays.asked[0] == (0, {b"anna": NOW, b"bert": NOW})
    assert replays.asked[1:] == [(0, {b"anna": NOW})] * 4


async def test_a_broker_that_does_not_answer_is_asked_again(replays: Replays) -> None:
    """Nobody is forgotten over it, nor over a run that has the vendor; the worker goes on."""
    replays.again = [SetupError("the broker is away")] * 4 + [None] * 3
    identity = late(replays)
    identity.add(0, b"anna", None, KNOWN, NOW)
    await settled(identity)
    assert replays.asked == [(0, {b"anna": NOW})] * 8


async def test_a_partition_that_another_worker_has_now_is_that_ones(replays: Replays) -> None:
    """It reads the rows anew, and so finds the same visitors."""
    users = Users()
    del users.rows[1]
    identity = late(replays, users)
    identity.add(1, b"carl", None, KNOWN, NOW)
    await settled(identity)
    assert replays.asked == []
