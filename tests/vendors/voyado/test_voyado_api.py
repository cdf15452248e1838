"""Voyado's requests, the reading of its responses, schemas and lists."""

import json
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpResponse
from streams.vendors.voyado import VENDOR, VoyadoSettings
from streams.vendors.voyado.api import (
    build_probe,
    build_request,
    classify,
    get_contact_id,
    get_interactions,
)
from streams.vendors.voyado.events import VoyadoEventSettings
from streams.vendors.voyado.pages import InteractionPage, read_page, reference_of
from streams.vendors.voyado.schema import Schema, read_schema

SETTINGS = VoyadoSettings.model_validate(
    {
        "base_url": "https://shop.voyado.com",
        "api_key": "voyado-secret-key-0815",
        "user_agent": "AcmeShop/1.5",
    }
)
HEADERS = {
    "apikey": "voyado-secret-key-0815",
    "User-Agent": "AcmeShop/1.5",
    "Content-Type": "application/json",
}
CONTACT = "5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66"


def response(status: int | None, body: Any = b"", **headers: str) -> HttpResponse:
    """Return a response; header names with underscores for hyphens."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, raw
    )


# -- requests


def test_request_is_the_payload_as_it_is() -> None:
    """Encoded once, in enrichment."""
    request = build_request([b'{"contactId":"x"}'], SETTINGS)
    assert (request.method, request.path) == ("POST", "/api/v3/interactions")
    assert request.headers == HEADERS
    assert request.body == b'{"contactId":"x"}'


def test_every_request_has_the_three_headers() -> None:
    """Without the content type Voyado answers 500, to a GET too."""
    for request in (
        build_probe(SETTINGS),
        get_contact_id("customKey", "C7", SETTINGS),
        get_interactions(CONTACT, "productClick", None, SETTINGS),
        build_request([b"{}"], SETTINGS),
    ):
        assert request.headers == HEADERS


def test_probe_looks_at_the_schema_that_is_needed() -> None:
    """It stores nothing; where clicks are off, their schema may be missing."""
    assert build_probe(SETTINGS).method == "GET"
    assert build_probe(SETTINGS).path == "/api/v3/interactionschemas/productClick"
    off = VoyadoSettings.model_validate({"clicks": "off"})
    assert build_probe(off).path == "/api/v3/interactionschemas/addToCart"


def test_values_of_a_query_are_escaped() -> None:
    """A key of the shop's may hold anything."""
    request = get_contact_id("email", "a+b&any=c@shop.example", SETTINGS)
    assert request.path == "/api/v3/contacts/id?email=a%2Bb%26any%3Dc%40shop.example"
    request = get_interactions(CONTACT, "productClick", "from:50/=", SETTINGS)
    assert request.path == (
        f"/api/v3/interactions?contactId={CONTACT}&schemaId=productClick"
        "&continuation=from%3A50%2F%3D"
    )


def test_no_request_shows_whom_it_is_about() -> None:
    """Neither key, e-mail, contact nor payload is printed."""
    for request in (
        get_contact_id("email", "jane@shop.example", SETTINGS),
        get_interactions(CONTACT, "productClick", None, SETTINGS),
        build_request([f'{{"contactId":"{CONTACT}"}}'.encode()], SETTINGS),
    ):
        for private in ("jane", "shop.example", CONTACT, "voyado-secret-key-0815"):
            assert private not in repr(request)
    shown = repr(get_contact_id("email", "jane@shop.example", SETTINGS))
    assert shown == "PrivateRequest(GET /api/v3/contacts/id)"


# -- answers


@pytest.mark.parametrize("status", [200, 201, 202])
def test_success_with_an_id_is_accepted(status: int) -> None:
    """The exact code is not documented."""
    verdict = classify(response(status, {"id": "i-1", "self": {"href": "x"}}), 1)
    assert verdict == Verdict(RequestOutcome.ACCEPTED, str(status), status, vendor_ref="i-1")


GUID = "0b4b7c1e-1111-4222-8333-944455556666"


def test_bare_id_is_a_reference_too() -> None:
    """The response's form is not documented, and a contact's id comes so."""
    assert classify(response(200, GUID), 1).vendor_ref == GUID


@pytest.mark.parametrize("body", [b"", b" ", {}, {"id": None}, {"id": 5}, {"id": ""}])
def test_success_without_an_id_is_none_yet(body: Any) -> None:
    """The request flow asks whether it was stored."""
    verdict = classify(response(200, body), 1)
    assert (verdict.outcome, verdict.vendor_ref) == (RequestOutcome.UNCLEAR, None)
    assert verdict.detail.startswith("200, but no success that is documented: ")


