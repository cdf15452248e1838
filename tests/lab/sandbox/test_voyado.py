"""What Voyado's simulator accepts, ignores and refuses."""

# ruff: noqa: E501 - the vendor's sentences stand whole

import json
from typing import Any

import pytest

from streams.lab.sandbox.exchange import Call, SimulatedResponse
from streams.lab.sandbox.faults import ArmedFault, FaultKind, SimulatedRefusals, parse_fault
from streams.lab.sandbox.voyado import VoyadoSimulator

NOW = 1_795_168_800.0
CONTACT = "5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66"
HEADERS = {
    "apikey": "sandbox-secret",
    "User-Agent": "SandboxShop/1.0",
    "Content-Type": "application/json",
}
PAYLOAD: dict[str, Any] = {
    "eventId": "e-1",
    "productSku": "8S-1042",
    "productName": "Shirt",
    "category": "Men > Shirts",
    "brand": "Acme",
    "price": 19.9,
    "currency": "EUR",
    "url": "https://shop.example/p/1042",
}
CLICK: dict[str, Any] = {
    "contactId": CONTACT,
    "schemaId": "productClick",
    "createdDate": "2026-11-20T09:59:58.120Z",
    "payload": PAYLOAD,
}
OF_CONTACT = {"contactId": CONTACT, "schemaId": "productClick"}
SCHEMA: dict[str, Any] = {
    "id": "Wishlist_1-a",
    "displayName": "Wishlist",
    "jsonSchema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "productSku": {"type": "string", "displayName": "SKU", "showInContactCard": "true"},
            "date": {
                "type": "string",
                "format": "date-time",
                "displayName": "Date",
                "showInContactCard": "true",
                "addToSegmentation": "false",
                "sortOrder": "1",
            },
        },
    },
}


def ask(
    voyado: VoyadoSimulator,
    method: str,
    path: str,
    content: Any = None,
    *,
    headers: dict[str, str] = HEADERS,
    at: float = NOW,
    faults: tuple[str, ...] = (),
    query: dict[str, str] | None = None,
) -> SimulatedResponse:
    """Return the answer to one call below ``/api/v3/``."""
    body = (
        content
        if isinstance(content, bytes)
        else b""
        if content is None
        else json.dumps(content).encode()
    )
    armed = [ArmedFault(parse_fault(text), 1, 0) for text in faults]
    number = voyado.ledger.open_request()
    call = Call(
        method, f"/api/v3/{path}", query or {}, headers, body, number, at, SimulatedRefusals(armed)
    )
    return voyado.answer(call)


def content_of(answer: SimulatedResponse) -> Any:
    """Return the JSON of an answer."""
    return json.loads(answer.body)


def error_of(answer: SimulatedResponse) -> tuple[int, str]:
    """Return status and code of an error."""
    return answer.status, content_of(answer)["errorCode"]


def with_payload(**more: Any) -> dict[str, Any]:
    """Return the click with a changed payload; None takes a property out."""
    payload = {name: value for name, value in (PAYLOAD | more).items() if value is not None}
    return CLICK | {"payload": payload}


def test_interaction_is_stored_and_shown_again() -> None:
    """It is answered with an id, listed, in the ledger by our event id, and can be read by id."""
    voyado = VoyadoSimulator()
    answer = ask(voyado, "POST", "interactions", CLICK)
    made = content_of(answer)
    assert answer.status == 200
    assert made["self"] == {
        "contactId": CONTACT,
        "href": f"/api/v3/interactions/{made['id']}",
        "created": "2026-11-20T10:00:00+00:00",
    }
    shown = CLICK | {"id": made["id"]}
    assert content_of(ask(voyado, "GET", f"interactions/{made['id']}")) == shown
    listed = ask(voyado, "GET", "interactions", query=OF_CONTACT)
    assert content_of(listed) == {"items": [shown], "links": []}
    assert voyado.ledger.event_ids() == ["e-1"]
    assert voyado.ledger.rows()[0]["user_id"] == CONTACT
    assert dict(voyado.ledger.types) == {"productClick": 1}
    assert voyado.ledger.payloads() == [CLICK]
    assert voyado.ledger.flagged == {}


