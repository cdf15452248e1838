"""Miso's client against its simulator, and what its models refuse."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clients import (
    InvalidRequest,
    Miso,
    RequestRejected,
    RequestThrottled,
    RequestUnclear,
    VendorMisconfigured,
    VendorUnavailable,
)
from streams.clients.miso import read_records
from streams.lab.sandbox.exchange import Call
from streams.lab.sandbox.miso import MisoSimulator
from streams.vendors.miso import api
from streams.vendors.miso.models import CartRecord, read_record
from streams.vendors.miso.settings import MisoSettings
from streams.vendors.miso.types import COMMON, PROPERTIES
from tests.clients.simulators import Scripted, answer, kept, sandbox, settings_for

# The sample of the vendor's page, as it stands there.
EVENT: dict[str, Any] = {
    "type": "add_to_cart",
    "product_ids": ["a001", "a002"],
    "quantities": [3, 5],
    "user_id": "...",
}
VIEW = {"type": "product_detail_page_view", "product_ids": ["a001"], "anonymous_id": "v-1"}


@pytest.mark.parametrize(
    "events",
    [
        EVENT,
        [EVENT],
        json.dumps(EVENT),
        json.dumps([EVENT]),
        json.dumps({"data": [EVENT]}).encode(),
        CartRecord.model_validate(EVENT),
        (CartRecord.model_validate(EVENT),),
    ],
)
async def test_an_upload_takes_an_object_a_list_or_json(events: Any) -> None:
    """And wraps it as Miso's API wants it, which refuses a bare list."""
    async with sandbox() as server:
        async with Miso(settings_for(server.url)) as miso:
            assert await miso.upload(events) == 1
        assert kept(server, "miso") == [EVENT]


async def test_a_list_is_split_by_count_and_by_bytes() -> None:
    """In order; no request is larger than the settings say."""
    records = [{**VIEW, "anonymous_id": f"v-{n}"} for n in range(25)]
    async with sandbox() as server:
        async with Miso(settings_for(server.url), batch_records=10) as miso:
            assert await miso.upload(records) == 25
        assert server.ledgers["miso"].requests == 3
        assert kept(server, "miso") == records
    sent = Scripted(*[answer(200, b'{"message":"success"}')] * 30)
    async with Miso(settings_for("https://x.example"), transport=sent, batch_bytes=1024) as miso:
        await miso.upload(records)
    assert len(sent.requests) == 3
    assert all(len(request.body) <= 1024 for request in sent.requests)
    assert [r for one in sent.requests for r in json.loads(one.body)["data"]] == records


async def test_nothing_is_sent_for_an_empty_list() -> None:
    """Miso documents no answer to one."""
    transport = Scripted()
    async with Miso(settings_for("https://x.example"), transport=transport) as miso:
        assert await miso.upload([]) == 0


async def test_a_refusal_names_the_records_by_their_place_in_the_list() -> None:
    """And how many were stored by the requests before; those after it were not sent."""
    records = [{**VIEW, "product_ids": [f"p-{n}"]} for n in range(9)]
    async with (
        sandbox("miso:refuse,skus=p-4|p-5") as server,
        Miso(settings_for(server.url), batch_records=3) as miso,
    ):
        with pytest.raises(RequestRejected, match="record 4: product_ids is inv") as caught:
            await miso.upload(records)
        assert caught.value.status == 422
        assert list(caught.value.refused) == [4, 5]
        assert caught.value.stored == 3
        assert kept(server, "miso") == records[:3]
        rest = [r for n, r in enumerate(records[3:], 3) if n not in caught.value.refused]
        assert await miso.upload(rest) == 4


async def test_a_dry_run_stores_nothing_and_names_all_refused_records() -> None:
    """Over all requests."""
    records = [{**VIEW, "product_ids": [f"p-{n}"]} for n in range(9)]
    async with sandbox("miso:refuse,skus=p-1|p-7") as server:
        async with Miso(settings_for(server.url), batch_records=3) as miso:
            with pytest.raises(RequestRejected) as caught:
                await miso.upload(records, dry_run=True)
            assert await miso.upload(records[2:5], dry_run=True) == 3
        assert list(caught.value.refused) == [1, 7]
        assert len(server.ledgers["miso"]) == 0


