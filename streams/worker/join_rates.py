"""How many events find their user, product and SKU: what nobody notices until sales ask."""

from collections import Counter, deque
from collections.abc import Sequence

from streams.core.event_types import Event
from streams.core.masking import masked_id, masked_text
from streams.core.rows import User
from streams.core.snapshot import JoinHealth

KEPT_EXAMPLES = 3


class JoinRates:
    """Counts since the worker started, and the newest few events that missed something."""

    def __init__(self) -> None:
        self.events = 0
        self._missed: Counter[str] = Counter()
        self._newest: dict[str, Event] = {}
        self._examples: dict[str, deque[str]] = {
            what: deque(maxlen=KEPT_EXAMPLES) for what in ("user", "product", "sku")
        }

    def miss(self, event: Event, user: object, *, has_product: bool) -> None:
        """Count what an event misses that names no user or has no product row."""
        if event.user_id is None and (type(user) is not User or not user.user_id):
            self._missed["user"] += 1
            self._newest["user"] = event
        if not has_product:
            self._missed["product"] += 1
            self._newest["product"] = event
            if event.sku is None:
                self._missed["sku"] += 1
                self._newest["sku"] = event

    def health(self, secrets: Sequence[str] = ()) -> JoinHealth:
        """Return the counts with their examples, in which no secret is shown."""
        newest, self._newest = self._newest, {}
        for what, event in newest.items():
            words = _words(event, secrets)
            if words not in self._examples[what]:
                self._examples[what].append(words)
        return JoinHealth(
            self.events,
            self._missed["user"],
            self._missed["product"],
            self._missed["sku"],
            {what: list(reversed(kept)) for what, kept in self._examples.items() if kept},
        )


def _words(event: Event, secrets: Sequence[str]) -> str:
    return (
        f"product {masked_text(event.product_id or '', secrets)} of visitor "
        f"{masked_id(event.anonymous_id)} ({masked_text(event.event_id, secrets)})"
    )
