"""The sample: real sessions, deterministic, and holding every case that the demo shows."""

from collections import Counter
from importlib import resources

import msgspec
import pytest

from streams.core.errors import InvalidEvent
from streams.core.events import EventParser
from streams.core.rows import decode_product, decode_user
from streams.lab.demo.sample import SPAN_MS, SampleSessions, load_sample
from streams.vendors import VENDORS

NOW = 1_795_000_000_123
PARSERS = {
    "clicks": EventParser("click", "shop.clicks"),
    "add-to-carts": EventParser("add_to_cart", "shop.add-to-carts"),
    "orders": EventParser("order", "shop.orders"),
}


@pytest.fixture(scope="module")
def sample() -> SampleSessions:
    """The sample at a fixed time."""
    return load_sample(NOW)


def test_all_clicks_carts_and_orders_are_there(sample: SampleSessions) -> None:
    """The data set's own counts, each event with an id of its own."""
    counts = Counter(kind for kind, _, _ in sample.events)
    assert counts == {"clicks": 800, "add-to-carts": 52, "orders": 5}
    assert len({event["event_id"] for _, _, event in sample.events}) == 857
    orders = [event for kind, _, event in sample.events if kind == "orders"]
    assert sum(len(order["lines"]) for order in orders) == 10


def test_every_event_is_valid(sample: SampleSessions) -> None:
    """No event of the sample is a dead letter, and no field of it is left out."""
    for kind, key, event in sample.events:
        parsed = PARSERS[kind].parse(key.encode(), msgspec.json.encode(event), 0, 0, NOW)
        assert parsed.notes == ()


def test_every_row_is_valid(sample: SampleSessions) -> None:
    """Tables can read what the sample puts into them."""
    for _, row in sample.users:
        assert decode_user(msgspec.json.encode(row), VENDORS).notes == ()
    for key, row in sample.products:
        product = decode_product(msgspec.json.encode(row))
        assert (product.sku, product.notes) == (f"SKU-{key}", ())


def test_broken_records_are_broken_as_they_say(sample: SampleSessions) -> None:
    """Each becomes a dead letter with the reason it names."""
    for kind, key, value, reason in sample.broken:
        with pytest.raises(InvalidEvent) as caught:
            PARSERS[kind].parse(key, value, 0, 0, NOW)
        assert caught.value.reason == reason
    assert {one.reason for one in sample.broken} == {
        "empty",
        "invalid_json",
        "invalid_field",
        "key_mismatch",
        "too_large",
    }


def test_times_end_now_keep_their_order_and_span_five_minutes(sample: SampleSessions) -> None:
    """Old gaps are shortened, so that nothing is too old and the demo does not wait."""
    times = [
        PARSERS[kind].parse(key.encode(), msgspec.json.encode(event), 0, 0, NOW).timestamp_ms
        for kind, key, event in sample.events
    ]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (NOW - SPAN_MS, NOW)
    of_first = [e["event_id"] for _, key, e in sample.events if key == "visitor-0"]
    assert of_first == sorted(of_first, key=lambda event_id: int(event_id.rsplit("-", 1)[1]))


def test_the_same_time_gives_the_same_sample(sample: SampleSessions) -> None:
    """A run can be repeated and compared."""
    assert load_sample(NOW) == sample
    first = sample.events[0].event
    assert first == {
        "event_id": "otto-0-0",
        "timestamp": "2026-11-18T11:01:40.123Z",
        "anonymous_id": "visitor-0",
        "product_id": "1517085",
        "page": {
            "url": "https://shop.example/p/1517085",
            "referrer": "https://shop.example/",
            "title": first["page"]["title"],
        },
        "user_agent": "Mozilla/5.0 (demo) Browser/100",
        "locale": "de-DE",
        "ip": "203.0.113.10",
        "eightselect_user_id": first["eightselect_user_id"],
    }


def test_every_case_of_the_picture_occurs(sample: SampleSessions) -> None:
    """Visitors without a row, with a no, signed in; products unknown with and without a sku."""
    keys = {key for _, key, _ in sample.events}
    rows = dict(sample.users)
    listed = {key for key, _ in sample.products}
    assert len(keys) == 20
    assert len(keys - rows.keys()) == 4
    assert sum("user_id" in row for row in rows.values()) >= 6
    assert any(row.get("consent", {}).get("miso") is False for row in rows.values())
    assert {"contact_id", "custom_key", "email"} <= {name for row in rows.values() for name in row}
    clicks = [event for kind, _, event in sample.events if kind == "clicks"]
    unknown = [event for event in clicks if event["product_id"] not in listed]
    assert any("sku" in event for event in unknown)
    assert any("sku" not in event for event in unknown)
    for field in ("content", "miso_id", "campaign", "consent"):
        assert any(field in event for _, _, event in sample.events)


def test_the_attribution_is_shipped() -> None:
    """CC BY 4.0 asks for it beside the data."""
    text = resources.files("streams.lab.demo").joinpath("README.md").read_text("utf-8")
    assert "OTTO GmbH & Co KG" in text
    assert "creativecommons.org/licenses/by/4.0" in text
