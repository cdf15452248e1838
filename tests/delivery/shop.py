"""A shop's steady traffic to one vendor over six partitions, in virtual time, at any answers."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from pydantic import SecretStr

from streams.core.outcome import DeadLetterReason, Verdict
from streams.delivery.courier import Courier
from streams.delivery.ordered_queue import Item
from streams.delivery.poison_detection import GiveUpRule
from streams.vendors import VENDORS
from streams.vendors.base import HttpRequest, HttpResponse, Vendor
from streams.vendors.eightselect import EightSelectSettings
from streams.vendors.miso import MisoSettings
from tests.delivery.test_courier import fail

PARTITIONS = range(6)
VISITORS = 200
"""In each partition."""
MINUTE = 60.0
ANSWER_SECONDS = 0.1

EIGHTSELECT, MISO = VENDORS["eightselect"], VENDORS["miso"]
COUNTING = replace(
    EIGHTSELECT,
    queues=10,
    requests_per_second=lambda _: 40.0,
    retry_waits=VENDORS["voyado"].retry_waits,
)
"""A vendor with a rate limit and long waits, as Voyado Engage has them."""
SETTINGS: dict[str, Any] = {
    "eightselect": EightSelectSettings(
        api_id=SecretStr("x" * 8), user_id_secret=SecretStr("y" * 8)
    ),
    "miso": MisoSettings(api_key=SecretStr("k" * 8)),
}
GOOD = {
    "eightselect": HttpResponse(200, {}, b""),
    "miso": HttpResponse(200, {}, b'{"message":"success"}'),
}
NO_ANSWER = HttpResponse(None, {}, b"", failure="the vendor did not answer within 60 s")

Answer = Callable[[HttpRequest, float], HttpResponse | None]
"""(request, time) → the vendor's response; None: a good one. ``NO_ANSWER`` takes a minute."""
Mark = Callable[[int, int], bytes]
"""(partition, position) → what an event's payload says beside its id."""


def status(code: int, retry_after: int | None = None) -> HttpResponse:
    """A response as a firewall gives it: a page."""
    headers = {"content-type": "text/html"}
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return HttpResponse(code, headers, b"<html><body>Request blocked</body></html>")


@dataclass
class Delivered:
    """What became of a shop's events."""

    handed_over: int = 0
    ages: list[float] = field(default_factory=list)
    """Of each accepted event: seconds from handing over to acceptance."""
    accepted: list[str] = field(default_factory=list)
    given_up: dict[str, float] = field(default_factory=dict)
    """Event id → seconds from handing over to the dead letter ``undeliverable``."""
    refused: list[str] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    """Seconds in each of the vendor's states."""

    @property
    def median_age(self) -> float:
        """In seconds."""
        return median(self.ages)


class _OutcomeHandler:
    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered

    def write_accepted(self, items: tuple[Item, ...], _verdict: Verdict, /) -> None:
        now = asyncio.get_running_loop().time()
        self._delivered.ages += [now - item.tag for item in items]
        self._delivered.accepted += [item.event_id for item in items]

    def write_rejected(self, item: Item, _words: str, verdict: Verdict, /) -> None:
        self._delivered.attempts[item.event_id] = item.attempts
        if verdict.letter is DeadLetterReason.UNDELIVERABLE:
            age = asyncio.get_running_loop().time() - item.tag
            self._delivered.given_up[item.event_id] = age
        else:
            self._delivered.refused.append(item.event_id)

    def write_skipped(self, items: tuple[Item, ...], _verdict: Verdict, /) -> None:
        raise AssertionError(items)

    def pass_over(self, items: Sequence[Item]) -> None:
        raise AssertionError(items)


class _Sender:
    def __init__(self, key: str, response: Answer) -> None:
        self._good = GOOD[key]
        self._answer = response

    async def send(self, request: HttpRequest) -> HttpResponse:
        now = asyncio.get_running_loop().time()
        response = self._answer(request, now) or self._good
        await asyncio.sleep(MINUTE if response is NO_ANSWER else ANSWER_SECONDS)
        return response


async def deliver(
    vendor: Vendor,
    response: Answer,
    *,
    seconds: float,
    per_second: float = 12.0,
    partitions: Iterable[int] = PARTITIONS,
    mark: Mark = lambda *_: b"",
    drain: float = 0.0,
    seed: int = 0,
    rule: GiveUpRule | None = None,
) -> Delivered:
    """Let events come for so long, each second's at once, and ``drain`` seconds more for none."""
    delivered, partitions = Delivered(), list(partitions)
    loop = asyncio.get_running_loop()
    courier = Courier(
        vendor,
        SETTINGS[vendor.key],
        _Sender(vendor.key, response),
        _OutcomeHandler(delivered),
        clock=loop.time,
        random=random.Random(seed).random,
        on_defect=fail,
        give_up=rule,
    )
    began, position = loop.time(), 0
    while (passed := loop.time() - began) < seconds + drain:
        while passed < seconds and position < passed * per_second / len(partitions):
            for partition in partitions:
                name = f"{partition}/{position}"
                body = b'{"id":"%s"%s}' % (name.encode(), mark(partition, position))
                item = Item(partition, position, name, "", "", b"", 0, tag=loop.time())
                courier.add(item, body, f"v{position % VISITORS}")
                delivered.handed_over += 1
            position += 1
        courier.start_requests()
        delivered.states[courier.client.breaker.state] += 1
        await asyncio.sleep(1)
    return delivered


def one_event(partition: int, position: int) -> bytes:
    """Mark a single event."""
    return b',"odd":true' if (partition, position) == (0, 40) else b""


def is_odd(request: HttpRequest) -> bool:
    """Whether a marked event is among a request's."""
    return b'"odd"' in request.body
