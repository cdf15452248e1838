"""The kinds of events that a shop writes: one table of sources, topics and event types. Pure.

Code that treats all kinds alike (topics, settings, enrichment, commands) uses this table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams.core.event_types import (
    SET_BY_PARSER,
    AddToCart,
    Click,
    ContentView,
    Event,
    Order,
    ShopEvent,
)
from streams.core.fields import FIELDS


@dataclass(frozen=True, slots=True)
class EventKind:
    """One kind; ``events.EventParser`` parses its records."""

    source: str
    """Its name in ``[source.X]``, ``[ingest.NAME] to``, commands and the name of its topic."""
    event: type[Event]
    """The type of its parsed events."""
    is_optional: bool = False
    """Whether it is off until ``[source.X] enabled`` is true."""
    other_words: tuple[str, ...] = ()
    """Other names that people use for it."""

    @property
    def event_type(self) -> str:
        """Its name in vendor records."""
        return self.event.event_type

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of its records: ``FIELDS``, which all kinds have, and its own."""
        own = (name for name in self.event.__struct_fields__ if name not in SET_BY_PARSER)
        return tuple(dict.fromkeys((*FIELDS, *own)))

    @property
    def topic(self) -> str:
        """Its raw topic, without the prefix."""
        return f"shop.{self.source}"


KINDS: Mapping[str, EventKind] = {
    kind.source: kind
    for kind in (
        EventKind("clicks", Click),
        EventKind("add-to-carts", AddToCart, other_words=("cart", "carts")),
        EventKind("orders", Order, is_optional=True),
        EventKind("content-views", ContentView, is_optional=True),
        EventKind("events", ShopEvent, is_optional=True),
    )
}
"""By source, in the order in which people see them."""

ALWAYS_ON = tuple(kind.source for kind in KINDS.values() if not kind.is_optional)


def kind_of(word: str, sources: Iterable[str] = KINDS) -> EventKind | None:
    """Return the kind among these that a word means; case, ``-`` and ``_`` do not matter."""
    plain = _plain(word)
    for kind in map(KINDS.__getitem__, sources):
        event_type = kind.event_type
        if plain in map(_plain, (kind.source, event_type, f"{event_type}s", *kind.other_words)):
            return kind
    return None


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
