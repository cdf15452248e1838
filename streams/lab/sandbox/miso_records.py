"""What Miso's API description says of an interaction record, and the words for what is wrong.

Written from the vendor's OpenAPI document (version 1.1.4) and its pages alone; shares nothing with
the mapping it judges. Known words of the vendor are the two of its sample answer (type, format);
the others follow their form.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

Problem = tuple[str, str]
"""(path below the value, starting with a dot or empty; the reason)"""
Check = Callable[[Any], list[Problem] | None]
"""value → its problems; None: there is none."""

_JSON_TYPES = {
    dict: "object", list: "array", str: "string", bool: "boolean", int: "integer",
    float: "number", type(None): "null",
}  # fmt: skip
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def wrong_type(value: Any, *expected: str) -> list[Problem]:
    """Return the problem of a value that has none of the expected JSON types."""
    names = ", ".join(f"'{name}'" for name in expected)
    given = _JSON_TYPES[type(value)]
    reason = f"The attribute was expected to be of type '{names}' but type '{given}' was given."
    return [("", reason)]


def _string(max_length: int | None = None) -> Check:
    def check(value: Any) -> list[Problem] | None:
        if type(value) is not str:
            return wrong_type(value, "string")
        if max_length is not None and len(value) > max_length:
            return [("", f"The attribute should have at most {max_length} characters.")]
        return None

    return check


def _formatted(name: str, is_valid: Callable[[str], bool]) -> Check:
    def check(value: Any) -> list[Problem] | None:
        if type(value) is not str:
            return wrong_type(value, "string")
        if not is_valid(value):
            return [("", f"The attribute should match the '{name}' format.")]
        return None

    return check


def is_ipv4(text: str) -> bool:
    """Whether the text is an IPv4 address in four decimal parts."""
    return _IPV4.fullmatch(text) is not None


def is_date_time(text: str) -> bool:
    """Whether the text is a date and time of RFC 3339, offset included."""
    if _DATE_TIME.fullmatch(text) is None:
        return False
    if text[17:19] == "60":  # RFC 3339 has leap seconds, datetime has not
        text = f"{text[:17]}59{text[19:]}"
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True


def _number(value: Any) -> list[Problem] | None:
    return None if type(value) in (int, float) else wrong_type(value, "number")


def _ids(value: Any) -> list[Problem] | None:
    if value is None:  # the vendor's sample answer expects "'array', 'null'" here
        return None
    if type(value) is not list:
        return wrong_type(value, "array", "null")
    return _each(value, _id)


_id = _string(512)


def _each(values: Iterable[Any], check: Check) -> list[Problem] | None:
    problems: list[Problem] = []
    for index, value in enumerate(values):
        found = check(value)
        if found:
            problems += [(f".{index}{path}", reason) for path, reason in found]
    return problems or None


def _strings(value: Any) -> list[Problem] | None:
    return _each(value, _string()) if type(value) is list else wrong_type(value, "array")


def _positive(value: Any) -> list[Problem] | None:
    if type(value) not in (int, float):
        return wrong_type(value, "number")
    return None if value > 0 else [("", "The attribute should be greater than 0.")]


def _quantities(value: Any) -> list[Problem] | None:
    if type(value) is list:
        return _each(value, _positive)
    if type(value) not in (int, float):
        return wrong_type(value, "array", "number")
    return _positive(value)


def _object(checks: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    """Return a check of an object that may also have properties which are not described."""

    def check(value: Any) -> list[Problem] | None:
        if type(value) is not dict:
            return wrong_type(value, "object")
        problems = [
            ("", f"The attribute '{name}' is required.") for name in required if name not in value
        ]
        for name, member in value.items():
            found = checks[name](member) if name in checks else None
            if found:
                problems += [(f".{name}{path}", reason) for path, reason in found]
        return problems or None

    return check


def _any_members(check_member: Check) -> Check:
    def check(value: Any) -> list[Problem] | None:
        if type(value) is not dict:
            return wrong_type(value, "object")
        problems: list[Problem] = []
        for name, member in value.items():
            found = check_member(member)
            if found:
                problems += [(f".{name}{path}", reason) for path, reason in found]
        return problems or None

    return check


_CUSTOM_REASON = (
    "The attribute should be a boolean, a number, a string, null, or a list of numbers, "
    "of strings or of flat objects."
)


def _custom_value(value: Any) -> list[Problem] | None:
    if type(value) is dict:
        return [("", _CUSTOM_REASON)]
    if type(value) is not list:
        return None
    kinds = {type(item) for item in value}
    if kinds <= {int, float} or kinds == {str}:
        return None
    if kinds == {dict} and all(
        type(member) in (str, int, float, bool) for item in value for member in item.values()
    ):
        return None
    return [("", _CUSTOM_REASON)]


_campaign = _object(dict.fromkeys(("name", "source", "medium", "term", "content"), _string()))
_page = _object({"url": _string(), "referrer": _string(), "title": _string()}, required=("url",))
CONTEXT_CHECKS: Mapping[str, Check] = {
    "campaign": _campaign,
    "truncated_ip": _formatted("ipv4", is_ipv4),
    "locale": _string(),
    "region": _string(),
    "page": _page,
    "user_agent": _string(),
    "custom_context": _any_members(_custom_value),
}
_search = _object(
    {"keywords": _string(), "filters": _any_members(_strings)},
)

_COMMON: Mapping[str, Check] = {
    "type": lambda _value: None,  # judged before: it chooses the checks
    "user_id": _string(512),
    "anonymous_id": _string(1024),
    "timestamp": _formatted("date-time", is_date_time),
    "miso_id": _formatted("uuid", lambda text: _UUID.fullmatch(text) is not None),
    "context": _object(CONTEXT_CHECKS),
}
_PRODUCTS: Mapping[str, Check] = {"product_ids": _ids, "product_group_ids": _ids}
_DURATION: Mapping[str, Check] = {"duration": _number}
_CART: Mapping[str, Check] = {**_PRODUCTS, "quantities": _quantities}
_ONLY_PRODUCTS = (
    "remove_from_cart", "refund", "subscribe", "unsubscribe", "add_to_collection",
    "remove_from_collection", "like", "dislike", "share", "bookmark", "complete", "impression",
    "viewable_impression", "click", "submit", "product_image_view",
)  # fmt: skip
_WATCHED = ("product_detail_page_view", "promo_page_view", "read", "watch", "listen")

RECORD_CHECKS: Mapping[str, Mapping[str, Check]] = {
    **{name: {**_COMMON, **_PRODUCTS} for name in _ONLY_PRODUCTS},
    **{name: {**_COMMON, **_PRODUCTS, **_DURATION} for name in _WATCHED},
    "add_to_cart": {**_COMMON, **_CART},
    "checkout": {**_COMMON, **_CART, "revenue": _number},
    "rate": {**_COMMON, **_PRODUCTS, "rating": _number},
    "custom": {**_COMMON, **_PRODUCTS, "custom_action_name": _string()},
    "search": {**_COMMON, "search": _search},
    "category_page_view": {**_COMMON, **_DURATION, "category": _strings},
    "home_page_view": {**_COMMON, **_DURATION},
    "feedback": {
        **_COMMON, "question_id": _string(512), "result_type": _string(), "value": _string(),
    },
}  # fmt: skip
"""Per type, every property that a record of it may have; any other is refused."""


def record_problems(record: Any) -> list[Problem] | None:
    """Return what is wrong with one record of ``data``; None: it is acceptable."""
    if type(record) is not dict:
        return wrong_type(record, "object")
    type_ = record.get("type")
    if type(type_) is not str:
        if "type" not in record:
            return [("", "The attribute 'type' is required.")]
        return [(".type", wrong_type(type_, "string")[0][1])]
    checks = RECORD_CHECKS.get(type_)
    if checks is None:
        return [(".type", f"The attribute should be one of {sorted(RECORD_CHECKS)}.")]
    problems: list[Problem] = []
    for name, value in record.items():
        check = checks.get(name)
        if check is None:
            problems.append(
                ("", f"Additional properties are not allowed ('{name}' was unexpected).")
            )
            continue
        found = check(value)
        if found:
            problems += [(f".{name}{path}", reason) for path, reason in found]
    if type_ == "custom" and "custom_action_name" not in record:
        problems.append(("", "The attribute 'custom_action_name' is required."))
    if "quantities" in record and not problems:
        problems += _quantity_count_problems(record)
    return problems or None


def page_problems(record: Any) -> list[Problem] | None:
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
    return found or None


def _quantity_count_problems(record: Mapping[str, Any]) -> list[Problem]:
    quantities = record["quantities"]
    for name in ("product_ids", "product_group_ids"):
        products = record.get(name)
        if products:
            if type(quantities) is list and len(quantities) != len(products):
                reason = f"The attribute should have as many items as '{name}'."
                return [(".quantities", reason)]
            return []
    return []
