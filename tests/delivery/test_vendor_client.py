"""The line to a vendor: which key its requests carry."""

from typing import Any

from streams.core.errors import SettingsError
from streams.core.outcome import RequestOutcome, Verdict
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
