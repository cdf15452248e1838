"""Voyado's client against its simulator: paging, nothing ignored, nothing repeated blindly."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import pytest

from streams.clients import (
    InvalidRequest,
    RequestRejected,
    RequestUnclear,
    VendorMisconfigured,
    VendorUnavailable,
    Voyado,
)
from streams.delivery.rate_limit import RateLimit, share_rate_limit
from streams.lab.sandbox.server import Sandbox
from streams.lab.sandbox.voyado import VoyadoSimulator
from streams.vendors.voyado import VENDOR
from streams.vendors.voyado.models import NewInteraction
from tests.clients.simulators import (
    CONTACT,
    Scripted,
    answer,
    kept,
    no_answer,
    sandbox,
    settings_for,
)

# The schema of the vendor's page, as it stands there.
REUSE: dict[str, Any] = {
    "id": "Reuse-Spring-2023",
    "displayName": "Reuse Spring Sale",
    "jsonSchema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "price": {
                "type": "integer",
                "displayName": "Price",
                "showInContactCard": "true",
                "sortOrder": "1",
            },
            "purchase-timestamp": {
                "type": "string",
                "format": "date-time",
                "displayName": "Purchase timestamp",
                "showInContactCard": "true",
                "sortOrder": "2",
            },
            "name": {
                "type": "string",
                "displayName": "Name",
                "showInContactCard": "true",
                "sortOrder": "0",
            },
        },
        "required": ["name"],
    },
}
# The interaction of the vendor's page; its date has a typing mistake there, put right here.
REUSED: dict[str, Any] = {
    "contactId": CONTACT,
    "schemaId": "Reuse-Spring-2023",
    "createdDate": "2023-05-23T11:13:42.074Z",
    "payload": {"price": 100, "type": "Jeans", "name": "Reused Item"},
}
WITH_ID: dict[str, Any] = {
    "contactId": CONTACT,
    "schemaId": "productClick",
    "createdDate": "2026-11-20T09:59:58.120Z",
    "payload": {"eventId": "e-1", "productSku": "8S-1042"},
}
SCHEMA_ANSWER = answer(200, json.dumps(REUSE).encode())


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    """A running sandbox."""
    async with sandbox() as running:
        yield running


@pytest.fixture
async def voyado(server: Sandbox) -> AsyncIterator[Voyado]:
    """A client of its simulator."""
    async with Voyado(settings_for(server.url)) as client:
        yield client


def simulator_of(server: Sandbox) -> VoyadoSimulator:
    """Voyado's simulator of a sandbox."""
    simulator = server.simulators["voyado"]
    assert isinstance(simulator, VoyadoSimulator)
    return simulator


async def test_the_samples_of_the_page_are_taken(server: Sandbox, voyado: Voyado) -> None:
    """The schema as it stands; of the interaction, what the schema does not have is left out."""
    await voyado.create_schema(REUSE)
    created = await voyado.create_interaction(REUSED)
    assert (created.left_out, created.was_there) == (("type",), False)
    sent = {**REUSED, "payload": {"price": 100, "name": "Reused Item"}}
    assert kept(server, "voyado") == [sent]
    stored = await voyado.get_interaction(created.id)
    assert stored is not None
    assert stored.model_dump(by_alias=True) == {"id": created.id, **sent}


async def test_an_interaction_is_deleted_once(voyado: Voyado) -> None:
    """One that is not there is no error."""
    created = await voyado.create_interaction(WITH_ID)
    assert await voyado.delete_interaction(created.id)
    assert not await voyado.delete_interaction(created.id)
    assert await voyado.get_interaction(created.id) is None


