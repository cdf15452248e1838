"""What changes in a shop's records is found soon, and a night that differs from a day is not."""

import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from streams.core.ingest.drift import DriftDetector

DAY_SECONDS = 86_400
FIELDS = ("timestamp", "anonymous_id", "product_id", "price", "user_id", "page.referrer")


class Shop:
    """Visitors who come and go, more by day than by night, each with habits of their own."""

    def __init__(self, seed: int, events_per_second: float = 5.0) -> None:
        self._random = random.Random(seed)
        self._rate = events_per_second
        self._visitors: dict[str, Mapping[str, bool]] = {}
        self.price: Any = 19.9
        self.without: set[str] = set()
        self.names = ["page_view", "scroll", "newsletter"]

    def traffic(self, begin: float, seconds: float) -> Iterator[tuple[float, str, str | None]]:
        """Yield time, visitor and, of a record that no section takes, its name."""
        at = begin
        while True:
            # From one to a hundredth between noon and midnight.
            day = 0.505 - 0.495 * math.cos(2 * math.pi * at / DAY_SECONDS)
            at += self._random.expovariate(self._rate * day)
            if at >= begin + seconds:
                return
            if len(self._visitors) < 3 + 60 * day and self._random.random() < 0.2:
                self._come(is_night=day < 0.2)
            elif len(self._visitors) > 5 and self._random.random() < 0.15:
                self._visitors.pop(self._random.choice(list(self._visitors)))
            visitor = self._random.choice(list(self._visitors) or [self._come(is_night=False)])
            other = self._random.random() < 0.4
            yield at, visitor, self._name() if other else None

    def values(self, visitor: str) -> dict[str, Any]:
        """What a section's expressions find in an event of this visitor."""
        habits = self._visitors.get(visitor, {})
        found: dict[str, Any] = {
            "timestamp": 1,
            "anonymous_id": visitor,
            "product_id": "p1",
            "price": self.price if self._random.random() < 0.97 else None,
            "user_id": "u1" if habits.get("is_known") else None,
            "page.referrer": "https://x/" if habits.get("has_referrer") else "",
        }
        return {name: None if name in self.without else value for name, value in found.items()}

    def _come(self, *, is_night: bool) -> str:
        name = f"v{self._random.getrandbits(48)}"
        self._visitors[name] = {
            # By night people use an application that knows them less and names no referrer.
            "is_known": self._random.random() < (0.5 if is_night else 0.85),
            "has_referrer": self._random.random() < (0.6 if is_night else 0.9),
        }
        return name

    def _name(self) -> str:
        if self._random.random() < 0.01:
            return f"rare_{self._random.randrange(30)}"
        return self._random.choice(self.names)


class Watch:
    """A detector that is given a shop's traffic, in virtual time."""

    def __init__(self) -> None:
        self.detector = DriftDetector("shop-clicks")
        self.looks = 0

    def watch(
        self, shop: Shop, begin: float, seconds: float, *, until_found: bool = False
    ) -> float:
        """Give it the traffic; return the seconds until something was found, or infinity."""
        for at, visitor, name in shop.traffic(begin, seconds):
            if not self.detector.wants(at):
                continue
            self.looks += 1
            now_ms = int(at * 1000)
            if name is None:
                self.detector.count_mapped()
                values = shop.values(visitor)
                self.detector.look_at_event("shop-clicks", values, visitor, {"v": 1}, now_ms)
            else:
                record = {"event": name}
                self.detector.look_at_unmapped(name, visitor, record, at, now_ms)
            if until_found and self.detector.found():
                return at - begin
        return math.inf


NOON = DAY_SECONDS / 2


@pytest.mark.parametrize("seed", range(4))
def test_two_days_and_the_nights_between_them_change_nothing(seed: int) -> None:
    """Two hand-overs from day to night, a hundred times fewer events, other visitors."""
    watch = Watch()
    watch.watch(Shop(seed, 1.0), NOON, 2 * DAY_SECONDS)
    assert watch.detector.found() == []


@pytest.mark.parametrize("rate", [2.0, 20.0, 2_000.0])
@pytest.mark.parametrize("field", ["price", "user_id", "product_id"])
def test_a_field_that_most_events_had_and_have_no_longer_is_found_within_a_minute(
    rate: float, field: str
) -> None:
    """With two events a second as with thousands, and with what it was before."""
    shop, watch = Shop(3, rate), Watch()
    watch.watch(shop, NOON, max(60.0, 2_000 / rate))
    assert watch.detector.found() == []
    shop.without.add(field)
    seconds = watch.watch(shop, NOON + 2_000, 60, until_found=True)
    assert seconds < 45
    (drift,) = watch.detector.found()
    assert drift.change == "field_gone"
    assert (drift.section, drift.what) == ("shop-clicks", field)
    assert "of events had it, the last " in drift.words
    assert drift.example == {"v": 1}


def test_a_type_that_changes_is_found_within_a_minute_and_ends_when_it_is_undone() -> None:
    """Of 19.9 becomes "19.90", which no price is read from."""
    shop, watch = Shop(4), Watch()
    watch.watch(shop, NOON, 600)
    shop.price = "19.90"
    assert watch.watch(shop, NOON + 1_000, 60, until_found=True) < 45
    (drift,) = watch.detector.found()
    assert (drift.change, drift.what) == ("type_changed", "price")
    assert drift.words == "it was a number and is text"
    watch.watch(shop, NOON + 1_100, 1_800)
    assert watch.detector.found() == [drift]
    shop.price = 21
    watch.watch(shop, NOON + 9_000, 60)
    assert watch.detector.found() == []


def test_a_field_that_is_gone_stays_told_through_the_night_until_it_is_back() -> None:
    """What is usual is not forgotten meanwhile."""
    shop, watch = Shop(5, 1.0), Watch()
    watch.watch(shop, NOON, 600)
    shop.without.add("price")
    watch.watch(shop, NOON + 600, DAY_SECONDS)
    assert [drift.what for drift in watch.detector.found()] == ["price"]
    shop.without.clear()
    watch.watch(shop, NOON + DAY_SECONDS, 600)
    assert watch.detector.found() == []


def test_a_new_name_of_events_is_found_within_a_minute_and_rare_ones_are_not() -> None:
    """Names that were there from the beginning are known."""
    shop, watch = Shop(6), Watch()
    watch.watch(shop, NOON, 3_600)
    assert watch.detector.found() == []
    shop.names.append("product_put_into_bag")
    assert watch.watch(shop, NOON + 4_000, 60, until_found=True) < 45
    (drift,) = watch.detector.found()
    assert (drift.change, drift.what) == ("new_event_name", "product_put_into_bag")
    assert drift.example == {"event": "product_put_into_bag"}


def test_one_visitor_changes_nothing() -> None:
    """A robot without prices is no drift, however busy."""
    shop, watch = Shop(7), Watch()
    watch.watch(shop, NOON, 600)
    for number in range(500):
        values = {**shop.values("robot"), "price": None}
        watch.detector.look_at_event("shop-clicks", values, "robot", {}, number)
        watch.detector.look_at_unmapped("robot_ping", "robot", {}, NOON + 700 + number, number)
    assert watch.detector.found() == []


def test_what_is_looked_at_is_bounded() -> None:
    """Twenty records of a second, whatever comes."""
    shop, watch = Shop(8, 5_000.0), Watch()
    watch.watch(shop, NOON, 10)
    assert watch.looks <= 20 * 11
