"""Asking vendors: what each answer means, that nothing is stored, and that no key is shown."""

import json
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from streams.core.outcome import RequestOutcome, Verdict
from streams.lab.sandbox import Sandbox
from streams.operations.check import vendors as module
from streams.operations.check.samples import sample_payloads
from streams.operations.check.vendors import check_vendors
from streams.settings import Settings, load_settings
from streams.status.findings import Finding, Level
from streams.vendors import VENDORS, miso
from streams.vendors.base import HttpRequest, HttpResponse, Inquiry, Vendor, VendorSettings
from streams.vendors.miso import MisoSettings

NOW_MS = 1_795_168_800_000
KEY = "miso-secret-0815"
JSON = {"content-type": "application/json"}
TAKEN = HttpResponse(200, JSON, b'{"message":"success"}')


class FakeClient:
    """Answers each request with the next answer, the last one for ever; keeps what it got."""

    def __init__(self, *answers: HttpResponse) -> None:
        self.answers = list(answers)
        self.requests: list[HttpRequest] = []
        self.is_closed = False

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Keep the request and answer it."""
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def close(self) -> None:
        """Note that it is over."""
        self.is_closed = True


class SilentClient(FakeClient):
    """Never answers: the timeout comes at once."""

    async def send(self, _: HttpRequest) -> HttpResponse:
        """Fail as a vendor does that takes too long."""
        raise TimeoutError


def settings_of(**environ: str) -> Settings:
    """Settings in which Miso is on, and what else is given."""
    return load_settings({"STREAMS_MISO_API_KEY": KEY, **environ})


async def asked(
    client: FakeClient, *, send_test: bool = False, settings: Settings | None = None
) -> list[Finding]:
    """What is found of Miso when this client carries the requests."""
    findings = await check_vendors(
        settings or settings_of(),
        send_test=send_test,
        now_ms=NOW_MS,
        open_client=lambda _settings, _section: client,
    )
    return [finding for finding in findings if finding.subject == "miso"]


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (
            TAKEN,
            Finding(
                Level.OK, "miso", "Miso at https://api.askmiso.com answers and accepts the key."
            ),
        ),
        (
            HttpResponse(401, JSON, b'{"message":"Invalid API key"}'),
            Finding(
                Level.PROBLEM,
                "miso",
                "Miso at https://api.askmiso.com refuses the key: 401 Invalid API key.",
                "Correct STREAMS_MISO_API_KEY, and check that STREAMS_MISO_BASE_URL is where this "
                "key is valid.",
            ),
        ),
        (
            HttpResponse(403, JSON, b'{"message":"publishable key"}'),
            Finding(
                Level.PROBLEM,
                "miso",
                "Miso at https://api.askmiso.com refuses the key: 403 publishable key.",
                "Correct STREAMS_MISO_API_KEY, and check that STREAMS_MISO_BASE_URL is where this "
                "key is valid.",
            ),
        ),
        (
            HttpResponse(404, JSON, b'{"message":"Not Found"}'),
            Finding(
                Level.PROBLEM,
                "miso",
                "Miso at https://api.askmiso.com is not the right address: 404 Not Found.",
                "Correct STREAMS_MISO_BASE_URL: scheme, host and port only.",
            ),
        ),
        (
            HttpResponse(422, JSON, b'{"message":"bad","data":["data.0.type is invalid. No."]}'),
            Finding(
                Level.PROBLEM,
                "miso",
                "Miso at https://api.askmiso.com answers, but refuses a valid test request: 422 "
                "bad.",
                "Read the message. If the vendor's rules have changed, ask its support.",
            ),
        ),
        (
            HttpResponse(429, {**JSON, "retry-after": "7"}, b'{"message":"slow down"}'),
            Finding(
                Level.WARNING,
                "miso",
                "Miso at https://api.askmiso.com asks to slow down: 429 slow down.",
                "Wait and check again; find out what else uses this key.",
            ),
        ),
        (
            HttpResponse(503, JSON, b'{"message":"maintenance"}'),
            Finding(
                Level.PROBLEM,
                "miso",
                "Miso at https://api.askmiso.com fails: 503 maintenance.",
                "Wait and check again: events wait, and workers keep trying. If it stays, "
                "ask Miso.",
            ),
        ),
        (
            HttpResponse(None, {}, b"", failure="Name or service not known", was_sent=False),
            Finding(
                Level.PROBLEM,
                "miso",
                "Miso at https://api.askmiso.com does not answer: Name or service not known.",
                "Check STREAMS_MISO_BASE_URL, and that this machine may reach it: name, firewall, "
                "proxy (STREAMS_HTTP_PROXY), TLS (STREAMS_HTTP_CA_FILE). Meanwhile events wait, "
                "and workers keep trying.",
            ),
        ),
    ],
)
async def test_each_answer_is_explained(answer: HttpResponse, finding: Finding) -> None:
    """What the vendor said, what it means, and which setting to look at."""
    client = FakeClient(answer)
    assert await asked(client) == [finding]
    assert [request.path for request in client.requests] == ["/v1/interactions?dry_run=1"]
    assert client.is_closed


@pytest.mark.parametrize(
    ("no_proxy", "way"),
    [
        ("", "through the proxy http://proxy.example:3128"),
        ("askmiso.com", "without the proxy, as STREAMS_HTTP_NO_PROXY says"),
    ],
)
async def test_the_way_to_the_vendor_is_said(no_proxy: str, way: str) -> None:
    """Where a proxy is set."""
    settings = settings_of(
        STREAMS_HTTP_PROXY="http://relay@proxy.example:3128", STREAMS_HTTP_NO_PROXY=no_proxy
    )
    (finding,) = await asked(FakeClient(TAKEN), settings=settings)
    assert finding.text == f"Miso at https://api.askmiso.com, {way}, answers and accepts the key."


async def test_a_proxy_that_refuses_the_login_is_told_from_a_refused_key() -> None:
    """What is to be corrected is the proxy's user and password."""
    settings = settings_of(STREAMS_HTTP_PROXY="http://relay@proxy.example:3128")
    (finding,) = await asked(FakeClient(HttpResponse(407, {}, b"refused.")), settings=settings)
    assert finding == Finding(
        Level.PROBLEM,
        "miso",
        "Miso at https://api.askmiso.com, through the proxy http://proxy.example:3128, cannot be "
        "asked: 407 refused.",
        "Correct STREAMS_HTTP_PROXY (the user) and STREAMS_HTTP_PROXY_PASSWORD.",
    )