def test_same_interaction_twice_is_stored_twice() -> None:
    """Nothing is deduplicated: the ledger counts what was sent twice."""
    voyado = VoyadoSimulator()
    ids = {content_of(ask(voyado, "POST", "interactions", CLICK))["id"] for _ in range(2)}
    assert len(ids) == 2
    assert voyado.ledger.summary()["duplicates"] == 1


@pytest.mark.parametrize("content_type", [None, "", "text/plain"])
def test_call_without_content_type_is_500(content_type: str | None) -> None:
    """Voyado's own, misleading words, whatever the method."""
    voyado = VoyadoSimulator()
    headers = {k: v for k, v in HEADERS.items() if k != "Content-Type"}
    if content_type is not None:
        headers["Content-Type"] = content_type
    for method in ("GET", "POST"):
        answer = ask(voyado, method, "interactions", CLICK, headers=headers)
        assert (answer.status, content_of(answer)) == (500, {"message": "An error has occurred"})
    assert len(voyado.ledger) == 0


@pytest.mark.parametrize(
    ("key", "status"),
    [(None, 401), ("", 401), ("sandbox-invalid-1", 401), ("sandbox-forbidden", 403)],
)
def test_wrong_key_is_refused(key: str | None, status: int) -> None:
    """On every path."""
    headers = {k: v for k, v in HEADERS.items() if k != "apikey"}
    if key is not None:
        headers["apikey"] = key
    for method, path in (("POST", "interactions"), ("GET", "interactionschemas")):
        assert ask(VoyadoSimulator(), method, path, CLICK, headers=headers).status == status


@pytest.mark.parametrize("agent", [None, "", "SandboxShop", "/1.0", "Shop/"])
def test_user_agent_is_needed(agent: str | None) -> None:
    """Name and version."""
    headers = {k: v for k, v in HEADERS.items() if k != "User-Agent"}
    if agent is not None:
        headers["User-Agent"] = agent
    answer = ask(VoyadoSimulator(), "GET", "interactionschemas", headers=headers)
    assert error_of(answer) == (400, "InvalidUserAgent")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_content_type_may_have_parameters(content_type: str) -> None:
    """As clients send it."""
    headers = HEADERS | {"Content-Type": content_type}
    assert ask(VoyadoSimulator(), "POST", "interactions", CLICK, headers=headers).status == 200


# -- what is ignored


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"type": "string", "maxLength": 3}, "brand breaks maxLength"),
        ({"type": "string", "pattern": "^[a-z]"}, "brand breaks pattern"),
        ({"type": "string", "format": "uuid"}, "brand is no uuid"),
        ({"type": "string", "enum": ["a"]}, "brand breaks enum"),
    ],
)
def test_schema_is_kept_to_the_last_rule(rules: dict[str, Any], why: str) -> None:
    """As JSON Schema's draft 2020-12 has it, formats included."""
    voyado = VoyadoSimulator()
    voyado.schemas["productClick"]["jsonSchema"]["properties"]["brand"] |= rules
    ask(voyado, "POST", "interactions", with_payload(brand="Acme"))
    assert voyado.ledger.summary()["ignored_examples"] == [{"request": 1, "why": why}]


