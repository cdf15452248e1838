"""Custom resources of the Prometheus operator (0.93) and Strimzi (1.3), as far as ours use them.

Fields, types and words are those of their CRDs; what is not here is refused, as by the operators.
"""

from typing import Annotated, Any, Literal

import msgspec


class _Part(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A part of a resource."""


class Metadata(_Part):
    """Of any resource."""

    name: Annotated[
        str,
        msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
    ]
    namespace: str = ""
    labels: dict[str, str] = {}


class Selector(_Part):
    """Of pods."""

    match_labels: dict[str, str]


class SecretKey(_Part):
    """A key of a Secret in the same namespace."""

    name: str
    key: str


class Authorization(_Part):
    """A bearer token by default."""

    credentials: SecretKey


class Relabeling(_Part):
    """Replaces by default."""

    source_labels: list[str]
    target_label: str


class Endpoint(_Part):
    """What is scraped of each pod."""

    port: str
    path: str
    interval: Annotated[str, msgspec.Meta(pattern=r"^([0-9]+m)?([0-9]+s)?$")]
    honor_labels: bool
    authorization: Authorization
    relabelings: list[Relabeling]


class PodMonitorSpec(_Part):
    """Of a PodMonitor."""

    selector: Selector
    job_label: str
    pod_metrics_endpoints: list[Endpoint]


class PodMonitor(_Part, tag_field="apiVersion", tag="monitoring.coreos.com/v1"):
    """What Prometheus scrapes."""

    kind: Literal["PodMonitor"]
    metadata: Metadata
    spec: PodMonitorSpec


class KafkaTopicSpec(_Part):
    """Of a KafkaTopic."""

    partitions: Annotated[int, msgspec.Meta(ge=1)]
    replicas: Annotated[int, msgspec.Meta(ge=1, le=32767)]
    config: dict[str, str | int | bool]
    topic_name: str = ""


class KafkaTopic(_Part, tag_field="apiVersion", tag="kafka.strimzi.io/v1"):
    """A topic that Strimzi's operator makes."""

    kind: Literal["KafkaTopic"]
    metadata: Metadata
    spec: KafkaTopicSpec


class Authentication(_Part):
    """How a user logs in."""

    type: Literal["scram-sha-512", "tls", "tls-external"]


class AclResource(_Part):
    """What a rule is about."""

    type: Literal["topic", "group", "cluster", "transactionalId"]
    name: str
    pattern_type: Literal["literal", "prefix"]


class Acl(_Part):
    """A rule that allows."""

    resource: AclResource
    operations: list[
        Literal[
            "Read",
            "Write",
            "Create",
            "Delete",
            "Alter",
            "Describe",
            "ClusterAction",
            "AlterConfigs",
            "DescribeConfigs",
            "IdempotentWrite",
            "All",
        ]
    ]


class UserRules(_Part):
    """What a user may do."""

    type: Literal["simple"]
    acls: list[Acl]


class KafkaUserSpec(_Part):
    """Of a KafkaUser."""

    authentication: Authentication
    authorization: UserRules


class KafkaUser(_Part, tag_field="apiVersion", tag="kafka.strimzi.io/v1"):
    """A user that Strimzi's operator makes, with its Secret."""

    kind: Literal["KafkaUser"]
    metadata: Metadata
    spec: KafkaUserSpec


KINDS = {"PodMonitor": PodMonitor, "KafkaTopic": KafkaTopic, "KafkaUser": KafkaUser}


def require_valid(resource: dict[str, Any]) -> None:
    """Raise msgspec.ValidationError if the operator would refuse the resource."""
    msgspec.convert(resource, KINDS[resource["kind"]])
