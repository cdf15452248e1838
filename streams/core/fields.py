"""Field maps: how a shop whose records look different says where our fields are."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from streams.core.errors import SettingsError
from streams.core.strict_json import StrictJsonError, check_bounds
from streams.core.times import datetime_to_ms

OUT_OF_SHAPE: Any = object()
"""What an expression that fails over a record yields: it fits no field's type."""

_PARTS = {
    "page": ("url", "referrer", "title"),
    "campaign": ("name", "source", "medium", "term", "content"),
    "content": ("type", "id"),
}
FIELDS = (
    "event_id",
    "timestamp",
    "anonymous_id",
    "user_id",
    "product_id",
    "sku",
    "quantity",
    "price",
    "currency",
    "page",
    "user_agent",
    "locale",
    "region",
    "ip",
    "campaign",
    "miso_id",
    "content",
    "eightselect_user_id",
    "consent",
)


class FieldMap:
    """Our field = a JMESPath expression over the shop's record; the others keep their own names."""

    def __init__(
        self,
        fields: Mapping[str, str | Mapping[str, str]],
        timestamp_format: str | None = None,
        *,
        name: str = "source.fields",
    ) -> None:
        """Compile the map; ``page.url`` may be one dotted key or a table within ``page``.

        ``timestamp_format`` is a strptime pattern, ``s`` or ``ms``; a pattern without an offset
        is read as UTC. Raises SettingsError with one line for each problem, led by ``name``.
        """
        problems: list[str] = []
        self._expressions: list[tuple[str, str | None, Any]] = []
        for field, expression in _flat(fields):
            try:
                compiled = jmespath.compile(expression)
            except JMESPathError as problem:
                reason = " ".join(str(problem).split("\n")[0].split())
                problems.append(f"{name}.{field}: {expression!r} is no JMESPath: {reason}")
                continue
            head, _, part = field.partition(".")
            if head not in FIELDS or (part and part not in _PARTS.get(head, ())):
                problems.append(f"{name}.{field}: events have no such field")
                continue
            self._expressions.append((head, part or None, compiled))
        self._timestamp_format = timestamp_format
        if timestamp_format is not None and timestamp_format not in {"s", "ms"}:
            problem_text = _pattern_problem(timestamp_format)
            if problem_text:
                problems.append(f"{name}: timestamp_format {timestamp_format!r}: {problem_text}")
        if problems:
            raise SettingsError(problems)

    def apply(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record under our names; what fails to evaluate fits no field's type."""
        ours = dict(record)
        replaced: set[str] = set()
        for field, part, expression in self._expressions:
            value = _search(expression, record)
            if part is None:
                ours[field] = value
                continue
            if field not in replaced:
                replaced.add(field)
                own = ours.get(field)
                ours[field] = dict(own) if type(own) is dict else {}
            ours[field][part] = value
        if self._timestamp_format is not None:
            ours["timestamp"] = _read_timestamp(ours.get("timestamp"), self._timestamp_format)
        return ours

    def ip_of(self, record: Mapping[str, Any]) -> Any:
        """Return what the map reads as ``ip``, to be masked; None where it names none."""
        for field, _, expression in self._expressions:
            if field == "ip":
                return _search(expression, record)
        return None


def _flat(fields: Mapping[str, str | Mapping[str, str]]) -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for field, expression in fields.items():
        if isinstance(expression, str):
            flat.append((field, expression))
        else:
            flat += [(f"{field}.{part}", text) for part, text in expression.items()]
    # Whole fields first, so that a part given beside its whole is set within it.
    return sorted(flat, key=lambda pair: "." in pair[0])


def _search(expression: Any, record: Mapping[str, Any]) -> Any:
    try:
        value = expression.search(record)
        check_bounds(value)
    # Functions of JMESPath meet whatever strangers send: wrong types, numbers out of range.
    except (JMESPathError, StrictJsonError, ValueError, TypeError, ArithmeticError, LookupError):
        return OUT_OF_SHAPE
    return value


def _pattern_problem(pattern: str) -> str | None:
    try:
        datetime.strptime("", pattern)  # noqa: DTZ007
    except re.error:
        return "a directive stands in it twice"
    except ValueError as problem:
        text = str(problem)
        return text if "directive" in text or "stray" in text else None
    return "an empty pattern"


def _read_timestamp(value: Any, pattern: str) -> Any:
    if value is None or value == "":
        return None
    try:
        if pattern in {"s", "ms"}:
            if type(value) not in {int, float, str}:
                return OUT_OF_SHAPE
            return int(Decimal(str(value)) * (1000 if pattern == "s" else 1))
        moment = datetime.strptime(value, pattern)  # noqa: DTZ007
        return datetime_to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        return OUT_OF_SHAPE
