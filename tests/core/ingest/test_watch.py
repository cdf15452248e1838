"""The watch over a topic: with the settings of its sections, over records as they lie there."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from streams.core.expressions import Expression
from streams.core.ingest.drift import Drift
from streams.core.ingest.watch import TopicWatch
from streams.operations.init.preview import with_sections
from streams.settings import load_settings
from tests.operations.test_init import proposed
from tests.shapes.formats import ALL, EVENTS, Shape


def watches_of(shape: Shape) -> Mapping[str, TopicWatch]:
    """Watches with the sections that ``streams init`` proposes."""
    settings = with_sections(load_settings({}), proposed(shape))
    return {topic: TopicWatch(mapping) for topic, mapping in settings.ingest_mappings().items()}


def changes_in(shape: Shape, topic: str, change: Any, *, times: int = 6) -> list[Drift]:
    """What is found when the topic's records are repeated, then repeated as ``change`` does it."""
    watch = watches_of(shape)[topic]
    now = 1_000.0
    for changed in (False, True):
        for _ in range(times):
            for key, value in shape.topics[topic]:
                now += 0.1
                record = json.loads(value or b"null")
                if changed:
                    record = change(record)
                watch.look(key, json.dumps(record).encode(), now, int(now * 1000))
        if not changed:
            assert watch.found() == []
    return watch.found()


@pytest.mark.parametrize("name", ALL)
def test_records_that_stay_as_they_are_change_nothing(name: str) -> None:
    """Of each shape, and of the tables in their envelopes."""
    shape = ALL[name]()
    for topic, watch in watches_of(shape).items():
        for number in range(10):
            for at, (key, value) in enumerate(shape.topics[topic]):
                now = number * 1_000 + at / 10
                watch.look(key, value, now, int(now * 1000))
        assert watch.found() == []


def test_a_field_is_missed_under_our_name_with_an_example() -> None:
    """A shop that drops ``properties.price`` loses the price of both sections."""

    def without_price(record: dict[str, Any]) -> dict[str, Any]:
        record.get("properties", {}).pop("price", None)
        return record

    found = changes_in(EVENTS["segment"](), "segment", without_price)
    assert [(one.change, one.section, one.what) for one in found] == [
        ("field_gone", "segment-clicks", "price"),
        ("field_gone", "segment-add-to-carts", "price"),
    ]
    assert "price" not in found[0].example["properties"]


def test_an_element_of_a_list_is_looked_at_too() -> None:
    """GA4's items, of which the first stands for all."""

    def as_text(record: dict[str, Any]) -> dict[str, Any]:
        for item in record["items"]:
            item["price"] = f"{item['price']:.2f}"
        return record

    found = changes_in(EVENTS["ga4_bigquery"](), "ga4.events", as_text)
    assert [(one.change, one.what, one.words) for one in found] == [
        ("type_changed", "price", "it was a number and is text"),
        ("type_changed", "price", "it was a number and is text"),
    ]


def test_a_renamed_event_is_found_by_what_when_compares() -> None:
    """And the name is that of the shop."""

    def renamed(record: dict[str, Any]) -> dict[str, Any]:
        if record.get("event") == "Product Added":
            record["event"] = "Added To Bag"
        return record

    (found,) = changes_in(EVENTS["segment"](), "segment", renamed)
    assert (found.change, found.what) == ("new_event_name", "Added To Bag")
    assert found.example["event"] == "Added To Bag"


def test_what_cannot_be_read_is_left_to_the_dead_letters() -> None:
    """No bytes stop the watch."""
    watch = watches_of(EVENTS["segment"]())["segment"]
    for number, value in enumerate((b"", b"[1]", b"nonsense", b'"text"', b"null", None)):
        watch.look(None, value, float(number), number)
    assert watch.found() == []


@pytest.mark.parametrize(
    ("when", "record", "compared"),
    [
        ("event == 'view'", {"event": "cart"}, ["cart"]),
        ("contains(['view', 'detail'], event)", {"event": "cart"}, ["cart"]),
        ("contains(events[].name, 'view')", {"events": [{"name": "cart"}]}, [["cart"]]),
        ("type == 'track' && event == 'view'", {"type": "track", "event": "c"}, ["track", "c"]),
        ("action == `1` || !(action == `2`)", {"action": 3}, [3, 3]),
        ("price > `5`", {"price": 7}, []),
        ("a == b", {"a": 1, "b": 1}, []),
    ],
)
def test_what_an_expression_compares_with_literals_is_known(
    when: str, record: dict[str, Any], compared: list[Any]
) -> None:
    """Equality and ``contains()``, on either side, within and, or and not."""
    assert [part.search(record).value for part in Expression(when).compared()] == compared
