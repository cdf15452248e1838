"""8SELECT's client against its simulator, and what its models refuse."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from pydantic import ValidationError

from streams.clients import (
    EightSelect,
    InvalidRequest,
    RequestRejected,
    RequestUnclear,
    VendorMisconfigured,
)
from streams.clients.errors import problems_of
from streams.core.errors import SettingsError
from streams.lab.sandbox.eightselect import EightSelectSimulator
from streams.lab.sandbox.exchange import Call
from streams.settings import load_settings
from streams.vendors.base import RequestModel
from streams.vendors.eightselect import EightSelectSettings, api
from streams.vendors.eightselect.models import (
    ContentPart,
    InteractRequest,
    OrderRequest,
    ViewRequest,
)
from tests.clients.simulators import KEY, USER, Scripted, answer, kept, sandbox, settings_for

# The samples of the vendor's pages, as they stand there.
INTERACT: dict[str, Any] = {
    "type": "interact",
    "interact": {"action": "click", "type": "product", "product": {"sku": "654321-7890"}},
    "context": [
        {
            "content": {
                "matchingProductClusters": {"id": "457297-0001-00340"},
                "type": "matchingProductClusters",
            },
            "type": "content",
        },
        {"type": "user", "user": {"id": USER}},
    ],
}
VIEW: dict[str, Any] = {
    "type": "view",
    "view": {"type": "customSet", "customSet": {"id": "1b3de0bd-95c6-435a-8bb9-f4cae0160388"}},
    "context": [{"type": "user", "user": {"id": USER}}],
}
ORDER: dict[str, Any] = {
    "type": "order",
    "order": {
        "id": "0987654321",
        "lines": [
            {"sku": "654321-7890", "quantity": 5, "grossPrice": {"amount": 0.99, "currency": "EUR"}}
        ],
    },
    "context": [{"type": "user", "user": {"id": USER}}],
}


async def test_the_samples_of_the_pages_are_taken_as_they_stand() -> None:
    """As objects; what is stored is what was given."""
    async with sandbox() as server:
        async with EightSelect(settings_for(server.url)) as client:
            await client.view(VIEW)
            await client.interact(INTERACT)
            await client.order(ORDER)
        assert kept(server, "eightselect") == [VIEW, INTERACT, ORDER]


async def test_models_make_the_same_events() -> None:
    """With less to write."""
    content = ContentPart.of("matchingProductClusters", "457297-0001-00340")
    interact = InteractRequest.of("654321-7890", user_id=USER, action="click", content=content)
    view = ViewRequest.of("customSet", "1b3de0bd-95c6-435a-8bb9-f4cae0160388", user_id=USER)
    order = OrderRequest.of("0987654321", ORDER["order"]["lines"], user_id=USER)
    async with sandbox() as server:
        async with EightSelect(settings_for(server.url)) as client:
            await client.view(view)
            await client.interact(interact)
            await client.order(order)
        assert kept(server, "eightselect") == [VIEW, INTERACT, ORDER]


async def test_an_order_is_counted_once_however_often_it_is_sent() -> None:
    """8SELECT filters duplicates by the id of the order."""
    async with sandbox() as server:
        async with EightSelect(settings_for(server.url)) as client:
            await client.order(ORDER)
            await client.order(ORDER)
        assert kept(server, "eightselect") == [ORDER]


async def test_validation_stores_nothing_and_tells_what_is_wrong() -> None:
    """In Ajv's words; a right event has no problem."""
    wrong = {**INTERACT, "interact": {"type": "product", "product": {}}}
    async with sandbox() as server:
        async with EightSelect(settings_for(server.url)) as client:
            assert await client.validate(INTERACT) == []
            assert await client.validate(OrderRequest.model_validate(ORDER)) == []
            problems = await client.validate(wrong)
        assert kept(server, "eightselect") == []
    assert ("/interact/product", "required") in {(p.instance_path, p.keyword) for p in problems}


