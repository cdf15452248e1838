"""8SELECT's requests and the reading of its responses."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.dead_letter import fingerprint
from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpResponse
from streams.vendors.eightselect import EightSelectSettings
from streams.vendors.eightselect.api import build_probe, build_request, classify, validation

API_ID = "8select-api-id-0815"
SETTINGS = EightSelectSettings.model_validate({"api_id": API_ID, "user_id_secret": "of-the-ids"})
NO_SKU = {
    "instancePath": "/interact/product",
    "schemaPath": "#/definitions/InteractProduct/required",
    "keyword": "required",
    "params": {"missingProperty": "sku"},
    "message": "must have required property 'sku'",
}
NO_UUID = {
    "instancePath": "/context/1/user/id",
    "schemaPath": "#/definitions/User/format",
    "keyword": "format",
    "params": {"format": "uuid"},
    "message": 'must match format "uuid"',
}
UNKNOWN = {
    "instancePath": "",
    "schemaPath": "#/additionalProperties",
    "keyword": "additionalProperties",
    "params": {"additionalProperty": "uuid"},
    "message": "must NOT have additional properties",
}


def response(status: int | None, body: Any = b"", **headers: str) -> HttpResponse:
    """Return a response; header names with underscores for hyphens."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, raw
    )


def test_request_carries_exactly_the_payload() -> None:
    """The encoded event is the body, not encoded again."""
    request = build_request([b'{"type":"interact"}'], SETTINGS)
    assert (request.method, request.path) == ("POST", "/analytics/v3/events")
    assert request.headers == {"Content-Type": "application/json", "x-api-id": API_ID}
    assert request.body == b'{"type":"interact"}'


@pytest.mark.parametrize("payloads", [[], [b"{}", b"{}"]])
def test_there_is_no_bulk_form(payloads: list[bytes]) -> None:
    """A second event would be lost: that is a defect, not a request."""
    with pytest.raises(ValueError, match="unpack"):
        build_request(payloads, SETTINGS)


def test_probe_is_judged_and_not_stored() -> None:
    """The validation endpoint gets a whole event of nobody, with the same headers."""
    probe = build_probe(SETTINGS)
    assert (probe.method, probe.path) == ("POST", "/analytics/v3/events/validate")
    assert probe.headers == {"Content-Type": "application/json", "x-api-id": API_ID}
    body = json.loads(probe.body)
    assert uuid.UUID(body["context"][0]["user"].pop("id")).version == 5
    assert body == {
        "type": "interact",
        "interact": {"type": "product", "action": "click", "product": {"sku": "streams-probe"}},
        "context": [{"type": "user", "user": {}}],
    }


def test_an_event_can_be_judged_without_being_stored() -> None:
    """The same body and headers as for delivery, to the validation endpoint."""
    inquiry = validation([b'{"type":"interact"}'], SETTINGS)
    sent = build_request([b'{"type":"interact"}'], SETTINGS)
    assert inquiry.request.path == "/analytics/v3/events/validate"
    assert (inquiry.request.headers, inquiry.request.body) == (sent.headers, sent.body)
    assert inquiry.classify(response(200, []), 1).outcome is RequestOutcome.ACCEPTED
    assert inquiry.classify(response(200, [NO_SKU]), 1).outcome is RequestOutcome.REJECTED


def test_settings_without_an_id_send_an_empty_one() -> None:
    """8SELECT then says so; nothing is made up."""
    assert build_probe(EightSelectSettings()).headers["x-api-id"] == ""


