"""Draws the pictures of the documentation: ``python -m tests.web.screenshots``.

From made-up snapshots, so that they show the same whenever they are drawn.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web

from streams.core.times import utc_text
from tests.web import scenes
from tests.web.browser import browser, tab

FOLDER = Path(__file__).parents[2] / "docs" / "images"
OUTCOME_HANDLER = {"width": 1240, "height": 1010}
PHONE = {"width": 390, "height": 1000}


async def draw() -> None:
    """Write all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with browser() as chrome:
        now = scenes.now_ms()
        async with scenes.scene(scenes.refused_key(now), past_minutes=60) as shown:
            await _shoot(chrome, shown.url, "dashboard-light.png", OUTCOME_HANDLER, "light")
            await _shoot(chrome, shown.url, "dashboard-phone.png", PHONE, "light")
        pages = [web.get("/api/trace", _trace)]
        async with scenes.scene(scenes.calm(now), past_minutes=60, pages=pages) as shown:
            await _shoot(chrome, shown.url, "dashboard-dark.png", OUTCOME_HANDLER, "dark")
            async with tab(chrome, scheme="light") as found:
                await found.open(shown.url)
                await found.page.fill("#search-text", "e-41c2")
                await found.page.keyboard.press("Enter")
                await found.page.wait_for_selector("#search-found .found")
                card = found.page.locator("section", has_text="Where is my event?").last
                await card.screenshot(path=FOLDER / "trace.png")


async def _shoot(chrome: Any, url: str, name: str, size: dict[str, int], scheme: str) -> None:
    async with tab(chrome, size=size, scheme=scheme) as found:
        await found.open(url)
        await found.page.wait_for_selector(".curve path.line")
        await found.page.screenshot(path=FOLDER / name)


async def _trace(request: web.Request) -> web.StreamResponse:
    """Answer as ``/api/trace`` does for an add-to-cart that two vendors have and one skipped."""
    now = scenes.now_ms() - 192_000

    def at(ms: int) -> str:
        return utc_text(now + ms)

    enriched = {"kind": "enriched", "text": "Mapped and written for the sink.", "at": at(38)}
    payload = {"type": "add_to_cart", "anonymous_id": "#veah", "product_ids": ["SKU-10442"]}
    trace = {
        "asked": {"event": "e-41c2"},
        "events": [
            {
                "event_id": "e-41c2",
                "source": "shop.add-to-carts/3/118204",
                "text": "An add-to-cart of SKU-10442: accepted by two vendors, skipped for one.",
                "event_type": "add_to_cart",
                "sku": "SKU-10442",
                "visitor": "#veah",
                "steps": [
                    {
                        "kind": "raw",
                        "text": "Written by the shop.",
                        "at": at(0),
                        "place": "shop.add-to-carts/3/118204",
                    }
                ],
                "vendors": [
                    {
                        "vendor": "eightselect",
                        "name": "8SELECT",
                        "outcome": "skipped",
                        "text": "Skipped: the event happened outside 8SELECT content.",
                        "steps": [
                            {
                                "kind": "skipped",
                                "text": "Skipped in enrichment.",
                                "at": at(38),
                                "reason": "outside_content",
                            }
                        ],
                    },
                    {
                        "vendor": "voyado",
                        "name": "Voyado Engage",
                        "outcome": "accepted",
                        "text": "Voyado Engage has it.",
                        "steps": [
                            enriched,
                            {
                                "kind": "accepted",
                                "text": "Accepted at the second attempt.",
                                "at": at(10_412),
                                "attempts": 3,
                                "status": 201,
                                "vendor_ref": "84d7…",
                            },
                        ],
                    },
                    {
                        "vendor": "miso",
                        "name": "Miso",
                        "outcome": "accepted",
                        "text": "Miso has it.",
                        "steps": [
                            enriched | {"payload": payload},
                            {
                                "kind": "accepted",
                                "text": "Accepted.",
                                "at": at(361),
                                "attempts": 1,
                                "status": 200,
                            },
                        ],
                    },
                ],
            }
        ],
        "more": False,
        "notes": [],
        "records": 41_204,
        "seconds": 0.4,
    }
    return web.Response(text=json.dumps({"trace": trace}) + "\n")


if __name__ == "__main__":
    asyncio.run(draw())
