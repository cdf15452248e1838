"""What is asked of Voyado for its schemas: lists, creations, replacements, and each failure."""

# ruff: noqa: E501 - the sentences stand whole

import asyncio
import json
from typing import Any

import pytest

from streams.clients import VendorError, Voyado
from streams.core.errors import SetupError
from streams.lab.sandbox.exchange import Call
from streams.operations.voyado_schemas import voyado_schemas as operations
from streams.operations.voyado_schemas.files import load_definitions, shipped_folder
from streams.operations.voyado_schemas.plan import State, plan
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.voyado.definition import Definition
from tests.operations.voyado_schemas_in_process import (
    JSON,
    KEY,
    URL,
    Clock,
    InProcess,
    document,
    rules,
    schema,
    section_of,
    voyado_of,
)

CONTACT = "5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66"


async def test_missing_schemas_are_created_and_then_equal() -> None:
    """Only POSTs; nothing is deleted, and a second time there is nothing to do."""
    client = InProcess()
    voyado = voyado_of(client)
    files = load_definitions(shipped_folder() / "examples", section_of())
    rows = plan(files, await voyado.list_schemas())
    created = [id_ async for id_ in operations.create_missing(voyado, rows)]
    assert created == [
        "engagement",
        "preownedProduct",
        "recycled",
        "repair",
        "wholeSalePurchase",
        "wishlist",
    ]
    assert (client.asked("POST"), client.asked("DELETE")) == (6, 0)
    rows = plan(files, await voyado.list_schemas())
    assert [row.state for row in rows[:6]] == [State.EQUAL] * 6
    assert [id_ async for id_ in operations.create_missing(voyado, rows)] == []


async def test_no_request_changes_anything_where_there_is_no_room() -> None:
    """Two are there, fourteen would be too many."""
    client = InProcess()
    voyado = voyado_of(client)
    files = [schema(f"s{n}", a=rules()) for n in range(14)]
    rows = plan(files, await voyado.list_schemas())
    with pytest.raises(SetupError) as caught:
        _ = [id_ async for id_ in operations.create_missing(voyado, rows)]
    assert str(caught.value) == (
        "Voyado has 2 schemas and takes at most 15: 14 more do not fit. Leave some out. Nothing "
        "was changed."
    )
    assert client.asked("POST") == 0


async def test_every_request_carries_the_headers_and_keeps_to_the_rate() -> None:
    """Two requests a second: the first at once, each later one half a second on, with headroom."""
    client, clock = InProcess(), Clock()
    voyado = voyado_of(client, clock, STREAMS_VOYADO_REQUESTS_PER_SECOND="2")
    for _ in range(3):
        await voyado.list_schemas()
    assert [round(seconds, 3) for seconds in clock.slept] == [0.526, 0.526]
    assert client.requests[0].headers == {
        "apikey": KEY,
        "User-Agent": section_of().user_agent,
        "Content-Type": "application/json",
    }
    assert KEY not in repr(client.requests)


@pytest.mark.parametrize(
    "answer",
    [
        {"items": [document(a=rules())]},
        {"data": [document(a=rules())]},
        [document(a=rules())],
        [document(a=rules()) | {"jsonSchema": json.dumps(document(a=rules())["jsonSchema"])}],
        [document(a=rules(showInContactCard=True, sortOrder=None, format=None))],
    ],
)
async def test_lists_are_read_in_all_known_forms(answer: Any) -> None:
    """An array, or under items or data; schemas as text; flags as values."""
    client = InProcess()
    client.instead["GET", 0] = HttpResponse(200, JSON, json.dumps(answer).encode())
    assert await voyado_of(client).list_schemas() == [schema(a=rules())]


