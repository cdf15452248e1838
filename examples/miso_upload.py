"""Interactions to Miso: one, many, as JSON; what it refuses; deletion of a user's."""

import asyncio

from streams.clients import InvalidRequest, Miso

ADD_TO_CART = {
    "type": "add_to_cart",
    "product_ids": ["a001", "a002"],
    "quantities": [3, 5],
    "user_id": "u-204",
}
CHECKOUT = {
    "type": "checkout",
    "product_ids": ["a001", "a002"],
    "quantities": [3, 5],
    "revenue": 119.4,
    "user_id": "u-204",
}


async def main() -> None:
    """Upload what a user did, and forget the user."""
    async with Miso() as miso:
        await miso.upload(ADD_TO_CART)
        print("checked:", await miso.upload([ADD_TO_CART, CHECKOUT], dry_run=True))
        print("uploaded:", await miso.upload([ADD_TO_CART, CHECKOUT] * 600))
        print("uploaded:", await miso.upload('[{"type": "home_page_view", "user_id": "u-204"}]'))
        try:
            await miso.upload([CHECKOUT, {"type": "rate", "rating": 10, "user_id": "u-204"}])
        except InvalidRequest as error:
            print("refused:", error)
        await miso.delete("u-204")
    print("deleted: u-204")


asyncio.run(main())
