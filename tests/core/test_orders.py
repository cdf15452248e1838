"""Orders: what of a record of ``shop.orders`` is read, and what makes it a dead letter."""

from typing import Any

import msgspec
import pytest

from streams.core.errors import InvalidEvent
from streams.core.event_types import Order, OrderLine
from streams.core.events import EventParser
from streams.core.fields import FieldMap
from streams.core.kinds import KINDS

KAFKA_MS = 1_795_168_800_000
LINE = {"product_id": "p-1", "quantity": 2, "price": 19.9, "currency": "EUR"}
ORDER = {
    "timestamp": "2026-11-20T09:59:58.120Z",
    "anonymous_id": "visitor-7",
    "order_id": "A-1",
    "lines": [LINE],
}


def parse(record: dict[str, Any], fields: FieldMap | None = None) -> Order:
    """Return the order of a record at shop.orders-2-5."""
    parser = EventParser("order", "shop.orders", fields)
    event = parser.parse(b"visitor-7", msgspec.json.encode(record), 2, 5, KAFKA_MS)
    assert isinstance(event, Order)
    return event


def test_an_order_is_read() -> None:
    """Ids may be numbers, a quantity may have a point zero, what is unknown is ignored."""
    line = {"product_id": 1042, "sku": " ", "quantity": 2.0, "price": 20, "colour": "red"}
    order = parse(ORDER | {"order_id": 77, "lines": [line, LINE], "revenue": "much", "x": 1})
    assert order.lines == [OrderLine("1042", 2, None, 20.0), OrderLine("p-1", 2, None, 19.9, "EUR")]
    assert (order.order_id, order.event_id, order.revenue) == ("77", "shop.orders-2-5", None)
    assert order.notes == ("left_out:revenue",)
    assert [named.product_id for named in order.named()] == ["1042", "p-1"]


def test_a_map_makes_lines_of_the_shops_own() -> None:
    """One JMESPath expression for the list."""
    fields = FieldMap(
        {"order_id": "number", "lines": "items[].{product_id: id, quantity: qty}"},
        known=KINDS["orders"].fields,
    )
    record = ORDER | {"number": 5, "items": [{"id": 1, "qty": 3}]}
    order = parse(record, fields)
    assert (order.order_id, order.lines) == ("5", [OrderLine("1", 3)])


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"order_id": " "}, "order_id", "order_id: it is required and missing"),
        ({"order_id": ["A"]}, "order_id", "order_id: Expected `str`, got `array`"),
        ({"lines": None}, "lines", "lines: it is required and missing"),
        ({"lines": []}, "lines", "lines: an order has 1 to 500 lines, not 0"),
        ({"lines": [LINE] * 501}, "lines", "lines: an order has 1 to 500 lines, not 501"),
        ({"lines": {"a": 1}}, "lines", "lines: Expected `array`, got `object`"),
        ({"lines": [LINE, 7]}, "lines", "lines: line 2 is a JSON number, not an object"),
        (
            {"lines": [LINE, LINE | {"price": -1}]},
            "lines",
            "lines: line 2: price: Expected `float` >= 0.0",
        ),
        (
            {"lines": [LINE | {"quantity": 0}]},
            "lines",
            "lines: line 1: quantity: Expected `int` >= 1",
        ),
        (
            {"lines": [LINE | {"quantity": None}]},
            "lines",
            "lines: line 1: quantity: it is required and missing",
        ),
        (
            {"lines": [LINE, LINE | {"currency": "USD"}]},
            "lines",
            "lines: an order has one currency, not EUR and USD",
        ),
    ],
)
def test_an_order_out_of_shape_says_why(change: dict[str, Any], field: str, detail: str) -> None:
    """The field, and of lines which one."""
    with pytest.raises(InvalidEvent) as caught:
        parse(ORDER | change)
    assert (caught.value.field, caught.value.detail) == (field, detail)


def test_a_suspicious_id_of_an_order_is_noted_and_never_a_repeat() -> None:
    """Many orders have it, and they are not one."""
    assert parse(ORDER | {"order_id": "undefined"}).notes == ("suspicious_id",)
    assert parse(ORDER | {"order_id": "undefined"}).own_key() is None
    assert parse(ORDER | {"lines": [LINE | {"sku": "null"}]}).notes == ("suspicious_id",)
    assert parse(ORDER).own_key() == parse(ORDER | {"event_id": "other"}).own_key() is not None