@pytest.mark.parametrize("row", ["productClick", {"id": "productClick"}])
async def test_schemas_that_are_only_named_are_asked_for(row: Any) -> None:
    """One more request each."""
    client = InProcess()
    client.instead["GET", 0] = HttpResponse(200, JSON, json.dumps([row]).encode())
    (found,) = await voyado_of(client).list_schemas()
    assert (found.id, found.display_name, "eventId" in found.properties) == (
        "productClick",
        "Product click",
        True,
    )
    assert client.requests[1].path == "/api/v3/interactionschemas/productClick"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            HttpResponse(401, JSON, b'{"message":"Authorization has been denied."}'),
            (
                "refuses the key: 401 Authorization has been denied. Correct STREAMS_VOYADO_API_KEY, "
                "and check that STREAMS_VOYADO_BASE_URL is where this key is valid."
            ),
        ),
        (
            HttpResponse(403, JSON, f'{{"message":"Not {KEY}"}}'.encode()),
            (
                "does not let this key do that: 403 Not ***. Interactions are a paid add-on, and "
                "access can be limited by address: ask Voyado what the key of STREAMS_VOYADO_API_KEY "
                "may do."
            ),
        ),
        (
            HttpResponse(404, {"content-type": "text/html"}, b"<h1>Not Found</h1>"),
            (
                "is not where this belongs: 404 Not Found. Correct STREAMS_VOYADO_BASE_URL: scheme, "
                "host and port only."
            ),
        ),
        (
            HttpResponse(429, JSON | {"retry-after": "7"}, b'{"message":"Too many requests."}'),
            (
                "asks for fewer requests: 429 Too many requests. Try again after 7 s; the workers use "
                "the same key."
            ),
        ),
        (
            HttpResponse(429, JSON, b""),
            (
                "asks for fewer requests: 429. Try again after a minute (it names no wait); the "
                "workers use the same key."
            ),
        ),
        (
            HttpResponse(302, JSON | {"location": "https://elsewhere.example"}, b""),
            (
                "is not where this belongs: 302. Correct STREAMS_VOYADO_BASE_URL: scheme, host and "
                "port only."
            ),
        ),
        (
            HttpResponse(500, JSON, b'{"message":"An error has occurred"}'),
            "fails: 500 An error has occurred. Nothing was changed; try again later.",
        ),
        (
            HttpResponse(200, {"content-type": "text/html"}, b"<h1>Welcome</h1>"),
            (
                "is not where this belongs: 200, but the response is not Voyado's; check base_url: "
                "Welcome. Correct STREAMS_VOYADO_BASE_URL: scheme, host and port only."
            ),
        ),
        (
            HttpResponse(200, JSON, b'{"total": 3}'),
            (
                "is not where this belongs: 200, but the response is not Voyado's: "
                '{"total": 3}. Correct STREAMS_VOYADO_BASE_URL: scheme, host and port only.'
            ),
        ),
        (
            HttpResponse(None, {}, b"", failure="Name or service not known", was_sent=False),
            (
                "cannot be reached: Name or service not known. Check STREAMS_VOYADO_BASE_URL, and "
                "that this machine may reach it: name, firewall, proxy, TLS."
            ),
        ),
        (
            HttpResponse(None, {}, b"", failure="no answer within 60 s"),
            "gave no answer: no answer within 60 s. Nothing was changed; try again later.",
        ),
    ],
)
async def test_each_failure_is_explained(answer: HttpResponse, words: str) -> None:
    """What Voyado said, what it means, and which setting to look at; never the key."""
    client = InProcess()
    client.instead["GET", 0] = answer
    with pytest.raises(VendorError) as caught:
        await voyado_of(client).list_schemas()
    assert str(caught.value) == f"Listing the interaction schemas: Voyado Engage at {URL} {words}"


async def test_a_refused_schema_keeps_voyados_words() -> None:
    """What was created before it stays."""
    client = InProcess()
    voyado = voyado_of(client)
    client.instead["POST", 1] = HttpResponse(
        400, JSON, b'{"message":"Schema b is not to my taste"}'
    )
    rows = plan([schema(id_, a=rules()) for id_ in "abc"], await voyado.list_schemas())
    with pytest.raises(VendorError) as caught:
        _ = [id_ async for id_ in operations.create_missing(voyado, rows)]
    assert set(client.voyado.schemas) == {"productClick", "addToCart", "a"}
    assert str(caught.value) == (
        f"Creating the schema b: Voyado Engage at {URL} refuses that: 400 Schema b is not to my "
        "taste. Read what it says; nothing was changed by it."
    )


# -- replacing


def click_with(**more: Any) -> Definition:
    """The shipped click with more properties."""
    (click, _) = load_definitions(None, section_of())
    properties = {**click.properties, **more}
    return click.model_copy(update={"json_schema": {**click.json_schema, "properties": properties}})


async def stored(client: InProcess) -> Voyado:
    """An voyado whose Voyado holds one interaction of productClick."""
    body = {
        "contactId": CONTACT,
        "schemaId": "productClick",
        "createdDate": "2026-11-20T09:59:58.120Z",
        "payload": {"eventId": "e-1", "productSku": "8S-1042"},
    }
    headers = {"apikey": KEY, "User-Agent": "A/1", "Content-Type": "application/json"}
    request = HttpRequest("POST", "/api/v3/interactions", headers, json.dumps(body).encode())
    await client.send(request)
    client.requests.clear()
    assert has_interaction(client)
    return voyado_of(client)


async def replaced(client: InProcess, new: Definition) -> None:
    """Replace productClick."""
    voyado = await stored(client)
    old = await voyado.get_schema("productClick")
    assert old is not None
    client.requests.clear()
    await operations.replace(voyado, old, new)


