"""What 8SELECT's simulator accepts and refuses, with its exact words, and what it keeps."""

# ruff: noqa: E501 - Ajv's errors stand whole

import copy
import hashlib
import json
from collections import Counter
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lab.sandbox import Sandbox
from streams.lab.sandbox.eightselect import EightSelectSimulator, digest
from streams.lab.sandbox.eightselect_schema import event_errors
from streams.lab.sandbox.exchange import Call, SimulatedResponse
from streams.lab.sandbox.faults import Faults

USER = {"type": "user", "user": {"id": "c57a43f7-eefc-462b-b5a8-0ef421e90f67"}}
CONTENT = {"type": "content", "content": {"type": "customSet", "customSet": {"id": "set-9"}}}
CLICK: dict[str, Any] = {
    "type": "interact",
    "interact": {"action": "click", "type": "product", "product": {"sku": "654321-7890"}},
    "context": [CONTENT, USER],
}
CART = CLICK | {
    "interact": {"action": "addToCart", "type": "product", "product": {"sku": "654321-7890"}}
}
VIEW = {
    "type": "view",
    "view": {"type": "customSet", "customSet": {"id": "1b3de0bd-95c6-435a-8bb9-f4cae0160388"}},
    "context": [USER],
}
ORDER = {
    "type": "order",
    "order": {
        "id": "0987654321",
        "lines": [
            {
                "sku": "654321-7890",
                "grossPrice": {"amount": 0.99, "currency": "EUR"},
                "quantity": 5,
            }
        ],
    },
    "context": [USER],
}
HEADERS = {"x-api-id": "account", "Content-Type": "application/json"}
EVENTS = "/analytics/v3/events"


def send(
    simulator: EightSelectSimulator,
    content: Any,
    *,
    path: str = EVENTS,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    fault: str | None = None,
) -> SimulatedResponse:
    """Return the simulator's answer to one request, its seventh."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    given = HEADERS if headers is None else headers
    call = Call(method, path, {}, given, body, 7, 1_795_000_000.5)
    if fault is not None:
        faults = Faults(("eightselect",))
        faults.set(fault)
        refusals = faults.plan("eightselect", method, path).refusals
        assert refusals is not None
        call.refusals = refusals
    return simulator.answer(call)


def changed(event: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Return the event with another value at a place such as ``interact/product/sku``."""
    event = copy.deepcopy(event)
    *path, last = place.split("/")
    target: Any = event
    for name in path:
        target = target[int(name) if name.isdecimal() else name]
    target[int(last) if last.isdecimal() else last] = value
    return event


