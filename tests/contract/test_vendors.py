"""What every vendor promises, asked of each one in the registry, and of one that is made up.

A newcomer supplies ``tests/vendors/<key>/examples.py`` and inherits all of this.
"""

import importlib.util
import inspect
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from streams import vendors
from streams.core.enrich import Decision, Enricher, Send, Skip
from streams.core.event_types import Event
from streams.core.events import EventParser
from streams.core.outcome import DeadLetterReason, RequestOutcome, SkipReason
from streams.core.rows import Product, User
from streams.delivery.batching import BatchCause, Batcher
from streams.vendors import VENDORS, plan_for
from streams.vendors.base import HttpResponse, Vendor
from tests.contract.fourth_vendor.example import VENDOR as EXAMPLE

KAFKA_MS = 1_795_168_800_000
CLICK = {
    "event_id": "e-1",
    "timestamp": "2026-11-20T09:59:58.120Z",
    "anonymous_id": "visitor-7",
    "user_id": "u-77",
    "product_id": "p-1042",
    "sku": "8S-1042",
    "price": 19.9,
    "currency": "EUR",
    "page": {
        "url": "https://shop.example/p/1042",
        "referrer": "https://shop.example/",
        "title": "Shirt",
    },
    "user_agent": "Mozilla/5.0",
    "locale": "de-DE",
    "region": "DE-BY",
    "ip": "203.0.113.77",
    "campaign": {"name": "autumn", "source": "news"},
    "miso_id": "3f0b6c1e-8f0a-4d6e-9b60-2f4f9d6f1a11",
    "content": {"type": "customSet", "id": "set-9"},
    "eightselect_user_id": "0b8f8d5a-51b5-4a0e-9a5c-6b1f1f6f2a22",
}
ADD_TO_CART = CLICK | {"quantity": 2}
SMALLEST = {
    "timestamp": "2026-11-20T09:59:58.120Z",
    "anonymous_id": "visitor-7",
    "product_id": "p-1042",
}
USER = User(
    user_id="u-row",
    contact_id="5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66",
    consent=dict.fromkeys([*VENDORS, EXAMPLE.key], True),
)
PRODUCT = Product("8S-row", "8S-10", "Shirt", "Acme", ["Men", "Shirts"], 24.9, "EUR")
PRIVATE = ("203.0.113.77", "2001:db8::1")


