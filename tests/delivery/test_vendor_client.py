"""The line to a vendor: which key its requests carry."""

from typing import Any

import pytest

from streams.core.errors import SettingsError
from streams.core.outcome import RequestOutcome, Verdict
from streams.delivery.batching import BatchCause, MicroBatch
from streams.delivery.lanes import Lane
from streams.delivery.ordered_queue import Item
from streams.delivery.vendor_client import VendorClient
from streams.vendors import VENDORS
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.miso import MisoSettings


def section(key: str) -> MisoSettings:
    """Settings with this key."""
    return MisoSettings.model_validate({"api_key": key})


class Vendor:
    """Knows one key; remembers the keys it saw."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.seen: list[str] = []

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer as Miso does."""
        self.seen.append(request.headers["X-API-KEY"])
        if self.seen[-1] == self.key:
            return HttpResponse(200, {}, b'{"message":"success"}')
        return HttpResponse(401, {}, b'{"message":"invalid api key."}')


async def test_a_changed_key_is_read_again_at_each_probe() -> None:
    """Nobody has to restart a worker whose key lies in a file."""
    vendor, files = Vendor("new"), [section("old"), section("new")]
    line = VendorClient(VENDORS["miso"], section("old"), vendor, lambda: 0.0, lambda: files.pop(0))
    line.breaker.on_verdict(Verdict(RequestOutcome.MISCONFIGURED, "401", 401), 0.0)
    await line.probe()
    assert not line.breaker.may_send(0.0)
    await line.probe()
    assert line.breaker.may_send(0.0)
    assert vendor.seen == ["old", "new"]


async def test_a_file_that_cannot_be_read_leaves_the_key_as_it_was() -> None:
    """It is being replaced just now: the next probe reads it."""

    def unreadable() -> Any:
        raise SettingsError(["STREAMS_MISO_API_KEY_FILE: there is no such file."])

    vendor = Vendor("old")
    line = VendorClient(VENDORS["miso"], section("old"), vendor, lambda: 0.0, unreadable)
    line.breaker.on_verdict(Verdict(RequestOutcome.MISCONFIGURED, "401", 401), 0.0)
    await line.probe()
    assert line.breaker.may_send(0.0)
    assert vendor.seen == ["old"]


@pytest.mark.parametrize(
    ("count", "status", "body", "answer"),
    [
        (1, 422, b'{"message":"no",\n "data":["why"]}', '422 {"message":"no", "data":["why"]}'),
        (1, 413, b"", "413"),
        (1, 500, b"<html><b>down</b></html>", "500 down"),
        (1, 200, b'{"message":"success"}', ""),
        (2, 422, b'{"message":"no","data":["data.0.user_id (another visitor)"]}', ""),
    ],
)
async def test_the_verdict_on_one_event_has_the_whole_answer_for_the_dead_letter(
    count: int, status: int, body: bytes, answer: str
) -> None:
    """``detail`` may be the message alone, but the cause may be named beside it.

    Not the answer to several events: it may show what is another visitor's.
    """

    class Answering:
        async def send(self, _request: HttpRequest) -> HttpResponse:
            return HttpResponse(status, {}, body)

    own = section("key")
    client = VendorClient(VENDORS["miso"], own, Answering(), lambda: 0.0, lambda: own)
    items = tuple(Item(0, place, "e", "shop.clicks/0/0", "", b"", 0) for place in range(count))
    batch = MicroBatch(items, (b"{}",) * count, BatchCause.COUNT)
    result = await client.start_flow(batch, Lane.LIVE)
    assert result.verdict is not None
    assert result.verdict.answer == answer
