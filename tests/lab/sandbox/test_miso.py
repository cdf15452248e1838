"""What Miso's simulator accepts and refuses, with its exact words."""

# ruff: noqa: E501 - the vendor's sentences stand whole

import json
from typing import Any

import pytest

from streams.lab.sandbox.exchange import Call, SimulatedResponse
from streams.lab.sandbox.miso import MisoSimulator
from streams.lab.sandbox.miso_records import RECORDS

NONE_INSERTED = (
    "None of the records were inserted because at least one of them contained schema errors. "
    "Please see the `data` field for details."
)
CLICK: dict[str, Any] = {
    "type": "product_detail_page_view",
    "product_ids": ["8S-1042"],
    "anonymous_id": "a-1",
    "user_id": "u-1",
    "timestamp": "2026-11-20T00:25:00.073Z",
    "miso_id": "123e4567-e89b-12d3-a456-426614174000",
    "context": {
        "campaign": {"name": "spring", "source": "mail", "medium": "email"},
        "truncated_ip": "203.0.113.0",
        "locale": "de-DE",
        "region": "DE",
        "page": {"url": "https://shop.example/p", "referrer": "", "title": "Shirt"},
        "user_agent": "Mozilla/5.0",
        "custom_context": {"uuid": "e-1", "sizes": [1, 2.5], "tags": ["a"], "none": None},
    },
}
CART: dict[str, Any] = {
    "type": "add_to_cart",
    "product_ids": ["8S-1042", "8S-1043"],
    "quantities": [1, 2],
    "anonymous_id": "a-2",
    "timestamp": "2026-11-20T00:25:01.000Z",
    "context": {"custom_context": {"uuid": "e-2"}},
}


