"""Miso's requests and the reading of its responses."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpResponse
from streams.vendors.miso import VENDOR, MisoSettings
from streams.vendors.miso.api import build_probe, build_request, classify

SETTINGS = MisoSettings.model_validate({"api_key": "miso-secret-key-0815"})


def response(status: int | None, body: Any = b"", **headers: str) -> HttpResponse:
    """Return a response; header names with underscores for hyphens."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, raw
    )


def test_request_carries_exactly_the_payloads_in_order() -> None:
    """The encoded records are joined, not encoded again."""
    request = build_request([b'{"type":"click"}', b'{"type":"add_to_cart"}'], SETTINGS)
    assert request.method == "POST"
    assert request.path == "/v1/interactions"
    assert request.headers == {
        "Content-Type": "application/json",
        "X-API-KEY": "miso-secret-key-0815",
    }
    assert request.body == b'{"data":[{"type":"click"},{"type":"add_to_cart"}]}'


def test_payload_bytes_and_envelope_make_batch_bytes() -> None:
    """A batch that fills its payload bytes makes a request of exactly batch_bytes."""
    settings = MisoSettings(batch_bytes=2048)
    room = VENDOR.max_batch_bytes(settings)
    body = build_request([b"a" * 1000, b"b" * (room - 1001)], settings).body
    assert len(body) == 2048


def test_probe_is_a_dry_run_with_the_same_key() -> None:
    """Key, address and schema are checked, and nothing is stored."""
    probe = build_probe(SETTINGS)
    assert (probe.method, probe.path) == ("POST", "/v1/interactions?dry_run=1")
    assert probe.headers["X-API-KEY"] == "miso-secret-key-0815"
    assert json.loads(probe.body) == {
        "data": [
            {
                "type": "home_page_view",
                "anonymous_id": "streams-probe",
                "timestamp": "2026-01-01T00:00:00.000Z",
            }
        ]
    }


@pytest.mark.parametrize(
    "body",
    [
        {"message": "success"},
        {"message": "success", "took": 3, "errors": False, "data": []},
        {"took": 3, "errors": False, "data": []},
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202])
def test_success_is_accepted(status: int, body: Any) -> None:
    """2xx, in the words that are documented."""
    verdict = classify(response(status, body), 3)
    assert verdict.outcome is RequestOutcome.ACCEPTED
    assert verdict.refused == {}
    assert verdict.status == status


def test_success_with_errors_is_no_success() -> None:
    """The vendor's own client takes ``errors: true`` as failure at any status."""
    body = {"errors": True, "message": "oops", "data": ["data.2.type is invalid. Unknown."]}
    assert classify(response(200, body), 3) == Verdict(
        RequestOutcome.REJECTED, "200 oops", 200, refused={2: "type is invalid. Unknown."}
    )
    assert classify(response(201, {"errors": True}), 3) == Verdict(
        RequestOutcome.REJECTED, '201 {"errors": true}', 201
    )


def test_success_page_of_a_proxy_is_a_wrong_address() -> None:
    """A page for people is not Miso's response: nothing is given up, the operator is told."""
    page = b"<html><script>x()</script><h1>Log in to\nWiFi</h1></html>"
    assert classify(response(200, page), 1) == Verdict(
        RequestOutcome.MISCONFIGURED,
        "200, but the response is not Miso's; check base_url: Log in to WiFi",
        200,
    )
    assert classify(response(200, [1]), 1).outcome is RequestOutcome.MISCONFIGURED


def test_success_cut_off_is_unclear() -> None:
    """A broken body proves nothing either way."""
    verdict = classify(response(200, b'{"message":"succ'), 1)
    words = '200, but no success that is documented: {"message":"succ'
    assert verdict == Verdict(RequestOutcome.UNCLEAR, words, 200, is_puzzling=True)


