"""The usual records, decoded and judged at once, since a benchmark must not wait for its judge.

What fits a shape here is acceptable by ``miso_records`` too (a test holds the two together); what
does not fit is judged there, where the words for what is wrong are. Half the time of that way.
"""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, Union

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from streams.lab.sandbox.miso_records import CONTEXT_CHECKS, RECORD_CHECKS, is_date_time, is_ipv4

_Id = Annotated[str, Meta(min_length=1, max_length=512)]
_Text = str | UnsetType
_Ids = Annotated[list[_Id], Meta(min_length=1)]
_Number = float | int


class _Campaign(Struct):
    name: _Text = UNSET
    source: _Text = UNSET
    medium: _Text = UNSET
    term: _Text = UNSET
    content: _Text = UNSET


class _Page(Struct):
    url: str
    referrer: _Text = UNSET
    title: _Text = UNSET


class _Context(Struct, forbid_unknown_fields=True):
    campaign: _Campaign | UnsetType = UNSET
    truncated_ip: _Text = UNSET
    locale: _Text = UNSET
    region: _Text = UNSET
    page: _Page | UnsetType = UNSET
    user_agent: _Text = UNSET
    custom_context: (
        Annotated[dict[str, str | int | float | bool | None], Meta(min_length=1)] | UnsetType
    ) = UNSET


class _MisoRecord(Struct, forbid_unknown_fields=True, tag_field="type", omit_defaults=True):
    user_id: _Id = ""
    anonymous_id: Annotated[str, Meta(min_length=1, max_length=1024)] = ""
    timestamp: _Text = UNSET
    miso_id: Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\Z")] | (
        UnsetType
    ) = UNSET
    context: _Context | UnsetType = UNSET
    product_ids: _Ids = []
    product_group_ids: _Ids = []


class _Viewed(_MisoRecord):
    duration: _Number | UnsetType = UNSET


class _AddToCart(_MisoRecord, tag="add_to_cart"):
    quantities: list[Annotated[int, Meta(gt=0)]] | UnsetType = UNSET


_PRODUCT_RECORDS = RECORD_CHECKS["click"].keys()
_SHAPES: list[type[Struct]] = [
    msgspec.defstruct(f"_{type_}", [], bases=(base,), tag=type_, forbid_unknown_fields=True)
    for base, properties in (
        (_MisoRecord, _PRODUCT_RECORDS),
        (_Viewed, _PRODUCT_RECORDS | {"duration"}),
    )
    for type_, checks in RECORD_CHECKS.items()
    if checks.keys() == properties
] + [_AddToCart]
_TYPES: dict[type[Struct], str] = {shape: str(shape.__struct_config__.tag) for shape in _SHAPES}
_decode = msgspec.json.Decoder(
    msgspec.defstruct("_Batch", [("data", list[Union[tuple(_SHAPES)]])])  # type: ignore[misc]  # noqa: UP007
).decode


class RecordFacts(NamedTuple):
    """What the ledger keeps of an acceptable record, and the rules of ours that it breaks."""

    type_: str
    event_id: str
    anonymous_id: str
    user_id: str
    products: Sequence[str]
    broken: tuple[str, ...]


def usual_records(body: bytes) -> tuple[list[Any], list[RecordFacts]] | None:
    """Return records and facts if all records are of a usual shape and acceptable, else None."""
    try:
        records: list[Any] = _decode(body).data  # type: ignore[attr-defined]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    facts = []
    for record in records:
        fact = _usual_facts(record)
        if fact is None:
            return None
        facts.append(fact)
    return records, facts


def _usual_facts(record: Any) -> RecordFacts | None:
    timestamp, context, products = record.timestamp, record.context, record.product_ids
    if (
        type(record) is _AddToCart
        and record.quantities is not UNSET
        and len(record.quantities) != len(products or record.product_group_ids)
    ):
        return None
    if record.product_group_ids:
        products = products + record.product_group_ids
    ip, event_id = None, ""
    if context is not UNSET:
        if context.truncated_ip is not UNSET:
            ip = context.truncated_ip
        if context.custom_context is not UNSET:
            event_id = context.custom_context.get("uuid", "")
            if type(event_id) is not str:
                event_id = ""
    if (timestamp is not UNSET and not is_date_time(timestamp)) or not (ip is None or is_ipv4(ip)):
        return None
    visitor = record.anonymous_id or record.user_id
    broken: tuple[str, ...] = ()
    if not (event_id and products and visitor and timestamp) or (ip and not ip.endswith(".0")):
        broken = _broken_rules(event_id, products, visitor, timestamp is not UNSET, ip)
    return RecordFacts(
        _TYPES[type(record)], event_id, record.anonymous_id, record.user_id, products, broken
    )


def facts_of(record: dict[str, Any]) -> RecordFacts:
    """Return the facts of a record that ``miso_records`` found acceptable."""
    context = record.get("context", {})
    event_id = context.get("custom_context", {}).get("uuid")
    if type(event_id) is not str:
        event_id = ""
    anonymous_id, user_id = record.get("anonymous_id", ""), record.get("user_id", "")
    products = (record.get("product_ids") or []) + (record.get("product_group_ids") or [])
    broken = _broken_rules(
        event_id,
        products if "product_ids" in RECORD_CHECKS[record["type"]] else ["none is due"],
        anonymous_id or user_id,
        "timestamp" in record,
        context.get("truncated_ip"),
    )
    if not context.keys() <= CONTEXT_CHECKS.keys():
        broken = (*broken, "unknown_context")
    return RecordFacts(record["type"], event_id, anonymous_id, user_id, products, broken)


def _broken_rules(
    event_id: str, products: Sequence[str], visitor: str, has_timestamp: bool, ip: str | None
) -> tuple[str, ...]:
    rules = (
        ("no_visitor", not visitor),
        ("no_event_id", not event_id),
        ("no_timestamp", not has_timestamp),
        ("no_product", not products),
        ("untruncated_ip", ip is not None and not ip.endswith(".0")),
    )
    return tuple(rule for rule, is_broken in rules if is_broken)