def without(event: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the event without what lies at a place."""
    event = copy.deepcopy(event)
    *path, last = place.split("/")
    target: Any = event
    for name in path:
        target = target[int(name) if name.isdecimal() else name]
    del target[int(last) if last.isdecimal() else last]
    return event


def test_an_order_is_stored_once() -> None:
    """A repeat is answered as the first, whatever its lines; interactions may repeat."""
    simulator = EightSelectSimulator()
    other = changed(ORDER, "order/lines/0/quantity", 7)
    for event in (ORDER, ORDER, other, changed(ORDER, "order/id", "1"), CLICK, CLICK):
        answer = send(simulator, event)
        assert (answer.status, answer.body) == (200, b"{}")
    assert dict(simulator.ledger.types) == {"order": 2, "click": 2}
    assert simulator.ledger.summary()["repeated_orders"] == 2
    simulator.clear()
    send(simulator, ORDER)
    assert len(simulator.ledger) == 1


def test_good_events_are_stored_in_order() -> None:
    """The ledger has what can be known: kind, action, SKU, user, content; no id of ours."""
    simulator = EightSelectSimulator()
    for event in (CLICK, CART):
        answer = send(simulator, event)
        assert (answer.status, answer.body) == (200, b"{}")
    assert simulator.ledger.rows() == [
        {
            "position": 0,
            "event_id": "fcda0bc8fdf5f6b650c16f67dd0d1f2a",
            "anonymous_id": "",
            "user_id": "c57a43f7-eefc-462b-b5a8-0ef421e90f67",
            "at": 1_795_000_000.5,
            "request": 7,
            "erased": False,
            "type": "interact",
            "action": "click",
            "sku": "654321-7890",
            "content": "customSet/set-9",
        },
        {
            "position": 1,
            "event_id": "0e4b88879c301f3eb7079e360108ca00",
            "anonymous_id": "",
            "user_id": "c57a43f7-eefc-462b-b5a8-0ef421e90f67",
            "at": 1_795_000_000.5,
            "request": 7,
            "erased": False,
            "type": "interact",
            "action": "addToCart",
            "sku": "654321-7890",
            "content": "customSet/set-9",
        },
    ]
    assert simulator.ledger.payloads() == [CLICK, CART]
    assert dict(simulator.ledger.types) == {"click": 1, "addToCart": 1}
    assert simulator.ledger.flagged == {}


def test_an_event_is_told_by_its_digest() -> None:
    """The order of members makes no difference, any value does; it can be computed elsewhere."""
    text = json.dumps(CLICK, sort_keys=True, separators=(",", ":")).encode()
    assert digest(CLICK) == hashlib.sha256(text).hexdigest()[:32]
    assert digest(dict(reversed(CLICK.items()))) == digest(CLICK)
    assert digest(CART) != digest(CLICK)
    assert digest(changed(CLICK, "context/1/user/id", "x")) != digest(CLICK)


def test_repeats_are_counted_by_digest() -> None:
    """How often each was stored can be held against how often it was to be sent."""
    simulator = EightSelectSimulator()
    for event in (CLICK, CART, dict(reversed(CLICK.items()))):
        send(simulator, event)
    ledger = simulator.ledger
    assert Counter(ledger.event_ids()) == {digest(CLICK): 2, digest(CART): 1}
    assert ledger.duplicates() == {digest(CLICK): 2}
    summary = ledger.summary()
    assert (summary["records"], summary["distinct"], summary["duplicates"]) == (3, 2, 1)
    assert summary["ids_are"] == "digests of the events: 8SELECT has no field for our event id"
    simulator.clear()
    assert (len(ledger), ledger.rows(), ledger.event_ids()) == (0, [], [])
    send(simulator, CART)
    assert [row["action"] for row in ledger.rows()] == ["addToCart"]


def error(where: str, schema: str, params: dict[str, Any], message: str) -> dict[str, Any]:
    """Return one Ajv error."""
    return {
        "instancePath": where,
        "schemaPath": f"#{schema}",
        "keyword": schema.rpartition("/")[2],
        "params": params,
        "message": message,
    }


def required(where: str, schema: str, name: str) -> dict[str, Any]:
    """Return Ajv's error for a missing member."""
    return error(
        where,
        f"{schema}/required",
        {"missingProperty": name},
        f"must have required property '{name}'",
    )


def unexpected(where: str, schema: str, name: str) -> dict[str, Any]:
    """Return Ajv's error for a member that is not documented."""
    return error(
        where,
        f"{schema}/additionalProperties",
        {"additionalProperty": name},
        "must NOT have additional properties",
    )


def wrong_type(where: str, schema: str, kind: str) -> dict[str, Any]:
    """Return Ajv's error for a value of another type."""
    return error(where, f"{schema}/type", {"type": kind}, f"must be {kind}")


ONE_OF = "must be equal to one of the allowed values"
AT_LEAST_ONE = error(
    "/context",
    "/properties/context/contains",
    {"minContains": 1},
    "must contain at least 1 valid item(s)",
)
NO_UUID = error(
    "/context/1/user/id",
    "/definitions/User/properties/id/format",
    {"format": "uuid"},
    'must match format "uuid"',
)


@pytest.mark.parametrize(
    ("event", "errors"),
    [
        ([CLICK], [wrong_type("", "", "object")]),
        ([], [wrong_type("", "", "object")]),
        ("interact", [wrong_type("", "", "object")]),
        (None, [wrong_type("", "", "object")]),
        ({}, [required("", "", "type")]),
        (changed(CLICK, "type", "click"), [error("/type", "/properties/type/enum", {"allowedValues": ["interact", "order", "view"]}, ONE_OF)]),
        (changed(CLICK, "type", 5), [error("/type", "/properties/type/enum", {"allowedValues": ["interact", "order", "view"]}, ONE_OF)]),
        (without(CLICK, "interact"), [required("", "", "interact")]),
        (without(CLICK, "context"), [required("", "", "context")]),
        (changed(CLICK, "uuid", "e-1"), [unexpected("", "", "uuid")]),
        (changed(CLICK, "timestamp", "2026-11-20T00:00:00Z"), [unexpected("", "", "timestamp")]),
        (changed(CLICK, "interact/quantity", 2), [unexpected("/interact", "/definitions/PayloadProduct", "quantity")]),
        (changed(CLICK, "interact/product/name", "Shirt"), [unexpected("/interact/product", "/definitions/Product", "name")]),
        (changed(CLICK, "interact", "product"), [wrong_type("/interact", "/definitions/Interact", "object")]),
        (without(CLICK, "interact/type"), [required("/interact", "/definitions/Interact", "type")]),
        (changed(CLICK, "interact/type", "set"), [error("/interact/type", "/definitions/Interact/properties/type/enum", {"allowedValues": ["product"]}, ONE_OF)]),
        (without(CLICK, "interact/product"), [required("/interact", "/definitions/PayloadProduct", "product")]),
        (without(CLICK, "interact/product/sku"), [required("/interact/product", "/definitions/Product", "sku")]),
        (changed(CLICK, "interact/product/sku", 654321), [wrong_type("/interact/product/sku", "/definitions/Product/properties/sku", "string")]),
        (changed(CLICK, "interact/product/sku", ""), [error("/interact/product/sku", "/definitions/Product/properties/sku/minLength", {"limit": 1}, "must NOT have fewer than 1 characters")]),
        (changed(CLICK, "interact/action", None), [wrong_type("/interact/action", "/definitions/PayloadProduct/properties/action", "string")]),
        (changed(CLICK, "context", {}), [wrong_type("/context", "/properties/context", "array")]),
        (changed(CLICK, "context", []), [error("/context", "/properties/context/minItems", {"limit": 1}, "must NOT have fewer than 1 items"), AT_LEAST_ONE]),
        (changed(CLICK, "context", [CONTENT]), [AT_LEAST_ONE]),
        (changed(CLICK, "context", [USER, USER]), [error("/context", "/properties/context/contains", {"minContains": 0, "maxContains": 1}, "must contain at most 1 valid item(s) of type user")]),
        (changed(CLICK, "context", [USER, CONTENT, CONTENT]), [error("/context", "/properties/context/contains", {"minContains": 0, "maxContains": 1}, "must contain at most 1 valid item(s) of type content")]),
        (changed(CLICK, "context", [USER, "x"]), [wrong_type("/context/1", "/definitions/Context", "object")]),
        (changed(CLICK, "context", [USER, {"type": "page"}]), [error("/context/1/type", "/definitions/Context/properties/type/enum", {"allowedValues": ["content", "user"]}, ONE_OF)]),
        (changed(CLICK, "context", [USER, {"type": "api"}]), [error("/context/1/type", "/definitions/Context/properties/type/enum", {"allowedValues": ["content", "user"]}, ONE_OF)]),
        (without(CLICK, "context/1/user"), [required("/context/1", "/definitions/ContextUser", "user")]),
        (without(CLICK, "context/1/user/id"), [required("/context/1/user", "/definitions/User", "id")]),
        (changed(CLICK, "context/1/user/email", "ada@example.com"), [unexpected("/context/1/user", "/definitions/User", "email")]),
        (changed(CLICK, "context/1/user/id", 7), [wrong_type("/context/1/user/id", "/definitions/User/properties/id", "string")]),
        (changed(CLICK, "context/1/user/id", "visitor-7"), [NO_UUID]),
        (changed(CLICK, "context/1/user/id", "c57a43f7eefc462bb5a80ef421e90f67"), [NO_UUID]),
        (changed(CLICK, "context/1/user/id", "c57a43f7-eefc-462b-b5a8-0ef421e90f67\n"), [NO_UUID]),
        (changed(CLICK, "context/0/content/type", "setCompose"), [error("/context/0/content/type", "/definitions/Content/properties/type/enum", {"allowedValues": ["customSet", "matchingProductClusters", "similarProducts"]}, ONE_OF)]),
        (changed(CLICK, "context/0/content/type", "similarProducts"), [required("/context/0/content", "/definitions/PayloadSimilarProducts", "similarProducts"), unexpected("/context/0/content", "/definitions/PayloadSimilarProducts", "customSet")]),
        (without(CLICK, "context/0/content/customSet/id"), [required("/context/0/content/customSet", "/definitions/PayloadCustomSet/properties/customSet", "id")]),
        (changed(CLICK, "context/0/content/customSet/id", 9), [wrong_type("/context/0/content/customSet/id", "/definitions/PayloadCustomSet/properties/customSet/properties/id", "string")]),
        (without(VIEW, "view/customSet"), [required("/view", "/definitions/PayloadCustomSet", "customSet")]),
        (changed(ORDER, "order/lines", []), [error("/order/lines", "/definitions/Order/properties/lines/minItems", {"limit": 1}, "must NOT have fewer than 1 items")]),
        (changed(ORDER, "order/lines/0/quantity", 0), [error("/order/lines/0/quantity", "/definitions/OrderLine/properties/quantity/minimum", {"comparison": ">=", "limit": 1}, "must be >= 1")]),
        (changed(ORDER, "order/lines/0/quantity", 1.5), [wrong_type("/order/lines/0/quantity", "/definitions/OrderLine/properties/quantity", "integer")]),
        (changed(ORDER, "order/lines/0/grossPrice/currency", "Euro"), [error("/order/lines/0/grossPrice/currency", "/definitions/GrossPrice/properties/currency/pattern", {"pattern": "^[A-Z]{3}$"}, 'must match pattern "^[A-Z]{3}$"')]),
        (changed(ORDER, "order/lines/0/grossPrice/currency", 978), [wrong_type("/order/lines/0/grossPrice/currency", "/definitions/GrossPrice/properties/currency", "string")]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_ajvs_words(event: Any, errors: list[Any]) -> None:
    """Every fault has its entry; nothing is stored; the validation endpoint says the same."""
    simulator = EightSelectSimulator()
    answer = send(simulator, event)
    assert answer.status == 400
    assert json.loads(answer.body) == errors
    assert len(simulator.ledger) == 0
    assert simulator.ledger.refused_records == 1
    judged = send(simulator, event, path=f"{EVENTS}/validate")
    assert (judged.status, judged.body) == (200, answer.body)
    assert simulator.ledger.dry_run_records == 0


def test_the_documented_example_of_a_refusal() -> None:
    """As the vendor's page on validation prints it, but for the name of today's content."""
    event = {"type": "view", "view": {"type": "customSet"}, "context": [USER]}
    answer = send(EightSelectSimulator(), event, path=f"{EVENTS}/validate")
    assert json.loads(answer.body) == [
        {
            "instancePath": "/view",
            "schemaPath": "#/definitions/PayloadCustomSet/required",
            "keyword": "required",
            "params": {"missingProperty": "customSet"},
            "message": "must have required property 'customSet'",
        }
    ]


@pytest.mark.parametrize("name", ["customSet", "matchingProductClusters", "similarProducts"])
def test_three_kinds_of_content_are_known(name: str) -> None:
    """Each under its own name."""
    content = {"type": "content", "content": {"type": name, name: {"id": "457297-0001-00340"}}}
    simulator = EightSelectSimulator()
    assert send(simulator, CLICK | {"context": [USER, content]}).status == 200
    assert simulator.ledger.rows()[0]["content"] == f"{name}/457297-0001-00340"


@pytest.mark.parametrize(
    ("event", "rules"),
    [
        (changed(CLICK, "context", [USER]), {"no_content": 1}),
        (without(CLICK, "interact/action"), {"no_action": 1}),
        (changed(CLICK, "interact/action", "share"), {}),
        (VIEW, {}),
        (without(VIEW, "context"), {}),
        (ORDER, {}),
    ],
)
def test_what_8select_lets_pass_against_our_rules_is_flagged(
    event: Any, rules: dict[str, int]
) -> None:
    """It is stored, as 8SELECT would, and the ledger says which rule it breaks."""
    simulator = EightSelectSimulator()
    assert send(simulator, event).status == 200
    assert (len(simulator.ledger), simulator.ledger.flagged) == (1, rules)


def test_views_and_orders_have_their_facts() -> None:
    """The ledger's columns hold what these events have of them."""
    simulator = EightSelectSimulator()
    for event in (VIEW, ORDER):
        send(simulator, event)
    shown = [
        (row["type"], row["action"], row["sku"], row["content"]) for row in simulator.ledger.rows()
    ]
    assert shown == [
        ("view", "", "", "customSet/1b3de0bd-95c6-435a-8bb9-f4cae0160388"),
        ("order", "", "654321-7890", ""),
    ]


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({"Content-Type": "application/json"}, 401, {"message": "Unauthorized"}),
        (HEADERS | {"x-api-id": ""}, 401, {"message": "Unauthorized"}),
        (HEADERS | {"x-api-id": "sandbox-invalid-7"}, 403, {"message": "Forbidden"}),
        ({"x-api-id": "account"}, 415, {"message": "Unsupported Media Type"}),
        (HEADERS | {"Content-Type": "text/plain"}, 415, {"message": "Unsupported Media Type"}),
        (
            HEADERS | {"Content-Type": "application/json; charset=latin-1"},
            415,
            {"message": "Unsupported Media Type"},
        ),
        (HEADERS | {"Content-Type": "Application/JSON; charset=UTF-8"}, 200, {}),
    ],
)
def test_headers_are_those_of_the_documents(
    headers: dict[str, str], status: int, body: dict[str, str]
) -> None:
    """An id of the account, and JSON; neither endpoint does without."""
    simulator = EightSelectSimulator()
    answer = send(simulator, CLICK, headers=headers)
    assert (answer.status, json.loads(answer.body)) == (status, body)
    assert len(simulator.ledger) == (1 if status == 200 else 0)
    assert send(simulator, CLICK, headers=headers, path=f"{EVENTS}/validate").status == status


def test_other_paths_and_methods_are_not_there() -> None:
    """A wrong address must not look like a refused event."""
    simulator = EightSelectSimulator()
    assert send(simulator, CLICK, path=f"{EVENTS}/").status == 404
    assert send(simulator, CLICK, path="/analytics/v3/eventsx").status == 404
    for method in ("GET", "PUT", "DELETE"):
        assert send(simulator, CLICK, method=method).status == 405


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"type":NaN}', b'{"a":"\\ud800"}', b"[" * 100_000]
)
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    """In words, not in a list."""
    simulator = EightSelectSimulator()
    answer = send(simulator, body)
    assert answer.status == 400
    assert json.loads(answer.body)["message"].startswith("Invalid JSON: ")
    assert simulator.ledger.refused_records == 1