@pytest.mark.parametrize(
    ("interaction", "why"),
    [
        (with_payload(eventId=None), "eventId is required"),
        (with_payload(productSku=None), "productSku is required"),
        (with_payload(price="19.90"), "price is no number"),
        (with_payload(price=True), "price is no number"),
        (with_payload(brand=5), "brand is no string"),
        (with_payload(category=["Men"]), "category is nested"),
        (with_payload(other={"a": 1}), "other is nested"),
        (CLICK | {"payload": "text"}, "payload is no object"),
        (CLICK | {"payload": None}, "payload is no object"),
        (CLICK | {"schemaId": "addToCart", "payload": PAYLOAD | {"quantity": 1.5}}, "quantity is no integer"),
    ],
)  # fmt: skip
def test_interaction_that_breaks_its_schema_is_ignored_without_a_word(
    interaction: dict[str, Any], why: str
) -> None:
    """The answer looks like success; only the ledger and a list tell."""
    voyado = VoyadoSimulator()
    answer = ask(voyado, "POST", "interactions", interaction)
    made = content_of(answer)
    assert answer.status == 200
    assert made["id"]
    assert len(voyado.ledger) == 0
    summary = voyado.ledger.summary()
    assert (summary["ignored"], summary["ignored_examples"]) == (1, [{"request": 1, "why": why}])
    assert ask(voyado, "GET", f"interactions/{made['id']}").status == 404
    query = {"contactId": CONTACT, "schemaId": interaction["schemaId"]}
    assert content_of(ask(voyado, "GET", "interactions", query=query))["items"] == []


def test_property_that_the_schema_lacks_is_dropped() -> None:
    """The rest is stored; the ledger names what was lost."""
    voyado = VoyadoSimulator()
    made = content_of(ask(voyado, "POST", "interactions", with_payload(colour="red")))
    assert content_of(ask(voyado, "GET", f"interactions/{made['id']}"))["payload"] == PAYLOAD
    assert voyado.ledger.flagged == {"dropped_property": 1}
    assert voyado.ledger.summary()["dropped_properties"] == {"colour": 1}


def test_whole_number_is_a_number_and_an_integer() -> None:
    """As JSON Schema has it."""
    voyado = VoyadoSimulator()
    cart = CLICK | {"schemaId": "addToCart", "payload": PAYLOAD | {"price": 20, "quantity": 2.0}}
    ask(voyado, "POST", "interactions", cart)
    assert len(voyado.ledger) == 1


def test_date_times_of_a_schema_are_checked() -> None:
    """The one format that the vendor's page explains."""
    voyado = VoyadoSimulator()
    assert ask(voyado, "POST", "interactionschemas", SCHEMA).status == 200
    for date, stored in (
        ("yesterday", 0),
        ("2026-13-01T00:00:00Z", 0),
        ("2026-11-20T00:00:00+01:00", 1),
    ):
        payload = {"productSku": "8S-1", "date": date}
        ask(voyado, "POST", "interactions", CLICK | {"schemaId": SCHEMA["id"], "payload": payload})
        assert len(voyado.ledger) == stored
    assert voyado.ledger.flagged == {"no_event_id": 1}


def test_what_breaks_only_our_rules_is_flagged() -> None:
    """Voyado would set the date itself: the event's own time would be lost."""
    voyado = VoyadoSimulator()
    undated = {name: value for name, value in CLICK.items() if name != "createdDate"}
    made = content_of(ask(voyado, "POST", "interactions", undated))
    assert voyado.ledger.flagged == {"no_created_date": 1}
    shown = content_of(ask(voyado, "GET", f"interactions/{made['id']}"))
    assert shown["createdDate"] == "2026-11-20T10:00:00+00:00"