@pytest.mark.parametrize(
    "body",
    [
        *({}, b"", b" \n", b"OK", "ok", [], None),
        *({"errors": []}, {"errors": None}, {"id": "i-1"}, {"success": True}),
        {"statusCode": 202, "message": "Accepted"},
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_that_says_nothing_else_is_accepted(status: int, body: Any) -> None:
    """No body is documented: none is asked for, and one may say that all is well."""
    verdict = classify(response(status, body), 1)
    assert (verdict.outcome, verdict.status, verdict.refused) == (
        RequestOutcome.ACCEPTED,
        status,
        {},
    )


@pytest.mark.parametrize("status", [200, 202, 400, 409, 413, 422])
@pytest.mark.parametrize("wrap", [lambda errors: errors, lambda errors: {"errors": errors}])
def test_ajv_errors_refuse_the_event_in_their_own_words(status: int, wrap: Any) -> None:
    """Place and message of each fault, once, without a value."""
    verdict = classify(response(status, wrap([NO_SKU, NO_UUID, NO_SKU, UNKNOWN])), 1)
    words = (
        "/interact/product/sku must have required property 'sku'; "
        '/context/*/user/id must match format "uuid"; '
        "/uuid must NOT have additional properties"
    )
    assert verdict == Verdict(
        RequestOutcome.REJECTED, f"{status} {words}", status, refused={0: words}
    )


def test_equal_faults_have_equal_words_wherever_they_stand() -> None:
    """An index does not make another cause; another place does."""
    first = classify(response(400, [NO_UUID]), 1).refused[0]
    moved = classify(response(400, [NO_UUID | {"instancePath": "/context/0/user/id"}]), 1).refused[
        0
    ]
    other = classify(response(400, [NO_UUID | {"instancePath": "/context/1/content"}]), 1).refused[
        0
    ]
    assert fingerprint("rejected", None, first) == fingerprint("rejected", None, moved)
    assert fingerprint("rejected", None, first) != fingerprint("rejected", None, other)


def test_older_ajv_names_its_places_otherwise() -> None:
    """``dataPath`` was the name before version 8."""
    body = [{"dataPath": "/interact", "message": "should be object"}]
    assert classify(response(400, body), 1).refused == {0: "/interact should be object"}


def test_values_of_a_verbose_response_are_left_out() -> None:
    """Ajv can be set to repeat the data; the record itself holds it."""
    body = [NO_UUID | {"data": "visitor@example.com", "parentSchema": {}}]
    assert "visitor@" not in classify(response(400, body), 1).detail


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "400"),
        ({"message": "Invalid request body"}, "400 Invalid request body"),
        ({"error": "Bad\nRequest"}, "400 Bad Request"),
        ([], "400 []"),
        ([1, None, "x", {}, {"message": 5}], '400 [1, null, "x", {}, {"message": 5}]'),
        ({"errors": "text"}, '400 {"errors": "text"}'),
        ({"message": "", "errors": True}, '400 {"message": "", "errors": true}'),
    ],
)
def test_other_refusals_have_the_responses_words(body: Any, words: str) -> None:
    """There is one event in a request, so it is the refused one."""
    verdict = classify(response(400, body), 1)
    assert (verdict.outcome, verdict.detail) == (RequestOutcome.REJECTED, words)


@pytest.mark.parametrize("body", [b"nonsense", b"<html><h1>nonsense</h1></html>"])
def test_a_refusal_that_is_a_page_blames_no_event(body: bytes) -> None:
    """A proxy's, which knows nothing of events."""
    words = "400, but the response is not the vendor's: nonsense"
    assert classify(response(400, body), 1) == Verdict(RequestOutcome.UNAVAILABLE, words, 400)


def test_success_with_errors_is_no_success() -> None:
    """The sister API answers 200 where it refuses."""
    for body in ({"errors": True}, {"errors": [{"errorType": "MappingTemplate"}]}):
        assert classify(response(200, body), 1).outcome is RequestOutcome.REJECTED


@pytest.mark.parametrize(
    "body",
    [
        {"errors": [{"errorType": "Unauthorized", "message": "Not Authorized to access events"}]},
        {"errors": [{"errorType": "UnauthorizedException"}]},
        [{"instancePath": "", "params": {"missingProperty": "X-Api-Id"}, "message": "must have"}],
        {"message": "Missing x-api-id header"},
        {"message": "The required header 'x-api-id' is missing"},
        {"error": "invalid X-API-ID"},
        {"message": "Unauthorized"},
        {"message": "Forbidden"},
    ],
)
@pytest.mark.parametrize("status", [200, 400, 422])
def test_refused_account_parks_and_gives_up_nothing(status: int, body: Any) -> None:
    """Whatever its status, a response about the id is not about the event."""
    verdict = classify(response(status, body), 1)
    assert (verdict.outcome, verdict.refused) == (RequestOutcome.MISCONFIGURED, {})


@pytest.mark.parametrize(
    "body",
    [
        {"message": "sku 'x-api-id' is unknown"},
        {"message": "Unknown product: missing x-api-id"},
        {"message": "bad", "data": "Unauthorized"},
        [NO_UUID | {"data": "missing x-api-id", "message": "'Unauthorized' is no uuid"}],
        [NO_UUID | {"params": {"missingProperty": 5, "errorType": "Unauthorized"}}],
        [NO_UUID | {"errorType": ["Unauthorized"], "params": "x-api-id"}],
    ],
)
def test_visitors_words_cannot_park_the_vendor(body: Any) -> None:
    """What a stranger calls a product is no word about the account."""
    assert classify(response(400, body), 1).outcome is RequestOutcome.REJECTED


def test_page_instead_of_a_response_is_a_wrong_address() -> None:
    """A page for people is not 8SELECT's: nothing is given up, the operator is told."""
    page = b"<html><script>x()</script><h1>Log in to\nWiFi</h1></html>"
    assert classify(response(200, page), 1) == Verdict(
        RequestOutcome.MISCONFIGURED,
        "200, but the response is not 8SELECT's; check base_url: Log in to WiFi",
        200,
    )
    assert (
        classify(response(200, b"Hi", content_type="text/HTML"), 1).outcome
        is RequestOutcome.MISCONFIGURED
    )


