"""The steady producer: events by their numbers, at an even rate, through all that happens."""

import asyncio
import contextlib
import json
import time

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.expected_outcomes import Revocation
from tests.chaos.shop import ORDERS, Event, revoked_row, rows

TURN_SECONDS = 0.05
PATIENCE_MS = 180_000
"""Longer than the broker is ever away: what waits here must not expire."""


class Producer:
    """Writes rows, then events until told to stop."""

    def __init__(self, servers: str, rate: float, *, orders: bool = False) -> None:
        """``orders``: add-to-carts go to the shop's own topic, for ``ingest``."""
        self._orders = orders
        self._servers = servers
        self.rate = rate
        """Events a second, from now on."""
        self.revocations: dict[int, Revocation] = {}
        """By visitor: when a no to all vendors was written."""
        self.sent_at: list[float] = []
        """By the event's number: when it was handed to the producer."""
        self.acknowledged: set[int] = set()
        """Events of which the broker said that it has them."""
        self.renewals = 0
        """How often the client was given up and made anew, because it did not recover."""
        self._pending: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failed = False
        self._client: AIOKafkaProducer

    async def start(self) -> None:
        """Connect and write the tables' rows."""
        self._client = await self._connect()
        waiting = [
            await self._client.send(topic, key=key.encode(), value=json.dumps(row).encode())
            for topic, key, row in rows()
        ]
        await asyncio.gather(*waiting)

    def begin(self) -> None:
        """Begin to write events."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write no more; return when the broker has, or refused, all that was sent."""
        self._stopping = True
        if self._task is not None:
            await self._task
        if self._pending:
            await asyncio.wait(self._pending)
        with contextlib.suppress(KafkaError):
            await self._client.stop()

    async def revoke(self, visitor: int) -> None:
        """Write that a visitor says no to all vendors; return when the broker has it."""
        self.revocations[visitor] = Revocation()
        topic, key, row = revoked_row(visitor)
        try:
            written = await self._client.send(
                topic, key=key.encode(), value=json.dumps(row).encode()
            )
            await written
        except KafkaError:
            self._failed = True
        else:
            self.revocations[visitor] = Revocation(time.monotonic())

    def has_revoked(self, visitor: int) -> bool:
        """Whether a visitor's no was written, or is being written."""
        return visitor in self.revocations

    def last_sent_before(self, moment: float) -> int:
        """Return how many events had been sent by then."""
        low, high = 0, len(self.sent_at)
        while low < high:
            middle = (low + high) // 2
            if self.sent_at[middle] < moment:
                low = middle + 1
            else:
                high = middle
        return low

    async def _connect(self) -> AIOKafkaProducer:
        client = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            request_timeout_ms=PATIENCE_MS,
        )
        await client.start()
        return client

    async def _run(self) -> None:
        due, last = float(len(self.sent_at)), time.monotonic()
        while not self._stopping:
            if self._failed:
                await self._renew()
            now = time.monotonic()
            due, last = due + (now - last) * self.rate, now
            for number in range(len(self.sent_at), int(due)):
                await self._send(Event(number))
            await asyncio.sleep(TURN_SECONDS)

    async def _send(self, event: Event) -> None:
        self.sent_at.append(time.monotonic())
        topic = "shop.add-to-carts" if event.is_cart else "shop.clicks"
        value = event.value(time.time_ns() // 1_000_000)
        if self._orders and event.is_cart:
            topic, value = ORDERS, event.order(time.time_ns() // 1_000_000)
        try:
            written = await self._client.send(topic, key=event.key.encode(), value=value)
        except KafkaError:
            self._failed = True
            return
        task = asyncio.create_task(self._await(event.number, written))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _await(self, number: int, written: "asyncio.Future[object]") -> None:
        try:
            await written
        except KafkaError:
            self._failed = True
        else:
            self.acknowledged.add(number)

    async def _renew(self) -> None:
        """A client whose batch expired stays out of sequence: take a new one."""
        with contextlib.suppress(KafkaError):
            await self._client.stop()
        with contextlib.suppress(KafkaError):
            self._client = await self._connect()
            self._failed = False
            self.renewals += 1