async def test_a_failure_says_what_may_be_stored() -> None:
    """Nothing by a dry run; what earlier requests stored is counted."""
    records = [VIEW] * 3
    async with (
        sandbox("miso:503,after=2") as server,
        Miso(settings_for(server.url), batch_records=1) as miso,
    ):
        with pytest.raises(VendorUnavailable) as caught:
            await miso.upload(records)
        assert str(caught.value).endswith(
            "503. 2 records before are stored. It may be stored: uploading it again may store it "
            "twice."
        )
        for dry_run, words in (
            (True, "503. Nothing was changed; try again later."),
            (False, "503. It may be stored: uploading it again may store it twice."),
        ):
            with pytest.raises(VendorUnavailable) as caught:
                await miso.upload(records, dry_run=dry_run)
            assert str(caught.value).endswith(words)


async def test_deletion_takes_users() -> None:
    """One or several; nobody is refused before anything is sent."""
    async with sandbox() as server, Miso(settings_for(server.url)) as miso:
        await miso.upload([EVENT, {**EVENT, "user_id": "u-2"}, {**EVENT, "user_id": "u-3"}])
        await miso.delete("...")
        await miso.delete(["u-2", "u-9"])
        assert [row["erased"] for row in server.ledgers["miso"].rows()] == [True, True, False]
        nobody: Any
        for nobody in ([], "", 5, None):
            with pytest.raises(InvalidRequest):
                await miso.delete(nobody)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("miso:429,retry_after=7", RequestThrottled, "Try again after 7 s"),
        ("miso:503", VendorUnavailable, "fails: 503"),
        ("miso:html", VendorUnavailable, "fails: 502"),
        ("miso:store_then_drop", RequestUnclear, "uploading it again may store it twice"),
    ],
)
async def test_each_failure_is_an_error_of_its_own(
    fault: str, error: type[Exception], words: str
) -> None:
    """By who must act next."""
    async with sandbox(fault) as server, Miso(settings_for(server.url)) as miso:
        with pytest.raises(error, match=words):
            await miso.upload(EVENT)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("sandbox-invalid-4711", "refuses the key: 401 invalid api key"),
        ("sandbox-publishable-4711", "403 Request is denied due to bot blocking"),
        ("sandbox-playground-4711", "400 Data cannot be uploaded to a playground environment"),
    ],
)
async def test_a_wrong_key_is_said_and_never_shown(key: str, words: str) -> None:
    """Whatever is wrong with it."""
    async with sandbox() as server, Miso(settings_for(server.url, key)) as miso:
        with pytest.raises(VendorMisconfigured, match=words) as caught:
            await miso.upload(EVENT)
    assert "4711" not in str(caught.value)


def custom(value: Any) -> dict[str, Any]:
    """A context with a value of the shop's own."""
    return {"custom_context": {"a": value}}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"type": "rate", "rating": 5.5}, "rate.rating: Input should be less than or equal to 5"),
        ({"type": "rate", "rating": -1}, "rate.rating: Input should be greater than or equal to 0"),
        ({"type": "watch", "duration": -1}, "watch.duration: Input should be greater than or"),
        (
            {"type": "add_to_cart", "product_ids": ["a", "b"], "quantities": [1]},
            "quantities must be as many as the products: 1 are given for 2",
        ),
        ({"type": "checkout", "product_ids": ["a"], "quantities": [0]}, "checkout.quantities.0"),
        ({"type": "checkout", "product_ids": ["a"], "quantities": [1.5]}, "checkout.quantities.0"),
        ({"type": "checkout", "revenue": {"amount": 1}}, "checkout.revenue"),
        ({"type": "custom"}, "custom.custom_action_name: Field required"),
        ({"type": "search", "product_ids": ["a"]}, "search.product_ids: Extra inputs are not"),
        ({"type": "home_page_view", "category": ["a"]}, "home_page_view.category: Extra inputs"),
        ({"type": "click", "miso_id": ""}, "click.miso_id: must be a UUID"),
        ({"type": "click", "timestamp": 1_795_000_000}, "must be a time of RFC 3339"),
        ({"type": "click", "timestamp": "2026-11-20T00:25:00"}, "click.timestamp"),
        ({"type": "click", "timestamp": "9999-12-31T23:59:59-01:00"}, "must lie in the years"),
        ({"type": "click", "context": {"truncated_ip": "1.2.3.4"}}, "the last octet 0"),
        (
            {"type": "click", "context": {"custom_context": {"a": {"b": 1}}}},
            "click.context.custom_context.a: must be a single value",
        ),
        ({"type": "click", "context": custom([1, float("inf")])}, "context.custom_context.a: must"),
        ({"type": "click", "context": custom([{"b": "\ud800"}])}, "context.custom_context.a: must"),
        ({"type": "buy"}, "type: there is no buy; there are 'remove_from_cart', 'refund', "),
        ({}, "type: Field required"),
    ],
)
def test_a_record_that_breaks_the_pages_is_refused_by_index(
    record: dict[str, Any], words: str
) -> None:
    """Before anything is sent, with all that is wrong and no value of it."""
    with pytest.raises(InvalidRequest) as caught:
        read_records([EVENT, {"user_id": "u-1", **record}, VIEW])
    assert list(caught.value.problems) == [1]
    assert words in caught.value.problems[1]