def send(
    simulator: MisoSimulator,
    content: Any,
    *,
    method: str = "POST",
    key: str = "secret",
    query: dict[str, str] | None = None,
) -> SimulatedResponse:
    """Return the simulator's answer to one request, its seventh."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return simulator.answer(
        Call(method, "/v1/interactions", query or {}, {"X-API-KEY": key}, body, 7, 1_795_000_000.5)
    )


def test_good_records_are_stored_in_order() -> None:
    """Both sorts of record are accepted; the ledger has our id, the visitor, time and request."""
    miso = MisoSimulator()
    answer = send(miso, {"data": [CLICK, CART]})
    assert (answer.status, answer.body) == (200, b'{"message":"success"}')
    assert miso.ledger.rows() == [
        {
            "position": 0,
            "event_id": "e-1",
            "anonymous_id": "a-1",
            "user_id": "u-1",
            "at": 1_795_000_000.5,
            "request": 7,
            "erased": False,
        },
        {
            "position": 1,
            "event_id": "e-2",
            "anonymous_id": "a-2",
            "user_id": "",
            "at": 1_795_000_000.5,
            "request": 7,
            "erased": False,
        },
    ]
    assert miso.ledger.payloads() == [CLICK, CART]
    assert miso.ledger.flagged == {}


@pytest.mark.parametrize(
    ("record", "lines"),
    [
        ("text", ["data.1 is invalid. The attribute was expected to be of type ''object'' but type 'string' was given."]),
        ({}, ["data.1 is invalid. The attribute 'type' is required."]),
        ({"type": 3}, ["data.1.type is invalid. The attribute was expected to be of type ''string'' but type 'integer' was given."]),
        ({**CLICK, "sku": "x"}, ["data.1 is invalid. Additional properties are not allowed ('sku' was unexpected)."]),
        ({**CLICK, "quantities": [1]}, ["data.1 is invalid. Additional properties are not allowed ('quantities' was unexpected)."]),
        ({**CLICK, "product_ids": "8S"}, ["data.1.product_ids is invalid. The attribute was expected to be of type ''array', 'null'' but type 'string' was given."]),
        ({**CLICK, "product_ids": ["ok", 7]}, ["data.1.product_ids.1 is invalid. The attribute was expected to be of type ''string'' but type 'integer' was given."]),
        ({**CLICK, "product_ids": ["x" * 513]}, ["data.1.product_ids.0 is invalid. The attribute should have at most 512 characters."]),
        ({**CLICK, "user_id": "x" * 513}, ["data.1.user_id is invalid. The attribute should have at most 512 characters."]),
        ({**CLICK, "anonymous_id": "x" * 1025}, ["data.1.anonymous_id is invalid. The attribute should have at most 1024 characters."]),
        ({**CLICK, "user_id": None}, ["data.1.user_id is invalid. The attribute was expected to be of type ''string'' but type 'null' was given."]),
        ({**CLICK, "miso_id": ""}, ["data.1.miso_id is invalid. The attribute should match the 'uuid' format."]),
        ({**CLICK, "timestamp": "2026-11-20 00:25"}, ["data.1.timestamp is invalid. The attribute should match the 'date-time' format."]),
        ({**CLICK, "duration": "5"}, ["data.1.duration is invalid. The attribute was expected to be of type ''number'' but type 'string' was given."]),
        ({**CLICK, "duration": True}, ["data.1.duration is invalid. The attribute was expected to be of type ''number'' but type 'boolean' was given."]),
        ({**CLICK, "context": []}, ["data.1.context is invalid. The attribute was expected to be of type ''object'' but type 'array' was given."]),
        ({**CLICK, "context": {"page": {"title": "no address"}}}, ["data.1.context.page is invalid. The attribute 'url' is required."]),
        ({**CLICK, "context": {"truncated_ip": "2001:db8::"}}, ["data.1.context.truncated_ip is invalid. The attribute should match the 'ipv4' format."]),
        ({**CLICK, "context": {"campaign": {"name": 1}}}, ["data.1.context.campaign.name is invalid. The attribute was expected to be of type ''string'' but type 'integer' was given."]),
        ({**CLICK, "context": {"custom_context": {"a": {"b": 1}}}}, ["data.1.context.custom_context.a is invalid. The attribute should be a boolean, a number, a string, null, or a list of numbers, of strings or of flat objects."]),
        ({**CLICK, "context": {"custom_context": {"a": [1, "b"]}}}, ["data.1.context.custom_context.a is invalid. The attribute should be a boolean, a number, a string, null, or a list of numbers, of strings or of flat objects."]),
        ({**CART, "quantities": [1]}, ["data.1.quantities is invalid. The attribute should have as many items as 'product_ids'."]),
        ({**CART, "quantities": [1, 0]}, ["data.1.quantities.1 is invalid. The attribute should be greater than 0."]),
        ({**CART, "quantities": "2"}, ["data.1.quantities is invalid. The attribute was expected to be of type ''array', 'number'' but type 'string' was given."]),
        ({"type": "custom"}, ["data.1 is invalid. The attribute 'custom_action_name' is required."]),
        ({"type": "search", "product_ids": []}, ["data.1 is invalid. Additional properties are not allowed ('product_ids' was unexpected)."]),
        ({"type": "checkout", "revenue": {}}, ["data.1.revenue is invalid. The attribute was expected to be of type ''number'' but type 'object' was given."]),
    ],
)  # fmt: skip
def test_one_bad_record_refuses_the_whole_request(record: Any, lines: list[str]) -> None:
    """The lines name record, path and reason; the good neighbour is not stored either."""
    miso = MisoSimulator()
    answer = send(miso, {"data": [CLICK, record]})
    assert answer.status == 422
    assert json.loads(answer.body) == {"errors": True, "message": NONE_INSERTED, "data": lines}
    assert len(miso.ledger) == 0
    assert miso.ledger.refused_records == 1


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    """All 29 types of the API description are known, and no other."""
    assert len(RECORDS) == 29
    answer = send(MisoSimulator(), {"data": [{"type": "product_click"}]})
    assert answer.status == 422
    [line] = json.loads(answer.body)["data"]
    assert line.startswith("data.0.type is invalid. The attribute should be one of ['add_to_")


def test_every_fault_of_every_record_has_its_line() -> None:
    """Lines come in the order of the records, several for one record."""
    bad = {**CLICK, "miso_id": "x", "timestamp": "x"}
    answer = send(MisoSimulator(), {"data": [bad, CLICK, {"type": "click", "b": 1}]})
    assert json.loads(answer.body)["data"] == [
        "data.0.timestamp is invalid. The attribute should match the 'date-time' format.",
        "data.0.miso_id is invalid. The attribute should match the 'uuid' format.",
        "data.2 is invalid. Additional properties are not allowed ('b' was unexpected).",
    ]


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        ("2026-11-20T00:25:00Z", True),
        ("2026-11-20T00:25:00.073876+02:00", True),
        ("2026-11-20t00:25:00z", True),
        ("2016-12-31T23:59:60Z", True),
        ("2026-11-20T00:25:00.1234567890Z", True),
        ("2026-11-20T00:25:00", False),
        ("2026-11-20T00:25Z", False),
        ("2026-02-30T00:25:00Z", False),
        ("2026-11-20T24:25:00Z", False),
        ("2026-11-20T00:25:00+25:00", False),
        ("٢٠٢٦-11-20T00:25:00Z", False),
        ("2026-11-20T00:25:00Z\n", False),
        ("1795000000", False),
    ],
)
def test_timestamps_are_those_of_rfc_3339(text: str, is_valid: bool) -> None:
    """Whole dates with an offset pass, all else is refused."""
    answer = send(MisoSimulator(), {"data": [{**CLICK, "timestamp": text}]})
    assert answer.status == (200 if is_valid else 422)


@pytest.mark.parametrize(
    "record",
    [
        {"type": "click", "product_ids": None, "user_id": "u"},
        {**CART, "quantities": 2.5},
        {**CART, "product_ids": [], "product_group_ids": ["g"], "quantities": [1]},
        {"type": "search", "search": {"keywords": "x", "filters": {"f": ["a"]}}, "user_id": "u"},
        {"type": "category_page_view", "category": ["home", "tools"], "user_id": "u"},
        {"type": "custom", "custom_action_name": "waved", "product_ids": ["p"], "user_id": "u"},
        {"type": "feedback", "question_id": "q", "result_type": "answer", "value": "helpful"},
        {"type": "rate", "rating": 4.5, "product_ids": ["p"], "user_id": "u"},
    ],
)
def test_rarer_records_are_accepted(record: Any) -> None:
    """What the API description allows beyond clicks and carts passes too."""
    miso = MisoSimulator()
    assert send(miso, {"data": [record]}).status == 200
    assert miso.ledger.payloads() == [record]


@pytest.mark.parametrize(
    ("record", "rules"),
    [
        ({k: v for k, v in CART.items() if k != "anonymous_id"}, {"no_visitor": 1}),
        ({**CART, "anonymous_id": ""}, {"no_visitor": 1}),
        ({**CART, "context": {}}, {"no_event_id": 1}),
        ({k: v for k, v in CART.items() if k != "timestamp"}, {"no_timestamp": 1}),
        ({**CLICK, "product_ids": []}, {"no_product": 1}),
        ({**CLICK, "context": {**CLICK["context"], "truncated_ip": "203.0.113.9"}}, {"untruncated_ip": 1}),
        ({**CLICK, "context": {**CLICK["context"], "event": "x"}}, {"unknown_context": 1}),
    ],
)  # fmt: skip
def test_what_miso_lets_pass_against_our_rules_is_flagged(
    record: Any, rules: dict[str, int]
) -> None:
    """Such a record is stored, as Miso would, and the ledger says which rule it breaks."""
    miso = MisoSimulator()
    assert send(miso, {"data": [CLICK, record]}).status == 200
    assert miso.ledger.flagged == rules
    assert [(e["request"], e["index"]) for e in miso.ledger.flag_examples] == [(7, 1)]


@pytest.mark.parametrize(
    ("key", "status", "body"),
    [
        ("", 401, {"message": "invalid api key."}),
        ("sandbox-invalid", 401, {"message": "invalid api key."}),
        (
            "sandbox-publishable-1",
            403,
            {
                "message": "Request is denied due to bot blocking. Please only access this API from "
                "a real browser or use Secret API Key instead."
            },
        ),
        (
            "sandbox-playground",
            400,
            {"message": "Data cannot be uploaded to a playground environment."},
        ),
    ],
)
def test_a_wrong_key_is_refused(key: str, status: int, body: dict[str, str]) -> None:
    """Keys that are no secret keys meet Miso's answers to them, whatever the body is."""
    for method in ("POST", "DELETE"):
        answer = send(MisoSimulator(), b"no JSON", key=key, method=method)
        assert (answer.status, json.loads(answer.body)) == (status, body)