@cache
def examples(key: str) -> ModuleType:
    """Return the vendor's examples."""
    path = Path(__file__).parents[1] / "vendors" / key / "examples.py"
    if key == EXAMPLE.key:
        path = Path(__file__).parent / "fourth_vendor" / "examples.py"
    spec = importlib.util.spec_from_file_location(f"examples_of_{key}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=[*VENDORS.values(), EXAMPLE], ids=lambda vendor: vendor.key)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    """Each registered vendor in turn, then the made-up one."""
    chosen = request.param
    assert isinstance(chosen, Vendor)
    return chosen


def parse(record: dict[str, Any], kind: Any = "click") -> Event:
    """Return the event of a raw record."""
    parser = EventParser(kind, f"shop.{kind}s")
    return parser.parse(b"visitor-7", msgspec.json.encode(record), 0, 1, KAFKA_MS)


def decide(vendor: Vendor, event: Event) -> Decision:
    """Return what enrichment decides for the vendor, under its example settings."""
    enricher = Enricher([plan_for(vendor, examples(vendor.key).SETTINGS)], "required")
    (decision,) = enricher.decide(event, USER, None, PRODUCT, KAFKA_MS, KAFKA_MS)
    return decision


def payloads(vendor: Vendor, count: int) -> list[bytes]:
    """Return encoded payloads of that many different events."""
    found = []
    for number in range(count):
        # Told apart by the SKU too: not every vendor has a field for our event id.
        one = ADD_TO_CART | {"event_id": f"e-{number}", "sku": f"8S-{number}"}
        decision = decide(vendor, parse(one, "add_to_cart"))
        assert isinstance(decision, Send)
        found.append(
            bytes(msgspec.json.decode(decision.value, type=dict[str, msgspec.Raw])["payload"])
        )
    return found


def test_registry_is_keyed_by_the_vendors_own_keys() -> None:
    """A key is spelled as in topics, commands and settings; its folder has the same name."""
    for key, registered in VENDORS.items():
        assert key == registered.key
        assert re.fullmatch("[a-z]+", key)
        assert (Path(vendors.__file__).parent / key / "mapping.py").is_file()


def test_settings_need_nothing_but_credentials(vendor: Vendor) -> None:
    """Without credentials the section still loads; with them the vendor can be built."""
    settings = vendor.settings.model_validate({})
    for name in vendor.credentials:
        assert name in vendor.settings.model_fields
        assert not getattr(settings, name)
    assert re.fullmatch(r"https://[a-z0-9.{}-]+(:\d+)?", settings.base_url) or not settings.base_url
    assert vendor.max_batch_records(settings) >= 1
    assert vendor.max_batch_bytes(settings) >= 1
    assert vendor.linger_seconds(settings) >= 0


def test_whole_events_become_the_expected_payloads(vendor: Vendor) -> None:
    """A click and an add-to-cart with every field, written out."""
    for record, kind, expected in (
        (CLICK, "click", examples(vendor.key).CLICK_PAYLOAD),
        (ADD_TO_CART, "add_to_cart", examples(vendor.key).ADD_TO_CART_PAYLOAD),
    ):
        decision = decide(vendor, parse(record, kind))
        assert isinstance(decision, Send)
        assert msgspec.json.decode(decision.value)["payload"] == expected


def test_smallest_event_is_sent_or_skipped_for_a_named_reason(vendor: Vendor) -> None:
    """What is optional in an event is never a defect of a mapping."""
    for kind in ("click", "add_to_cart"):
        decision = decide(vendor, parse(SMALLEST, kind))
        assert isinstance(decision, Send) or (
            isinstance(decision, Skip) and decision.reason in SkipReason
        )


def test_same_event_makes_the_same_record(vendor: Vendor) -> None:
    """A replay sends what was sent: no clock, no randomness, no memory in a mapping."""
    first = decide(vendor, parse(CLICK))
    decide(vendor, parse(ADD_TO_CART, "add_to_cart"))
    assert decide(vendor, parse(CLICK)) == first


def test_mapping_leaves_the_event_as_it_is(vendor: Vendor) -> None:
    """The next vendor gets the very same event."""
    event = parse(CLICK)
    before = msgspec.json.encode(event)
    decide(vendor, event)
    assert msgspec.json.encode(event) == before


@pytest.mark.parametrize("ip", PRIVATE)
def test_no_vendor_gets_a_whole_address(vendor: Vendor, ip: str) -> None:
    """Neither IPv4 nor IPv6 leaves as it came."""
    decision = decide(vendor, parse(CLICK | {"ip": ip}))
    assert isinstance(decision, Send)
    assert ip.encode() not in decision.value


def test_requests_carry_every_payload_once_and_in_order(vendor: Vendor) -> None:
    """Split into requests by the vendor's own limits, nothing is lost, doubled or moved."""
    settings = examples(vendor.key).SETTINGS
    batcher: Batcher[int] = Batcher(
        vendor.max_batch_records(settings), vendor.max_batch_bytes(settings), 0
    )
    given = payloads(vendor, 20)
    for position, payload in enumerate(given):
        batcher.add(position, payload, 0.0)
    sent = b""
    while len(batcher):
        batch = batcher.next_batch(BatchCause.AGE)
        request = vendor.build_request(batch.payloads, settings)
        assert request.method in {"POST", "PUT"}
        assert request.path.startswith("/")
        places = [request.body.index(payload) for payload in batch.payloads]
        assert places == sorted(places)
        sent += request.body
    assert all(sent.count(payload) == 1 for payload in given)
    msgspec.json.decode(vendor.build_request(given[:1], settings).body)


def test_key_travels_in_headers_only(vendor: Vendor) -> None:
    """No secret in an address, a body, or anything that is printed."""
    settings, secret = examples(vendor.key).SETTINGS, examples(vendor.key).SECRET
    for request in (
        vendor.build_request(payloads(vendor, 1), settings),
        vendor.build_probe(settings),
    ):
        assert any(secret in text for text in request.headers.values())
        assert secret not in request.path
        assert secret.encode() not in request.body
        assert secret not in repr(request)
    assert secret not in repr(settings)
    assert secret not in str(settings.model_dump())


def test_accepted_response_is_accepted(vendor: Vendor) -> None:
    """The documented success."""
    verdict = vendor.classify(examples(vendor.key).ACCEPTED, 1)
    assert (verdict.outcome, verdict.refused) == (RequestOutcome.ACCEPTED, {})


SAYS_NO: tuple[Any, ...] = (
    {"error": "Something went wrong"},
    {"error": {"code": 17}},
    {"success": False},
    {"success": "false"},
    {"ok": False, "reason": "quota"},
    {"errorMessage": "Task timed out after 3.00 seconds"},
    {"errorMessage": "boom", "errorType": "Runtime.UnhandledPromiseRejection", "trace": []},
    {"message": "Unauthorized"},
    {"message": "Internal server error"},
    {"message": "Rate exceeded"},
    {"Message": "An error has occurred."},
    {"statusCode": 503},
    {"statusCode": 500, "body": "{}"},
    {"status": "error"},
    {"status": 401},
    {"code": "E_NOPE", "detail": "no"},
    {"detail": "Not authenticated"},
    {"fault": {"faultstring": "Invalid ApiKey"}},
    {"result": "failed"},
    {"__type": "ThrottlingException"},
    ["no"],
    False,
    5,
    "Service unavailable",
)
"""Bodies of a 2xx that are no vendor's documented success."""
PAGES = (
    b"<html><body>Log in to WiFi</body></html>",
    b"<!DOCTYPE html><title>Maintenance</title>",
    b"\xef\xbb\xbf<?xml version='1.0'?><Error/>",
    b"Bad Request",
    b"upstream connect error or disconnect/reset before headers",
    b'{"message":"succ',
    b"\x1f\x8b\x08\x00garbage",
)
"""Bodies that no vendor sends: a proxy's, a captive portal's, or what is left of a response."""


@pytest.mark.parametrize("body", SAYS_NO, ids=str)
@pytest.mark.parametrize("status", [200, 201, 202])
def test_2xx_that_says_no_is_no_success(vendor: Vendor, status: int, body: Any) -> None:
    """Nor does it blame an event: the events wait, and the operator reads what it says."""
    response = HttpResponse(status, {"content-type": "application/json"}, msgspec.json.encode(body))
    verdict = vendor.classify(response, 1)
    assert verdict.outcome in (RequestOutcome.UNCLEAR, RequestOutcome.MISCONFIGURED)
    assert verdict.detail.startswith(str(status))


@pytest.mark.parametrize("body", PAGES, ids=repr)
@pytest.mark.parametrize("status", [200, 202])
def test_2xx_that_is_a_page_is_no_success(vendor: Vendor, status: int, body: bytes) -> None:
    """Whatever type it says that it is."""
    for type_ in ("text/html", "application/json", ""):
        outcome = vendor.classify(HttpResponse(status, {"content-type": type_}, body), 1).outcome
        assert outcome in (RequestOutcome.UNCLEAR, RequestOutcome.MISCONFIGURED)


@pytest.mark.parametrize("body", PAGES, ids=repr)
@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_refusal_that_is_a_page_blames_no_event(vendor: Vendor, status: int, body: bytes) -> None:
    """Something else answered; it is asked again."""
    verdict = vendor.classify(HttpResponse(status, {}, body), 3)
    assert (verdict.outcome, verdict.refused) == (RequestOutcome.UNAVAILABLE, {})


def test_a_body_that_cannot_be_read_is_no_success(vendor: Vendor) -> None:
    """The status counts, the rest is unknown; the second one in a row opens the circuit breaker."""
    broken = HttpResponse(200, {}, b"", "its headers cannot be read: too many")
    verdict = vendor.classify(broken, 1)
    assert (verdict.outcome, verdict.is_puzzling) == (RequestOutcome.UNCLEAR, True)
    assert verdict.detail == "200, its headers cannot be read: too many"
    garbled = HttpResponse(
        None, {}, b"", "the response cannot be read: Bad status line", is_garbled=True
    )
    assert vendor.classify(garbled, 1).is_puzzling
    assert vendor.classify(HttpResponse(503, {}, b"", "cut"), 1).is_puzzling is False


def test_response_that_names_an_event_refuses_exactly_that_one(vendor: Vendor) -> None:
    """The others go again at once."""
    named = examples(vendor.key).NAMED
    if named is None:
        assert vendor.max_batch_records(examples(vendor.key).SETTINGS) == 1
        return
    verdict = vendor.classify(named, 3)
    assert verdict.outcome is RequestOutcome.REJECTED
    assert list(verdict.refused) == [1]
    assert verdict.refused[1]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"{", b"[]", b"null", b"<html><body>no</body></html>", b"\xff\x00", b"5"]
)
def test_every_status_has_a_verdict_whatever_the_body(vendor: Vendor, body: bytes) -> None:
    """Total from 100 to 599, with one printable line for a person."""
    for status in range(100, 600):
        verdict = vendor.classify(HttpResponse(status, {}, body), 2)
        assert verdict.status == status
        assert verdict.detail.isprintable()
        assert verdict.detail.startswith(str(status))
        assert set(verdict.refused) <= {0, 1}