# -- what is refused


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "InvalidJson"),
        (b"\xff", 400, "InvalidJson"),
        ([CLICK], 400, "InvalidBody"),
        (CLICK | {"contactId": None}, 400, "InvalidContactId"),
        (CLICK | {"contactId": "5c0d7a52"}, 400, "InvalidContactId"),
        (CLICK | {"schemaId": ""}, 400, "InvalidSchemaId"),
        (CLICK | {"schemaId": "other"}, 404, "SchemaNotFound"),
        (CLICK | {"schemaId": "productclick"}, 404, "SchemaNotFound"),
        (CLICK | {"contactId": "00000000-6f0a-4f1c-8a3e-1d2c3b4a5f66"}, 404, "ContactNotFound"),
        (CLICK | {"createdDate": "2026-05-23711:13:42.074Z"}, 400, "InvalidCreatedDate"),
        (CLICK | {"createdDate": 1_795_168_800_000}, 400, "InvalidCreatedDate"),
        (CLICK | {"createdDate": "2026-11-20T09:59:58"}, 400, "InvalidCreatedDate"),
    ],
)
def test_call_that_cannot_be_right_is_refused(body: Any, status: int, code: str) -> None:
    """With a code by name."""
    voyado = VoyadoSimulator()
    assert error_of(ask(voyado, "POST", "interactions", body)) == (status, code)
    assert len(voyado.ledger) == 0


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("refuse,skus=8S-1042", 400, "The product '8S-1042' is refused by this sandbox."),
        ("refuse_unreadable", 400, "The interaction is invalid."),
        ("errors_true", 200, "The product '8S-1042' is refused by this sandbox."),
    ],
)
def test_product_is_refused_on_demand(fault: str, status: int, words: str) -> None:
    """In three forms; nothing is stored."""
    voyado = VoyadoSimulator()
    answer = ask(voyado, "POST", "interactions", CLICK, faults=(fault,))
    assert (answer.status, content_of(answer)["message"]) == (status, words)
    assert (len(voyado.ledger), voyado.ledger.refused_records) == (0, 1)
    assert (content_of(answer).get("errors") is True) is (
        parse_fault(fault).kind is FaultKind.ERRORS_TRUE
    )


def test_other_product_passes_a_refusing_fault() -> None:
    """Only the named product is refused."""
    voyado = VoyadoSimulator()
    assert ask(voyado, "POST", "interactions", CLICK, faults=("refuse,skus=x",)).status == 200


def test_rate_is_counted_per_key_over_a_second() -> None:
    """Above the limit 429; another key and the next second are free again."""
    voyado = VoyadoSimulator(max_per_second=3)
    statuses = [ask(voyado, "GET", "interactionschemas", at=NOW + n / 10).status for n in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    other = HEADERS | {"apikey": "another"}
    assert ask(voyado, "GET", "interactionschemas", headers=other, at=NOW + 0.5).status == 200
    assert ask(voyado, "GET", "interactionschemas", at=NOW + 1.0).status == 200
    assert voyado.ledger.summary()["busiest_second"] == 3


def test_more_than_the_vendor_advises_is_flagged() -> None:
    """200 are let through, 50 are advised."""
    voyado = VoyadoSimulator()
    statuses = [ask(voyado, "GET", "interactionschemas").status for _ in range(201)]
    assert statuses == [200] * 200 + [429]
    assert voyado.ledger.flagged == {"above_advised_rate": 150}
    assert voyado.ledger.summary()["busiest_second"] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "interactions", 405),
        ("PATCH", "interactions/1", 405),
        ("PUT", "interactionschemas/productClick", 405),
        ("POST", "contacts/id", 405),
        ("GET", "carts", 404),
        ("GET", "interactions/1/2", 405),
    ],
)
def test_other_methods_and_paths_are_not_served(method: str, path: str, status: int) -> None:
    """Schemas cannot be updated, above all."""
    assert ask(VoyadoSimulator(), method, path).status == status


# -- the look-up


