"""Steps of taking partitions up: long ones are waited for, and are seen to go on."""

from typing import Any

import pytest
from faust.tables.recovery import Recovery

from streams.engine.recovery import TableRecovery
from streams.engine.standstill import standings
from tests.engine.worker_in_memory import Worker


async def test_no_step_of_recovery_has_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust's way of giving one up is to do nothing any more."""
    waited: list[tuple[Any, Any]] = []

    async def wait(_: Any, coro: Any, **options: Any) -> None:
        waited.append((coro, options.get("timeout")))

    monkeypatch.setattr(Recovery, "_wait", wait)
    recovery: Any = object.__new__(TableRecovery)
    await recovery._wait("a step", timeout=90.0)
    assert waited == [("a step", None)]


def test_reading_what_a_former_owner_left_is_progress() -> None:
    """Receipts and vendor records, before the first record is handed out."""
    worker = Worker()
    worker.completed = False
    (before,) = standings(worker)
    worker.read_elsewhere += 1
    (after,) = standings(worker)
    assert before.what == after.what
    assert before.state != after.state