def test_statuses_mean_what_the_vendors_documents_say(vendor: Vendor) -> None:
    """Each status without a body, written out; these at least."""
    outcomes = examples(vendor.key).STATUS_OUTCOMES
    assert {200, 400, 401, 403, 404, 408, 422, 429, 500, 501, 503} <= set(outcomes)
    for status, outcome in outcomes.items():
        assert vendor.classify(HttpResponse(status, {}, b""), 1).outcome is outcome, status


def test_only_what_was_sent_is_unclear(vendor: Vendor) -> None:
    """Without a response it matters whether the request may have arrived."""
    gone = HttpResponse(None, {}, b"", "connection refused", was_sent=False)
    assert vendor.classify(gone, 1).outcome is RequestOutcome.UNAVAILABLE
    assert (
        vendor.classify(HttpResponse(None, {}, b"", "timed out"), 1).outcome
        is RequestOutcome.UNCLEAR
    )


def test_retry_after_is_obeyed_up_to_an_hour(vendor: Vendor) -> None:
    """A vendor that asks to wait is waited for."""
    for text, seconds in (("9", 9.0), ("999999", 3600.0)):
        verdict = vendor.classify(HttpResponse(429, {"retry-after": text}, b""), 1)
        assert (verdict.outcome, verdict.retry_after_seconds) == (RequestOutcome.THROTTLED, seconds)


def test_facts_are_written_down_with_their_date(vendor: Vendor) -> None:
    """The README names each property that is sent, and when the facts were checked."""
    folder = Path(inspect.getfile(vendor.settings)).parent
    assert folder.name == vendor.key
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert re.search(r"20\d\d-\d\d-\d\d", text)
    for name in {*examples(vendor.key).CLICK_PAYLOAD, *examples(vendor.key).ADD_TO_CART_PAYLOAD}:
        assert f"`{name}`" in text, name


def test_every_reason_has_its_meaning() -> None:
    """The closed lists are printed with a line each."""
    from streams.core.outcome import DEAD_LETTER_MEANING, SKIP_MEANING

    assert set(SKIP_MEANING) == set(SkipReason)
    assert set(DEAD_LETTER_MEANING) == set(DeadLetterReason)
