"""What is compiled finds what the interpreter of JMESPath finds, or leaves it to that."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.expressions import Expression, ExpressionError
from streams.core.quick_expressions import SlowPathNeeded, compile_quick

EXPRESSIONS = [
    "a", "a.b", "a.b.c", "@", "a[0]", "a[-1].b", "a.b[0].c", "'x'", "a || b", "a && b.c",
    "a == 'x'", "'x' != a.b", "to_string(a)", "to_number(a.b)", "to_number(a) || b",
    "to_string(a || b)", "a.b == 'x' && (b || c)", "`1`", '`{"a": 1}`.a', "a == b",
]  # fmt: skip
leaves = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 2.0, "x", "", " ", "17"])
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


def outcome(expression: Expression, record: Any) -> Any:
    """What is found, or the words of the failure."""
    try:
        return repr(expression.search(record))
    except ExpressionError as problem:
        return str(problem)


def never(_: Any) -> Any:
    """Leave all to the interpreter."""
    raise SlowPathNeeded


@pytest.mark.parametrize("text", EXPRESSIONS)
@given(record=st.dictionaries(st.sampled_from("abc"), values, max_size=3))
def test_quick_path_finds_what_the_interpreter_finds(text: str, record: dict[str, Any]) -> None:
    """Values, notes of elements that are left, and failures are the same."""
    quick, slow = Expression(text), Expression(text)
    slow.quick = never
    assert outcome(quick, record) == outcome(slow, record)


def test_usual_expressions_are_compiled() -> None:
    """What most maps consist of costs no interpreter."""
    slow = [text for text in EXPRESSIONS if compile_quick(Expression(text).tree) is None]
    assert slow == ["a == b"]