def test_422_lines_name_the_refused_events() -> None:
    """Each readable line cuts out its record; several of one record are joined."""
    body = {
        "errors": True,
        "message": "None of the records were inserted.",
        "data": [
            "data.0.product_ids is invalid. The attribute was expected to be of type array.",
            "data.0.timestamp (yesterday) is invalid. Not a date-time.",
            "  data.4 is invalid. Additional properties are not allowed.",
            "data.2.context.page.url ({'a': 'x is invalid. y'}) is invalid. Not a string.",
        ],
    }
    verdict = classify(response(422, body), 5)
    assert verdict == Verdict(
        RequestOutcome.REJECTED,
        "422 None of the records were inserted.",
        422,
        refused={
            0: "product_ids is invalid. The attribute was expected to be of type array.; "
            "timestamp is invalid. Not a date-time.",
            2: "context.page.url is invalid. Not a string.",
            4: "record is invalid. Additional properties are not allowed.",
        },
    )


def test_422_line_as_one_string() -> None:
    """A single line need not come in a list."""
    body = {"errors": True, "data": "data.1.type is invalid. Unknown."}
    assert classify(response(422, body), 2).refused == {1: "type is invalid. Unknown."}


def test_visitors_text_cannot_name_another_record() -> None:
    """Only the beginning of a line names a record, whatever the value says."""
    line = "data.0.user_id (x\ndata.1.type is invalid. y) is invalid. Too long."
    assert classify(response(422, {"errors": True, "data": [line]}), 2).refused == {
        0: "user_id is invalid. Too long."
    }


def test_422_as_places() -> None:
    """The other documented form: location, message, type."""
    body = {
        "detail": [
            {"loc": ["body", "data", 1, "product_ids", 0], "msg": "str type expected", "type": "t"},
            {"loc": ["body", "data", 0], "msg": "bad", "type": "t"},
            {"loc": ["body", "data"], "msg": "of the whole", "type": "t"},
            {"loc": ["query", "dry_run"], "msg": "of the whole", "type": "t"},
        ]
    }
    verdict = classify(response(422, body), 2)
    assert verdict.outcome is RequestOutcome.REJECTED
    assert verdict.refused == {0: "record: bad", 1: "product_ids.0: str type expected"}


@pytest.mark.parametrize(
    "body",
    [
        {"errors": True, "message": "bad"},
        {"errors": True, "data": None},
        {"errors": True, "data": [5, None, "something is wrong", "data.x.type is invalid. no"]},
        {"errors": True, "data": ["data.3.type is invalid. There is no such record."]},
        {"errors": True, "data": ["data.99999999999999999999.type is invalid. x"]},
        {"errors": True, "data": {"0": "bad"}},
        {"detail": "text"},
        {"detail": [5, {}, {"loc": "data"}, {"loc": ["data"]}, {"loc": ["data", "0"]}]},
        {"detail": [{"loc": ["data", -1]}, {"loc": ["data", True]}, {"loc": ["data", 7]}]},
    ],
)
def test_unreadable_422_refuses_without_naming(body: Any) -> None:
    """The courier then halves the request until it is found."""
    verdict = classify(response(422, body), 3)
    assert (verdict.outcome, verdict.refused) == (RequestOutcome.REJECTED, {})


def test_400_is_read_before_it_is_judged() -> None:
    """A playground key is the operator's matter, a timeout the vendor's, the rest the events'."""
    playground = classify(response(400, {"message": "Upload to the Playground is disabled."}), 1)
    assert playground.outcome is RequestOutcome.MISCONFIGURED
    assert playground.detail == "400 Upload to the Playground is disabled."
    assert (
        classify(response(400, {"message": "Request timeout."}), 1).outcome
        is RequestOutcome.UNCLEAR
    )
    refused = classify(response(400, {"message": "Bad request."}), 1)
    assert refused == Verdict(RequestOutcome.REJECTED, "400 Bad request.", 400)


@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"<h1>no</h1>", b'{"errors":true,"data":["data.0', '"text"', b"[1]"]
)
def test_a_refusal_without_an_object_blames_no_event(status: int, body: Any) -> None:
    """Miso's own are objects, so something else answered: nothing is halved, nothing given up."""
    verdict = classify(response(status, body), 3)
    assert (verdict.outcome, verdict.status, verdict.refused) == (
        RequestOutcome.UNAVAILABLE,
        status,
        {},
    )
    assert verdict.detail.startswith(f"{status}, but the response is not the vendor's: ")


