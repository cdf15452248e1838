"""Field maps: they say where the relay's fields are in a shop's records."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from streams.core.errors import SettingsError
from streams.core.expressions import Elements, Expression, ExpressionError
from streams.core.quick_expressions import Quick, SlowPathNeeded, names_of_path
from streams.core.time_formats import ReadTime, TimeFormats


class Failed:
    """The value of an expression that failed; it does not fit the type of any field."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        """``why``: one clause with the expression, the function and what it got."""
        self.why = why


class MappedFields(NamedTuple):
    """A record with the relay's field names."""

    record: dict[str, Any]
    notes: tuple[str, ...]
    """``items_left``: the record has more products than the one that the event gets."""
    has_failed: bool = False
    """Whether a value in it is ``Failed``."""


PARTS = {
    "page": ("url", "referrer", "title"),
    "campaign": ("name", "source", "medium", "term", "content"),
    "content": ("type", "id"),
}
"""Fields of an event that are objects, with their parts."""
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
    """Field = JMESPath expression over the shop's record; other fields keep their names."""

    def __init__(
        self,
        fields: Mapping[str, str | Mapping[str, str]],
        timestamp_format: str | Sequence[str] | None = None,
        timezone: str | None = None,
        *,
        name: str = "source.fields",
        known: Collection[str] = FIELDS,
        what: str = "events",
    ) -> None:
        """Compile the map; ``page.url`` may be one dotted key or a table within ``page``.

        ``known``: the fields that exist; ``what``: whose fields, for messages.

        ``timestamp_format`` and ``timezone`` are as for ``TimeFormats``, one format or several.
        Raises SettingsError with one line for each problem, led by ``name``.
        """
        problems: list[str] = []
        self._expressions: list[tuple[str, str | None, Expression]] = []
        for field, text in _flat(fields):
            try:
                expression = Expression(text)
            except ExpressionError as problem:
                problems.append(f"{name}.{field}: {problem}")
                continue
            head, _, part = field.partition(".")
            if head not in known or (part and part not in PARTS.get(head, ())):
                problems.append(f"{name}.{field}: {what} have no such field")
                continue
            self._expressions.append((head, part or None, expression))
        self._times: TimeFormats | None = None
        if timestamp_format is not None or timezone is not None:
            several = timestamp_format or ()
            formats = (several,) if isinstance(several, str) else tuple(several)
            try:
                self._times = TimeFormats(formats, timezone)
            except ValueError as error:
                problems += [
                    f"{name}: {text if text.startswith('timezone') else f'timestamp_format {text}'}"
                    for text in error.args
                ]
        if problems:
            raise SettingsError(problems)

    def apply(self, record: Mapping[str, Any]) -> MappedFields:
        """Return the record with the relay's names; a failed expression gives ``Failed``."""
        ours = dict(record)
        has_failed = False
        replaced: set[str] = set()
        left_items = False
        elements = Elements()
        for field, part, expression in self._expressions:
            value: Any
            try:
                value = expression.quick(record)
            except SlowPathNeeded:
                try:
                    value, left_elements = expression.search_slowly(record, elements)
                    left_items |= left_elements and field == "product_id"
                except ExpressionError as problem:
                    value = Failed(str(problem))
                    has_failed = True
            if part is None:
                ours[field] = value
                continue
            if field not in replaced:
                replaced.add(field)
                own = ours.get(field)
                ours[field] = dict(own) if type(own) is dict else {}
            ours[field][part] = value
        return MappedFields(ours, ("items_left",) if left_items else (), has_failed)

    def quick_of(self, field: str) -> Quick | None:
        """Return a fast function for a field; None: the field is read by its own name.

        Parts are set within the whole. The function raises SlowPathNeeded if ``apply`` is needed.
        """
        whole: Quick | None = None
        parts: list[tuple[str, Quick]] = []
        for name, part, expression in self._expressions:
            if name == field and part is None:
                whole = expression.quick
            elif name == field and part is not None:
                parts.append((part, expression.quick))
        if not parts:
            return whole

        def assembled(record: Any) -> Any:
            own = record.get(field) if whole is None else whole(record)
            made = dict(own) if type(own) is dict else {}
            for part, quick in parts:
                made[part] = quick(record)
            return made

        return assembled

    def path_of(self, field: str) -> tuple[str, ...] | None:
        """Return the path of names to a field; None if its expression is more than a path."""
        mine = [(part, expression) for name, part, expression in self._expressions if name == field]
        if len(mine) != 1 or mine[0][0] is not None:
            return None
        return names_of_path(mine[0][1].tree)

    def part_paths_of(self, field: str) -> dict[str, tuple[str, ...]] | None:
        """Return for each mapped part of a field the names that lead to it.

        None: something of it is no path, or the field is mapped as a whole, too.
        """
        found: dict[str, tuple[str, ...]] = {}
        for name, part, expression in self._expressions:
            if name == field:
                path = None if part is None else names_of_path(expression.tree)
                if part is None or path is None:
                    return None
                found[part] = path
        return found or None

    def names_read(self, fields: Collection[str] = FIELDS) -> frozenset[str] | None:
        """Return the shop's fields from which these fields are made.

        None: an expression reads the whole record.
        """
        names: frozenset[str] = frozenset()
        for field, _, expression in self._expressions:
            if field not in fields:
                continue
            if expression.names_read is None:
                return None
            names |= expression.names_read
        return names

    @property
    def has_time_formats(self) -> bool:
        """Whether the section has formats of its own for timestamps."""
        return self._times is not None

    def read_time(self, value: Any) -> ReadTime | None:
        """Return a timestamp in the source's formats; None: the source has no own formats.

        Raises ValueError with one clause.
        """
        return None if self._times is None else self._times.read(value)

    def maps(self, field: str) -> bool:
        """Return whether ``value_of`` may find something."""
        return any(mapped == field for mapped, _, _ in self._expressions)

    def text_of(self, field: str) -> str | None:
        """Return the expression of a field; None: there is none."""
        texts = (e.text for mapped, part, e in self._expressions if (mapped, part) == (field, None))
        return next(texts, None)

    def value_of(self, field: str, record: Mapping[str, Any]) -> Any:
        """Return the value of a field; None: there is no expression, or it fails."""
        for mapped, _, expression in self._expressions:
            if mapped == field:
                try:
                    return expression.search(record).value
                except ExpressionError:
                    return None
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