def test_the_key_may_simulator_the_query() -> None:
    """``?api_key=`` does as well as the header."""
    miso = MisoSimulator()
    assert send(miso, {"data": [CLICK]}, key="", query={"api_key": "k"}).status == 200
    assert send(miso, {"data": [CLICK]}, key="", query={"api_key": "sandbox-invalid"}).status == 401


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"type": "rate", "rating": 5.5}, ".rating is invalid. The attribute should be in the range of [0, 5]."),
        ({"type": "rate", "rating": -1}, ".rating is invalid. The attribute should be in the range of [0, 5]."),
        ({"type": "watch", "duration": -0.5}, ".duration is invalid. The attribute should be at least 0."),
        ({"type": "add_to_cart", "quantities": [1.5]}, ".quantities is invalid. The attribute should be a list of positive integers."),
        ({"type": "add_to_cart", "quantities": 2}, ".quantities is invalid. The attribute should be a list of positive integers."),
    ],
)  # fmt: skip
def test_the_strict_mode_keeps_to_the_ranges_of_the_page(more: dict[str, Any], line: str) -> None:
    """What the API description alone lets pass is refused; what is in range is stored."""
    record = {"anonymous_id": "a-1", "product_ids": ["8S-1042"], **more}
    assert send(MisoSimulator(), {"data": [record]}).status == 200
    answer = send(MisoSimulator(), {"data": [CLICK, record]}, key="sandbox-strict-1")
    assert answer.status == 422
    assert json.loads(answer.body)["data"] == [f"data.1{line}"]
    assert send(MisoSimulator(), {"data": [CLICK, CART]}, key="sandbox-strict-1").status == 200


