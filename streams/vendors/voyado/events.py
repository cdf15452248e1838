"""A named event of the shop → one Voyado interaction by a schema of the shop's own.

| Voyado | from |
| --- | --- |
| `schemaId` | `voyado_schema_id` of `[events.NAME]` |
| `payload.eventId` | the event's id |
| `payload.PROPERTY` | an expression of `voyado_fields` over the raw event; `_product` is its \
product's row |
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from streams.core.enrich import EnrichedEvent, MappedEvent
from streams.core.errors import InvalidEvent
from streams.core.event_types import ShopEvent
from streams.core.expressions import FieldExpressions, check_expressions
from streams.core.outcome import DeadLetterReason, SkipReason
from streams.vendors.voyado.mapping import VoyadoInteraction, contact_key
from streams.vendors.voyado.schema import EVENT_ID, not_single
from streams.vendors.voyado.settings import SCHEMA_ID, VoyadoSettings


class VoyadoEventSettings(BaseModel):
    """What Voyado Engage is to get of an event; part of a section ``[events.NAME]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    voyado_schema_id: str | None = Field(None, pattern=SCHEMA_ID)
    """Its interaction schema; None: Voyado gets nothing of it."""
    voyado_fields: dict[str, str] = Field(default_factory=dict)
    """Property of the schema → a JMESPath expression over the raw event."""

    @field_validator("voyado_fields")
    @classmethod
    def _expressions_can_be_read(cls, value: dict[str, str]) -> dict[str, str]:
        if EVENT_ID in value:
            raise ValueError(f"{EVENT_ID} is always sent, and is the event's id")
        check_expressions(value)
        return value

    @model_validator(mode="after")
    def _voyado_belongs_together(self) -> "VoyadoEventSettings":
        if self.voyado_schema_id is None and self.voyado_fields:
            raise ValueError("voyado_schema_id is missing, so voyado_fields have no effect")
        return self


def event_mapper(
    settings: VoyadoSettings, events: Mapping[str, VoyadoEventSettings]
) -> Callable[[EnrichedEvent], VoyadoInteraction | MappedEvent | SkipReason]:
    """Return the mapping of named events."""
    expressions = {
        name: FieldExpressions(section.voyado_fields, "voyado") for name, section in events.items()
    }

    def map_event(enriched: EnrichedEvent) -> VoyadoInteraction | MappedEvent | SkipReason:
        event = enriched.event
        assert isinstance(event, ShopEvent)
        section = events.get(event.name)
        if section is None or section.voyado_schema_id is None:
            return SkipReason.UNMAPPED
        user = enriched.user
        contact_id = user.contact_id if user is not None else None
        contact = None if contact_id else contact_key(user, by_email=settings.lookup_email)
        if contact_id is None and contact is None:
            return SkipReason.NO_CONTACT
        more = {"_product": _row_of(enriched)}
        found = expressions[event.name].apply(event.record, more)
        payload = {EVENT_ID: enriched.event_id} | found.values
        if (nested := not_single(payload)) is not None:
            words = f"{nested} is not a single value"
            raise InvalidEvent(DeadLetterReason.INVALID_PAYLOAD, words, nested)
        interaction = VoyadoInteraction(
            section.voyado_schema_id, enriched.timestamp, payload, contact_id
        )
        if contact is None and not found.notes:
            return interaction
        return MappedEvent(interaction, contact, found.notes)

    return map_event


def _row_of(enriched: EnrichedEvent) -> Any:
    named = enriched.event.named()
    row = enriched.products.get(named[0].product_id or "") if named else None
    return None if row is None else msgspec.to_builtins(row)
