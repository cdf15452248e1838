"""Whether Kafka answers, by a clock that the tests turn."""

import asyncio
import logging

import pytest

from streams.engine.contact import BrokerContact
from streams.engine.errors import BrokersUnavailableError
from streams.kafka.connection import KafkaUnavailableError

SILENT = "Kafka has not answered for 4 s; nothing is lost, and work goes on when it does."


class Brokers:
    """Answer those who ask anew, or do not; a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.refusal: BrokersUnavailableError | None = None
        self.asked = 0
        self.contact = BrokerContact(self.ask, lambda: self.now)

    async def ask(self) -> None:
        """Let somebody in, or say why not."""
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal

    async def after(self, seconds: float) -> str:
        """Look once after so long, and return what is wrong a moment later."""
        self.now += seconds
        self.contact.check()
        for _ in range(3):
            await asyncio.sleep(0)
        return self.contact.problem()


async def test_brokers_that_answer_are_not_asked() -> None:
    """A client of the worker hears of them."""
    brokers = Brokers()

    class Client:
        async def send(self, node: int) -> str:
            return f"answer of {node}"

    client = Client()
    brokers.contact.listen(client)
    for _ in range(10):
        assert await brokers.after(2.9) == ""
        assert await client.send(1) == "answer of 1"
    assert (brokers.asked, brokers.contact.silent_seconds()) == (0, 0)


async def test_after_3_silent_seconds_they_are_asked_and_an_answer_is_one() -> None:
    """A worker that has nothing to say to them."""
    brokers = Brokers()
    assert await brokers.after(3.0) == ""
    assert (brokers.asked, brokers.contact.silent_seconds()) == (1, 0)


async def test_a_silence_is_said_once_with_its_reason_and_after_15_s_a_worker_is_not_ready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And once more when it is over."""
    caplog.set_level(logging.INFO, "streams.engine")
    brokers = Brokers()
    brokers.refusal = BrokersUnavailableError(
        "Kafka at k:9092 cannot be reached (connection refused)."
    )
    assert await brokers.after(3.5) == ""
    for _ in range(4):
        assert await brokers.after(0.5) == ""
    assert caplog.messages == [f"{SILENT} Kafka at k:9092 cannot be reached (connection refused)."]
    assert await brokers.after(9.5) == (
        "Kafka has not answered for 15 s. Kafka at k:9092 cannot be reached (connection refused)."
    )
    brokers.contact.record_response()
    assert await brokers.after(1.0) == ""
    assert caplog.messages[1:] == ["Kafka answers again, after 16 s"]


async def test_a_refused_login_is_not_waited_with() -> None:
    """It needs somebody."""
    brokers = Brokers()
    brokers.refusal = KafkaUnavailableError(
        "Kafka at k:9092 refuses the credentials (no).", is_refused=True
    )
    assert await brokers.after(3.0) == "Kafka at k:9092 refuses the credentials (no)."
    brokers.contact.record_response()
    assert await brokers.after(1.0) == ""


async def test_brokers_that_hang_are_said_within_5_s_without_a_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The asking hangs as well."""

    async def hang() -> None:
        await asyncio.Event().wait()

    times = iter([0.0, 3.0, 4.0])
    contact = BrokerContact(hang, lambda: next(times))
    for _ in range(2):
        contact.check()
        await asyncio.sleep(0)
    assert caplog.messages == [f"{SILENT} "]