def test_contact_id_is_a_bare_json_string() -> None:
    """Every key is a contact's, the same one's each time."""
    voyado = VoyadoSimulator()
    answers = [
        ask(voyado, "GET", "contacts/id", query={"customKey": "C7001"}).body for _ in range(2)
    ]
    assert answers[0] == answers[1] == b'"7e8c3046-63d0-560e-8217-042f677f39e7"'
    by_e_mail = content_of(ask(voyado, "GET", "contacts/id", query={"email": "a@shop.example"}))
    assert ask(voyado, "POST", "interactions", CLICK | {"contactId": by_e_mail}).status == 200


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"customKey": "sandbox-unknown-1"}, 404, "ContactNotFound"),
        ({"email": "sandbox-unknown@shop.example"}, 404, "ContactNotFound"),
        ({"customKey": "sandbox-twice-1"}, 409, "MultipleMatches"),
        ({"email": "no address"}, 400, "InvalidEmailAddress"),
        ({}, 400, "InvalidSearchQuery"),
        ({"customKey": ""}, 400, "InvalidSearchQuery"),
        ({"customKey": "a", "email": "a@shop.example"}, 400, "InvalidSearchQuery"),
        ({"customKey": "a", "contactType": "robot"}, 400, "InvalidContactType"),
    ],
)
def test_look_up_fails_with_a_code(query: dict[str, str], status: int, code: str) -> None:
    """A 409 lists whom it found."""
    answer = ask(VoyadoSimulator(), "GET", "contacts/id", query=query)
    assert error_of(answer) == (status, code)
    found = content_of(answer)["messageDetails"].get("multipleMatchesFound", [])
    assert len(found) == (2 if status == 409 else 0)


# -- lists


@pytest.mark.parametrize("form", ["items", "data"])
def test_list_comes_in_pages_of_50(form: Any) -> None:
    """Oldest first, each once, in both forms that clients have seen."""
    voyado = VoyadoSimulator()
    voyado.list_form = form
    for number in range(120):
        ask(voyado, "POST", "interactions", with_payload(eventId=f"e-{number}"), at=NOW + number)
    seen: list[str] = []
    sizes: list[int] = []
    query = OF_CONTACT
    token: str | None = None
    while True:
        more = query if token is None else query | {"continuation": token}
        page = content_of(ask(voyado, "GET", "interactions", at=NOW + 200, query=more))
        sizes.append(len(page[form]))
        seen += [item["payload"]["eventId"] for item in page[form]]
        if form == "data":
            token = page.get("continuation")
        else:
            href = page["links"][0]["href"] if page["links"] else ""
            token = href.partition("continuation=")[2].replace("%3D", "=") or None
        if token is None:
            break
    assert sizes == [50, 50, 20]
    assert seen == [f"e-{number}" for number in range(120)]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"contactId": CONTACT}, 400, "InvalidQuery"),
        ({"schemaId": "productClick"}, 400, "InvalidQuery"),
        ({"contactId": "x", "schemaId": "productClick"}, 400, "InvalidQuery"),
        ({"contactId": CONTACT, "schemaId": "other"}, 404, "SchemaNotFound"),
        ({"contactId": CONTACT, "schemaId": "productClick", "continuation": "!"}, 400, "InvalidContinuation"),
        ({"contactId": CONTACT, "schemaId": "productClick", "continuation": "eA=="}, 400, "InvalidContinuation"),
    ],
)  # fmt: skip
def test_list_needs_contact_and_schema(query: dict[str, str], status: int, code: str) -> None:
    """Both, and a token of its own."""
    assert error_of(ask(VoyadoSimulator(), "GET", "interactions", query=query)) == (status, code)


def test_interaction_can_be_deleted_once() -> None:
    """The ledger marks it as erased."""
    voyado = VoyadoSimulator()
    id_ = content_of(ask(voyado, "POST", "interactions", CLICK))["id"]
    assert ask(voyado, "DELETE", f"interactions/{id_}").status == 204
    assert error_of(ask(voyado, "DELETE", f"interactions/{id_}")) == (404, "InteractionNotFound")
    listed = ask(voyado, "GET", "interactions", query=OF_CONTACT)
    assert content_of(listed)["items"] == []
    assert voyado.ledger.erased_records == 1


# -- schemas