@pytest.mark.parametrize("status", [0, 99, 600, 999])
def test_a_number_that_is_no_status_is_unclear(status: int) -> None:
    """All others stand in the tables of verdicts."""
    assert classify(response(status), 1).outcome is RequestOutcome.UNCLEAR


@pytest.mark.parametrize("status", [301, 401, 404, 408, 429, 500, 503])
def test_no_body_changes_what_other_statuses_say(status: int) -> None:
    """An outage is none the less one for a list of errors."""
    bare = classify(response(status), 1).outcome
    assert classify(response(status, [NO_SKU]), 1).outcome is bare
    assert (
        classify(response(status, {"errors": [{"errorType": "Unauthorized"}]}), 1).outcome is bare
    )


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read_in_both_forms(status: int) -> None:
    """Seconds, or a date measured against the response's own; at most an hour."""
    assert classify(response(status, retry_after="7"), 1).retry_after_seconds == 7.0
    assert classify(response(status, retry_after="86400"), 1).retry_after_seconds == 3600.0
    dated = response(
        status,
        retry_after="Fri, 20 Nov 2026 10:00:30 GMT",
        date="Fri, 20 Nov 2026 10:00:00 GMT",
    )
    assert classify(dated, 1).retry_after_seconds == 30.0
    assert classify(response(status), 1).retry_after_seconds is None
    assert classify(response(401, retry_after="7"), 1).retry_after_seconds is None


def test_no_response_is_unclear_only_if_the_request_went_out() -> None:
    """What never left cannot have been stored."""
    sent = HttpResponse(None, {}, b"", "no response within 30 s")
    assert classify(sent, 1) == Verdict(RequestOutcome.UNCLEAR, "no response within 30 s")
    unsent = HttpResponse(None, {}, b"", "connection refused", was_sent=False)
    assert classify(unsent, 1) == Verdict(RequestOutcome.UNAVAILABLE, "connection refused")
    assert classify(HttpResponse(None, {}, b""), 1).detail == "no response came"


@pytest.mark.parametrize(
    "text",
    [
        f"x-api-id: {API_ID} is unknown",
        f"unknown x-api-id '{API_ID}'",
        f'unknown API id "{API_ID}"',
        f'{{"x-api-id": "{API_ID}"}}',
        f"apiId={API_ID}&x=1",
        f"bad request to /v3?api_key={API_ID}",
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 422, 500])
def test_key_in_a_response_is_masked(status: int, text: str) -> None:
    """Details are shown and logged."""
    for body in (text.encode(), {"message": text}, [{"message": text}], {"errors": [text]}):
        verdict = classify(response(status, body), 1)
        assert "***" in verdict.detail
        assert API_ID not in verdict.detail + "".join(verdict.refused.values())
    assert API_ID not in classify(HttpResponse(None, {}, b"", text), 1).detail


def test_detail_is_one_line_of_bounded_length() -> None:
    """No control character of a response reaches a terminal or a log."""
    detail = classify(response(500, b"a\x1b[31m\r\nb\x00" + b"c" * 9000), 1).detail
    assert detail.isprintable()
    assert detail.startswith("500 a [31m b c")
    assert len(detail) == 504
    many = [NO_SKU | {"instancePath": f"/a\x1b{'b' * number}"} for number in range(400)]
    detail = classify(response(400, many), 1).detail
    assert detail.isprintable()
    assert len(detail) == 504


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.text(max_size=5)
    | st.sampled_from(["missing x-api-id", "Unauthorized", "/context/0/user", "sku"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from([
            "errors", "message", "error", "instancePath", "params", "errorType",
            "missingProperty", "additionalProperty", "dataPath",
        ]), inner, max_size=4
    ),
    max_leaves=10,
)  # fmt: skip


@given(
    st.integers(100, 599) | st.none(),
    st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(
        st.sampled_from(["retry-after", "date", "content-type"]), st.text(max_size=40), max_size=3
    ),
    st.integers(0, 3),
)
def test_any_response_has_a_verdict(
    status: int | None, body: bytes, headers: dict[str, str], count: int
) -> None:
    """Total over every response; refused events are events of the request."""
    verdict = classify(HttpResponse(status, headers, body), count)
    assert verdict.outcome in RequestOutcome
    assert set(verdict.refused) <= set(range(count))
    assert all(verdict.refused.values())
    assert not verdict.refused or verdict.outcome is RequestOutcome.REJECTED
    wait = verdict.retry_after_seconds
    assert wait is None or 0 <= wait <= 3600
