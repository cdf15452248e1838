"""The group's coordinator: a worker that was replaced goes, instead of fighting for its place.

aiokafka's heartbeats carry no instance id, so the broker calls a replaced worker an unknown
member, as it calls one whose session ran out. aiokafka joins again in both cases, and two workers
of one slot would take the place from each other for ever.
"""

import asyncio
import logging
from typing import Any

import aiokafka.errors
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.admin import DescribeGroupsRequest

from streams.engine.failure import leave, leave_fenced

log = logging.getLogger("streams.engine")

OLDER_MEMBERS_SECONDS = 1.0
"""How soon to try again to join a group whose members divide partitions in another way."""
_MEMBERS = 5
"""Where the members stand in a described group; each begins with its member id."""


class Coordinator(GroupCoordinator):
    """Aiokafka's, which asks who has its place before it joins again."""

    _lost_member_id = ""

    def reset_generation(self) -> None:
        """Note that the broker does not know this member any more."""
        self._lost_member_id = self.member_id or self._lost_member_id
        super().reset_generation()

    async def ensure_active_group(self, subscription: Any, prev_assignment: Any) -> Any:
        """Join the group, unless another worker has this one's place."""
        if self._lost_member_id and await self._is_replaced():
            leave_fenced()
        try:
            return await super().ensure_active_group(subscription, prev_assignment)
        except aiokafka.errors.InconsistentGroupProtocolError:
            # aiokafka would wait for ever, for somebody to ask it for records.
            log.warning(
                "members of an older version are still in the group %s: waiting until the last of "
                "them is stopped, and its session of some seconds has ended",
                self.group_id,
            )
            await asyncio.sleep(OLDER_MEMBERS_SECONDS)
            return None

    async def _is_replaced(self) -> bool:
        lost, self._lost_member_id = self._lost_member_id, ""
        try:
            described = await self._send_req(DescribeGroupsRequest([self.group_id]))
        except aiokafka.errors.KafkaError as error:
            log.warning("who is in the group could not be asked: %r", error)
            return False
        # The broker makes a static member's id of its instance id and a UUID.
        ours = f"{self._group_instance_id}-"
        ids = [member[0] for group in described.groups for member in group[_MEMBERS]]
        return any(id_.startswith(ours) and id_ != lost for id_ in ids)

    async def _coordination_routine(self) -> None:
        try:
            await super()._coordination_routine()
        except Exception as error:
            # aiokafka would only log it, and this worker would never work again.
            leave(f"taking part in the group failed: {error}; starting again", cause=error)