async def test_a_vendor_that_takes_too_long_is_a_problem() -> None:
    """The check ends after its own patience, shorter than a worker's."""
    (finding,) = await asked(SilentClient(TAKEN))
    assert finding.level is Level.PROBLEM
    assert finding.text == "Miso at https://api.askmiso.com does not answer: no answer within 20 s."


async def test_a_key_that_the_vendor_echoes_is_masked() -> None:
    """Neither the words nor the remedy hold it."""
    body = json.dumps({"message": f"no account has {KEY} here"}).encode()
    (finding,) = await asked(FakeClient(HttpResponse(401, JSON, body)))
    assert finding.text == (
        "Miso at https://api.askmiso.com refuses the key: 401 no account has *** here."
    )


async def test_a_vendor_without_credentials_is_off_and_not_asked() -> None:
    """It says what would switch it on."""
    client = FakeClient(TAKEN)
    assert await asked(client, settings=load_settings({})) == [
        Finding(Level.OK, "miso", "Miso is off: STREAMS_MISO_API_KEY would switch it on.")
    ]
    assert client.requests == []


async def test_a_vendor_that_is_switched_off_is_not_asked() -> None:
    """Whatever credentials it has."""
    client = FakeClient(TAKEN)
    settings = settings_of(STREAMS_MISO_ENABLED="false")
    assert await asked(client, settings=settings) == [
        Finding(Level.OK, "miso", "Miso is switched off (STREAMS_MISO_ENABLED=false).")
    ]
    assert client.requests == []


async def test_a_vendor_that_is_on_without_credentials_is_a_warning() -> None:
    """Where enrichment runs no key is needed; where the vendor's stage runs there is."""
    client = FakeClient(TAKEN)
    settings = load_settings({"STREAMS_MISO_ENABLED": "true"})
    assert await asked(client, settings=settings) == [
        Finding(
            Level.WARNING,
            "miso",
            "Miso is on without STREAMS_MISO_API_KEY: enrichment writes for it, but its own stage "
            "cannot run with these settings and was not checked.",
            "Give STREAMS_MISO_API_KEY where `streams worker miso` runs, and run the check there.",
        )
    ]
    assert client.requests == []


async def test_send_test_lets_the_vendor_judge_a_click_and_an_add_to_cart() -> None:
    """Both as today's mapping makes them, in the vendor's own dry run."""
    client = FakeClient(TAKEN)
    findings = await asked(client, send_test=True)
    assert [(finding.level, finding.text) for finding in findings] == [
        (Level.OK, "Miso at https://api.askmiso.com answers and accepts the key."),
        (Level.OK, "Miso, dry run: as expected (200 success)."),
    ]
    paths = [request.path for request in client.requests]
    assert paths == ["/v1/interactions?dry_run=1", "/v1/interactions?dry_run=1"]
    sent = json.loads(client.requests[1].body)["data"]
    assert [record["type"] for record in sent] == ["product_detail_page_view", "add_to_cart"]
    assert {record["anonymous_id"] for record in sent} == {"streams-check"}


