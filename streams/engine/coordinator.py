"""The client of the group coordinator: a worker that was replaced ends.

aiokafka's heartbeats carry no instance id. The broker therefore calls a replaced worker an unknown
member, as it does after an expired session, and aiokafka joins again in both cases. Two workers of
one slot would replace each other for ever.

It also renews the lease by which a stage knows that it is still a member.
"""

import asyncio
import logging
from collections.abc import Collection
from time import monotonic
from typing import Any

import aiokafka.errors
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.admin import DescribeGroupsRequest

from streams.engine.failure import DO_NOT_RESTART, leave, leave_fenced
from streams.engine.lease import Lease
from streams.engine.pending import refusals

log = logging.getLogger("streams.engine")

AGAIN_SECONDS = 1.0
"""How soon to try again to join a group that cannot be entered."""
TELL_SECONDS = 60.0
"""How often this is logged."""
_MEMBERS = 5
"""Index of the members in a described group; each starts with its member id."""


def refusal_words(error: BaseException, group: str) -> str | None:
    """Return why a group cannot be joined or its topics read, and what to do.

    None for any other error.
    """
    match error:
        case aiokafka.errors.InconsistentGroupProtocolError():
            return (
                f"members of another version are in the group {group}: stop the last of them, and "
                "its session of some seconds will end"
            )
        case aiokafka.errors.GroupAuthorizationFailedError():
            return (
                f"Kafka does not let this user into the group {group}: allow it READ on this "
                "group, for instance with Kafka's kafka-acls.sh"
            )
        case aiokafka.errors.TopicAuthorizationFailedError():
            topics = ", ".join(_names(error)) or "a topic"
            return (
                f"Kafka does not let this user read {topics}: allow it READ there, for instance "
                "with Kafka's kafka-acls.sh"
            )
        case aiokafka.errors.InvalidGroupIdError():
            return f"the brokers do not allow the name of the group {group}: see kafka.topic_prefix"
    return None


def _names(error: BaseException) -> list[str]:
    """Return the topics of an error: aiokafka passes one, or a set."""
    return sorted(
        name
        for given in error.args
        for name in (given if isinstance(given, Collection) and type(given) is not str else [given])
        if type(name) is str
    )


class Coordinator(GroupCoordinator):
    """aiokafka's coordinator, which checks whether it was replaced before it joins again."""

    _lost_member_id = ""
    _told_at = -TELL_SECONDS
    refusal: str | None = None
    """Why joining or committing is refused and what to do, in a sentence.

    None: it is not refused.
    """
    lease: Lease

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lease = Lease(self._session_timeout_ms / 1000)

    def reset_generation(self) -> None:
        """End the lease: the broker no longer knows this member."""
        self.lease.end()
        self._lost_member_id = self.member_id or self._lost_member_id
        super().reset_generation()

    async def ensure_active_group(self, subscription: Any, prev_assignment: Any) -> Any:
        """Join the group, unless another worker has replaced this one."""
        if self._lost_member_id and await self._is_replaced():
            leave_fenced()
        assignment = await super().ensure_active_group(subscription, prev_assignment)
        if assignment is not None:
            self.refusal = None
            await self._do_heartbeat()  # aiokafka sends its first one an interval later
        return assignment

    async def _push_error_to_user(self, exc: Any) -> Any:
        """Retry if joining is refused; in the end the watchdog ends the worker.

        aiokafka would wait for ever for a call that asks for records.
        """
        if isinstance(exc, aiokafka.errors.InvalidSessionTimeoutError):
            leave(
                f"the brokers allow no sessions of {self._session_timeout_ms / 1000:g} s: set "
                "STREAMS_KAFKA_SESSION_SECONDS within their group.min.session.timeout.ms and "
                "group.max.session.timeout.ms",
                code=DO_NOT_RESTART,
            )
        refusal = refusal_words(exc, self.group_id)
        if refusal is None:
            return await super()._push_error_to_user(exc)
        self._record_refusal(refusal)
        self.request_rejoin()
        await asyncio.sleep(AGAIN_SECONDS)
        return None

    def _record_refusal(self, refusal: str) -> None:
        self.refusal = refusal
        if monotonic() - self._told_at >= TELL_SECONDS:
            self._told_at = monotonic()
            log.warning(refusal)

    async def _do_commit_offsets(self, assignment: Any, offsets: Any) -> None:
        try:
            await super()._do_commit_offsets(assignment, offsets)
        except aiokafka.errors.KafkaError as error:
            refusals.record("commit", f"the coordinator of the group {self.group_id}", error)
            if (refusal := refusal_words(error, self.group_id)) is not None:
                self._record_refusal(refusal)
            raise
        if offsets:
            self.refusal = None

    async def _do_heartbeat(self) -> bool:
        sent = self.lease.now()
        is_member: bool = await super()._do_heartbeat()
        if is_member:
            self.lease.renew(sent)
        return is_member

    async def _is_replaced(self) -> bool:
        lost, self._lost_member_id = self._lost_member_id, ""
        try:
            described = await self._send_req(DescribeGroupsRequest([self.group_id]))
        except aiokafka.errors.KafkaError as error:
            log.warning("the members of the group could not be read: %r", error)
            return False
        # The broker builds a static member's id from its instance id and a UUID.
        ours = f"{self._group_instance_id}-"
        ids = [member[0] for group in described.groups for member in group[_MEMBERS]]
        return any(id_.startswith(ours) and id_ != lost for id_ in ids)

    async def _coordination_routine(self) -> None:
        try:
            await super()._coordination_routine()
        except Exception as error:
            # aiokafka would only log it, and this worker would never work again.
            leave(f"taking part in the group failed: {error}; starting again", cause=error)