@pytest.mark.parametrize("form", ["items", "data"])
async def test_all_pages_are_listed_in_both_documented_forms(
    server: Sandbox, voyado: Voyado, form: Literal["items", "data"]
) -> None:
    """In order, 50 a page; another contact's are not among them."""
    simulator_of(server).list_form = form
    for n in range(120):
        payload = {"eventId": f"e-{n}", "productSku": "8S-1042"}
        await voyado.create_interaction({**WITH_ID, "payload": payload})
    other = await voyado.find_contact(custom_key="kate")
    await voyado.create_interaction({**WITH_ID, "contactId": other})
    before = server.ledgers["voyado"].requests
    listed = await voyado.list_interactions(CONTACT, "productClick")
    assert [one.event_id for one in listed] == [f"e-{n}" for n in range(120)]
    assert server.ledgers["voyado"].requests - before == 3
    assert await voyado.list_interactions(CONTACT, "addToCart") == []


async def test_a_list_that_leaves_out_what_was_asked_for_is_complete_all_the_same() -> None:
    """Contact and schema are those of the question; a payload may be text."""
    page = {"data": [{"id": "i-1", "payload": '{"eventId":"e-1"}', "new": 1}]}
    transport = Scripted(answer(200, json.dumps(page).encode()))
    async with Voyado(settings_for("https://x.example"), transport=transport) as voyado:
        (one,) = await voyado.list_interactions(CONTACT, "productClick")
    assert (one.contact_id, one.schema_id, one.created_date) == (CONTACT, "productClick", None)
    assert one.payload == {"eventId": "e-1"}


@pytest.mark.parametrize("names_ignored", [True, False])
async def test_what_voyado_would_ignore_is_refused_before_it_is_sent(
    server: Sandbox, voyado: Voyado, names_ignored: bool
) -> None:
    """Its answer would not tell, with an id or without."""
    simulator_of(server).names_ignored = names_ignored
    payload = {"eventId": "e-1", "productSku": "8S-1042", "price": "dear"}
    with pytest.raises(InvalidRequest, match="price is no number, as the schema wants it"):
        await voyado.create_interaction({**WITH_ID, "payload": payload})
    assert server.ledgers["voyado"].answers == {"200": 1}


async def test_a_schema_or_contact_that_is_not_there_is_said(
    server: Sandbox, voyado: Voyado
) -> None:
    """Which of the two it is."""
    with pytest.raises(RequestRejected, match="404, there is no schema wishlist"):
        await voyado.create_interaction({**WITH_ID, "schemaId": "wishlist"})
    nobody = f"00000000-{CONTACT[9:]}"
    with pytest.raises(RequestRejected, match="404 ContactNotFound"):
        await voyado.create_interaction({**WITH_ID, "contactId": nobody})
    with pytest.raises(RequestRejected, match="404 SchemaNotFound"):
        await voyado.list_interactions(CONTACT, "wishlist")
    assert len(server.ledgers["voyado"]) == 0


async def test_after_a_lost_answer_the_interaction_is_looked_for() -> None:
    """It is found by its ``eventId``, and not sent again."""
    async with (
        sandbox("voyado:store_then_drop,method=POST,times=1") as server,
        Voyado(settings_for(server.url)) as voyado,
    ):
        created = await voyado.create_interaction(WITH_ID)
        assert len(server.ledgers["voyado"]) == 1
        again = await voyado.create_interaction(WITH_ID, may_be_stored=True)
        assert (again.id, again.was_there) == (created.id, True)
        assert len(server.ledgers["voyado"]) == 1


async def test_a_request_that_did_not_arrive_is_not_repeated_by_itself() -> None:
    """The caller hears that it is open, and may send it again after a look."""
    async with (
        sandbox("voyado:drop_before_store,method=POST,times=1") as server,
        Voyado(settings_for(server.url)) as voyado,
    ):
        with pytest.raises(RequestUnclear, match="look for it before you send it again"):
            await voyado.create_interaction(WITH_ID)
        assert len(server.ledgers["voyado"]) == 0
        assert not (await voyado.create_interaction(WITH_ID, may_be_stored=True)).was_there
        assert len(server.ledgers["voyado"]) == 1


