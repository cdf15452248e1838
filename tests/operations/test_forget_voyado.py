"""Interactions that no receipt names any more are found at Voyado by listing, and deleted."""

import json
from typing import Any

from pydantic import SecretStr

from streams.lab.sandbox.voyado_contacts import contact_id_of
from streams.operations.forget.plan import AtVendor
from streams.operations.forget.report import Done, VendorWord
from streams.operations.forget.vendors import erase
from streams.vendors import VENDORS
from streams.vendors.base import HttpResponse, Trail
from streams.vendors.voyado import VoyadoSettings
from streams.vendors.voyado.api import PrivateRequest, headers
from tests.operations.voyado_schemas_in_process import JSON, Clock, InProcess

SETTINGS = VoyadoSettings(base_url="https://shop.voyado.com", api_key=SecretStr("the-key"))
ANNA = contact_id_of("customKey", "anna-7")
KATE = contact_id_of("customKey", "kate-8")


async def store(client: InProcess, contact: str, schema: str, **payload: Any) -> str:
    """Store an interaction as whoever has the key; return Voyado's id."""
    body = {"contactId": contact, "schemaId": schema, "payload": payload}
    encoded = json.dumps(body).encode()
    request = PrivateRequest("POST", "/api/v3/interactions", headers(SETTINGS), encoded)
    answer = json.loads((await client.send(request)).body)
    client.requests.clear()
    return str(answer["id"])


async def forget(client: InProcess, trail: Trail, clock: Clock | None = None) -> VendorWord:
    """Delete in time that only sleeping moves."""
    clock = clock or Clock()
    return await erase(
        VENDORS["voyado"],
        SETTINGS,
        trail,
        AtVendor(),
        has_credentials=True,
        new_client=lambda _: client,
        secrets=("the-key",),
        sleep=clock.sleep,
        clock=clock,
    )


async def test_old_interactions_are_found_on_all_pages_and_deleted() -> None:
    """Of all schemas that the settings name; other contacts' and other senders' stay."""
    client = InProcess()
    for n in range(60):
        await store(client, ANNA, "productClick", eventId=f"e-{n}", productSku="8S-1042")
    await store(client, ANNA, "addToCart", eventId="e-60", productSku="8S-1042", quantity=1)
    kates = await store(client, KATE, "productClick", eventId="e-61", productSku="8S-1042")
    for id_ in ("wishlist", "repair"):
        client.voyado.schemas[id_] = client.voyado.schemas["productClick"] | {"id": id_}
    wish = await store(client, ANNA, "wishlist", eventId="e-62", productSku="8S-1042")
    await store(client, ANNA, "repair", eventId="e-63", productSku="8S-1042")
    of_events = ("repair", "unregistered")
    trail = Trail("v-1", contacts=(("contactId", ANNA.upper()),), voyado_schema_ids=of_events)
    word = await forget(client, trail)
    assert (word.done, word.deleted, word.requests) == (Done.DELETED, "62 interactions", 62)
    left = [row["event_id"] for row in client.voyado.ledger.rows() if not row["erased"]]
    assert left == ["e-61", "e-62"]
    assert ANNA.upper() in word.by_hand
    assert client.voyado._interactions.get(kates) is not None
    assert client.voyado._interactions.get(wish) is not None


async def test_the_contact_is_looked_up_by_the_key_of_the_row() -> None:
    """A key without a contact has nothing to delete; one that many share is not asked for."""
    client = InProcess()
    await store(client, ANNA, "productClick", eventId="e-1", productSku="8S-1042")
    keys = (("customKey", "anna-7"), ("customKey", "sandbox-unknown"), ("customKey", "undefined"))
    word = await forget(client, Trail("v-1", contacts=keys))
    assert (word.done, word.deleted) == (Done.DELETED, "1 interaction")
    asked = [r.path for r in client.requests if "contacts/id" in r.path]
    assert asked == [
        "/api/v3/contacts/id?customKey=anna-7",
        "/api/v3/contacts/id?customKey=sandbox-unknown",
    ]


async def test_receipts_and_lists_name_an_interaction_once() -> None:
    """And what only a receipt knows is deleted, too."""
    client = InProcess()
    listed = await store(client, ANNA, "productClick", eventId="e-1", productSku="8S-1042")
    word = await forget(client, Trail("v-1", subjects=(ANNA,), references=("i-9", listed)))
    deleted = [r.path.rpartition("/")[2] for r in client.requests if r.method == "DELETE"]
    assert (word.done, deleted) == (Done.DELETED, ["i-9", listed])


async def test_nothing_is_asked_of_whom_voyado_cannot_know() -> None:
    """A visitor without any contact."""
    client = InProcess()
    word = await forget(client, Trail("v-1"))
    assert (word.done, client.requests, client.is_closed) == (Done.NOTHING, [], True)


async def test_a_list_that_cannot_be_read_is_asked_for_again_and_then_said() -> None:
    """Nobody may take it for forgotten."""
    client, clock = InProcess(), Clock()
    client.instead = {
        ("GET", n): HttpResponse(503, JSON, b'{"message":"busy"}') for n in range(1, 9)
    }
    word = await forget(client, Trail("v-1", subjects=(ANNA,)), clock)
    assert word.done is Done.FAILED
    assert word.problem.startswith(
        "Voyado Engage did not delete: 503 busy. Run this command again later"
    )
    assert client.asked("GET") == 6
    assert client.asked("DELETE") == 0
