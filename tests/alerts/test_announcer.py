"""Which worker tells people, in virtual time: never two, and soon another if one is gone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.alerts.announcer import LOOK_SECONDS, TAKE_OVER_SECONDS, Announcer
from streams.alerts.book import Alert, Message
from streams.alerts.receivers import Receiver
from streams.status.findings import Finding
from streams.status.status import WorkerStatus
from tests.alerts.test_book import NAMES, PARKED, START, WELL_
from tests.status.test_judge import worker

STEP = 1.0


class Inbox(Receiver):
    """A receiver that has each message at once, or never."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.is_reachable = True

    def post(self, message: Message, settled: object) -> None:
        """Take it, or keep it waiting."""
        assert callable(settled)
        if self.is_reachable:
            self.titles.append(message.title)
            settled(message, True)

    def clear(self) -> None:
        """Nothing waits here."""


@dataclass
class SentInMemory:
    """The status topic's record."""

    written: Sequence[Alert] = ()

    async def read(self) -> Sequence[Alert]:
        """Return it."""
        return self.written

    async def write(self, sent: Sequence[Alert]) -> None:
        """Replace it."""
        self.written = sent


@dataclass
class Shop:
    """Workers that see each other by what they last said, one clock, one inbox."""

    inbox: Inbox = field(default_factory=Inbox)
    sent: SentInMemory = field(default_factory=SentInMemory)
    findings: list[Finding] = field(default_factory=lambda: [PARKED])
    now: float = 0.0
    said: dict[str, float] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)
    """What each has heard of the others, as often as the topic is read."""
    refresh: float = 10.0
    able: set[str] = field(default_factory=set)
    announcers: dict[str, Announcer] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)

    def start(self, name: str, *, able: bool = True) -> None:
        """Start a worker of this name, in place of one that was killed."""
        if able:
            self.able.add(name)
            self.announcers[name] = Announcer(
                name,
                _Seen(self, name),
                self.sent,
                [self.inbox],
                names=NAMES,
                shop="",
                wall_ms=lambda: START + round(self.now * 1000),
                clock=lambda: self.now,
            )
        self.said[name] = self.now

    def kill(self, name: str) -> None:
        """It says nothing any more, not even goodbye."""
        self.announcers.pop(name, None)
        self.frozen.add(name)

    async def go_on(self, seconds: float) -> None:
        """Let time pass: each worker speaks each second and looks every few."""
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            for name in self.said:
                if name not in self.frozen:
                    self.said[name] = self.now
            if self.now % self.refresh == 0:
                self.read = dict(self.said)
            if self.now % LOOK_SECONDS == 0:
                for name, announcer in sorted(self.announcers.items()):
                    if name not in self.frozen:
                        await announcer.look()


@dataclass
class _Seen:
    shop: Shop
    own: str

    def findings(self) -> Sequence[Finding]:
        """Return them."""
        return self.shop.findings

    def workers(self) -> Sequence[WorkerStatus]:
        """Return what each said last."""
        shop = self.shop
        return [
            worker("miso", shop.now - at, worker=name, sends_alerts=name in shop.able)
            for name, at in {**shop.read, self.own: shop.said[self.own]}.items()
        ]

    def deaf_seconds(self) -> float:
        """Return how long the others were not heard of."""
        return 99.0 if self.own in self.shop.deaf else 0.5


@pytest.fixture
def shop() -> Shop:
    """Two workers that can send alerts, and one before them that cannot."""
    shop = Shop()
    shop.start("a", able=False)
    shop.start("b")
    shop.start("c")
    return shop


IS_PARKED, IS_OVER = "streams: Miso is parked.", "streams: Miso is no longer parked."


async def test_one_worker_tells_people_once(shop: Shop) -> None:
    """The first of those that can, some seconds after it has started."""
    await shop.go_on(TAKE_OVER_SECONDS - 5)
    assert shop.inbox.titles == []
    await shop.go_on(600)
    assert shop.inbox.titles == [IS_PARKED]
    assert [one.kind for one in shop.sent.written] == ["parked"]


async def test_whoever_takes_over_repeats_nothing_and_tells_the_end(shop: Shop) -> None:
    """After a kill, and after all workers were stopped for hours."""
    await shop.go_on(60)
    shop.kill("b")
    await shop.go_on(600)
    shop.kill("c")
    await shop.go_on(7_200)
    shop.frozen.clear()
    shop.start("b")
    await shop.go_on(600)
    assert shop.inbox.titles == [IS_PARKED]
    shop.findings = [WELL_]
    await shop.go_on(600)
    assert shop.inbox.titles == [IS_PARKED, IS_OVER]
    assert shop.sent.written == ()


async def test_a_worker_that_was_frozen_tells_nothing_that_another_has_told(shop: Shop) -> None:
    """It reads again what people were told."""
    shop.findings = [WELL_]
    await shop.go_on(60)
    shop.frozen.add("b")
    await shop.go_on(60)
    shop.findings = [PARKED]
    await shop.go_on(60)
    shop.frozen.clear()
    await shop.go_on(120)
    assert shop.inbox.titles == [IS_PARKED]


async def test_a_worker_that_is_new_waits_until_the_one_before_it_knows_of_it() -> None:
    """Else both would tell what begins just then."""
    shop = Shop(refresh=14, findings=[WELL_])
    shop.start("c")
    await shop.go_on(43)
    shop.start("b")
    await shop.go_on(8)
    shop.findings = [PARKED]
    await shop.go_on(60)
    assert shop.inbox.titles == [IS_PARKED]


async def test_a_worker_that_hears_nothing_of_the_others_tells_nothing(shop: Shop) -> None:
    """It may be the one that is cut off."""
    shop.deaf = {"b", "c"}
    await shop.go_on(600)
    assert shop.inbox.titles == []


async def test_what_nobody_received_is_told_by_the_next_worker(shop: Shop) -> None:
    """It was not written down as told."""
    shop.inbox.is_reachable = False
    await shop.go_on(60)
    assert shop.sent.written == ()
    shop.kill("b")
    shop.inbox.is_reachable = True
    await shop.go_on(60)
    assert shop.inbox.titles == [IS_PARKED]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["freeze", "thaw", "kill", "start"]),
        st.sampled_from(["b", "c", "d"]),
        st.integers(1, 90),
    ),
    max_size=25,
)


@given(EVENTS)
async def test_whatever_happens_to_the_workers_people_are_told_once(
    events: list[tuple[str, str, int]],
) -> None:
    """Freezes, kills and starts at any time; in the end one worker lives."""
    shop = Shop()
    for name in ("b", "c"):
        shop.start(name)
    for what, name, seconds in events:
        if what == "freeze":
            shop.frozen.add(name)
        elif what == "thaw" and name in shop.announcers:
            shop.frozen.discard(name)
        elif what == "kill":
            shop.kill(name)
        elif what == "start":
            shop.frozen.discard(name)
            shop.start(name)
        await shop.go_on(seconds)
    shop.frozen.discard("b")
    shop.start("b")
    await shop.go_on(120)
    assert shop.inbox.titles == [IS_PARKED]