def test_schemas_are_registered_listed_and_shown() -> None:
    """Two are there from the start."""
    voyado = VoyadoSimulator()
    assert list(voyado.schemas) == ["productClick", "addToCart"]
    answer = ask(voyado, "POST", "interactionschemas", SCHEMA)
    assert (answer.status, content_of(answer)) == (200, SCHEMA)
    assert content_of(ask(voyado, "GET", f"interactionschemas/{SCHEMA['id']}")) == SCHEMA
    listed = content_of(ask(voyado, "GET", "interactionschemas"))
    assert [schema["id"] for schema in listed] == ["productClick", "addToCart", "Wishlist_1-a"]
    assert error_of(ask(voyado, "POST", "interactionschemas", SCHEMA)) == (409, "SchemaExists")


def test_default_schemas_keep_the_rules_themselves() -> None:
    """Deleted, each can be registered again as it was."""
    voyado = VoyadoSimulator()
    for id_, schema in list(voyado.schemas.items()):
        assert ask(voyado, "DELETE", f"interactionschemas/{id_}").status == 204
        assert ask(voyado, "POST", "interactionschemas", schema).status == 200


def test_deleting_a_schema_deletes_its_interactions() -> None:
    """Of all contacts, even if it is registered again."""
    voyado = VoyadoSimulator()
    schema = voyado.schemas["productClick"]
    id_ = content_of(ask(voyado, "POST", "interactions", CLICK))["id"]
    ask(voyado, "POST", "interactions", CLICK | {"schemaId": "addToCart"})
    assert ask(voyado, "DELETE", "interactionschemas/productClick").status == 204
    assert ask(voyado, "DELETE", "interactionschemas/productClick").status == 404
    assert error_of(ask(voyado, "POST", "interactions", CLICK)) == (404, "SchemaNotFound")
    ask(voyado, "POST", "interactionschemas", schema)
    assert ask(voyado, "GET", f"interactions/{id_}").status == 404
    assert [row["erased"] for row in voyado.ledger.rows()] == [True, False]


def test_ignored_interaction_may_be_answered_without_an_id() -> None:
    """A success all the same, and nothing is stored."""
    voyado = VoyadoSimulator()
    voyado.names_ignored = False
    answer = ask(voyado, "POST", "interactions", with_payload(price="dear"))
    assert (answer.status, content_of(answer)) == (200, {})
    assert (len(voyado.ledger), voyado.ledger.summary()["ignored"]) == (0, 1)


def test_deleted_schema_is_remembered() -> None:
    """A successor may add to it; one that lacks a property is refused until it has all of them."""
    voyado = VoyadoSimulator()
    ask(voyado, "POST", "interactionschemas", SCHEMA)
    assert ask(voyado, "DELETE", "interactionschemas/Wishlist_1-a").status == 204
    rules = SCHEMA["jsonSchema"]["properties"]
    for properties, status in (
        ({"date": rules["date"]}, 400),
        ({"date": rules["date"], "other": rules["date"]}, 400),
        ({**rules, "other": rules["date"]}, 200),
    ):
        new = SCHEMA | {"jsonSchema": SCHEMA["jsonSchema"] | {"properties": properties}}
        answer = ask(voyado, "POST", "interactionschemas", new)
        assert answer.status == status
        if status == 400:
            assert error_of(answer) == (400, "IncompatibleSchema")
            assert content_of(answer)["message"].endswith("deleted schema: productSku.")


def changed(**changes: Any) -> dict[str, Any]:
    """Return the schema with other parts; names with two underscores lead into jsonSchema."""
    schema = json.loads(json.dumps(SCHEMA))
    for name, value in changes.items():
        if name.startswith("json__"):
            schema["jsonSchema"][name.removeprefix("json__")] = value
        elif name.startswith("sku__"):
            schema["jsonSchema"]["properties"]["productSku"][name.removeprefix("sku__")] = value
        else:
            schema[name] = value
    assert isinstance(schema, dict)
    return schema