async def test_test_events_that_the_vendor_refuses_are_a_problem_with_its_words() -> None:
    """Each refused event is named."""
    refusal = b'{"errors":true,"message":"bad","data":["data.1.quantities is invalid. No list."]}'
    client = FakeClient(TAKEN, HttpResponse(422, JSON, refusal))
    _, finding = await asked(client, send_test=True)
    assert finding == Finding(
        Level.PROBLEM,
        "miso",
        "Miso, dry run: it refuses the events: event 1: quantities is invalid. No list.",
        "Read the message, and compare with `streams check --mapping FILE` and with Miso's "
        "settings.",
    )


async def test_no_test_event_follows_a_probe_that_failed() -> None:
    """A second refusal of the same key would say nothing more."""
    client = FakeClient(HttpResponse(401, JSON, b"{}"))
    assert len(await asked(client, send_test=True)) == 1
    assert len(client.requests) == 1


def _use(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    vendor = replace(miso.VENDOR, **changes)
    monkeypatch.setattr(module, "VENDORS", MappingProxyType({"miso": vendor}))


async def test_a_vendor_without_a_means_of_its_own_gets_no_test_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing real is ever sent in its stead."""
    _use(monkeypatch, validation=None)
    client = FakeClient(TAKEN)
    _, finding = await asked(client, send_test=True)
    assert finding == Finding(
        Level.OK,
        "miso",
        "Miso documents no way to check an event without storing it: no test event was sent.",
    )
    assert len(client.requests) == 1


async def test_further_questions_of_a_vendor_are_asked_and_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A schema that does not fit is a problem with the vendor's own remedy."""

    def read(answer: HttpResponse, count: int) -> Verdict:
        assert count == 0
        if answer.body == b"fits":
            return Verdict(RequestOutcome.ACCEPTED)
        return Verdict(RequestOutcome.REJECTED, "it has no property eventId", 200)

    def inquiries(_: MisoSettings, __: object) -> Sequence[Inquiry]:
        return [
            Inquiry(
                f'schema "{name}"', HttpRequest("GET", f"/schemas/{name}", {}, b""), read, "Do."
            )
            for name in ("clicks", "carts")
        ]

    _use(monkeypatch, inquiries=inquiries)
    client = FakeClient(TAKEN, HttpResponse(200, {}, b"fits"), HttpResponse(200, {}, b"other"))
    assert (await asked(client))[1:] == [
        Finding(Level.OK, "miso", 'Miso, schema "clicks": as expected.'),
        Finding(Level.PROBLEM, "miso", 'Miso, schema "carts": it has no property eventId.', "Do."),
    ]
    assert [request.path for request in client.requests[1:]] == [
        "/schemas/clicks",
        "/schemas/carts",
    ]


async def test_against_the_simulator_nothing_is_stored() -> None:
    """Probe and test events are dry runs there too."""
    sandbox = Sandbox()
    await sandbox.start()
    try:
        settings = settings_of(STREAMS_MISO_BASE_URL=sandbox.url)
        findings = await check_vendors(settings, send_test=True, now_ms=NOW_MS)
        sandbox.faults.set("miso:down")
        broken = await check_vendors(settings, send_test=False, now_ms=NOW_MS)
    finally:
        await sandbox.stop()
    of_miso = [finding.level for finding in findings if finding.subject == "miso"]
    assert of_miso == [Level.OK, Level.OK]
    assert sandbox.ledgers["miso"].event_ids() == []
    assert [f.level for f in broken if f.subject == "miso"] == [Level.PROBLEM]


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.key)
def test_validation_carries_the_test_events_and_not_to_where_they_are_stored(
    vendor: Vendor,
) -> None:
    """Every registered vendor with a validation: the payloads whole, another address."""
    if vendor.validation is None:
        pytest.skip("documents none")
    section = settings_with_credentials(vendor)
    payloads, refusals = sample_payloads(vendor, section, NOW_MS)
    assert refusals == []
    assert len(payloads) == 2
    part = payloads[: vendor.max_batch_records(section)]
    request = vendor.validation(part, section).request
    assert all(payload in request.body for payload in part)
    assert request.path != vendor.build_request(part, section).path


def settings_with_credentials(vendor: Vendor) -> VendorSettings:
    """The vendor's section with a value for every secret."""
    fields = vendor.settings.model_fields
    given = {name: "x" for name in fields if name in vendor.credentials or "secret" in name}
    return vendor.settings.model_validate(given)
