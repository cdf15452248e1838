"""The JMESPath of most field maps as plain Python: paths, choices and conversions. Pure.

The interpreter of ``jmespath`` costs several microseconds a node. What is not compiled here, and
what may fail or must be counted, is left to it: there is one definition of what fails, and of why.
"""

import re
from collections.abc import Callable
from math import isfinite
from typing import Any

import msgspec

from streams.core.strict_json import StrictJsonError, check_bounds
from streams.core.values import is_absent

MAX_NUMBER_CHARS = 40
"""No number that anybody writes is longer."""
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)

Quick = Callable[[Any], Any]


class SlowPathNeeded(Exception):
    """Over this record the expression must be evaluated by the interpreter."""


def to_string(arg: Any) -> Any:
    """Return JMESPath's ``to_string``, but null of null: its text would be everybody's id."""
    if arg is None:
        return None
    if type(arg) is float and arg.is_integer() and abs(arg) <= 2**53:
        arg = int(arg)
    return arg if type(arg) is str else msgspec.json.encode(arg).decode()


def to_number(arg: Any) -> Any:
    """Return JMESPath's ``to_number``, of what JSON calls a number and no longer one."""
    if type(arg) is not str:
        return arg if type(arg) in {int, float} else None
    found = _NUMBER.fullmatch(arg) if len(arg) <= MAX_NUMBER_CHARS else None
    if found is None:
        return None
    if not (found[1] or found[2]):
        return int(arg)
    number = float(arg)
    return number if isfinite(number) else None


def compile_quick(tree: Any) -> Quick | None:
    """Return what evaluates a parsed expression; None: only the interpreter can.

    It raises SlowPathNeeded over a record for which the same holds.
    """
    build = _BUILDERS.get(tree["type"])
    return None if build is None else build(tree)


def names_of_path(tree: Any) -> tuple[str, ...] | None:
    """Return the names of a path such as ``a.b.c``; None where the expression is none."""
    if tree["type"] == "field":
        return (tree["value"],)
    if tree["type"] != "subexpression":
        return None
    parts = [names_of_path(child) for child in tree["children"]]
    return None if None in parts else tuple(name for part in parts for name in part or ())


def is_false(value: Any) -> bool:
    """Return whether JMESPath takes a value for false: null, false, and what is empty."""
    if value is True:
        return False
    return value is None or value is False or value == "" or value == [] or value == {}


def _current(_: Any) -> Quick:
    return lambda value: value


def _field(tree: Any) -> Quick:
    return _named_path([tree["value"]])


def _path(tree: Any) -> Quick | None:
    children = tree["children"]
    if all(child["type"] == "field" for child in children):
        return _named_path([child["value"] for child in children])
    steps = [step for child in children if (step := compile_quick(child)) is not None]
    if len(steps) < len(children):
        return None

    def step_by_step(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return step_by_step


def _named_path(names: list[str]) -> Quick:
    if len(names) == 1:
        return _named(names[0])

    def path(value: Any) -> Any:
        for name in names:
            if type(value) is not dict:
                return None
            value = value.get(name)
            if type(value) is StrictJsonError:
                raise SlowPathNeeded  # a field that was not read; the interpreter says why
        return value

    return path


def _named(name: str) -> Quick:
    def field(value: Any) -> Any:
        if type(value) is not dict:
            return None
        value = value.get(name)
        if type(value) is StrictJsonError:
            raise SlowPathNeeded
        return value

    return field


def _index(tree: Any) -> Quick | None:
    """Take an element by its number where there are no others: those would have to be noted."""
    of, index = tree["children"]
    inner = compile_quick(of)
    if inner is None or index["type"] != "index" or index["value"] not in (0, -1):
        return None

    def only(value: Any) -> Any:
        found = inner(value)
        if type(found) is not list or not found:
            return None
        if len(found) > 1:
            raise SlowPathNeeded
        return found[0]

    return only


def _literal(tree: Any) -> Quick | None:
    value = tree["value"]
    try:
        check_bounds(value)
    except StrictJsonError:
        return None
    return lambda _: value


def _both(tree: Any) -> tuple[Quick, Quick] | None:
    first, second = (compile_quick(child) for child in tree["children"])
    return None if first is None or second is None else (first, second)


def _or(tree: Any) -> Quick | None:
    if (both := _both(tree)) is None:
        return None
    first, second = both

    def either(value: Any) -> Any:
        found = first(value)
        return second(value) if is_false(found) else found

    return either


def _and(tree: Any) -> Quick | None:
    if (both := _both(tree)) is None:
        return None
    first, second = both

    def each(value: Any) -> Any:
        found = first(value)
        if found is True:
            return second(value)
        return found if is_false(found) else second(value)

    return each


def _comparator(tree: Any) -> Quick | None:
    """Compare with a text, which is most of what maps compare with."""
    both = _both(tree)
    if both is None or tree["value"] not in ("eq", "ne"):
        return None
    if not any(_is_text_literal(child) for child in tree["children"]):
        return None
    first, second = both
    texts = [child["value"] for child in tree["children"] if _is_text_literal(child)]
    if len(texts) == 1:
        (text,) = texts
        is_second = _is_text_literal(tree["children"][1])
        found = first if is_second else second
        of = tree["children"][0 if is_second else 1]
        if tree["value"] == "eq" and of["type"] == "field":
            return _field_equals(of["value"], text, found)
        if tree["value"] == "eq":
            return lambda value: bool(found(value) == text)
        return lambda value: bool(found(value) != text)
    if tree["value"] == "eq":
        return lambda value: bool(first(value) == second(value))
    return lambda value: bool(first(value) != second(value))


def _field_equals(name: str, text: str, field: Quick) -> Quick:
    """Compare a field of the record, as most of what says which records count does."""

    def equals(value: Any) -> bool:
        if type(value) is dict and value.get(name) == text:
            return True
        return bool(field(value) == text)

    return equals


def _is_text_literal(tree: Any) -> bool:
    return tree["type"] == "literal" and type(tree["value"]) is str


def _function(tree: Any) -> Quick | None:
    convert = _CONVERSIONS.get(tree["value"])
    inner = compile_quick(tree["children"][0]) if convert is not None else None
    if convert is None or inner is None:
        return None

    def converted(value: Any) -> Any:
        given = inner(value)
        if type(given) in {list, dict}:
            raise SlowPathNeeded  # their elements are counted
        found = convert(given)
        if found is None and not is_absent(given):
            raise SlowPathNeeded  # which says what could not be read
        return found

    return converted


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"to_string": to_string, "to_number": to_number}
_BUILDERS: dict[str, Callable[[Any], Quick | None]] = {
    "current": _current,
    "field": _field,
    "subexpression": _path,
    "index_expression": _index,
    "literal": _literal,
    "or_expression": _or,
    "and_expression": _and,
    "comparator": _comparator,
    "function_expression": _function,
}
