"""The fixture for tests that take a broker down."""

from aiokafka.admin import NewTopic

from streams.kafka.connection import admin
from streams.kafka.topics import until_visible
from streams.settings import KafkaSettings
from tests.broker_fixtures import OwnBroker


async def test_own_broker_comes_back_with_address_and_data(own_broker: OwnBroker) -> None:
    """Killed and restarted, it serves the same topics at the same address."""
    kafka = KafkaSettings(bootstrap_servers=own_broker.bootstrap_servers)
    async with admin(kafka) as client:
        await client.create_topics([NewTopic("kept", 1, 1)])
        await until_visible(client, {"kept"})
    own_broker.kill()
    own_broker.restart()
    async with admin(kafka) as client:
        assert await client.list_topics() == ["kept"]
