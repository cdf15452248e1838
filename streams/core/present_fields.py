"""Which fields of an event a shop's record has, as they are to be converted. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from streams.core.event_types import (
    EVENT_TYPES,
    SET_BY_PARSER,
    Campaign,
    Content,
    OrderLine,
    Page,
    Search,
)
from streams.core.fields import FieldMap
from streams.core.quick_expressions import Quick, SlowPathNeeded
from streams.core.strict_json import StrictJsonError
from streams.core.values import NIL_UUID, id_text, integral, is_absent

PART_TYPES: Mapping[str, type[msgspec.Struct]] = {
    "page": Page,
    "campaign": Campaign,
    "content": Content,
}
_STRUCTS: tuple[type[msgspec.Struct], ...] = (
    *EVENT_TYPES.values(),
    *PART_TYPES.values(),
    OrderLine,
    Search,
)
FIELD_TYPES: Mapping[type[msgspec.Struct], Mapping[str, Any]] = {
    kind: {f.name: f.type for f in msgspec.structs.fields(kind) if f.name not in SET_BY_PARSER}
    for kind in _STRUCTS
}
REQUIRED: Mapping[type[msgspec.Struct], frozenset[str]] = {
    kind: frozenset(f.name for f in msgspec.structs.fields(kind) if f.required)
    for kind in FIELD_TYPES
}
_NO_OBJECT: dict[str, Any] = {}
_UUIDS = frozenset({"miso_id", "eightselect_user_id"})
_INTEGERS = frozenset({"timestamp", "quantity"})


class FieldWays:
    """Where the fields of an event are in a shop's records, worked out once for all of them.

    What it finds is what ``present`` finds in the record that ``FieldMap.apply`` returns; those two
    cost ingest as much as all the rest of an event.
    """

    def __init__(self, kind: type[msgspec.Struct], fields: FieldMap | None) -> None:
        self._objects: list[tuple[int, str]] = []
        """The nested objects that paths go through: number of the enclosing object, name in it."""
        self._paths: list[tuple[str, int, str, Any, bool]] = []
        """Field, number of its object, name in it, what reads it, whether it is a UUID."""
        self._parts: list[tuple[str, list[tuple[str, int, str, Any]], Quick, Any]] = []
        """Field, its parts as in ``_paths``, and the expression for it where it has others, too."""
        self._others: list[tuple[str, Quick, Any, bool]] = []
        """Field and the expression for it."""
        for field, reads in _READS[kind]:
            quick = None if fields is None else fields.quick_of(field)
            path = (field,) if fields is None or quick is None else fields.path_of(field)
            parts = None if fields is None else fields.part_paths_of(field)
            if path is not None:
                self._paths.append((field, *self._place(path), reads, field in _UUIDS))
            elif parts is not None and quick is not None:
                reads_part = dict(_READS[PART_TYPES[field]])
                placed = [
                    (part, *self._place(parts[part]), reads_part[part])
                    for part in reads_part
                    if part in parts
                ]
                self._parts.append((field, placed, quick, reads))
            elif quick is not None:
                self._others.append((field, quick, reads, field in _UUIDS))

    def _place(self, path: tuple[str, ...]) -> tuple[int, str]:
        """Return the number of the object in which the path ends, and its last name."""
        number = 0
        for name in path[:-1]:
            place = (number, name)
            if place not in self._objects:
                self._objects.append(place)
            number = 1 + self._objects.index(place)
        return number, path[-1]

    # One loop for each kind of way: whatever is called in it costs every event.
    def read(self, record: dict[str, Any]) -> dict[str, Any]:  # noqa: C901
        """Return the fields that are present; raises SlowPathNeeded."""
        objects = [record]
        for number, name in self._objects:
            value = objects[number].get(name)
            if type(value) is not dict:
                if type(value) is StrictJsonError:
                    raise SlowPathNeeded
                value = _NO_OBJECT
            objects.append(value)
        known: dict[str, Any] = {}
        for field, number, name, reads, is_uuid in self._paths:
            value = objects[number].get(name)
            if value is None:
                continue
            if type(value) is str:
                if not value or value.isspace() or (is_uuid and value == NIL_UUID):
                    continue
            elif type(value) is StrictJsonError:
                raise SlowPathNeeded
            elif reads is not None:
                value = reads(value)
                if value is None:
                    continue
            known[field] = value
        for field, parts, quick, reads in self._parts:
            if type(record.get(field)) is dict:
                value = reads(quick(record))
            else:
                value = {}
                for part, number, name, reads_part in parts:
                    found = objects[number].get(name)
                    if type(found) is str:
                        if found and not found.isspace():
                            value[part] = found
                    elif type(found) is StrictJsonError:
                        raise SlowPathNeeded
                    elif found is not None:
                        value[part] = found if reads_part is None else reads_part(found)
            if value:
                known[field] = value
        for field, quick, reads, is_uuid in self._others:
            value = quick(record)
            if type(value) is str:
                if value and not value.isspace() and not (is_uuid and value == NIL_UUID):
                    known[field] = value
            elif type(value) is StrictJsonError:
                raise SlowPathNeeded
            elif value is not None and (reads is None or (value := reads(value)) is not None):
                known[field] = value
        return known


def present(record: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the known fields that are present: neither null nor blank."""
    known: dict[str, Any] = {}
    for name, reads in _READS[kind]:
        value = record.get(name)
        if value is None:
            continue
        if type(value) is str:
            if not value or value.isspace() or (name in _UUIDS and value == NIL_UUID):
                continue
        elif reads is not None:
            value = reads(value)
            if value is None:
                continue
        known[name] = value
    return known


def _read_object(kind: type[msgspec.Struct]) -> Callable[[Any], Any]:
    """Return what reads an object with parts; one without any is absent, as PHP's empty array."""

    def read(value: Any) -> Any:
        return present(value, kind) or None if type(value) is dict else _no_empty_array(value)

    return read


def _read_lines(value: Any) -> Any:
    if type(value) is not list:
        return value
    return [present(line, OrderLine) if type(line) is dict else line for line in value]


def _read_ids(value: Any) -> Any:
    if type(value) is not list:
        return value
    return [id_ for item in value if not is_absent(id_ := id_text(item))] or None


def _read_texts(value: Any) -> Any:
    if type(value) is not list:
        return value
    return [text for text in value if not is_absent(text)] or None


def _read_search(value: Any) -> Any:
    return present(value, Search) or None if type(value) is dict else value


def _read_consent(value: Any) -> Any:
    if type(value) is dict:
        return {vendor: says for vendor, says in value.items() if not is_absent(says)}
    return _no_empty_array(value)


def _no_empty_array(value: Any) -> Any:
    return None if value == [] else value


def is_id(name: str) -> bool:
    """Return whether a field is an id: its integers are texts."""
    return name.endswith("_id") or name in {"sku", "content.id"}


def _read_of(name: str, kind: type[msgspec.Struct]) -> Callable[[Any], Any] | None:
    """Return what makes of a value that is no text what it stands for."""
    if name in PART_TYPES:
        return _read_object(PART_TYPES[name])
    if name == "consent":
        return _read_consent
    if name == "lines":
        return _read_lines
    if name.endswith("_ids"):
        return _read_ids
    if name == "category":
        return _read_texts
    if name == "search":
        return _read_search
    if is_id(name) or (kind is Content and name == "id"):
        return id_text
    return integral if name in _INTEGERS else None


_READS = {
    kind: tuple((name, _read_of(name, kind)) for name in types)
    for kind, types in FIELD_TYPES.items()
}
