"""Who has this worker's place in the group."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupCoordinatorNotAvailableError, InconsistentGroupProtocolError

from streams.engine.coordinator import Coordinator


def coordinator(*member_ids: str, error: Exception | None = None) -> Any:
    """A coordinator of the instance ``w-0`` that lost ``w-0-old``, in a group of these members."""
    made: Any = object.__new__(Coordinator)
    made._group_instance_id, made.group_id = "w-0", "g"
    made._lost_member_id = "w-0-old"

    async def answer(_request: Any) -> Any:
        if error is not None:
            raise error
        members = [(member_id, "client", "host", b"", b"") for member_id in member_ids]
        return SimpleNamespace(groups=[(0, "g", "Stable", "consumer", "faust", members)])

    made._send_req = answer
    return made


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ((), False),
        (("w-0-old",), False),
        (("w-1-new", "x-w-0-new"), False),
        (("w-1-a", "w-0-new"), True),
    ],
)
async def test_another_member_of_the_same_instance_has_replaced_this_one(
    members: tuple[str, ...], wanted: bool
) -> None:
    """A session that ran out leaves no member behind: then joining again is right."""
    made = coordinator(*members)
    assert await made._is_replaced() is wanted
    assert made._lost_member_id == ""


async def test_a_broker_that_does_not_answer_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It joins again; if it has been replaced, it will hear of it once more."""
    made = coordinator(error=GroupCoordinatorNotAvailableError())
    with caplog.at_level(logging.WARNING):
        assert await made._is_replaced() is False
    assert "could not be asked" in caplog.text


async def test_members_that_divide_partitions_in_another_way_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After an upgrade: the older version's sessions end; aiokafka itself would hang for ever."""
    answers: list[Any] = [
        InconsistentGroupProtocolError(),
        InconsistentGroupProtocolError(),
        "mine",
    ]

    async def join(_self: Any, _subscription: Any, _assignment: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(GroupCoordinator, "ensure_active_group", join)
    monkeypatch.setattr("streams.engine.coordinator.OLDER_MEMBERS_SECONDS", 0.0)
    made = coordinator()
    made._lost_member_id = ""
    found = [await made.ensure_active_group(None, None) for _ in range(3)]
    assert found == [None, None, "mine"]
    assert "members of an older version are still in the group g" in caplog.text