def test_a_bare_list_is_refused() -> None:
    """Records must be wrapped, also where there is only one."""
    for body in ([CLICK], CLICK):
        assert send(MisoSimulator(), body).status == 422


def test_a_dry_run_judges_and_stores_nothing() -> None:
    """``dry_run=1`` answers as usual; good records are counted apart."""
    miso = MisoSimulator()
    assert send(miso, {"data": [CLICK, CART]}, query={"dry_run": "1"}).status == 200
    assert send(miso, {"data": [{"type": "x"}]}, query={"dry_run": "1"}).status == 422
    assert (len(miso.ledger), miso.ledger.dry_run_records) == (0, 2)


def test_an_empty_list_is_refused() -> None:
    """A request without records is an error, in lines that name none."""
    answer = send(MisoSimulator(), {"data": []})
    assert answer.status == 422
    assert json.loads(answer.body)["data"] == [
        "data is invalid. The attribute should not be empty."
    ]


@pytest.mark.parametrize(
    ("body", "location", "type_"),
    [
        (b"{", ["body"], "value_error.jsondecode"),
        (b"", ["body"], "value_error.jsondecode"),
        (b'{"data":["\xff"]}', ["body"], "value_error.jsondecode"),
        (b'{"data":[NaN]}', ["body"], "value_error.jsondecode"),
        (b'{"data":["\\ud800"]}', ["body"], "value_error.jsondecode"),
        (b"[" * 100_000, ["body"], "value_error.jsondecode"),
        (b"[]", ["body", "data"], "value_error.missing"),
        (b"{}", ["body", "data"], "value_error.missing"),
        (b'{"data":{}}', ["body", "data"], "type_error.list"),
    ],
)
def test_a_body_without_records_is_a_validation_error(
    body: bytes, location: list[str], type_: str
) -> None:
    """What holds no records to judge is answered in the form HTTPValidationError."""
    answer = send(MisoSimulator(), body)
    assert answer.status == 422
    [detail] = json.loads(answer.body)["detail"]
    assert (detail["loc"], detail["type"]) == (location, type_)
    assert detail["msg"]


def test_delete_erases_the_records_of_users() -> None:
    """The ledger still knows that they were stored, and marks them as erased, once."""
    miso = MisoSimulator()
    send(miso, {"data": [CLICK, CART, CLICK]})
    for _ in range(2):
        answer = send(miso, {"user_ids": ["u-1", "u-9"]}, method="DELETE")
        assert (answer.status, answer.body) == (200, b'{"message":"success"}')
    assert [row["erased"] for row in miso.ledger.rows()] == [True, False, True]
    assert miso.ledger.erased_records == 2


@pytest.mark.parametrize(
    ("content", "type_"),
    [({}, "value_error.missing"), ({"user_ids": "u-1"}, "type_error.list"), ([], "value_error.missing")],
)  # fmt: skip
def test_delete_without_a_list_of_users_is_refused(content: Any, type_: str) -> None:
    """DELETE has its own form of 422."""
    answer = send(MisoSimulator(), content, method="DELETE")
    assert answer.status == 422
    assert json.loads(answer.body)["detail"][0] == {
        "loc": ["body", "user_ids"],
        "msg": "field required" if type_.endswith("missing") else "value is not a valid list",
        "type": type_,
    }


def test_other_methods_and_paths_are_not_served() -> None:
    """405 and 404, as the vendor's framework answers."""
    assert send(MisoSimulator(), b"", method="GET").status == 405
    call = Call("POST", "/v1/interactions/_delete", {}, {"X-API-KEY": "k"}, b"{}", 1, 0.0)
    assert MisoSimulator().answer(call).status == 404
