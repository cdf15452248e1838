"""Export and import of Voyado's interactions: nothing is lost, nothing is stored twice."""

import json
from typing import Any

import pytest

from streams.clients import InvalidRequest, VendorError, Voyado
from streams.core.errors import SetupError
from streams.lab.sandbox.voyado import VoyadoSimulator
from streams.lab.sandbox.voyado_contacts import contact_id_of
from streams.operations.voyado_interactions import (
    check_import,
    export_interactions,
    import_interactions,
    line_of,
    read_export,
)
from tests.clients.simulators import InMemory, settings_for
from tests.operations.voyado_schemas_in_process import Clock

ANNA = contact_id_of("customKey", "anna")
KATE = contact_id_of("customKey", "kate")
NOBODY = "00000000-0000-4000-8000-000000000000"


class Shop:
    """A Voyado environment with two contacts, and a client of it in time that sleeping moves."""

    def __init__(self) -> None:
        self.simulator = VoyadoSimulator()
        self.transport = InMemory(self.simulator)
        self.clock = Clock()
        settings = settings_for("https://shop.voyado.com")
        self.voyado = Voyado(
            settings, transport=self.transport, clock=self.clock, sleep=self.clock.sleep
        )

    async def fill(self, count: int = 3) -> None:
        """Store so many clicks of each contact."""
        for contact in (ANNA, KATE):
            for n in range(count):
                await self.voyado.create_interaction(
                    {
                        "contactId": contact,
                        "schemaId": "productClick",
                        "createdDate": f"2026-11-20T09:59:{n:02d}.120Z",
                        "payload": {"eventId": f"{contact[:8]}-{n}", "productSku": "8S-1042"},
                    }
                )

    async def exported(self, *contacts: str) -> list[str]:
        """The lines of an export of clicks."""
        unknown: list[str] = []
        found = export_interactions(
            self.voyado, contacts or (ANNA, KATE), ["productClick"], unknown
        )
        return [line_of(one) async for one in found]

    async def replace_schema(self, **more: Any) -> None:
        """Delete the schema of clicks with all its interactions; make it anew with more."""
        old = await self.voyado.get_schema("productClick")
        assert old is not None
        await self.voyado.delete_schema("productClick")
        json_schema = {**old.json_schema, "properties": {**old.properties, **more}}
        await self.voyado.create_schema(old.model_copy(update={"json_schema": json_schema}))


async def test_a_schema_is_changed_and_its_interactions_are_kept() -> None:
    """Export, delete, create, import: the same contacts, dates and payloads, under new ids."""
    shop = Shop()
    await shop.fill(60)
    before = await shop.exported()
    assert len(before) == 120
    await shop.replace_schema(
        size={"type": "string", "displayName": "Size", "showInContactCard": "true"}
    )
    assert await shop.exported() == []
    interactions = read_export(before)
    await check_import(shop.voyado, interactions)
    result = await import_interactions(shop.voyado, interactions)
    assert (result.stored, result.were_there, result.refused) == (120, 0, {})
    assert without_ids(await shop.exported()) == without_ids(before)


def without_ids(lines: list[str]) -> list[dict[str, Any]]:
    """The interactions of an export without Voyado's ids."""
    return [{k: v for k, v in json.loads(line).items() if k != "id"} for line in lines]


async def test_a_stopped_import_goes_on_where_it_stopped() -> None:
    """What is stored is known by its event id, also what was stored without an answer."""
    shop = Shop()
    await shop.fill()
    lines = await shop.exported()
    await shop.replace_schema()
    interactions = read_export(lines)
    assert (await import_interactions(shop.voyado, interactions[:4])).stored == 4
    # Next: the list of each contact, then the fifth interaction, whose answer is lost.
    shop.transport.lost = {len(shop.transport.requests) + 2}
    result = await import_interactions(shop.voyado, interactions)
    assert (result.stored, result.were_there) == (2, 4)
    assert without_ids(await shop.exported()) == without_ids(lines)
    again = await import_interactions(shop.voyado, interactions)
    assert (again.stored, again.were_there) == (0, 6)


async def test_a_lost_request_is_looked_for_before_it_is_sent_again() -> None:
    """Voyado is asked first, after the wait of its retry policy; then it is sent once more."""
    shop = Shop()
    await shop.fill(1)
    lines = await shop.exported(ANNA)
    await shop.replace_schema()
    shop.clock.slept.clear()
    first = len(shop.transport.requests)
    # List, schema, then the POST, and the look-up after it: both answers are lost.
    shop.transport.lost = {first + 2, first + 3}
    result = await import_interactions(shop.voyado, read_export(lines))
    asked = [r.method for r in shop.transport.requests[first:]]
    assert asked == ["GET", "GET", "POST", "GET", "GET"]
    assert (result.stored, len(await shop.exported(ANNA))) == (1, 1)
    assert max(shop.clock.slept) == 10.0


