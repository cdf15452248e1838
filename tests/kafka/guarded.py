"""A broker that lets a user do exactly what it was given a right for."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from streams.lab.embedded import EmbeddedKafka
from streams.lab.embedded.ports import free_port
from streams.operations.rights import Right

USER, PASSWORD = "relay", "a secret of the test"
_RESOURCES = {"topic": 2, "group": 3}
_LITERAL, _ALLOW = 3, 3
"""As Kafka's protocol says them."""


@dataclass
class Guarded:
    """A broker with StandardAuthorizer: whoever comes without a password may do everything."""

    kind: str
    bootstrap_servers: str
    secured_servers: str

    def env(self) -> Mapping[str, str]:
        """Settings of the user who has no rights but those that are given."""
        return {
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": self.secured_servers,
            "STREAMS_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "STREAMS_KAFKA_SASL_MECHANISM": "PLAIN",
            "STREAMS_KAFKA_SASL_USERNAME": USER,
            "STREAMS_KAFKA_SASL_PASSWORD": PASSWORD,
        }


@contextmanager
def guarded_broker() -> Iterator[Guarded]:
    """Yield such a broker."""
    port = free_port()
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "listeners": f"USERS://127.0.0.1:{port}",
        "advertised.listeners": f"USERS://127.0.0.1:{port}",
        "listener.security.protocol.map": "USERS:SASL_PLAINTEXT",
        "listener.name.users.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.users.plain.sasl.jaas.config": (
            f'{module} required user_{USER}="{PASSWORD}";'
        ),
    }
    with EmbeddedKafka(properties=properties) as kafka:
        yield Guarded("embedded, guarded", kafka.bootstrap_servers, f"127.0.0.1:{port}")


def _entry(right: Right) -> tuple[int | str, ...]:
    what = (_RESOURCES[right.resource], right.name, _LITERAL)
    return (*what, f"User:{USER}", "*", int(right.operation), _ALLOW)


async def give(admin: AIOKafkaAdminClient, rights: Iterable[Right]) -> None:
    """Give the user these rights."""
    for right in rights:
        answer = await admin._send_request(CreateAclsRequest(*_entry(right)))
        ((code, words),) = answer.creation_responses
        assert code == 0, words


async def take(admin: AIOKafkaAdminClient, rights: Iterable[Right]) -> None:
    """Take these rights away."""
    for right in rights:
        await admin._send_request(DeleteAclsRequest(*_entry(right)))
