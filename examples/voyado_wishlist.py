"""A wishlist as interactions at Voyado Engage: schema, contact, interaction."""

import asyncio
from datetime import UTC, datetime

from streams.clients import InvalidRequest, Voyado
from streams.vendors.voyado.models import NewInteraction


def rule(type_: str, display_name: str, **more: str) -> dict[str, str]:
    """Return one property of a schema; flags are texts at Voyado."""
    return {"type": type_, "displayName": display_name, "showInContactCard": "true", **more}


WISHLIST = {
    "id": "wishlist",
    "displayName": "Wishlist",
    "jsonSchema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            # By this a repeat is recognised: Voyado itself stores an interaction twice.
            "eventId": rule("string", "Event ID") | {"showInContactCard": "false"},
            "date": rule("string", "Date", format="date-time"),
            "productSku": rule("string", "SKU", addToSegmentation="true"),
            "price": rule("number", "Price"),
        },
        "required": ["eventId", "productSku"],
    },
}


async def main() -> None:
    """Put a product on a contact's wishlist, and take it off again."""
    async with Voyado() as voyado:
        if await voyado.get_schema("wishlist") is None:
            await voyado.create_schema(WISHLIST)
        contact = await voyado.find_contact(custom_key="204")
        if contact is None:
            print("nobody has this key")
            return
        now = datetime(2026, 11, 27, 13, 15, 2, tzinfo=UTC)
        wish = NewInteraction(
            contact_id=contact,
            schema_id="wishlist",
            created_date=now.isoformat(),
            payload={"eventId": "wish-1", "productSku": "643078-0021", "price": 19.9},
        )
        # After a script that was stopped, an earlier run may have stored it.
        created = await voyado.create_interaction(wish, may_be_stored=True)
        for stored in await voyado.list_interactions(contact, "wishlist"):
            print(stored.created_date, stored.payload["productSku"])
        await voyado.delete_interaction(created.id)
        print("left:", len(await voyado.list_interactions(contact, "wishlist")))

        # Voyado takes what breaks the schema, and ignores it: the client refuses it.
        try:
            odd = wish.payload | {"price": "dear"}
            await voyado.create_interaction(wish.model_copy(update={"payload": odd}))
        except InvalidRequest as error:
            print("refused:", error)


asyncio.run(main())
