"""JMESPath over a stranger's record: bounded work, and words for what fails. Pure."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jmespath
import msgspec
from jmespath.exceptions import ArityError, JMESPathError, JMESPathTypeError
from jmespath.functions import TYPES_MAP, Functions, signature
from jmespath.visitor import Options, TreeInterpreter

from streams.core.addresses import without_addresses
from streams.core.quick_expressions import (
    MAX_NUMBER_CHARS,
    SlowPathNeeded,
    compile_quick,
    to_number,
    to_string,
)
from streams.core.strict_json import StrictJsonError, check_bounds, decode_repaired
from streams.core.values import is_absent

MAX_ELEMENTS = 5_000
"""Elements of arrays and objects that one expression may go through in one record."""
MAX_RECORD_ELEMENTS = 10_000
"""Elements that all expressions over one record may go through together."""
_MAX_SHOWN_CHARS = 200


class ExpressionError(ValueError):
    """An expression that cannot be compiled, or that fails over a record; the text says why."""


class Found(NamedTuple):
    """What an expression found, and whether it took one of several elements by its number."""

    value: Any
    left_elements: bool


class Elements:
    """How many elements the expressions over one record may still go through."""

    def __init__(self) -> None:
        self.left = MAX_RECORD_ELEMENTS


class Expression:
    """One JMESPath expression, compiled."""

    def __init__(self, text: str, part: Any = None) -> None:
        """Compile, or take part of a compiled tree; raises ExpressionError with one clause."""
        self.text = text
        self.names_read: frozenset[str] | None
        """The fields of a record that it looks at; None where it looks at the record as a whole."""
        try:
            self._parsed = jmespath.compile(text).parsed if part is None else part
        except (JMESPathError, RecursionError) as problem:
            reason = " ".join(str(problem).split("\n")[0].split()).rstrip(".:")
            raise ExpressionError(f"{text!r} is not valid JMESPath: {reason}") from None
        for problem_text in _problems(self._parsed):
            raise ExpressionError(f"{text!r}: {problem_text}")
        self.names_read = _names_read(self._parsed)
        self.quick = compile_quick(self._parsed) or _never_quick
        """Finds what ``search`` does, or raises SlowPathNeeded."""

    @property
    def tree(self) -> Any:
        """The parsed expression, as ``jmespath`` has it."""
        return self._parsed

    def compared(self) -> "list[Expression]":
        """Return what is compared with texts or numbers in it, as ``x`` in ``x == 'a'``."""
        return [Expression(self.text, tree) for tree in _compared(self._parsed)]

    def search(self, record: Mapping[str, Any], elements: Elements | None = None) -> "Found":
        """Return what the expression finds; raises ExpressionError if it fails for the record.

        ``elements``: the limit that it shares with other expressions over this record. The error
        names the expression, the function, and what it got. It also fails if it finds nothing
        because ``to_number`` got no number: what is there must not count as absent.
        """
        try:
            return Found(self.quick(record), False)
        except SlowPathNeeded:
            return self.search_slowly(record, elements)

    def search_slowly(self, record: Mapping[str, Any], elements: Elements | None = None) -> "Found":
        """Return what ``search`` does, by the interpreter."""
        interpreter = _Interpreter(elements or Elements())
        try:
            value = interpreter.visit(self._parsed, record)
            check_bounds(value)
        except JMESPathTypeError as problem:
            wanted = " or ".join(problem.expected_types).replace("array-", "array of ")
            got = TYPES_MAP.get(problem.actual_type, problem.actual_type)
            why = f"{problem.function_name}() got {got}, not {wanted}"
        except (_TooMuchError, StrictJsonError, ArityError) as problem:
            why = str(problem)
        # Functions of JMESPath meet whatever strangers send: wrong types, numbers out of range.
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as problem:
            why = interpreter.called or f"values of types that do not go together ({problem})"
        else:
            if value is not None or not interpreter.unread:
                return Found(value, interpreter.left_elements)
            why = interpreter.unread
        raise ExpressionError(f"the expression {_shortened(self.text)} failed: {why[:500]}")


class FoundFields(NamedTuple):
    """What the expressions of one table found."""

    values: dict[str, Any]
    """By field; one for which nothing is found is missing."""
    notes: tuple[str, ...]
    """``left_out:<owner>.<field>`` for each whose expression fails."""


class FieldExpressions:
    """A table of the settings: field → expression over a whole record."""

    def __init__(self, fields: Mapping[str, str], owner: str) -> None:
        """Compile; raises ExpressionError for the first that is none."""
        self._fields = {name: Expression(text) for name, text in fields.items()}
        self._owner = owner
        reads = [expression.names_read for expression in self._fields.values()]
        self._needed = None if None in reads else frozenset().union(*filter(None, reads))

    def apply(self, record: bytes, more: Mapping[str, Any] = MappingProxyType({})) -> FoundFields:
        """Return what they find in a record that is a JSON object, and in ``more`` beside it."""
        if not self._fields:
            return FoundFields({}, ())
        document = {**decode_repaired(record, self._needed).value, **more}
        values, notes, elements = {}, [], Elements()
        for name, expression in self._fields.items():
            try:
                value = expression.search(document, elements).value
                check_bounds(value)
            except (ExpressionError, StrictJsonError):
                notes.append(f"left_out:{self._owner}.{name}")
                continue
            if not is_absent(value):
                values[name] = value
        return FoundFields(values, tuple(notes))


def check_expressions(fields: Mapping[str, str]) -> None:
    """Raise ValueError, led by its name, for the first of these that is no expression."""
    for name, text in fields.items():
        try:
            Expression(text)
        except ExpressionError as problem:
            raise ValueError(f"{name}: {problem}") from None


def _never_quick(_: Any) -> Any:
    raise SlowPathNeeded


class _TooMuchError(JMESPathError):  # type: ignore[misc]
    """The record has more elements than expressions may go through."""


class _Functions(Functions):  # type: ignore[misc]
    """JMESPath's own functions, two of which are as our records need them, and two for prices."""

    @signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_string(self, arg: Any) -> Any:
        if type(arg) in {float, list, dict}:
            check_bounds(arg)  # a sum may not be finite, and its text would be that of null
        return to_string(arg)

    @signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_number(self, arg: Any) -> Any:
        return to_number(arg)

    @signature({"types": ["number", "null"]}, {"types": ["number"]})  # type: ignore[untyped-decorator]
    def _func_divide(self, arg: Any, by: Any) -> Any:
        return None if arg is None else arg / by

    @signature({"types": ["string", "null"]}, {"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_replace(self, arg: Any, old: str, new: str) -> Any:
        return None if arg is None else arg.replace(old, new)


class _Interpreter(TreeInterpreter):  # type: ignore[misc]
    """Evaluates one expression over one record, within its bounds."""

    _OPTIONS = Options(custom_functions=_Functions())

    def __init__(self, elements: Elements) -> None:
        super().__init__(self._OPTIONS)
        self._elements = elements
        self._least_left = elements.left - MAX_ELEMENTS
        self.called = ""
        """The function that was called last, and the types of what it got."""
        self.left_elements = False
        self.unread = ""
        """What was there and is no number, in words."""

    def _spend(self, value: Any) -> None:
        if type(value) in {list, dict}:
            left = self._elements.left - len(value)
            if left < self._least_left:
                raise _TooMuchError(f"it goes through more than {MAX_ELEMENTS} elements")
            if left < 0:
                raise _TooMuchError(
                    f"with others it goes through more than {MAX_RECORD_ELEMENTS} elements"
                )
            self._elements.left = left

    def visit_field(self, node: Any, value: Any) -> Any:
        found = value.get(node["value"]) if type(value) is dict else None
        if type(found) is StrictJsonError:
            raise found
        return found

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        arguments = [self.visit(child, value) for child in node["children"]]
        for argument in arguments:
            self._spend(argument)
        types = (TYPES_MAP.get(type(argument).__name__, "expression") for argument in arguments)
        self.called = f"{node['value']}() got {' and '.join(types)}"
        found = self._functions.call_function(node["value"], arguments)
        if found is None and node["value"] == "to_number" and not is_absent(arguments[0]):
            self.unread = f"{self.called}{_shown_text(arguments[0])}, which is no number"
        return found

    def visit_index(self, node: Any, value: Any) -> Any:
        if type(value) is list and len(value) > 1:
            self.left_elements = True
        return super().visit_index(node, value)

    def _over_elements(self, visit: Any, node: Any, value: Any) -> Any:
        """Visit a projection whose array is evaluated once, and counted."""
        base = self.visit(node["children"][0], value)
        self._spend(base)
        known = node | {"children": [{"type": "literal", "value": base}, *node["children"][1:]]}
        return visit(known, value)

    def visit_projection(self, node: Any, value: Any) -> Any:
        return self._over_elements(super().visit_projection, node, value)

    def visit_value_projection(self, node: Any, value: Any) -> Any:
        return self._over_elements(super().visit_value_projection, node, value)

    def visit_filter_projection(self, node: Any, value: Any) -> Any:
        return self._over_elements(super().visit_filter_projection, node, value)

    def visit_flatten(self, node: Any, value: Any) -> Any:
        return self._over_elements(super().visit_flatten, node, value)


def _problems(node: Any) -> Iterator[str]:
    """Yield what would fail for every record: unknown functions, wrong numbers of arguments."""
    if type(node) is not dict:
        return
    children = node.get("children", ())
    if node["type"] == "function_expression":
        spec = _Functions.FUNCTION_TABLE.get(node["value"])
        if spec is None:
            yield f"JMESPath has no function {node['value']}()"
        else:
            wanted, given = spec["signature"], len(children)
            variadic = bool(wanted and wanted[-1].get("variadic"))
            if given < len(wanted) or (given > len(wanted) and not variadic):
                yield f"{node['value']}() takes {len(wanted)} arguments, not {given}"
    if node["type"] == "literal" and not _is_text(node["value"]):
        yield "half a surrogate pair stands in it"
    for child in children:
        yield from _problems(child)


_ONWARDS = frozenset(
    {
        *("subexpression", "index_expression", "pipe", "flatten"),
        *("projection", "value_projection", "filter_projection"),
    }
)
"""Nodes whose first part is applied to the record, and the others to its result."""


def _names_read(node: Any) -> frozenset[str] | None:
    if node["type"] == "field":
        return frozenset({node["value"]})
    if node["type"] in {"current", "identity"}:
        return None
    children = node.get("children", ())
    names: frozenset[str] = frozenset()
    for child in children[:1] if node["type"] in _ONWARDS else children:
        more = _names_read(child)
        if more is None:
            return None
        names |= more
    return names


def _compared(node: Any) -> Iterator[Any]:
    """Yield the sides of comparisons, and of ``contains()``, whose other side is a literal."""
    children = node["children"]
    is_equality = node["type"] == "comparator" and node["value"] == "eq"
    is_contains = node["type"] == "function_expression" and node["value"] == "contains"
    if is_equality or is_contains:
        literal = [_is_literal(child) for child in children]
        if literal.count(True) == 1:
            yield children[literal.index(False)]
    elif node["type"] in {"or_expression", "and_expression", "not_expression"}:
        for child in children:
            yield from _compared(child)


def _is_literal(node: Any) -> bool:
    if node["type"] == "multi_select_list":
        return all(_is_literal(child) for child in node["children"])
    return bool(node["type"] == "literal")


def _is_text(value: Any) -> bool:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return False
    return True


def _shown_text(value: Any) -> str:
    if type(value) is not str:
        return ""
    text = without_addresses(value[:_MAX_SHOWN_CHARS])
    return f' "{_shortened(text, MAX_NUMBER_CHARS)}"'


def _shortened(text: str, limit: int = _MAX_SHOWN_CHARS) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
