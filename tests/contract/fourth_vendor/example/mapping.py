"""An enriched event → one event of Example.

| Example | from |
| --- | --- |
| `id` | our event id |
| `kind` | `view`; `cart` |
| `at` | the event's time, UTC with milliseconds |
| `visitor` | `anonymous_id` |
| `customer` | `user_id`: the event's, else the user row's |
| `sku` | the event's, else the product row's |
| `count` | the event's `quantity` (add-to-carts) |
"""

from collections.abc import Callable, Mapping

import msgspec

from streams.core.enrich import EnrichedEvent
from streams.core.errors import InvalidEvent
from streams.core.event_types import AddToCart
from streams.core.outcome import DeadLetterReason, SkipReason

from .settings import ExampleSettings

KINDS: Mapping[str, str] = {"click": "view", "add_to_cart": "cart"}
"""Our event type → ``kind``."""
MAX_VISITOR_CHARS = 128
"""[D]: "visitor: up to 128 characters"."""


class ExampleEvent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What Example receives for one event."""

    id: str
    kind: str
    at: str
    visitor: str
    sku: str
    customer: str | None = None
    count: int | None = None


def mapper(_settings: ExampleSettings) -> Callable[[EnrichedEvent], ExampleEvent | SkipReason]:
    """Return the mapping under these settings."""

    def map_event(enriched: EnrichedEvent) -> ExampleEvent:
        event = enriched.event
        if len(enriched.anonymous_id) > MAX_VISITOR_CHARS:
            raise InvalidEvent(
                DeadLetterReason.INVALID_PAYLOAD,
                f"visitor: Example takes at most {MAX_VISITOR_CHARS} characters",
                "visitor",
            )
        return ExampleEvent(
            enriched.event_id,
            KINDS[enriched.event_type],
            enriched.timestamp,
            enriched.anonymous_id,
            enriched.sku,
            enriched.user_id,
            event.quantity if isinstance(event, AddToCart) else None,
        )

    return map_event
