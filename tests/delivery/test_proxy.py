"""Vendors behind a proxy that asks for a password, under an authority of our own."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from streams.core.outcome import RequestOutcome
from streams.delivery.http import HttpClient
from streams.lab.sandbox import Sandbox
from streams.settings import HttpSettings, load_settings
from streams.settings.proxies import route_to
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.miso import VENDOR
from streams.vendors.miso.settings import MisoSettings
from tests import proxies
from tests.proxies import PASSWORD, Proxy

MISO = MisoSettings.model_validate({"api_key": "sandbox-secret"})


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that no system knows."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Its certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
async def vendors(authority: trustme.CA) -> AsyncIterator[Sandbox]:
    """The vendors by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    sandbox = Sandbox(tls=context)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


@pytest.fixture(params=proxies.KINDS)
async def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Proxy]:
    """A proxy that listens and asks for a password."""
    async with proxies.running(request.param, tmp_path) as started:
        yield started


def http(proxy: Proxy, ca_file: Path, **more: str) -> HttpSettings:
    """Section ``[http]`` that leads through the proxy."""
    given = {"proxy": proxy.url, "proxy_password": PASSWORD, "ca_file": ca_file}
    return HttpSettings.model_validate(given | more)


async def probe(client: HttpClient) -> HttpResponse:
    """Ask Miso for a dry run."""
    return await client.send(VENDOR.build_probe(MISO))


async def test_requests_pass_through_the_proxy_to_a_vendor_of_our_own_authority(
    proxy: Proxy, vendors: Sandbox, ca_file: Path
) -> None:
    """One tunnel for all of them."""
    client = HttpClient(vendors.url, concurrency=1, current_http=lambda: http(proxy, ca_file))
    answers = [await probe(client) for _ in range(3)]
    await client.close()
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert proxy.connected() == [vendors.url.removeprefix("https://")]


async def test_a_host_of_no_proxy_is_asked_past_it(
    proxy: Proxy, vendors: Sandbox, ca_file: Path
) -> None:
    """The proxy hears nothing of it."""
    section = http(proxy, ca_file, no_proxy="intern.example, 127.0.0.0/8")
    client = HttpClient(vendors.url, concurrency=1, current_http=lambda: section)
    answer = await probe(client)
    await client.close()
    assert answer.status == 200
    assert proxy.connected() == []


async def test_without_the_authority_the_certificate_is_not_trusted(
    proxy: Proxy, vendors: Sandbox, ca_file: Path
) -> None:
    """Nothing was sent, and the reason is said."""
    section = http(proxy, ca_file).model_copy(update={"ca_file": None})
    client = HttpClient(vendors.url, concurrency=1, current_http=lambda: section)
    answer = await probe(client)
    await client.close()
    assert (answer.status, answer.was_sent) == (None, False)
    assert "CERTIFICATE_VERIFY_FAILED" in answer.failure


async def test_a_wrong_password_is_the_settings_fault_and_a_new_one_is_taken_at_once(
    proxy: Proxy, vendors: Sandbox, ca_file: Path, tmp_path: Path
) -> None:
    """Parks the vendor without a word of its own; the file is read again; no secret is shown."""
    file = tmp_path / "password"
    file.write_text("wrong_Secret\n")
    settings = load_settings(
        {
            "STREAMS_HTTP_PROXY": proxy.url,
            "STREAMS_HTTP_PROXY_PASSWORD_FILE": str(file),
            "STREAMS_HTTP_CA_FILE": str(ca_file),
        }
    )
    client = HttpClient(vendors.url, concurrency=1, current_http=settings.current_http)
    answer = await probe(client)
    verdict = VENDOR.classify(answer, 1)
    assert (verdict.outcome, verdict.status) == (RequestOutcome.MISCONFIGURED, 407)
    assert verdict.detail == (
        f"407 the proxy {proxy.url.replace('relay@', '')} refuses the login: check "
        "STREAMS_HTTP_PROXY and STREAMS_HTTP_PROXY_PASSWORD."
    )
    assert "wrong_Secret" not in repr(answer)
    file.write_text(f"{PASSWORD}\n")
    assert (await probe(client)).status == 407  # made before the file was read
    assert (await probe(client)).status == 200
    await client.close()