async def test_without_an_event_id_a_lost_answer_stays_open() -> None:
    """Nobody can tell one interaction from another then."""
    transport = Scripted(SCHEMA_ANSWER, no_answer())
    async with Voyado(settings_for("https://x.example"), transport=transport) as voyado:
        with pytest.raises(RequestUnclear):
            await voyado.create_interaction(REUSED)
    assert [request.method for request in transport.requests] == ["GET", "POST"]


async def test_a_contact_is_found_by_one_named_key(voyado: Voyado) -> None:
    """Nobody is None; several are an error that lists none of them."""
    found = await voyado.find_contact(email="kate@shop.example")
    assert found == await voyado.find_contact(email="Kate@shop.example")
    assert found != await voyado.find_contact(custom_key="kate@shop.example")
    assert await voyado.find_contact(custom_key="sandbox-unknown-1") is None
    with pytest.raises(RequestRejected, match="409 MultipleMatches") as caught:
        await voyado.find_contact(custom_key="sandbox-twice-1")
    assert "sandbox-twice" not in str(caught.value)
    with pytest.raises(RequestRejected, match="400 InvalidEmailAddress"):
        await voyado.find_contact(email="kate")
    with pytest.raises(InvalidRequest, match="exactly one"):
        await voyado.find_contact(email="kate@shop.example", custom_key="1")


async def test_schemas_are_created_listed_shown_and_deleted(voyado: Voyado) -> None:
    """A deleted one is remembered by Voyado: its successor may only add to it."""
    await voyado.create_schema(REUSE)
    assert [one.id for one in await voyado.list_schemas()][-1] == "Reuse-Spring-2023"
    shown = await voyado.get_schema("Reuse-Spring-2023")
    assert shown is not None
    assert (shown.display_name, shown.json_schema) == ("Reuse Spring Sale", REUSE["jsonSchema"])
    created = await voyado.create_interaction(REUSED)
    assert await voyado.delete_schema("Reuse-Spring-2023")
    assert not await voyado.delete_schema("Reuse-Spring-2023")
    assert await voyado.get_schema("Reuse-Spring-2023") is None
    assert await voyado.get_interaction(created.id) is None
    properties = {"price": REUSE["jsonSchema"]["properties"]["price"]}
    less = {**REUSE, "jsonSchema": {**REUSE["jsonSchema"], "properties": properties}}
    less["jsonSchema"].pop("required")
    with pytest.raises(RequestRejected, match="Not backward compatible with the deleted schema"):
        await voyado.create_schema(less)
    await voyado.create_schema(REUSE)


async def test_a_schema_that_breaks_the_page_is_not_sent(server: Sandbox, voyado: Voyado) -> None:
    """With everything that is wrong with it: seven segmentable properties, an odd id, nesting."""
    rule = {**REUSE["jsonSchema"]["properties"]["price"], "addToSegmentation": "true"}
    properties: dict[str, Any] = {f"p{n}": rule for n in range(7)}
    properties["deep"] = {**rule, "type": "object", "addToSegmentation": "false"}
    bad = {**REUSE, "id": "Höst", "jsonSchema": {**REUSE["jsonSchema"], "properties": properties}}
    bad["jsonSchema"].pop("required")
    with pytest.raises(InvalidRequest) as caught:
        await voyado.create_schema(bad)
    for words in ("id must consist of", "deep: type", "7 properties are segmentable"):
        assert words in str(caught.value)
    assert server.ledgers["voyado"].requests == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"contactId": "kate"}, "contactId: must be a GUID"),
        ({"schemaId": "Höst-kampanj_2023"}, "schemaId: String should match pattern"),
        ({"createdDate": "2023-05-23711:13:42.074Z"}, "createdDate: must be a date and time"),
        ({"payload": {"a": {"b": 1}}}, "payload.a: must be a single value"),
        ({"payload": {"a": None}}, "payload.a: must be a single value"),
        ({"payload": {"a": float("nan")}}, "payload.a: must be a single value"),
        ({"payload": {"a": "\ud800"}}, "payload.a: must be a single value"),
        ({"type": "x"}, "type: Extra inputs are not permitted"),
    ],
)
async def test_an_interaction_that_breaks_the_page_is_not_sent(
    server: Sandbox, voyado: Voyado, changes: dict[str, Any], words: str
) -> None:
    """The typing mistake of the page's own sample is found, too."""
    with pytest.raises(InvalidRequest, match=words):
        await voyado.create_interaction({**REUSED, **changes})
    assert server.ledgers["voyado"].requests == 0