async def test_half_a_surrogate_pair_is_refused_before_anything_is_sent() -> None:
    """JSON can write what no text can hold."""
    transport = Scripted()
    found = json.loads('{"type": "search", "user_id": "u", "search": {"keywords": "\\ud800"}}')
    async with Miso(settings_for("https://x.example"), transport=transport) as miso:
        with pytest.raises(InvalidRequest, match="record 1: a text holds half a surrogate pair"):
            await miso.upload([VIEW, found])
    assert transport.requests == []


def test_null_in_a_custom_context_is_left_out() -> None:
    """It says nothing, and Miso's API description does not take it."""
    values = {"a": None, "b": [1, 2.5], "c": [{"x": True}], "d": "text", "e": []}
    record = read_record({**VIEW, "context": {"custom_context": values}})
    del values["a"]
    assert json.loads(record.encode())["context"] == {"custom_context": values}


def test_a_record_names_a_user_or_a_visitor() -> None:
    """Miso would make one up, the same for everybody."""
    with pytest.raises(InvalidRequest, match="record 0: click: needs user_id or anonymous_id"):
        read_records({"type": "click"})


@pytest.mark.parametrize("text", ["", "{", "5", '"a"', "[1]", "null", b"\xff"])
def test_text_that_holds_no_records_is_refused(text: str | bytes) -> None:
    """With a sentence."""
    with pytest.raises(InvalidRequest):
        read_records(text)


def test_each_type_has_the_properties_of_the_description() -> None:
    """The models and the white lists of the sink are one."""
    for type_, properties in PROPERTIES.items():
        sample = {"type": type_, "user_id": "u-1", "custom_action_name": "x"}
        if type_ != "custom":
            del sample["custom_action_name"]
        assert set(type(read_record(sample)).model_fields) == COMMON | properties, type_


_IDS = st.lists(st.text(min_size=1, max_size=5), max_size=3)
_PROPERTIES: dict[str, st.SearchStrategy[Any]] = {
    "product_ids": _IDS,
    "product_group_ids": _IDS,
    "duration": st.floats(0, 1e6),
    "revenue": st.floats(0, 1e6),
    "rating": st.floats(0, 5) | st.integers(0, 5),
    "custom_action_name": st.text(min_size=1),
    "search": st.fixed_dictionaries(
        {}, optional={"keywords": st.text(), "filters": st.just({"size": ["M"]})}
    ),
    "category": st.lists(st.text()),
    "question_id": st.text(max_size=512),
    "result_type": st.text(),
    "value": st.text(),
}


@st.composite
def generated(draw: st.DrawFn) -> dict[str, Any]:
    """A record of any documented type."""
    type_ = draw(st.sampled_from(sorted(PROPERTIES)))
    record: dict[str, Any] = {"type": type_, "user_id": draw(st.text(min_size=1, max_size=512))}
    for name in sorted(PROPERTIES[type_] - {"quantities"}):
        if name == "custom_action_name" or draw(st.booleans()):
            record[name] = draw(_PROPERTIES[name])
    if "quantities" in PROPERTIES[type_]:
        products = record.get("product_ids") or record.get("product_group_ids") or []
        record["quantities"] = [draw(st.integers(1, 99)) for _ in products]
    return record


@given(st.lists(generated(), min_size=1, max_size=4))
def test_every_record_that_the_models_take_is_taken_by_the_simulator(records: list[Any]) -> None:
    """Also in its strict mode."""
    settings = MisoSettings.model_validate({"api_key": "sandbox-strict"})
    request = api.build_request([r.encode() for r in read_records(records)], settings)
    call = Call("POST", api.PATH, {}, request.headers, request.body, 1, 0.0)
    response = MisoSimulator().answer(call)
    assert response.status == 200, response.body