@pytest.mark.parametrize("body", [[1], 5, ""])
def test_success_that_is_no_object_is_a_wrong_address(body: Any) -> None:
    """Voyado answers with an object, or with the id alone."""
    assert classify(response(200, body), 1).outcome is RequestOutcome.MISCONFIGURED


def test_success_with_errors_is_no_success() -> None:
    """Whatever it says beside."""
    verdict = classify(response(200, {"id": "i-1", "errors": True, "message": "No."}), 1)
    assert verdict == Verdict(RequestOutcome.REJECTED, "200 No.", 200)


def test_foreign_success_is_a_wrong_address() -> None:
    """A page for people."""
    page = classify(response(200, b"<html><h1>Log in</h1></html>"), 1)
    words = "200, but the response is not Voyado's; check base_url: Log in"
    assert page == Verdict(RequestOutcome.MISCONFIGURED, words, 200)


def test_probe_is_good_if_the_schema_can_be_used() -> None:
    """A parked vendor stays parked, with the reason, while its schema is wrong."""
    good = {"id": "productClick", "jsonSchema": {"properties": {"eventId": {"type": "string"}}}}
    assert classify(response(200, good), 0) == Verdict(RequestOutcome.ACCEPTED, "200", 200)
    bad = {"id": "productClick", "jsonSchema": {"properties": {}}}
    assert classify(response(200, bad), 0) == Verdict(
        RequestOutcome.MISCONFIGURED,
        "200, but the schema has no property eventId, by which a repeat is recognised",
        200,
    )


def test_success_cut_off_is_unclear() -> None:
    """It is looked for before it is sent again."""
    assert classify(response(200, b'{"id":"i-'), 1).outcome is RequestOutcome.UNCLEAR


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_server_error_is_unclear(status: int) -> None:
    """What the vendor calls dangerous is a blind repeat."""
    verdict = classify(response(status, {"message": "An error has occurred"}, retry_after="7"), 1)
    words = f"{status} An error has occurred"
    assert verdict == Verdict(RequestOutcome.UNCLEAR, words, status, retry_after_seconds=7.0)


def test_no_response_is_unclear_only_if_the_request_went_out() -> None:
    """A read timeout, and a connection that was refused."""
    sent = HttpResponse(None, {}, b"", "no response within 60 s")
    assert classify(sent, 1) == Verdict(RequestOutcome.UNCLEAR, "no response within 60 s")
    unsent = HttpResponse(None, {}, b"", "connection refused", was_sent=False)
    assert classify(unsent, 1) == Verdict(RequestOutcome.UNAVAILABLE, "connection refused")
    assert classify(HttpResponse(None, {}, b""), 1).detail == "no response came"


def test_code_and_message_are_the_vendors_words() -> None:
    """And not the details, which may name people."""
    body = {
        "errorCode": "MultipleMatches",
        "message": "Several contacts match.",
        "messageDetails": {"multipleMatchesFound": [CONTACT]},
    }
    verdict = classify(response(409, body), 1)
    assert verdict == Verdict(
        RequestOutcome.REJECTED, "409 MultipleMatches Several contacts match.", 409
    )


@given(
    st.integers(100, 599) | st.none(),
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "errors", "message", "errorCode"]), inner, max_size=3
            )
        ),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
)
def test_any_response_has_a_verdict(status: int | None, body: bytes) -> None:
    """Total over every response."""
    verdict = classify(HttpResponse(status, {}, body), 1)
    assert verdict.outcome in RequestOutcome
    assert all(category(character) != "Cc" for character in verdict.detail)
    assert verdict.vendor_ref is None or verdict.outcome is RequestOutcome.ACCEPTED


# -- schemas

PROPERTIES = {
    "eventId": {"type": "string"},
    "productSku": {"type": "string"},
    "price": {"type": "number"},
    "quantity": {"type": "integer"},
    "sale": {"type": "boolean"},
}
JSON_SCHEMA = {"type": "object", "properties": PROPERTIES, "required": ["eventId", "productSku"]}
SCHEMA = read_schema(json.dumps(JSON_SCHEMA).encode())


def test_types_and_demands_of_a_schema_are_read() -> None:
    """By name."""
    assert (
        Schema(
            {
                "eventId": "string",
                "productSku": "string",
                "price": "number",
                "quantity": "integer",
                "sale": "boolean",
            },
            ("eventId", "productSku"),
        )
        == SCHEMA
    )