@pytest.mark.parametrize("id_", ["", " ", "a/b", "\ud800"])
async def test_what_is_no_id_is_refused_before_anything_is_sent(id_: str) -> None:
    """A blank one would name all of them, half a surrogate pair no address can hold."""
    transport = Scripted()
    async with Voyado(settings_for("https://x.voyado.com"), transport=transport) as client:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: client.get_schema(id_),
            lambda: client.delete_schema(id_),
            lambda: client.list_interactions(CONTACT, id_),
            lambda: client.list_interactions(id_, "productClick"),
        ]
        if id_ != "a/b":
            calls += [
                lambda: client.get_interaction(id_),
                lambda: client.delete_interaction(id_),
                lambda: client.find_contact(custom_key=id_),
            ]
        for call in calls:
            with pytest.raises(InvalidRequest):
                await call()
    assert transport.requests == []


@pytest.mark.parametrize("schema", [{"id": object()}, {**REUSE, "displayName": "\ud800"}, None])
async def test_a_schema_that_is_no_json_is_not_sent(schema: Any) -> None:
    """Whatever Python makes of it."""
    transport = Scripted()
    async with Voyado(settings_for("https://x.voyado.com"), transport=transport) as client:
        with pytest.raises(InvalidRequest):
            await client.create_schema(schema)
    assert transport.requests == []


async def test_a_refused_key_is_said_and_never_shown(server: Sandbox) -> None:
    """With the name of the variable."""
    async with Voyado(settings_for(server.url, "sandbox-invalid-4711")) as voyado:
        with pytest.raises(VendorMisconfigured, match="Correct STREAMS_VOYADO_API_KEY") as caught:
            await voyado.list_interactions(CONTACT, "productClick")
    assert "4711" not in str(caught.value)


async def test_a_vendor_that_is_away_is_said() -> None:
    """Nothing was sent."""
    async with sandbox("voyado:down") as server:
        url = server.url
    async with Voyado(settings_for(url)) as voyado:
        with pytest.raises(VendorUnavailable, match="cannot be reached"):
            await voyado.create_interaction(WITH_ID)


async def test_clients_of_one_process_share_the_quota_of_its_sinks() -> None:
    """Two clients wait for each other, and for the sink's requests; other accounts do not."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 2))

    settings = settings_for("https://x.example", STREAMS_VOYADO_REQUESTS_PER_SECOND="2")
    sink = RateLimit(1, time.monotonic())
    share_rate_limit(time.monotonic, VENDOR.account(settings.vendors["voyado"]), sink)
    sink.reserve(time.monotonic())
    for section in (settings, settings, settings_for("https://x.example", "sandbox-other")):
        transport = Scripted(answer(200, b"[]"))
        async with Voyado(section, transport=transport, sleep=sleep) as voyado:
            await voyado.list_schemas()
    assert sink.taken == 3
    assert [round(seconds) for seconds in slept] == [1, 2]


async def test_requests_may_be_made_at_the_same_time(server: Sandbox, voyado: Voyado) -> None:
    """Each within the quota."""
    new = [
        NewInteraction(
            contact_id=CONTACT,
            schema_id="productClick",
            payload={"eventId": f"e-{n}", "productSku": "8S-1042"},
        )
        for n in range(20)
    ]
    created = await asyncio.gather(*map(voyado.create_interaction, new))
    assert len({one.id for one in created}) == len(server.ledgers["voyado"]) == 20