@pytest.mark.parametrize("status", [0, 99, 600, 999])
def test_a_number_that_is_no_status_is_unclear(status: int) -> None:
    """All others stand in the tables of verdicts."""
    assert classify(response(status), 1).outcome is RequestOutcome.UNCLEAR


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": " 1.5 "}, 1.5),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "86400"}, 3600.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "1.2.3"}, None),
        ({"retry_after": "²"}, None),
        ({"retry_after": "Fri, 20 Nov 2026 10:00:30 GMT"}, None),
        (
            {
                "retry_after": "Fri, 20 Nov 2026 10:00:30 GMT",
                "date": "Fri, 20 Nov 2026 10:00:00 GMT",
            },
            30.0,
        ),
        (
            {
                "retry_after": "Fri, 20 Nov 2026 09:00:00 GMT",
                "date": "Fri, 20 Nov 2026 10:00:00 GMT",
            },
            0.0,
        ),
        (
            {
                "retry_after": "Sat, 21 Nov 2026 10:00:00 GMT",
                "date": "Fri, 20 Nov 2026 10:00:00 GMT",
            },
            3600.0,
        ),
        (
            {
                "retry_after": "Fri, 20 Nov 2026 10:00:30 -0000",
                "date": "Fri, 20 Nov 2026 10:00:00 GMT",
            },
            None,
        ),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read_in_both_forms(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    """Seconds, or a date measured against the response's own; at most an hour."""
    assert classify(response(status, **headers), 1).retry_after_seconds == seconds


def test_retry_after_of_a_refusal_says_nothing() -> None:
    """Only what will be tried again has a time for it."""
    assert classify(response(401, retry_after="7"), 1).retry_after_seconds is None


def test_no_response_is_unclear_only_if_the_request_went_out() -> None:
    """What never left cannot have been stored."""
    sent = HttpResponse(None, {}, b"", "no response within 30 s")
    assert classify(sent, 2) == Verdict(RequestOutcome.UNCLEAR, "no response within 30 s")
    unsent = HttpResponse(None, {}, b"", "connection refused", was_sent=False)
    assert classify(unsent, 2) == Verdict(RequestOutcome.UNAVAILABLE, "connection refused")
    assert classify(HttpResponse(None, {}, b""), 2).detail == "no response came"


@pytest.mark.parametrize(
    "text",
    [
        "bad request to /v1/interactions?api_key=miso-secret-key-0815&dry_run=1",
        "X-API-KEY: miso-secret-key-0815 is unknown",
        '{"api_key": "miso-secret-key-0815"}',
        "apikey='miso-secret-key-0815'",
    ],
)
@pytest.mark.parametrize("status", [400, 401, 422, 500])
def test_key_in_a_response_is_masked(status: int, text: str) -> None:
    """Details are shown and logged."""
    for body in (text.encode(), {"message": text}):
        detail = classify(response(status, body), 1).detail
        assert "***" in detail
        assert "miso-secret-key-0815" not in detail


def test_detail_is_one_line_of_bounded_length() -> None:
    """No control character of a response reaches a terminal or a log."""
    detail = classify(response(500, b"a\x1b[31m\r\nb\x00" + b"c" * 9000), 1).detail
    assert detail.isprintable()
    assert detail.startswith("500 a [31m b c")
    assert len(detail) == 504


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.text(max_size=5)
    | st.sampled_from(["data.0.x is invalid. y", "data.1 is invalid. z", "data"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["data", "detail", "errors", "message", "loc", "msg"]), inner, max_size=4
    ),
    max_leaves=10,
)  # fmt: skip


@given(
    st.integers(100, 599) | st.none(),
    st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(
        st.sampled_from(["retry-after", "date", "content-type"]), st.text(max_size=40), max_size=3
    ),
    st.integers(1, 4),
)
def test_any_response_has_a_verdict(
    status: int | None, body: bytes, headers: dict[str, str], count: int
) -> None:
    """Total over every response; refused events are events of the request."""
    verdict = classify(HttpResponse(status, headers, body), count)
    assert verdict.outcome in RequestOutcome
    assert set(verdict.refused) <= set(range(count))
    assert not verdict.refused or verdict.outcome is RequestOutcome.REJECTED
    wait = verdict.retry_after_seconds
    assert wait is None or 0 <= wait <= 3600
