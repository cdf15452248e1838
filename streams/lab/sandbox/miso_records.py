"""What Miso's API description says of an interaction record, and the words for what is wrong.

Written from the vendor's OpenAPI document (version 1.1.4) and its pages alone; shares nothing with
the mapping it judges. Known words of the vendor are the two of its sample answer (type, format);
the others follow their form.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jsonschema_rs import Draft202012Validator, ValidationError

Problem = tuple[str, str]
"""(path below the record, starting with a dot or empty; the reason)"""
Schema = Mapping[str, Any]

_JSON_TYPES = {
    dict: "object", list: "array", str: "string", bool: "boolean", int: "integer",
    float: "number", type(None): "null",
}  # fmt: skip


def _text(max_length: int | None = None) -> Schema:
    return {"type": "string"} | ({} if max_length is None else {"maxLength": max_length})


def _list(items: Schema, *types: str) -> Schema:
    return {"type": ["array", *types], "items": items}


def _formatted(name: str) -> Schema:
    return {"type": "string", "format": name}


def _object(properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    """Return an object that may also have properties which are not described."""
    return {"type": "object", "properties": properties, "required": required}


_NUMBER: Schema = {"type": "number"}
# The vendor's sample answer expects "'array', 'null'" of product ids.
_IDS = _list(_text(512), "null")
_POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
_FLAT: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
_CUSTOM: Schema = {
    "anyOf": [
        {"type": ["boolean", "number", "string", "null"]},
        *({"type": "array", "items": items} for items in (_NUMBER, _text(), _FLAT)),
    ]
}
_CUSTOM_REASON = (
    "The attribute should be a boolean, a number, a string, null, or a list of numbers, of strings "
    "or of flat objects."
)
CONTEXT: Mapping[str, Schema] = {
    "campaign": _object(dict.fromkeys(("name", "source", "medium", "term", "content"), _text())),
    "truncated_ip": _formatted("ipv4"),
    "locale": _text(),
    "region": _text(),
    "page": _object({"url": _text(), "referrer": _text(), "title": _text()}, required=["url"]),
    "user_agent": _text(),
    "custom_context": {"type": "object", "additionalProperties": _CUSTOM},
}
_COMMON: Mapping[str, Schema] = {
    "type": {},
    "user_id": _text(512),
    "anonymous_id": _text(1024),
    "timestamp": _formatted("date-time"),
    "miso_id": _formatted("uuid"),
    "context": _object(CONTEXT),
}
_PRODUCTS: Mapping[str, Schema] = {"product_ids": _IDS, "product_group_ids": _IDS}
_DURATION: Mapping[str, Schema] = {"duration": _NUMBER}
_QUANTITIES: Schema = {
    "type": ["array", "number"],
    "exclusiveMinimum": 0,
    "items": _POSITIVE,
}
_CART: Mapping[str, Schema] = {**_PRODUCTS, "quantities": _QUANTITIES}
_SEARCH = _object(
    {
        "keywords": _text(),
        "filters": {"type": "object", "additionalProperties": _list(_text())},
    }
)
_ONLY_PRODUCTS = (
    "remove_from_cart", "refund", "subscribe", "unsubscribe", "add_to_collection",
    "remove_from_collection", "like", "dislike", "share", "bookmark", "complete", "impression",
    "viewable_impression", "click", "submit", "product_image_view",
)  # fmt: skip
_WATCHED = ("product_detail_page_view", "promo_page_view", "read", "watch", "listen")
RECORDS: Mapping[str, Mapping[str, Schema]] = {
    **dict.fromkeys(_ONLY_PRODUCTS, _PRODUCTS),
    **{name: {**_PRODUCTS, **_DURATION} for name in _WATCHED},
    "add_to_cart": _CART,
    "checkout": {**_CART, "revenue": _NUMBER},
    "rate": {**_PRODUCTS, "rating": _NUMBER},
    "custom": {**_PRODUCTS, "custom_action_name": _text()},
    "search": {"search": _SEARCH},
    "category_page_view": {**_DURATION, "category": _list(_text())},
    "home_page_view": _DURATION,
    "feedback": {"question_id": _text(512), "result_type": _text(), "value": _text()},
}
"""Per type, every property that a record of it may have beside the common ones."""

_REQUIRED = {"custom": ["custom_action_name"]}
_VALIDATORS = {
    type_: Draft202012Validator(
        {**_object({**_COMMON, **own}, _REQUIRED.get(type_, ())), "additionalProperties": False},
        validate_formats=True,
    )
    for type_, own in RECORDS.items()
}


def record_problems(record: Any) -> list[Problem]:
    """Return what is wrong with one record of ``data``, in the order of its properties."""
    if type(record) is not dict:
        return [("", _wrong_type(record, ["object"]))]
    type_ = record.get("type")
    if type(type_) is not str:
        if "type" not in record:
            return [("", "The attribute 'type' is required.")]
        return [(".type", _wrong_type(type_, ["string"]))]
    validator = _VALIDATORS.get(type_)
    if validator is None:
        return [(".type", f"The attribute should be one of {sorted(RECORDS)}.")]
    if validator.is_valid(record):
        return _quantity_count_problems(record)
    places = {name: place for place, name in enumerate(record)}
    errors = sorted(validator.iter_errors(record), key=lambda e: places.get(_first(e), -1))
    return [problem for error in errors for problem in _in_misos_words(error)]


def _first(error: ValidationError) -> Any:
    return error.instance_path[0] if error.instance_path else None


def _wrong_type(value: Any, expected: Sequence[str]) -> str:
    names = ", ".join(f"'{name}'" for name in sorted(expected))
    given = _JSON_TYPES[type(value)]
    return f"The attribute was expected to be of type '{names}' but type '{given}' was given."


def _in_misos_words(error: ValidationError) -> Iterator[Problem]:
    path = "".join(f".{part}" for part in error.instance_path)
    kind, of = error.kind.name, error.kind.as_dict()
    match kind:
        case "additionalProperties":
            for name in of["unexpected"]:
                yield path, f"Additional properties are not allowed ('{name}' was unexpected)."
        case "type":
            yield path, _wrong_type(error.instance, of["types"])
        case "required":
            yield path, f"The attribute '{of['property']}' is required."
        case "maxLength":
            yield path, f"The attribute should have at most {of['limit']} characters."
        case "exclusiveMinimum":
            yield path, f"The attribute should be greater than {of['limit']}."
        case "format":
            yield path, f"The attribute should match the '{of['format']}' format."
        case _:
            yield path, _CUSTOM_REASON


def page_problems(record: Any) -> list[Problem]:
    """Return what is wrong with one record by the ranges of the page on uploads, too."""
    problems = record_problems(record)
    if problems:
        return problems
    quantities = record.get("quantities", [])
    found: list[Problem] = []
    if not 0 <= record.get("rating", 0) <= 5:
        found.append((".rating", "The attribute should be in the range of [0, 5]."))
    if record.get("duration", 0) < 0:
        found.append((".duration", "The attribute should be at least 0."))
    if type(quantities) is not list or any(type(n) is not int for n in quantities):
        found.append((".quantities", "The attribute should be a list of positive integers."))
    return found


def _quantity_count_problems(record: Mapping[str, Any]) -> list[Problem]:
    quantities = record.get("quantities")
    name = next((n for n in _PRODUCTS if record.get(n)), None)
    if type(quantities) is not list or name is None or len(quantities) == len(record[name]):
        return []
    return [(".quantities", f"The attribute should have as many items as '{name}'.")]


class RecordFacts(NamedTuple):
    """What the ledger keeps of an acceptable record, and the rules of ours that it breaks."""

    type_: str
    event_id: str
    anonymous_id: str
    user_id: str
    products: Sequence[str]
    broken: tuple[str, ...]


def facts_of(record: Mapping[str, Any]) -> RecordFacts:
    """Return the facts of a record that was found acceptable."""
    context = record.get("context", {})
    event_id = context.get("custom_context", {}).get("uuid")
    if type(event_id) is not str:
        event_id = ""
    anonymous_id, user_id = record.get("anonymous_id", ""), record.get("user_id", "")
    products = (record.get("product_ids") or []) + (record.get("product_group_ids") or [])
    ip = context.get("truncated_ip")
    rules = (
        ("no_visitor", not (anonymous_id or user_id)),
        ("no_event_id", not event_id),
        ("no_timestamp", "timestamp" not in record),
        ("no_product", not products and "product_ids" in RECORDS[record["type"]]),
        ("untruncated_ip", ip is not None and not ip.endswith(".0")),
        ("unknown_context", not context.keys() <= CONTEXT.keys()),
    )
    broken = tuple(rule for rule, is_broken in rules if is_broken)
    return RecordFacts(record["type"], event_id, anonymous_id, user_id, products, broken)