@pytest.mark.parametrize(
    "body",
    [
        {"id": "productClick", "displayName": "x", "jsonSchema": JSON_SCHEMA},
        {"id": "productClick", "jsonSchema": json.dumps(JSON_SCHEMA)},
        JSON_SCHEMA,
    ],
)
def test_schema_is_read_in_every_form(body: Any) -> None:
    """As an object, as text, or bare."""
    assert read_schema(json.dumps(body).encode()) == SCHEMA


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"jsonSchema":"{"}', b'{"jsonSchema":{"properties":[]}}']
)
def test_schema_that_is_not_shown_is_not_checked(body: bytes) -> None:
    """It is there, and that is all that is known."""
    schema = read_schema(body)
    assert schema == Schema(None)
    assert schema.problem() is None
    assert schema.misfit({"anything": "goes"}) is None
    assert schema.misfit({"nested": {}}) == "nested is not a single value"
    assert schema.unlisted({"anything": "goes"}) == []


@pytest.mark.parametrize(
    "rules",
    [5, {"type": "strin"}, {"pattern": "("}, {"minLength": -1}, {"$ref": "https://x.example/y"}],
)
def test_a_schema_that_is_no_json_schema_cannot_be_used(rules: Any) -> None:
    """Nobody knows what would be ignored by it; nothing is fetched from elsewhere."""
    body = {"jsonSchema": {"properties": {"eventId": rules}}}
    problem = read_schema(json.dumps(body).encode()).problem()
    assert problem is not None
    assert problem.startswith("is no valid JSON Schema: ")


RULES: dict[str, Any] = {
    "eventId": {"type": "string"},
    "brand": {"type": ["string", "null"], "minLength": 2, "maxLength": 5},
    "price": {"type": "number", "minimum": 0, "exclusiveMaximum": 100, "multipleOf": 0.5},
    "currency": {"enum": ["EUR", "SEK"]},
    "url": {"type": "string", "format": "uri", "pattern": "^https:"},
    "productName": {"type": "string", "format": "date-time"},
    "category": {"not": {"const": "Secret"}},
    "quantity": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
}


@pytest.mark.parametrize(
    ("payload", "misfit"),
    [
        (
            {"brand": "Acme", "price": 19.5, "currency": "SEK", "url": "https://shop.example/a"},
            None,
        ),
        ({"quantity": 2, "productName": "2026-11-20T10:00:00Z", "category": "Men"}, None),
        ({"brand": "A"}, "brand does not keep minLength 2 of the schema"),
        ({"brand": "Secret & Sons"}, "brand does not keep maxLength 5 of the schema"),
        ({"brand": 5}, "brand is no null or string, as the schema wants it"),
        ({"price": -0.5}, "price does not keep minimum 0 of the schema"),
        ({"price": 100}, "price does not keep exclusiveMaximum 100 of the schema"),
        ({"price": 19.9}, "price does not keep multipleOf 0.5 of the schema"),
        ({"currency": "USD"}, "currency does not keep enum of the schema"),
        ({"url": "https:// no"}, "url does not keep format uri of the schema"),
        ({"url": "http://a.example"}, "url does not keep pattern ^https: of the schema"),
        ({"productName": "Shirt"}, "productName does not keep format date-time of the schema"),
        ({"category": "Secret"}, "category does not keep not of the schema"),
        ({"quantity": 1.5}, "quantity does not keep anyOf of the schema"),
        (
            {"price": -1, "currency": "USD"},
            (
                "price does not keep minimum 0 of the schema; "
                "currency does not keep enum of the schema"
            ),
        ),
    ],
)
def test_every_rule_of_a_schema_is_kept(payload: dict[str, Any], misfit: str | None) -> None:
    """Formats included; the words name property and rule, and never the value."""
    schema = read_schema(json.dumps({"properties": RULES}).encode())
    assert schema.misfit({"eventId": "e-1", "unlisted": 1} | payload) == misfit


def test_rules_about_the_whole_payload_are_kept_too() -> None:
    """And properties that are left out do not break that there are no others."""
    schema = read_schema(
        json.dumps(
            {
                "properties": {"eventId": {}, "price": {}, "currency": {}},
                "additionalProperties": False,
                "minProperties": 2,
                "dependentRequired": {"price": ["currency"]},
            }
        ).encode()
    )
    assert schema.misfit({"eventId": "e", "price": 1, "currency": "EUR", "brand": "x"}) is None
    assert schema.misfit({"eventId": "e", "price": 1}) == (
        "currency is missing, which the schema requires"
    )
    assert (
        schema.misfit({"eventId": "e"}) == "the payload does not keep minProperties 2 of the schema"
    )


