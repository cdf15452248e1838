"""Writing to topics from commands: one producer, started and stopped."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.core.errors import SetupError
from streams.kafka.connection import producer_options
from streams.settings import KafkaSettings


@asynccontextmanager
async def connect_writer(
    kafka: KafkaSettings, client_id: str, refused: Callable[[KafkaError], str], **more: Any
) -> AsyncIterator[AIOKafkaProducer]:
    """Yield a started, idempotent producer.

    Raises SetupError in the words of ``refused`` where a broker refuses what the block writes.
    """
    options = {**producer_options(kafka), "enable_idempotence": True, **more}
    producer = AIOKafkaProducer(**options, client_id=client_id)
    try:
        await producer.start()
        yield producer
    except KafkaError as error:
        raise SetupError(refused(error)) from error
    finally:
        await producer.stop()


def writing_failed(topic: str, then: str = "try again") -> Callable[[KafkaError], str]:
    """Return what is said of a broker that refuses writes to a topic."""
    return lambda error: (
        f"Writing to {topic} failed: {error!r}. Check the brokers and at what this user may "
        f"write, then {then}."
    )
