"""A named event of the shop → one 8SELECT ``interact`` event, its action chosen by the settings."""

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict, Field

from streams.core.enrich import EnrichedEvent, MappedEvent
from streams.core.event_types import ShopEvent
from streams.core.outcome import SkipReason
from streams.vendors.eightselect.mapping import InteractEvent, interaction_maker
from streams.vendors.eightselect.settings import EightSelectSettings

PRODUCTS_LEFT_OUT = "left_out:eightselect.product_ids"
"""Note: an interaction is about one product, the first that the event names."""


class EightSelectEventSettings(BaseModel):
    """What 8SELECT is to get of an event; part of a section ``[events.NAME]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    eightselect_action: str | None = Field(None, min_length=1, max_length=100)
    """Its action; None: 8SELECT gets nothing of it."""


def event_mapper(
    settings: EightSelectSettings, events: Mapping[str, EightSelectEventSettings]
) -> Callable[[EnrichedEvent], InteractEvent | MappedEvent | SkipReason]:
    """Return the mapping of named events; raises SettingsError without user_id_secret."""
    interact = interaction_maker(settings)

    def map_event(enriched: EnrichedEvent) -> InteractEvent | MappedEvent | SkipReason:
        event = enriched.event
        assert isinstance(event, ShopEvent)
        section = events.get(event.name)
        if section is None or section.eightselect_action is None:
            return SkipReason.UNMAPPED
        named = event.named()
        sku = enriched.sku_of(named[0]) if named else None
        if sku is None:
            return SkipReason.UNKNOWN_PRODUCT
        made = interact(enriched, section.eightselect_action, sku)
        if len(named) > 1 and not isinstance(made, SkipReason):
            return MappedEvent(made, notes=(PRODUCTS_LEFT_OUT,))
        return made

    return map_event
