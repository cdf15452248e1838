"""Messages on their way: a real webhook through Apprise, retries, and no secret in the log."""

import asyncio
import io
from collections.abc import Callable

import pytest

from streams import telemetry
from streams.alerts import receivers
from streams.alerts.book import Message
from streams.alerts.receivers import PAUSES, QUEUED, Receiver, receivers_of
from streams.settings import load_settings
from tests.alerts.webhook import SECRET, Webhook


def receivers_at(*addresses: str) -> list[Receiver]:
    """Return the receivers at these addresses."""
    return receivers_of(load_settings({"STREAMS_ALERTS_URLS": " ".join(addresses)}).alerts)


PARKED = Message("streams: Miso is parked.", "Miso refuses the key (401). Put <the> new key in.")
OVER = Message("streams: Miso is no longer parked.", "It lasted 10 min.", is_over=True)


class Outcomes(list[tuple[str, bool]]):
    """What became of each message."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Event()

    def settled(self, message: Message, is_delivered: bool) -> None:
        """Take note of it."""
        self.append((message.title, is_delivered))
        self.changed.set()

    async def until(self, number: int) -> None:
        """Wait for so many."""
        while len(self) < number:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 30)


@pytest.fixture
def log() -> Callable[[], str]:
    """Everything that is logged at level debug; the settings' secrets are not known to it."""
    stream = io.StringIO()
    telemetry.setup_logging(stream=stream, level="DEBUG")
    return stream.getvalue


async def test_a_webhook_gets_the_message_whole(log: Callable[[], str]) -> None:
    """What begins as a warning, what is over as a success; no part of the address is logged."""
    with Webhook() as hook:
        (receiver,) = receivers_at(hook.address)
        outcomes, running = Outcomes(), asyncio.ensure_future(receiver.run())
        receiver.post(PARKED, outcomes.settled)
        receiver.post(OVER, outcomes.settled)
        await outcomes.until(2)
        running.cancel()
    assert [(one["title"], one["message"], one["type"]) for one in hook.received] == [
        (PARKED.title, PARKED.text, "warning"),
        (OVER.title, OVER.text, "success"),
    ]
    assert "alert receiver 1 (JSON) has the alert: streams: Miso is parked." in log()
    assert SECRET not in log()


async def test_a_receiver_that_refuses_is_tried_again_with_its_reason_in_the_log(
    log: Callable[[], str],
) -> None:
    """After pauses that grow; then the next message has its turn."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with Webhook(401, 500) as hook:
        (made,) = receivers_at(hook.address)
        receiver = Receiver("webhook", made._send, sleep=sleep)
        outcomes, running = Outcomes(), asyncio.ensure_future(receiver.run())
        receiver.post(PARKED, outcomes.settled)
        await outcomes.until(1)
        running.cancel()
    assert outcomes == [(PARKED.title, True)]
    assert pauses == list(PAUSES[:2])
    assert hook.tries == 3
    assert "webhook did not accept an alert: " in log()
    assert "error=401" in log()
    assert SECRET not in log()


async def test_a_receiver_that_is_not_there_is_given_up_at_last(log: Callable[[], str]) -> None:
    """The address is nobody's, and no line shows it."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with Webhook() as hook:
        address = hook.address
    (made,) = receivers_at(address)
    receiver = Receiver("webhook", made._send, sleep=sleep)
    outcomes, running = Outcomes(), asyncio.ensure_future(receiver.run())
    receiver.post(PARKED, outcomes.settled)
    await outcomes.until(1)
    running.cancel()
    assert outcomes == [(PARKED.title, False)]
    assert pauses == list(PAUSES)
    assert log().count("did not accept an alert") == len(PAUSES) + 1
    assert "webhook: an alert is given up: streams: Miso is parked." in log()
    assert SECRET not in log()


async def test_a_receiver_that_hangs_delays_nobody(
    monkeypatch: pytest.MonkeyPatch, log: Callable[[], str]
) -> None:
    """Neither another receiver nor the event loop; in time the try counts as failed."""
    monkeypatch.setattr(receivers, "SEND_SECONDS", 0.2)
    failed = asyncio.Event()

    async def sleep(_: float) -> None:
        failed.set()
        await asyncio.Event().wait()

    with Webhook() as hanging, Webhook() as other:
        hanging.go_on.clear()
        first, second = receivers_at(hanging.address, other.address)
        first = Receiver("first", first._send, sleep=sleep)
        outcomes = Outcomes()
        running = [asyncio.ensure_future(receiver.run()) for receiver in (first, second)]
        for receiver in (first, second):
            receiver.post(PARKED, outcomes.settled)
        await outcomes.until(1)
        await asyncio.wait_for(failed.wait(), 30)
        for task in running:
            task.cancel()
        assert (len(other.received), hanging.received) == (1, [])
    assert "first did not accept an alert: no answer within 0.2 s" in log()


async def test_the_queue_is_bounded(log: Callable[[], str]) -> None:
    """What does not fit is given up at once, and said."""
    receiver, outcomes = Receiver("webhook", lambda _: ""), Outcomes()
    for _ in range(QUEUED + 1):
        receiver.post(PARKED, outcomes.settled)
    assert outcomes == [(PARKED.title, False)]
    assert "webhook: too many alerts wait; not sent: streams: Miso is parked." in log()


async def test_what_waits_is_forgotten_when_another_worker_takes_over() -> None:
    """Also a message that is being tried again."""
    waits = asyncio.Event()

    async def sleep(_: float) -> None:
        waits.set()
        await go_on.wait()

    go_on, tried = asyncio.Event(), []

    def refuse(message: Message) -> str:
        tried.append(message.title)
        return "no"

    receiver, outcomes = Receiver("webhook", refuse, sleep=sleep), Outcomes()
    running = asyncio.ensure_future(receiver.run())
    receiver.post(PARKED, outcomes.settled)
    receiver.post(OVER, outcomes.settled)
    await asyncio.wait_for(waits.wait(), 30)
    receiver.clear()
    go_on.set()
    await outcomes.until(1)
    running.cancel()
    assert outcomes == [(PARKED.title, False)]
    assert tried == [PARKED.title]


def test_the_keys_of_addresses_are_never_logged() -> None:
    """The whole address, its password and what looks like a key; not a host or a plain word."""
    urls = f"slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general jsons://u:pa%40ss@h.example.com/alerts/{SECRET}"
    secrets = load_settings({"STREAMS_ALERTS_URLS": urls}).secrets()
    assert set(secrets) >= {"T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ", "pa@ss", SECRET}
    assert not {"alerts", "general", "h.example.com"} & set(secrets)