async def test_replacing_deletes_the_interactions_and_makes_the_schema_anew() -> None:
    """One DELETE, one POST, no other schema touched."""
    client, new = InProcess(), click_with(colour=rules())
    await replaced(client, new)
    assert [(r.method, r.path) for r in client.requests] == [
        ("DELETE", "/api/v3/interactionschemas/productClick"),
        ("POST", "/api/v3/interactionschemas"),
    ]
    assert await voyado_of(client).get_schema("productClick") == new
    assert await voyado_of(client).get_schema("addToCart") is not None
    assert not has_interaction(client)


def has_interaction(client: InProcess) -> bool:
    """Whether the contact still has an interaction of productClick."""
    headers = {"apikey": KEY, "User-Agent": "A/1", "Content-Type": "application/json"}
    query = {"contactId": CONTACT, "schemaId": "productClick"}
    call = Call("GET", "/api/v3/interactions", query, headers, b"", 99, 0.0)
    return bool(json.loads(client.voyado.answer(call).body)["items"])


async def test_a_deletion_without_an_answer_is_looked_for() -> None:
    """It was done: the new schema is created."""
    client, new = InProcess(), click_with(colour=rules())
    client.lost.add(("DELETE", 0))
    await replaced(client, new)
    assert [r.method for r in client.requests] == ["DELETE", "GET", "POST"]
    assert await voyado_of(client).get_schema("productClick") == new


async def test_a_deletion_that_was_not_done_ends_it() -> None:
    """The old schema is there with its interactions, and nothing is created."""
    client = InProcess()
    client.instead["DELETE", 0] = HttpResponse(503, JSON, b"{}")
    with pytest.raises(SetupError, match="Deleting the schema productClick"):
        await replaced(client, click_with(colour=rules()))
    assert client.asked("POST") == 0
    assert has_interaction(client)


async def test_creating_is_tried_again_with_growing_waits() -> None:
    """Throttled, failing, and created although no answer came: the third try finds it there."""
    client, clock = InProcess(), Clock()
    old = await voyado_of(client).get_schema("productClick")
    assert old is not None
    client.requests.clear()
    client.instead["POST", 0] = HttpResponse(429, JSON | {"retry-after": "5"}, b"{}")
    client.lost.add(("POST", 1))
    new = click_with(colour=rules())
    await operations.replace(voyado_of(client, clock), old, new)
    assert [r.method for r in client.requests] == ["DELETE", "POST", "POST", "POST", "GET"]
    assert [seconds for seconds in clock.slept if seconds > 1] == [5.0, 10.0]
    assert await voyado_of(client).get_schema("productClick") == new


async def test_a_refused_new_schema_puts_the_old_one_back() -> None:
    """Without its interactions, and that is said."""
    client = InProcess()
    client.instead["POST", 0] = HttpResponse(400, JSON, b'{"message":"No colours"}')
    old = await voyado_of(client).get_schema("productClick")
    assert old is not None
    with pytest.raises(SetupError) as caught:
        await operations.replace(voyado_of(client), old, click_with(colour=rules()))
    assert str(caught.value) == (
        f"Creating the schema productClick: Voyado Engage at {URL} refuses that: 400 No colours. "
        "Read what it says; nothing was changed by it. The schema was deleted with its "
        "interactions before that; it was put back as it had been, without them."
    )
    assert await voyado_of(client).get_schema("productClick") == old


async def test_a_schema_that_stays_deleted_is_shown_in_full() -> None:
    """With the command that ends this, and what the old one was."""
    client = InProcess()
    old = await voyado_of(client).get_schema("productClick")
    assert old is not None
    for number in range(4):
        client.instead["POST", number] = HttpResponse(503, JSON, b"{}")
    with pytest.raises(SetupError) as caught:
        await operations.replace(voyado_of(client), old, click_with(colour=rules()))
    text = str(caught.value)
    assert "was deleted with its interactions, and is not made anew: run " in text
    assert "`streams voyado-schemas apply`" in text
    assert text.endswith(f"It had been: {old.text()}")
    assert client.asked("POST") == 4


async def test_stopping_half_way_says_so() -> None:
    """Ctrl-C between deletion and creation leaves nobody guessing."""

    class Stopped(Clock):
        """Is stopped while it waits for longer than a turn of the quota."""

        async def sleep(self, seconds: float) -> None:
            if seconds > 1:
                raise asyncio.CancelledError

    client = InProcess()
    old = await voyado_of(client).get_schema("productClick")
    assert old is not None
    client.instead["POST", 0] = HttpResponse(503, JSON, b"{}")
    with pytest.raises(SetupError, match="Stopped half-way"):
        await operations.replace(voyado_of(client, Stopped()), old, click_with(colour=rules()))