SEGMENTABLE = {
    "type": "string",
    "displayName": "X",
    "showInContactCard": "true",
    "addToSegmentation": "true",
}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (changed(id="Höst"), "id can only contain the characters a-z, A-Z, 0-9, underscore and dash."),
        (changed(id=""), "id can only contain the characters a-z, A-Z, 0-9, underscore and dash."),
        (changed(displayName=""), "displayName is required."),
        (changed(jsonSchema="text"), "jsonSchema is required."),
        (changed(**{"json__$schema": "draft-07"}), "jsonSchema.$schema must be https://json-schema.org/draft/2020-12/schema."),
        (changed(json__type="array"), "jsonSchema.type must be object."),
        (changed(json__properties={}), "jsonSchema.properties is required."),
        (changed(json__required=["other"]), "jsonSchema.required must list properties."),
        (changed(sku__type="object"), "Property productSku: type must be string, number, integer or boolean."),
        (changed(sku__properties={}), "Property productSku: nested structures are not supported."),
        (changed(sku__displayName=None), "Property productSku: displayName is required."),
        (changed(sku__showInContactCard=True), 'Property productSku: showInContactCard must be the string "true" or "false".'),
        (changed(sku__addToSegmentation=False), 'Property productSku: addToSegmentation must be the string "true" or "false".'),
        (changed(sku__sortOrder=0), "Property productSku: sortOrder must be an integer in a string."),
        (changed(json__properties={f"p{n}": SEGMENTABLE for n in range(7)}), "A schema can have at most 6 segmentable properties."),
        ([], "The body must be an object."),
    ],
)  # fmt: skip
def test_schema_against_the_rules_is_refused(schema: Any, words: str) -> None:
    """With a sentence."""
    voyado = VoyadoSimulator()
    answer = ask(voyado, "POST", "interactionschemas", schema)
    assert (answer.status, content_of(answer)["message"]) == (400, words)
    assert list(voyado.schemas) == ["productClick", "addToCart"]


def test_six_segmentable_properties_and_15_schemas_are_taken() -> None:
    """And no more."""
    voyado = VoyadoSimulator()
    for number in range(13):
        schema = changed(
            id=f"s-{number}", json__properties={f"p{n}": SEGMENTABLE for n in range(6)}
        )
        assert ask(voyado, "POST", "interactionschemas", schema).status == 200
    assert error_of(ask(voyado, "POST", "interactionschemas", SCHEMA)) == (400, "TooManySchemas")


def test_clearing_forgets_interactions_and_keeps_schemas() -> None:
    """As a tenant whose interactions were deleted."""
    voyado = VoyadoSimulator()
    ask(voyado, "POST", "interactionschemas", SCHEMA)
    id_ = content_of(ask(voyado, "POST", "interactions", CLICK))["id"]
    ask(voyado, "POST", "interactions", with_payload(price="x"))
    voyado.clear()
    assert voyado.ledger.summary() == VoyadoSimulator().ledger.summary()
    assert ask(voyado, "GET", f"interactions/{id_}").status == 404
    assert SCHEMA["id"] in voyado.schemas


def test_failure_bodies_are_json() -> None:
    """What faults answer with."""
    voyado = VoyadoSimulator()
    assert json.loads(voyado.failure_body(500)) == {"message": "An error has occurred"}
    assert json.loads(voyado.failure_body(502)) == {"message": "Error 502."}


def test_example_environment_names_all_settings() -> None:
    """What a worker needs to send here."""
    assert VoyadoSimulator().example_environment("http://127.0.0.1:8090") == [
        "STREAMS_VOYADO_BASE_URL=http://127.0.0.1:8090",
        "STREAMS_VOYADO_API_KEY=sandbox-secret",
        "STREAMS_VOYADO_USER_AGENT=SandboxShop/1.0",
        "STREAMS_VOYADO_CLICK_SCHEMA_ID=productClick",
        "STREAMS_VOYADO_ADD_TO_CART_SCHEMA_ID=addToCart",
    ]