def test_validation_judges_and_stores_nothing() -> None:
    """Good events are counted apart."""
    simulator = EightSelectSimulator()
    answer = send(simulator, CLICK, path=f"{EVENTS}/validate")
    assert (answer.status, answer.body) == (200, b"[]")
    assert (len(simulator.ledger), simulator.ledger.dry_run_records) == (0, 1)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (
            "refuse,skus=654321-7890",
            400,
            [
                {
                    "instancePath": "/interact/product/sku",
                    "schemaPath": "#/definitions/Product/properties/sku/not",
                    "keyword": "not",
                    "params": {},
                    "message": "must be taken by this sandbox: '654321-7890' is refused",
                }
            ],
        ),
        ("refuse_unreadable", 400, {"message": "Bad Request"}),
        (
            "errors_true,skus=654321-7890",
            200,
            {
                "errors": [
                    {
                        "instancePath": "/interact/product/sku",
                        "schemaPath": "#/definitions/Product/properties/sku/not",
                        "keyword": "not",
                        "params": {},
                        "message": "must be taken by this sandbox: '654321-7890' is refused",
                    }
                ]
            },
        ),
    ],
)
def test_events_are_refused_on_demand(fault: str, status: int, body: Any) -> None:
    """In 8SELECT's form, unreadably, or behind a success; other SKUs pass."""
    simulator = EightSelectSimulator()
    answer = send(simulator, CLICK, fault=fault)
    assert (answer.status, json.loads(answer.body)) == (status, body)
    assert (len(simulator.ledger), simulator.ledger.refused_records) == (0, 1)
    assert send(simulator, CLICK, fault="refuse,skus=another").status == 200
    assert send(simulator, ORDER, fault="refuse,skus=654321-7890").status == 400
    assert send(simulator, VIEW, fault="refuse,skus=654321-7890").status == 200


