"""What ``streams check`` asks: whether the registered schemas take what will be sent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpResponse, Inquiry
from streams.vendors.responses import is_page, text_of, undocumented
from streams.vendors.voyado.api import NOT_FOUND, get_schema, judge
from streams.vendors.voyado.definition import TYPES
from streams.vendors.voyado.events import VoyadoEventSettings
from streams.vendors.voyado.schema import EVENT_ID, Schema, read_schema
from streams.vendors.voyado.settings import VoyadoSettings

CLICK_TYPES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("eventId", "productSku", "productName", "category", "brand", "currency", "url"),
        ("string",),
    ),
    "price": ("number",),
}
"""Property of a click → the types by which a schema may call it."""
ADD_TO_CART_TYPES: Mapping[str, tuple[str, ...]] = {
    **CLICK_TYPES,
    "quantity": ("integer", "number"),
}

ALWAYS_SENT = frozenset({"eventId", "productSku", "quantity"})
"""Whatever the event and its rows say; ``quantity`` of add-to-carts."""


class SchemaUse(NamedTuple):
    """A schema by which the relay sends interactions."""

    setting: str
    """Where its id stands."""
    schema_id: str
    types: Mapping[str, tuple[str, ...]]
    """Property → the types by which a schema may call it, the first being what is sent."""


NO_EVENTS: Mapping[str, VoyadoEventSettings] = MappingProxyType({})


def schema_uses(
    settings: VoyadoSettings, events: Mapping[str, VoyadoEventSettings] = NO_EVENTS
) -> Sequence[SchemaUse]:
    """Return each use of a schema; ``events`` are sections by name."""
    cart_id = settings.add_to_cart_schema_id
    uses = [SchemaUse("[voyado] add_to_cart_schema_id", cart_id, ADD_TO_CART_TYPES)]
    if settings.clicks != "off":
        click_id = settings.click_schema_id
        uses.insert(0, SchemaUse("[voyado] click_schema_id", click_id, CLICK_TYPES))
    for name, section in events.items():
        if section.voyado_schema_id is not None:
            # What an expression finds may be of any type; each payload is judged by the sink.
            types = {EVENT_ID: ("string",)} | dict.fromkeys(section.voyado_fields, TYPES)
            setting = f"[events.{name}] voyado_schema_id"
            uses.append(SchemaUse(setting, section.voyado_schema_id, types))
    return uses


def inquiries(
    settings: VoyadoSettings, events: Mapping[str, VoyadoEventSettings] = NO_EVENTS
) -> Sequence[Inquiry]:
    """Return a question for each schema that is in use; ``events`` are sections by name."""
    return [
        Inquiry(
            f'schema "{schema_id}"',
            get_schema(schema_id, settings),
            _reader(types),
            f"Name a schema in {setting} that has the properties of this relay: a "
            "registered one cannot be changed, and deleting it deletes all its interactions.",
        )
        for setting, schema_id, types in schema_uses(settings, events)
    ]


def _reader(types: Mapping[str, tuple[str, ...]]) -> Callable[[HttpResponse, int], Verdict]:
    def read(response: HttpResponse, _count: int) -> Verdict:
        verdict = judge(response)
        if response.status == NOT_FOUND and not is_page(response):
            return replace(
                verdict, outcome=RequestOutcome.REJECTED, detail="404, it is not registered"
            )
        if verdict.outcome is not RequestOutcome.ACCEPTED:
            return verdict
        schema = read_schema(response.body)
        if schema.properties is None and verdict.vendor_ref is None:
            return replace(
                undocumented(response, text_of(response)), outcome=RequestOutcome.UNAVAILABLE
            )
        problems = _problems(schema, types)
        if problems:
            return replace(verdict, outcome=RequestOutcome.REJECTED, detail="; ".join(problems))
        lacking = [name for name in types if name not in (schema.properties or types)]
        words = [f"it has no {', '.join(lacking)}, which is left out"] if lacking else []
        risks = _risks(schema, types)
        if risks:
            words.append(f"an event that breaks one of these becomes a dead letter: {risks}")
        return replace(verdict, detail="; ".join(words))

    return read


def _risks(schema: Schema, types: Mapping[str, tuple[str, ...]]) -> str:
    """Return the rules that data of a shop may break, whatever is sent in general."""
    found = [
        f"{name or 'the payload'}: {', '.join(schema.keywords[name])}"
        for name in ("", *types)
        if name in schema.keywords
    ]
    found += [f"{name}: required" for name in schema.required if name in types.keys() - ALWAYS_SENT]
    return ", ".join(found)


def _problems(schema: Schema, types: Mapping[str, tuple[str, ...]]) -> list[str]:
    if schema.properties is None:
        return []
    found = [problem] if (problem := schema.problem()) else []
    found += [
        f"it requires {name}, which is never sent" for name in schema.required if name not in types
    ]
    found += [
        f"it calls {name} {wanted}, which is sent as {types[name][0]}"
        for name, wanted in schema.properties.items()
        if wanted and name in types and wanted not in types[name]
    ]
    return found