def test_schema_without_event_id_cannot_be_used() -> None:
    """A repeat could not be recognised."""
    schema = Schema({"productSku": "string"})
    assert schema.problem() == "has no property eventId, by which a repeat is recognised"
    assert SCHEMA.problem() is None


@pytest.mark.parametrize(
    ("payload", "misfit"),
    [
        ({}, None),
        ({"price": 19, "quantity": 2.0, "sale": True}, None),
        ({"unlisted": "x"}, None),
        ({"price": "19"}, "price is no number, as the schema wants it"),
        ({"price": True}, "price is no number, as the schema wants it"),
        ({"quantity": 1.5}, "quantity is no integer, as the schema wants it"),
        ({"quantity": "2"}, "quantity is no integer, as the schema wants it"),
        ({"sale": 1}, "sale is no boolean, as the schema wants it"),
        ({"eventId": 5}, "eventId is no string, as the schema wants it"),
        ({"price": [19]}, "price is not a single value"),
        ({"unlisted": None}, "unlisted is not a single value"),
    ],
)
def test_misfit_is_found_before_it_is_ignored(payload: dict[str, Any], misfit: str | None) -> None:
    """By type, and by what is required."""
    assert SCHEMA.misfit({"eventId": "e-1", "productSku": "8S-1042"} | payload) == misfit


def test_required_property_that_is_missing_is_a_misfit() -> None:
    """Even if it is one that this relay does not know."""
    assert SCHEMA.misfit({"eventId": "e-1"}) == "productSku is missing, which the schema requires"


# -- lists

ITEMS = [
    {"id": "i-1", "payload": {"eventId": "e-1"}},
    {"id": "i-2", "payload": '{"eventId":"e-2"}'},
    {"payload": {"eventId": "e-3"}},
    {"id": "i-4", "payload": "no JSON"},
    {"id": "i-5"},
    5,
]


@pytest.mark.parametrize(
    ("answer_", "continuation"),
    [
        ({"items": ITEMS, "links": []}, None),
        ({"items": ITEMS}, None),
        (
            {
                "items": ITEMS,
                "links": [
                    5,
                    {"rel": "self", "href": "/api/v3/interactions?continuation=no"},
                    {"rel": "next", "href": "https://evil.example/x?continuation=a%2Bb&schemaId=s"},
                ],
            },
            "a+b",
        ),
        ({"items": ITEMS, "links": [{"rel": "next", "href": "http://[/"}]}, None),
        ({"items": ITEMS, "links": [{"rel": "next", "href": "/x?other=1"}]}, None),
        ({"data": ITEMS}, None),
        ({"data": ITEMS, "continuation": "t-2"}, "t-2"),
        ({"data": ITEMS, "continuationToken": "t-2"}, "t-2"),
        ({"data": ITEMS, "continuation": ""}, None),
        (ITEMS, None),
    ],
)
def test_list_is_read_in_every_form(answer_: Any, continuation: str | None) -> None:
    """Items or data, the continuation as a field or within a link; never the link's host."""
    assert read_page(json.dumps(answer_).encode()) == InteractionPage(ITEMS, continuation)


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"5", b'{"items":{}}', b"<html></html>"])
def test_what_is_no_list_is_none(body: bytes) -> None:
    """It must not be taken for an empty one."""
    assert read_page(body) is None


def test_interaction_is_found_by_our_event_id() -> None:
    """Payloads may come as text, and an entry without an id is still there."""
    page = InteractionPage(ITEMS, None)
    found = [reference_of(f"e-{number}", page) for number in (1, 2, 3, 4)]
    assert found == ["i-1", "i-2", "", None]


# -- what streams check asks


def asked(schema: Any, *, status: int = 200, cart: bool = False) -> tuple[RequestOutcome, str]:
    """Return what the inquiry about a schema makes of this response."""
    inquiry = VENDOR.inquiries(SETTINGS, {})[1 if cart else 0]
    verdict = inquiry.classify(response(status, schema), 0)
    return verdict.outcome, verdict.detail