def test_failures_have_a_body_of_their_own() -> None:
    """JSON, as behind most gateways."""
    simulator = EightSelectSimulator()
    assert simulator.failure_body(429) == b'{"message":"Too Many Requests"}'
    assert simulator.failure_body(503) == b'{"message":"Error 503"}'


def test_settings_for_a_worker_are_named() -> None:
    """Both credentials, and the address."""
    assert EightSelectSimulator().example_environment("http://127.0.0.1:9") == [
        "STREAMS_EIGHTSELECT_BASE_URL=http://127.0.0.1:9",
        "STREAMS_EIGHTSELECT_API_ID=sandbox-id",
        "STREAMS_EIGHTSELECT_USER_ID_SECRET=sandbox-user-id-secret",
    ]


async def test_faults_reach_it_over_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Throttled, dropped after storing, an outage, then well again; the ledger knows all."""
    monkeypatch.setattr("streams.lab.sandbox.server.SIMULATORS", (EightSelectSimulator,))
    sandbox = Sandbox(
        faults=("eightselect:429,retry_after=2,times=1", "eightselect:store_then_drop,times=1")
    )
    await sandbox.start()
    try:
        async with httpx.AsyncClient(base_url=sandbox.url, headers=HEADERS) as client:
            throttled = await client.post(EVENTS, json=CLICK)
            assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "2")
            with pytest.raises(httpx.TransportError):
                await client.post(EVENTS, json=CLICK)
            sandbox.faults.set("eightselect:html,times=1")
            assert (await client.post(EVENTS, json=CLICK)).status_code == 502
            assert (await client.post(EVENTS, json=CLICK)).json() == {}
            shown = (await client.get("/ledger?ids=1&records=1&payloads=1")).json()["eightselect"]
    finally:
        await sandbox.stop()
    assert (shown["requests"], shown["records"], shown["duplicates"]) == (4, 2, 1)
    assert shown["answers"] == {"429": 1, "dropped": 1, "502": 1, "200": 1}
    assert shown["ids"] == [digest(CLICK)] * 2
    assert [row["sku"] for row in shown["rows"]] == ["654321-7890"] * 2
    assert shown["payloads"] == [CLICK, CLICK]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
    | st.sampled_from(["interact", "product", "user", "content", "customSet", "view", "order"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            "type", "interact", "context", "user", "content", "product", "sku", "action", "id",
            "view", "order", "lines", "customSet",
        ]), inner, max_size=5
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values, st.sampled_from(["interact", "interact/product", "context", "context/0"]))
def test_any_value_has_a_judgement(value: Any, place: str) -> None:
    """Whatever it gets, alone or within an event, the simulator answers."""
    event_errors(value)
    for event in (value, changed(CLICK, place, value)):
        if not event_errors(event):
            simulator = EightSelectSimulator()
            assert send(simulator, event).status == 200
            assert len(simulator.ledger.rows()) == 1
