"""Who gets messages: addresses of Apprise, each with a queue and a thread of its own."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from streams.alerts.book import Message
from streams.settings import AlertSettings

log = logging.getLogger("streams.alerts")

SEND_SECONDS = 30.0
"""How long one try may take."""
PAUSES: Final = (1.0, 5.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds between the tries for one message; after the last it is given up."""
QUEUED = 50
"""Messages that wait for one receiver; further ones are given up."""

Send = Callable[[Message], str]
"""Sends a message, blocking; returns why it was not taken, or nothing."""
Settled = Callable[[Message, bool], None]
"""Called once for each message with whether it was delivered; otherwise it was given up."""


class Receiver:
    """One address. A receiver that hangs delays its own messages only."""

    def __init__(
        self, name: str, send: Send, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """``name`` tells receivers apart in the log, without a secret."""
        self._name = name
        self._send = send
        self._sleep = sleep
        self._queue: asyncio.Queue[tuple[Message, Settled]] = asyncio.Queue(QUEUED)
        self._thread = ThreadPoolExecutor(1, "alerts")
        self._cleared = 0

    def post(self, message: Message, settled: Settled) -> None:
        """Queue a message."""
        if self._queue.full():
            log.error("%s: too many alerts wait; not sent: %s", self._name, message.title)
            settled(message, False)
        else:
            self._queue.put_nowait((message, settled))

    def clear(self) -> None:
        """Forget what waits: another worker tells people from now on."""
        self._cleared += 1
        while not self._queue.empty():
            self._queue.get_nowait()

    async def run(self) -> None:
        """Deliver one message after the other, for as long as the worker lives."""
        while True:
            message, settled = await self._queue.get()
            settled(message, await self._deliver(message))

    async def _deliver(self, message: Message) -> bool:
        cleared = self._cleared
        for pause in (0.0, *PAUSES):
            if pause:
                await self._sleep(pause)
            if cleared != self._cleared:
                return False
            why = await self._try(message)
            if not why:
                log.info("%s has the alert: %s", self._name, message.title)
                return True
            log.warning("%s did not accept an alert: %s", self._name, why)
        log.error("%s: an alert is given up: %s", self._name, message.title)
        return False

    async def _try(self, message: Message) -> str:
        loop = asyncio.get_running_loop()
        sending = loop.run_in_executor(self._thread, self._send, message)
        try:
            return await asyncio.wait_for(sending, SEND_SECONDS)
        except TimeoutError:
            return f"no answer within {SEND_SECONDS:g} s"
        except Exception as error:
            # Whatever a service's plug-in raises must not end a worker; its text may hold a key.
            return f"sending failed with {type(error).__name__}"


def receivers_of(alerts: AlertSettings) -> list[Receiver]:
    """Return a receiver for each address of these settings, which were checked when loaded."""
    return [
        Receiver(f"alert receiver {number} ({service.service_name})", _sender(service))
        for number, service in enumerate(alerts.services() if alerts.urls else (), 1)
    ]


def _sender(service: Any) -> Send:
    import apprise

    def send(message: Message) -> str:
        one = apprise.Apprise()
        one.add(service)
        kind = apprise.NotifyType.SUCCESS if message.is_over else apprise.NotifyType.WARNING
        result = one.notify(
            title=message.title,
            body=message.text,
            notify_type=kind,
            body_format=apprise.NotifyFormat.TEXT,
        )
        if result:
            return ""
        return " ".join(entry.message for entry in result.logs()) or "no reason was given"

    return send
