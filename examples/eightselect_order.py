"""A view, an interaction and an order at 8SELECT, each validated first."""

import asyncio

from streams.clients import EightSelect
from streams.vendors.eightselect.models import (
    ContentPart,
    InteractRequest,
    OrderRequest,
    ViewRequest,
)

USER = "c57a43f7-eefc-462b-b5a8-0ef421e90f67"  # the value of the visitor's cookie _8s_cid


async def main() -> None:
    """Send what happened in one visit."""
    content = ContentPart.of("matchingProductClusters", "457297-0001-00340")
    view = ViewRequest.of("matchingProductClusters", "457297-0001-00340", user_id=USER)
    click = InteractRequest.of("654321-7890", user_id=USER, action="click", content=content)
    line = {"sku": "654321-7890", "quantity": 2, "grossPrice": {"amount": 19.9, "currency": "EUR"}}
    order = OrderRequest.of("2026-1042", [line], user_id=USER)

    async with EightSelect() as eightselect:
        for event in (view, click, order):
            for problem in await eightselect.validate(event):
                print(event.type, problem.instance_path, problem.message)
        await eightselect.view(view)
        await eightselect.interact(click)
        await eightselect.order(order)
        # 8SELECT leaves out an order whose id it has: sending one again does no harm.
        await eightselect.order(order)
    print("sent: view, interact, order")


asyncio.run(main())