async def test_a_refusal_names_what_8select_says() -> None:
    """As an error of ours; nothing was stored."""
    async with sandbox("eightselect:refuse,skus=654321-7890") as server:
        async with EightSelect(settings_for(server.url)) as client:
            with pytest.raises(RequestRejected, match="must be taken by this sandbox") as caught:
                await client.interact(INTERACT)
        assert caught.value.status == 400
        assert kept(server, "eightselect") == []


async def test_a_refused_key_is_said_and_never_shown() -> None:
    """With the name of the variable."""
    async with (
        sandbox() as server,
        EightSelect(settings_for(server.url, "sandbox-invalid-4711")) as client,
    ):
        with pytest.raises(VendorMisconfigured, match="403 Forbidden") as caught:
            await client.interact(INTERACT)
    assert str(caught.value).endswith(
        "Correct STREAMS_EIGHTSELECT_API_ID, or ask 8SELECT what it may do."
    )
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize("event", [{"type": "\ud800"}, {"type": object()}])
async def test_what_is_no_json_is_not_validated(event: Any) -> None:
    """It is refused before anything is sent."""
    transport = Scripted()
    async with EightSelect(settings_for("https://x.example"), transport=transport) as client:
        with pytest.raises(InvalidRequest, match="it is no JSON"):
            await client.validate(event)


def test_of_an_order_with_a_wrong_line_only_that_is_said() -> None:
    """Not that it has no lines, then."""
    wrong = {"sku": "S", "quantity": 0, "grossPrice": {"amount": 1, "currency": "EUR"}}
    with pytest.raises(ValidationError) as caught:
        OrderRequest.model_validate({**ORDER, "order": {"id": "1", "lines": [wrong]}})
    assert problems_of(caught.value) == (
        "order.lines.0.quantity: Input should be greater than or equal to 1"
    )


async def test_a_lost_answer_leaves_it_open_whether_it_counts() -> None:
    """An interaction may be stored; an order may be sent again."""
    async with sandbox("eightselect:store_then_drop") as server:
        async with EightSelect(settings_for(server.url)) as client:
            with pytest.raises(RequestUnclear, match="sending it again may count it twice"):
                await client.interact(INTERACT)
            with pytest.raises(RequestUnclear, match="leaves out an order whose id it has"):
                await client.order(ORDER)
        assert len(kept(server, "eightselect")) == 2


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({**INTERACT, "context": []}, "context: must contain an entry of type user"),
        ({**INTERACT, "context": INTERACT["context"] * 2}, "at most one entry of each type"),
        (
            {**INTERACT, "context": [{"type": "user", "user": {"id": "kate"}}]},
            "context.0.user.user.id: must be a UUID, and not the nil one",
        ),
        ({**INTERACT, "interact": {"type": "product"}}, "interact.product: Field required"),
        ({**INTERACT, "at": "now"}, "at: Extra inputs are not permitted"),
    ],
)
async def test_an_interaction_that_breaks_the_pages_is_not_sent(event: Any, words: str) -> None:
    """Each fault by its place."""
    transport = Scripted()
    async with EightSelect(settings_for("https://x.example"), transport=transport) as client:
        with pytest.raises(InvalidRequest) as caught:
            await client.interact(event)
    assert words in caught.value.problems[0]
    assert transport.requests == []


def line(**changes: Any) -> dict[str, Any]:
    """The sample's line, changed."""
    return {**ORDER["order"]["lines"][0], **changes}


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [line(quantity=0)],
        [line(quantity=1.5)],
        [line(quantity="5")],
        [line(grossPrice={"amount": -0.01, "currency": "EUR"})],
        [line(grossPrice={"amount": float("inf"), "currency": "EUR"})],
        [line(grossPrice={"amount": 1, "currency": "Euro"})],
        [line(), line(grossPrice={"amount": 1, "currency": "SEK"})],
        [line(sku="")],
        [line(price=1)],
    ],
)
def test_orders_without_sense_are_refused(lines: list[Any]) -> None:
    """Empty ones, odd quantities, negative prices, mixed currencies."""
    with pytest.raises(ValidationError):
        OrderRequest.of("1", lines, user_id=USER)