async def test_what_voyado_refuses_is_named_and_the_others_go_on() -> None:
    """A contact that is gone, a payload that the schema would ignore."""
    shop = Shop()
    await shop.fill(1)
    anna, kate = map(json.loads, await shop.exported())
    await shop.replace_schema()
    gone = anna | {"contactId": NOBODY}
    odd = anna | {"payload": anna["payload"] | {"eventId": "odd", "price": "dear"}}
    more = kate | {"payload": kate["payload"] | {"colour": "red"}}
    lines = [json.dumps(one) for one in (gone, odd, more)]
    result = await import_interactions(shop.voyado, read_export(lines))
    assert (result.stored, result.left_out, list(result.refused)) == (1, {"colour"}, [0, 1])
    assert "404 ContactNotFound" in result.refused[0]
    assert "price is no number" in result.refused[1]


async def test_voyado_that_stays_away_ends_the_import_with_its_words() -> None:
    """After the waits of its retry policy."""
    shop = Shop()
    await shop.fill(1)
    interactions = read_export(await shop.exported())
    await shop.replace_schema()
    shop.clock.slept.clear()
    shop.transport.lost = set(range(1000))
    with pytest.raises(VendorError, match="no answer within 60 s"):
        await import_interactions(shop.voyado, interactions)
    assert [s for s in shop.clock.slept if s >= 1] == [10.0, 30.0, 60.0, 300.0]


async def test_a_schema_that_cannot_tell_repeats_apart_is_refused_before_anything_is_sent() -> None:
    """Or one that is not there."""
    shop = Shop()
    await shop.fill(1)
    lines = await shop.exported()
    with pytest.raises(SetupError, match="Voyado has no schema wishlist: create it"):
        await check_import(shop.voyado, read_export(lines, "wishlist"))
    rule = {"type": "string", "displayName": "SKU", "showInContactCard": "true"}
    shop.simulator.schemas["wishlist"] = {
        "id": "wishlist",
        "displayName": "Wishlist",
        "jsonSchema": {"type": "object", "properties": {"productSku": rule}},
    }
    with pytest.raises(SetupError, match="has no property eventId"):
        await check_import(shop.voyado, read_export(lines, "wishlist"))


async def test_an_export_names_contacts_that_are_gone_and_schemas_that_are_not_there() -> None:
    """A schema that is missing ends it before the first line."""
    shop = Shop()
    await shop.fill(1)
    unknown: list[str] = []
    listed = [
        one
        async for one in export_interactions(
            shop.voyado, [ANNA, KATE], ["productClick", "addToCart"], unknown
        )
    ]
    assert [one.contact_id for one in listed] == [ANNA, KATE]
    with pytest.raises(SetupError, match="Voyado has no schema wishlist"):
        _ = [one async for one in export_interactions(shop.voyado, [ANNA], ["wishlist"], unknown)]


def test_an_interaction_without_an_event_id_gets_its_former_id() -> None:
    """So that a repeat can be known; values that are null are not there."""
    line = {
        "id": "i-1",
        "contactId": ANNA,
        "schemaId": "repair",
        "createdDate": "2026-11-20T09:59:58Z",
        "payload": {"brand": "Acme", "storeId": None},
    }
    (one,) = read_export(["", json.dumps(line)], "repair-2")
    assert one.payload == {"eventId": "i-1", "brand": "Acme"}
    assert (one.schema_id, one.created_date) == ("repair-2", "2026-11-20T09:59:58Z")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: it is not JSON"),
        ("[]", "line 2: it is no interaction"),
        ('{"payload": {"eventId": "e"}}', "line 2: createdDate is missing"),
        (
            '{"payload": {}, "createdDate": "2026-11-20T09:59:58Z"}',
            "line 2: neither payload.eventId nor id is there",
        ),
        (
            '{"payload": {"eventId": "e"}, "createdDate": "2026-11-20T09:59:58Z"}',
            "line 2: contactId: Field required; schemaId: Field required",
        ),
    ],
)
def test_a_line_that_is_no_interaction_is_named(line: str, words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidRequest, match=words):
        read_export(["", line])
