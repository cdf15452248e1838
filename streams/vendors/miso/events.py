"""A named event of the shop → one Miso record of any documented type, with exactly its properties.

| Miso | from |
| --- | --- |
| `type` | `miso` of `[events.NAME]` |
| `product_ids` | SKUs or product ids of what the event names |
| `product_group_ids`, `category`, `search`, `rating`, `duration` | the event's own, if the \
type has them |
| `custom_action_name` | `miso_custom_action_name` |
| any property of the type | an expression of `miso_fields` over the raw event |
| `context.custom_context` | the event's `properties`; our event id |
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo

from streams.core.enrich import EnrichedEvent, MappedEvent
from streams.core.errors import InvalidEvent
from streams.core.event_types import ShopEvent
from streams.core.expressions import FieldExpressions, check_expressions
from streams.core.outcome import DeadLetterReason, SkipReason
from streams.vendors.miso.mapping import PRODUCT_LEFT_OUT, products_of, record_of
from streams.vendors.miso.settings import MisoSettings
from streams.vendors.miso.types import PROPERTIES

_OF_THE_EVENT = ("product_group_ids", "category", "search", "rating", "duration")
_NEEDS_NO_PRODUCT = frozenset({"custom", "subscribe", "unsubscribe", "submit"})
"""Types that may be about the shop as a whole."""


class MisoEventSettings(BaseModel):
    """What Miso is to get of an event; part of a section ``[events.NAME]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    miso: str | None = None
    """Miso's type; None: Miso gets nothing of it."""
    miso_custom_action_name: str | None = Field(None, min_length=1, max_length=512)
    """Of type ``custom``, which needs one."""
    miso_fields: dict[str, str] = Field(default_factory=dict)
    """Property of the type → a JMESPath expression over the raw event."""

    @field_validator("miso")
    @classmethod
    def _type_is_documented(cls, value: str | None) -> str | None:
        if value is not None and value not in PROPERTIES:
            known = ", ".join(sorted(PROPERTIES))
            raise ValueError(f'"{value}" is no interaction type of Miso; there are {known}')
        return value

    @field_validator("miso_fields")
    @classmethod
    def _type_has_these(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        type_ = info.data.get("miso")
        allowed = PROPERTIES.get(type_ or "", frozenset()) - {"custom_action_name"}
        for name in value if type_ is not None else ():
            if name not in allowed:
                has = ", ".join(sorted(allowed)) or "none of its own"
                raise ValueError(
                    f"a record of type {type_} has no {name}; its properties are {has}"
                )
        check_expressions(value)
        return value

    @model_validator(mode="after")
    def _miso_belongs_together(self) -> "MisoEventSettings":
        if self.miso is None and (self.miso_fields or self.miso_custom_action_name):
            raise ValueError("miso names no type, so its other settings have no effect")
        if self.miso == "custom" and self.miso_custom_action_name is None:
            raise ValueError("miso_custom_action_name is missing, which the type custom needs")
        if self.miso not in (None, "custom") and self.miso_custom_action_name is not None:
            raise ValueError(f"miso_custom_action_name is for the type custom, not {self.miso}")
        return self


def event_mapper(
    settings: MisoSettings, events: Mapping[str, MisoEventSettings]
) -> Callable[[EnrichedEvent], dict[str, Any] | MappedEvent | SkipReason]:
    """Return the mapping of named events."""
    # Building the models takes about 20 ms, and only shops with named events need them.
    from streams.vendors.miso.models import read_record

    by_product_id = settings.product_id == "product_id"
    expressions = {
        name: FieldExpressions(section.miso_fields, "miso") for name, section in events.items()
    }

    def map_event(enriched: EnrichedEvent) -> dict[str, Any] | MappedEvent | SkipReason:
        event = enriched.event
        assert isinstance(event, ShopEvent)
        section = events.get(event.name)
        if section is None or section.miso is None:
            return SkipReason.UNMAPPED
        allowed = PROPERTIES[section.miso]
        own = {name: getattr(event, name) for name in _OF_THE_EVENT if name in allowed}
        notes: tuple[str, ...] = ()
        if "product_ids" in allowed:
            products, left_out = products_of(enriched, by_product_id=by_product_id)
            if left_out and not products and not own["product_group_ids"]:
                return SkipReason.UNKNOWN_PRODUCT
            own["product_ids"] = products or None
            notes = (PRODUCT_LEFT_OUT,) * left_out
        if "custom_action_name" in allowed:
            own["custom_action_name"] = section.miso_custom_action_name
        found = expressions[event.name].apply(event.record)
        own |= found.values
        has_products = own.get("product_ids") or own.get("product_group_ids")
        if "product_ids" in allowed and not has_products and section.miso not in _NEEDS_NO_PRODUCT:
            return SkipReason.NO_PRODUCTS
        mapped = record_of(
            enriched, section.miso, None, custom=event.properties, notes=(*notes, *found.notes)
        )
        made, notes = (
            (mapped.payload, mapped.notes) if type(mapped) is MappedEvent else (mapped, ())
        )
        record: dict[str, Any] = msgspec.to_builtins(made) | {
            name: msgspec.to_builtins(value) for name, value in own.items() if value is not None
        }
        try:
            read_record(record)
        except ValidationError as error:
            raise _misfit(error) from None
        return MappedEvent(record, notes=notes) if notes else record

    return map_event


def _misfit(error: ValidationError) -> InvalidEvent:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:] if type(part) is str) or "type"
    return InvalidEvent(DeadLetterReason.INVALID_PAYLOAD, f"{field}: {first['msg']}", field)