@pytest.mark.parametrize(
    "content",
    [
        {"type": "customSet"},
        {"type": "customSet", "similarProducts": {"id": "1"}},
        {"type": "customSet", "customSet": {"id": "1"}, "similarProducts": {"id": "1"}},
        {"type": "setCompose", "setCompose": {"id": "1"}},
    ],
)
def test_content_has_the_member_that_its_type_names(content: Any) -> None:
    """And no other."""
    with pytest.raises(ValidationError):
        ViewRequest.model_validate({"view": content})


def test_what_is_missing_is_named_before_anything_is_sent() -> None:
    """By variable; an option of the section does as well, an unknown one is refused."""
    with pytest.raises(SettingsError, match="STREAMS_EIGHTSELECT_API_ID: is missing"):
        EightSelect(load_settings({}))
    EightSelect(load_settings({}), api_id=KEY)
    with pytest.raises(SettingsError, match="api_key: Extra inputs are not permitted"):
        EightSelect(load_settings({}), api_key=KEY)
    with pytest.raises(SettingsError, match="STREAMS_EIGHTSELECT_BASE_URL"):
        EightSelect(load_settings({}), api_id=KEY, base_url="http://shop.example")


async def test_a_client_is_used_in_a_context() -> None:
    """Outside of one it says so."""
    client = EightSelect(settings_for("https://x.example"))
    with pytest.raises(RuntimeError, match="async with"):
        await client.interact(INTERACT)


async def test_the_user_id_is_that_of_the_relay() -> None:
    """A UUID as it is, anything else keyed with the secret of the settings."""
    settings = settings_for("https://x.example", STREAMS_EIGHTSELECT_USER_ID_SECRET="s3cret-s3cret")
    client = EightSelect(settings)
    assert client.user_id(USER) == USER
    assert client.user_id("v-1") == client.user_id("v-1") != client.user_id("v-2")
    with pytest.raises(SettingsError, match="STREAMS_EIGHTSELECT_USER_ID_SECRET"):
        EightSelect(settings_for("https://x.example")).user_id("v-1")


async def test_any_2xx_without_words_is_a_success() -> None:
    """8SELECT documents none; the verdict is the sink's."""
    transport = Scripted(answer(202), answer(204))
    async with EightSelect(settings_for("https://x.example"), transport=transport) as client:
        await client.interact(INTERACT)
        await client.view(VIEW)
    assert [r.path for r in transport.requests] == ["/analytics/v3/events"] * 2


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
_CONTENT = st.builds(
    ContentPart.of,
    st.sampled_from(["customSet", "matchingProductClusters", "similarProducts"]),
    _TEXT,
)
_LINE = st.fixed_dictionaries(
    {
        "sku": _TEXT,
        "quantity": st.integers(1, 10**6),
        "grossPrice": st.fixed_dictionaries(
            {"amount": st.floats(0, 1e9) | st.integers(0, 10**9), "currency": st.just("EUR")}
        ),
    }
)
_USER = st.uuids(version=4).map(str)
_EVENTS = st.one_of(
    st.builds(lambda c, u: ViewRequest(view=c, context=user_entry(u)), _CONTENT, _USER),
    st.builds(
        lambda sku, u, a, c: InteractRequest.of(sku, user_id=u, action=a, content=c),
        *(_TEXT, _USER, st.none() | _TEXT, st.none() | _CONTENT),
    ),
    st.builds(
        lambda id_, lines, u: OrderRequest.of(id_, lines, user_id=u),
        *(_TEXT, st.lists(_LINE, min_size=1, max_size=5), _USER),
    ),
)


def user_entry(user_id: str) -> Any:
    """A context that names the user."""
    return InteractRequest.of("1", user_id=user_id).context


@given(_EVENTS)
def test_every_event_that_the_models_take_is_taken_by_the_simulator(event: RequestModel) -> None:
    """Views, interactions and orders, whatever is in them."""
    settings = EightSelectSettings.model_validate({"api_id": "sandbox-id"})
    request = api.build_request([event.encode()], settings)
    call = Call("POST", request.path, {}, CIMultiDict(request.headers), request.body, 1, 0.0)
    response = EightSelectSimulator().answer(call)
    assert response.status == 200, response.body