async def test_a_proxy_that_is_away_has_sent_nothing_and_is_named(
    proxy: Proxy, vendors: Sandbox, ca_file: Path
) -> None:
    """It is the proxy that cannot be reached; once it is back, so is the vendor."""
    client = HttpClient(vendors.url, concurrency=1, current_http=lambda: http(proxy, ca_file))
    await proxy.stop()
    answer = await probe(client)
    assert (answer.status, answer.was_sent) == (None, False)
    words = f"the proxy {proxy.url.replace('relay@', '')} cannot be reached: "
    assert answer.failure.startswith(words)
    assert VENDOR.classify(answer, 1).outcome is RequestOutcome.UNAVAILABLE
    await proxy.start()
    assert (await probe(client)).status == 200
    await client.close()


async def test_a_vendor_that_the_proxy_cannot_reach_is_not_blamed_for_its_words(
    proxy: Proxy, vendors: Sandbox, ca_file: Path
) -> None:
    """Whatever the proxy answers to CONNECT, the vendor has seen nothing."""
    await vendors.stop()
    client = HttpClient(vendors.url, concurrency=1, current_http=lambda: http(proxy, ca_file))
    answer = await probe(client)
    await client.close()
    assert (answer.status, answer.was_sent) == (None, False)


async def test_plain_http_through_a_proxy_that_refuses_is_the_settings_fault_too(
    ca_file: Path, tmp_path: Path
) -> None:
    """There its 407 looks like an answer of the vendor."""
    async with proxies.running("own", tmp_path) as proxy:
        section = http(proxy, ca_file, proxy_password="wrong_Secret")
        client = HttpClient("http://127.0.0.1:9", concurrency=1, current_http=lambda: section)
        answer = await client.send(HttpRequest("POST", "/v1/interactions", {}, b"{}"))
        await client.close()
    assert answer.status == 407
    assert b"STREAMS_HTTP_PROXY_PASSWORD" in answer.body


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt"),
    [
        ("example.com", "example.com", True),
        ("example.com", "api.example.com", True),
        (".example.com", "api.example.com", True),
        ("*.example.com", "api.example.com", True),
        ("EXAMPLE.com", "api.example.com", True),
        ("example.com", "badexample.com", False),
        ("example.com", "example.com.evil.org", False),
        ("*", "api.askmiso.com", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "[::1]", True),
        ("", "127.0.0.1", False),
        ("a.example, b.example", "b.example", True),
    ],
)
def test_no_proxy_names_hosts_with_their_subdomains_and_networks(
    no_proxy: str, host: str, exempt: bool
) -> None:
    """As curl and Kubernetes write it."""
    route = route_to(f"https://{host}:443", "http://proxy:3128", no_proxy)
    assert (route.proxy is None, route.is_exempt) == (exempt, exempt)


@given(st.lists(st.sampled_from(["a", "b", "example", "com", "10"]), min_size=1, max_size=4))
def test_a_host_covers_itself_and_all_below_it_and_nothing_above(labels: list[str]) -> None:
    """For whatever names."""
    host = ".".join(labels)
    proxy = "http://proxy:3128"
    assert route_to(f"https://{host}", proxy, host).is_exempt
    if not host.replace(".", "").isdigit():
        assert route_to(f"https://x.{host}", proxy, host).is_exempt
        assert not route_to(f"https://{host}", proxy, f"x.{host}").is_exempt


def test_the_way_is_said_without_the_user() -> None:
    """And nothing where no proxy is set."""
    vendor, proxy = "https://api.askmiso.com", "http://relay@proxy.example:3128"
    assert route_to(vendor, proxy, "").words == "through the proxy http://proxy.example:3128"
    assert route_to(vendor, proxy, "*").words == "without the proxy, as STREAMS_HTTP_NO_PROXY says"
    assert route_to(vendor, None, "*").words == ""
