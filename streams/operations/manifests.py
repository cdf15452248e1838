"""Topics and rights in the words of the tools that make them: Strimzi, Kafka's scripts, JSON.

Pure: no broker is asked.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from streams.engine.authorized import Operation
from streams.kafka.topics import WantedTopic
from streams.operations.rights import Right

STRIMZI_API = "kafka.strimzi.io/v1"
_ABOUT_STRIMZI = (
    "# Set the label to the name of your Kafka resource. Strimzi before 0.49 takes\n"
    "# kafka.strimzi.io/v1beta2."
)
CLUSTER = "my-cluster"
"""The name of Strimzi's Kafka resource, to be replaced."""
_NO_NAME = re.compile(r"[^a-z0-9.-]+")


def topics_as_json(topics: Iterable[WantedTopic]) -> list[dict[str, Any]]:
    """Return each topic as a JSON object."""
    return [
        {
            "topic": topic.name,
            "partitions": topic.partitions,
            "replication": topic.replication,
            "config": dict(topic.config),
        }
        for topic in topics
    ]


def topics_as_commands(topics: Iterable[WantedTopic], servers: str) -> Iterator[str]:
    """Yield a ``kafka-topics.sh`` line for each topic, which can be run again and again."""
    for topic in topics:
        words = ["kafka-topics.sh", "--bootstrap-server", servers, "--create", "--if-not-exists"]
        words += ["--topic", topic.name, "--partitions", str(topic.partitions)]
        words += ["--replication-factor", str(topic.replication)]
        for name, value in topic.config.items():
            words += ["--config", f"{name}={value}"]
        yield shlex.join(words)


def topics_as_strimzi(topics: Iterable[WantedTopic]) -> Iterator[str]:
    """Yield the lines of a ``KafkaTopic`` for each topic."""
    yield _ABOUT_STRIMZI
    for topic in topics:
        yield from _head("KafkaTopic", topic.name)
        yield "spec:"
        if _resource_name(topic.name) != topic.name:
            yield f"  topicName: {topic.name}"
        yield f"  partitions: {topic.partitions}"
        yield f"  replicas: {topic.replication}"
        yield "  config:"
        for name, value in topic.config.items():
            yield f"    {name}: {value}"


def rights_as_json(rights: Iterable[Right]) -> list[dict[str, Any]]:
    """Return each right as a JSON object, the pattern always literal."""
    return [
        {
            "resource": right.resource,
            "name": right.name,
            "pattern": "literal",
            "operation": right.operation.name,
            "required": right.is_vital,
            "without": right.without,
        }
        for right in rights
    ]


def rights_as_commands(rights: Iterable[Right], servers: str, principal: str) -> Iterator[str]:
    """Yield a ``kafka-acls.sh`` line for each topic and group."""
    for resource, name, operations in _by_resource(rights):
        words = ["kafka-acls.sh", "--bootstrap-server", servers, "--add"]
        words += ["--allow-principal", principal]
        for operation in operations:
            words += ["--operation", _camel(operation)]
        yield shlex.join([*words, f"--{resource}", name])


def rights_as_strimzi(rights: Iterable[Right], user: str) -> Iterator[str]:
    """Yield the lines of a ``KafkaUser`` that has exactly these rights."""
    yield _ABOUT_STRIMZI
    yield from _head("KafkaUser", user)
    yield "spec:"
    yield "  authentication:"
    yield "    type: scram-sha-512"
    yield "  authorization:"
    yield "    type: simple"
    yield "    acls:"
    for resource, name, operations in _by_resource(rights):
        yield "      - resource:"
        yield f"          type: {resource}"
        yield f"          name: {name}"
        yield "          patternType: literal"
        yield f"        operations: [{', '.join(map(_camel, operations))}]"


def rights_as_table(rights: Sequence[Right]) -> Iterator[str]:
    """Yield aligned lines: resource, name, operations, and what is missing without them."""
    width = max((len(right.name) for right in rights), default=0)
    for right in rights:
        without = right.without and f"without it, {right.without}"
        line = f"{right.resource:<6} {right.name:<{width}}  {right.operation.name:<16}  {without}"
        yield line.rstrip()


def _by_resource(rights: Iterable[Right]) -> Iterator[tuple[str, str, list[Operation]]]:
    found: dict[tuple[str, str], list[Operation]] = {}
    for right in rights:
        found.setdefault((right.resource, right.name), []).append(right.operation)
    return ((resource, name, operations) for (resource, name), operations in found.items())


def _head(kind: str, name: str) -> Iterator[str]:
    yield "---"
    yield f"apiVersion: {STRIMZI_API}"
    yield f"kind: {kind}"
    yield "metadata:"
    yield f"  name: {_resource_name(name)}"
    yield "  labels:"
    yield f"    strimzi.io/cluster: {CLUSTER}"


def _resource_name(name: str) -> str:
    """Return a name that Kubernetes takes: lower case, digits, dots and hyphens."""
    return _NO_NAME.sub("-", name.lower()).strip(".-")


def _camel(operation: Operation) -> str:
    """Return an operation as ACL tools write it: ``DescribeConfigs``."""
    return "".join(word.title() for word in operation.name.split("_"))
