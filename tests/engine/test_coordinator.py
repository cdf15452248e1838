"""Who has this worker's place in the group."""

import logging
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    InconsistentGroupProtocolError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from streams.engine.coordinator import Coordinator
from streams.engine.lease import Lease, Moment
from streams.engine.pending import BrokerRefusals

CLOCK = [Moment(0.0, 0.0)]


def coordinator(*member_ids: str, error: Exception | None = None) -> Any:
    """A coordinator of the instance ``w-0`` that lost ``w-0-old``, in a group of these members."""
    made: Any = object.__new__(Coordinator)
    made._group_instance_id, made.group_id = "w-0", "g"
    made._lost_member_id = "w-0-old"
    made.lease = Lease(10.0, lambda: CLOCK[0])

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
    assert "could not be read" in caplog.text


class Again(Exception):
    """aiokafka goes round once more."""


REFUSALS = [
    (InconsistentGroupProtocolError(), "members of another version are in the group g: stop the"),
    (GroupAuthorizationFailedError(), "Kafka does not let this user into the group g: allow it"),
]


@pytest.mark.parametrize(("error", "words"), REFUSALS, ids=lambda each: type(each).__name__)
async def test_a_group_that_cannot_be_entered_is_said_once_and_tried_again(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By itself aiokafka would hang for ever. What is known of it goes once it is entered."""
    assignments: list[Any] = [None, "mine"]

    async def join(_self: Any, _subscription: Any, _assignment: Any) -> Any:
        return assignments.pop(0)

    async def heartbeat(_self: Any) -> bool:
        return True

    monkeypatch.setattr(GroupCoordinator, "ensure_active_group", join)
    monkeypatch.setattr(GroupCoordinator, "_do_heartbeat", heartbeat)
    monkeypatch.setattr("streams.engine.coordinator.AGAIN_SECONDS", 0.0)
    made = coordinator()
    made._lost_member_id = ""
    rejoins: list[bool] = []
    made.request_rejoin = lambda: rejoins.append(True)
    for _ in range(3):
        await made._push_error_to_user(error)
    assert [message.startswith(words) for message in caplog.messages] == [True]
    assert len(rejoins) == 3
    assert await made.ensure_active_group(None, None) is None
    assert made.refusal.startswith(words)
    assert not made.lease.holds()
    assert await made.ensure_active_group(None, None) == "mine"
    assert made.refusal is None
    assert made.lease.holds()


async def test_what_is_no_refusal_is_aiokafkas_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker in our place, for one."""
    pushed: list[Exception] = []

    async def push(_self: Any, error: Exception) -> None:
        pushed.append(error)

    monkeypatch.setattr(GroupCoordinator, "_push_error_to_user", push)
    made = coordinator()
    error = KafkaError("FencedInstanceIdError")
    await made._push_error_to_user(error)
    assert (pushed, made.refusal) == ([error], None)


async def test_a_refused_commit_is_noted_as_the_coordinators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And raised, for aiokafka to try again."""

    async def commit(*_: Any) -> None:
        raise GroupCoordinatorNotAvailableError

    monkeypatch.setattr(GroupCoordinator, "_do_commit_offsets", commit)
    noted = BrokerRefusals()
    monkeypatch.setattr("streams.engine.coordinator.refusals", noted)
    with pytest.raises(GroupCoordinatorNotAvailableError):
        await coordinator()._do_commit_offsets(None, {})
    found = noted.recent("commit", monotonic())
    assert found is not None
    assert found[:2] == ("the coordinator of the group g", "GroupCoordinatorNotAvailableError")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (GroupAuthorizationFailedError("g"), "Kafka does not let this user into the group g: "),
        (
            TopicAuthorizationFailedError({"shop.users", "shop.clicks"}),
            "Kafka does not let this user read shop.clicks, shop.users: allow it READ there",
        ),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_a_right_taken_away_is_said_until_a_commit_is_taken_again(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with the remedy, however often it is tried."""
    answers: list[Exception | None] = [error, error, None]

    async def commit(*_: Any) -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(GroupCoordinator, "_do_commit_offsets", commit)
    made = coordinator()
    for _ in range(2):
        with pytest.raises(type(error)):
            await made._do_commit_offsets(None, {"tp": 1})
        assert made.refusal.startswith(words)
    assert [message.startswith(words) for message in caplog.messages] == [True]
    await made._do_commit_offsets(None, {"tp": 1})
    assert made.refusal is None


async def test_a_lease_is_as_old_as_the_heartbeat_was_when_it_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pause between its sending and its answer counts; a refused one renews nothing."""
    made, waits, answers = coordinator(), [1.0, 30.0, 1.0], [True, True, False]

    async def heartbeat(_self: Any) -> bool:
        CLOCK[0] = Moment(CLOCK[0].running + waits.pop(0), 0.0)
        return answers.pop(0)

    monkeypatch.setattr(GroupCoordinator, "_do_heartbeat", heartbeat)
    monkeypatch.setattr(GroupCoordinator, "reset_generation", lambda _: None)
    made.member_id = "w-0-old"
    CLOCK[0] = Moment(100.0, 0.0)
    held = []
    for _ in range(3):
        await made._do_heartbeat()
        held.append(made.lease.holds())
    assert held == [True, False, False]
    made.lease.renew(CLOCK[0])
    made.reset_generation()
    assert not made.lease.holds()
