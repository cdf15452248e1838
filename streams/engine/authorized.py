"""The rights of this process's Kafka user, as the brokers report them.

A list of all topics leaves out those that the user may not describe, as if they did not exist. Only
a request by name tells the two apart.
"""

import asyncio
from collections.abc import Collection, Iterable
from enum import IntEnum
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.admin import DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

COORDINATOR_TRIES, COORDINATOR_SECONDS = 20, 0.5
"""How long to look for a group's coordinator: the broker makes its topic for the first group."""


class Operation(IntEnum):
    """Kafka's ``AclOperation``; its name is what ACL tools call it in capitals."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10


Allowed = frozenset[Operation]


async def allowed_on_topics(
    client: AIOKafkaAdminClient, topics: Collection[str]
) -> dict[str, Allowed]:
    """Return what may be done with each of these topics; one that does not exist is left out.

    A topic that may not be described has no operations, whether it exists or not.
    Raises KafkaError if a broker does not answer.
    """
    if not topics:
        return {}
    answer = await client._send_request(_MetadataRequest(topics))
    found: dict[str, Allowed] = {}
    for topic in answer.to_object()["topics"]:
        error = for_code(topic["error_code"])
        if error is TopicAuthorizationFailedError:
            found[topic["topic"]] = frozenset()
        elif not topic["error_code"]:
            found[topic["topic"]] = _operations(topic["authorized_operations"])
    return found


async def hidden_topics(client: AIOKafkaAdminClient, topics: Iterable[str]) -> list[str]:
    """Return those of these topics that this user may not describe; they may not exist."""
    wanted = list(topics)
    return [name for name, may in (await allowed_on_topics(client, wanted)).items() if not may]


def hidden_words(topic: str) -> str:
    """Return a sentence: a topic may not be described, and what to do."""
    return (
        f"Kafka does not let this user describe the topic {topic}, so whether it exists is not "
        "known: give the user the right to read or describe it."
    )


async def allowed_on_group(client: AIOKafkaAdminClient, group: str) -> Allowed:
    """Return what may be done with a group; raises KafkaError where a broker does not answer."""
    for tries_left in reversed(range(COORDINATOR_TRIES)):
        try:
            coordinator = await client.find_coordinator(group)
            answer = await client._send_request(_DescribeGroups(group), coordinator)
        except GroupAuthorizationFailedError:
            return frozenset()
        except KafkaError:
            if not tries_left:
                raise
        else:
            (described,) = answer.to_object()["groups"]
            error = for_code(described["error_code"])
            if error is GroupAuthorizationFailedError:
                return frozenset()
            if not described["error_code"]:
                return _operations(described["authorized_operations"])
            if not tries_left:
                raise error(group)
        await asyncio.sleep(COORDINATOR_SECONDS)
    raise AssertionError


def _operations(bits: int) -> Allowed:
    return frozenset(operation for operation in Operation if bits >> operation & 1)


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(
                ("node_id", Int32),
                ("host", String("utf-8")),
                ("port", Int32),
                ("rack", String("utf-8")),
            ),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("authorized_operations", Int32),
    )


class _MetadataStruct(RequestStruct):
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataStruct]):
    """Topics by name, without making any: aiokafka's own knows no authorized operations."""

    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: Any) -> Any:
        """Return the request as it is sent."""
        return request_struct_class(self._topics, False, False, True)


class _DescribeGroupsStruct(RequestStruct):
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


class _DescribeGroups(Request[_DescribeGroupsStruct]):
    """One group: aiokafka's own request reads the answer of an older version."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: Any) -> Any:
        """Return the request as it is sent."""
        return request_struct_class([self._group], True)