def test_check_asks_for_each_schema_in_use() -> None:
    """By its name, with a remedy."""
    found = [(inquiry.about, inquiry.request.path) for inquiry in VENDOR.inquiries(SETTINGS, {})]
    assert found == [
        ('schema "productClick"', "/api/v3/interactionschemas/productClick"),
        ('schema "addToCart"', "/api/v3/interactionschemas/addToCart"),
    ]
    off = VoyadoSettings.model_validate({"clicks": "off"})
    assert [inquiry.about for inquiry in VENDOR.inquiries(off, {})] == ['schema "addToCart"']
    assert "click_schema_id" in VENDOR.inquiries(SETTINGS, {})[0].remedy


def test_schemas_of_named_events_are_asked_for_too() -> None:
    """What it requires must be among the section's fields; types are judged with each payload."""
    section = VoyadoEventSettings(voyado_schema_id="review", voyado_fields={"stars": "rating"})
    inquiry = VENDOR.inquiries(SETTINGS, {"review": section, "none": VoyadoEventSettings()})[-1]
    assert inquiry.about == 'schema "review"'
    assert "[events.review] voyado_schema_id" in inquiry.remedy
    properties = {"eventId": {"type": "string"}, "stars": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": ["stars"]}
    body = json.dumps({"id": "review", "jsonSchema": schema}).encode()
    assert inquiry.classify(HttpResponse(200, {}, body), 0).outcome is RequestOutcome.ACCEPTED
    schema["required"] = ["code"]
    body = json.dumps({"id": "review", "jsonSchema": schema}).encode()
    refused = inquiry.classify(HttpResponse(200, {}, body), 0)
    assert (refused.outcome, refused.detail) == (
        RequestOutcome.REJECTED,
        "it requires code, which is never sent",
    )


def test_check_compares_a_schema_with_what_is_sent() -> None:
    """Wrong types and demands that cannot be met are problems, gaps are only said."""
    text = {"type": "string"}
    whole = dict.fromkeys(
        ("eventId", "productSku", "productName", "category", "brand", "currency", "url"), text
    ) | {"price": {"type": "number"}}
    assert asked({"properties": whole}) == (RequestOutcome.ACCEPTED, "")
    assert asked({"properties": {"eventId": text, "productSku": text}})[1] == (
        "it has no productName, category, brand, currency, url, price, which is left out"
    )
    assert asked({"properties": whole}, cart=True)[1] == "it has no quantity, which is left out"
    problems = {
        "properties": {"productSku": {"type": "integer"}, "price": {"type": "integer"}},
        "required": ["productSku", "colour"],
    }
    outcome, words = asked(problems)
    assert outcome is RequestOutcome.REJECTED
    assert words.split("; ") == [
        "has no property eventId, by which a repeat is recognised",
        "it requires colour, which is never sent",
        "it calls productSku integer, which is sent as string",
        "it calls price integer, which is sent as number",
    ]
    assert asked({"id": "productClick"}) == (RequestOutcome.ACCEPTED, "")
    assert asked({})[0] is RequestOutcome.UNAVAILABLE
    assert asked({"error": "no"})[0] is not RequestOutcome.ACCEPTED


def test_check_names_the_rules_that_data_of_a_shop_may_break() -> None:
    """What is always so, and what says nothing of values, is left out."""
    properties = {
        "eventId": {"type": "string", "displayName": "Event", "sortOrder": "0"},
        "productSku": {"type": "string"},
        "productName": {"type": "string", "maxLength": 40},
        "category": {"type": "string", "enum": ["Men", "Women"]},
        "brand": {"type": "string"},
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "url": {"type": "string", "format": "uri"},
        "price": {"type": "number", "minimum": 1, "multipleOf": 0.01},
    }
    required = ["eventId", "productSku", "brand"]
    schema = {"properties": properties, "required": required, "minProperties": 3}
    outcome, words = asked(schema)
    assert outcome is RequestOutcome.ACCEPTED
    assert words == (
        "an event that breaks one of these becomes a dead letter: the payload: minProperties 3, "
        "productName: maxLength 40, category: enum, currency: pattern ^[A-Z]{3}$, url: format uri, "
        "price: minimum 1, multipleOf 0.01, brand: required"
    )


def test_check_asks_in_vain() -> None:
    """A schema that is not there, and a key that is refused."""
    assert asked({"errorCode": "SchemaNotFound"}, status=404) == (
        RequestOutcome.REJECTED,
        "404, it is not registered",
    )
    assert asked({}, status=401)[0] is RequestOutcome.MISCONFIGURED
