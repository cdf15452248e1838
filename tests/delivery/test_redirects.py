"""Redirects on loopback: no vendor's key leaves for the address that a response names."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from aiohttp import web

from streams.core.outcome import RequestOutcome
from streams.delivery.http import HttpClient
from streams.settings import HttpSettings
from streams.vendors import VENDORS
from streams.vendors.base import HttpRequest, Vendor

SECRET = "secret-key-0815"


class Servers(NamedTuple):
    """The vendor's address, where each path is the status it answers, and somebody else's."""

    vendor_url: str
    elsewhere: list[web.BaseRequest]
    """What somebody else was asked."""
    asked: list[web.BaseRequest]


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    """Two servers: the first one redirects everything to the second."""
    elsewhere: list[web.BaseRequest] = []
    asked: list[web.BaseRequest] = []
    status = iter((301, 302, 303, 307, 308))
    urls: list[str] = []

    async def other(request: web.BaseRequest) -> web.Response:
        elsewhere.append(request)
        return web.json_response({"message": "success", "id": "i-1"})

    async def redirect(request: web.BaseRequest) -> web.Response:
        asked.append(request)
        return web.Response(status=next(status), headers={"Location": f"{urls[0]}/caught"})

    runners = []
    for handle in (other, redirect):
        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        urls.append(f"http://{host}:{port}")
        runners.append(runner)
    yield Servers(urls[1], elsewhere, asked)
    for runner in runners:
        await runner.cleanup()


def requests_of(vendor: Vendor) -> list[HttpRequest]:
    """What is sent to it: an event, and a probe."""
    given = dict.fromkeys(vendor.credentials, SECRET)
    settings = vendor.settings.model_validate(given)
    return [vendor.build_request([b"{}"], settings), vendor.build_probe(settings)]


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
async def test_no_redirect_is_followed(vendor: Vendor, servers: Servers) -> None:
    """Whatever its status; the verdict tells the operator about the address."""
    client = HttpClient(servers.vendor_url, concurrency=1, current_http=HttpSettings)
    event, probe = requests_of(vendor)
    for request in (event, event, probe, event, probe):
        response = await client.send(request)
        verdict = vendor.classify(response, 1)
        assert verdict.outcome is RequestOutcome.MISCONFIGURED
    await client.close()
    assert len(servers.asked) == 5
    assert all(SECRET in request.headers.values() for request in servers.asked)
    assert servers.elsewhere == []
