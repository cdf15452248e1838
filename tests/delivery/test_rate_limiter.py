"""The rate limiter in virtual time: the limit holds, and the lanes have their order."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from streams.delivery.lanes import Lane
from streams.delivery.rate_limit import HEADROOM, RateLimit
from streams.delivery.rate_limiter import RateLimiter
from tests.delivery.virtual_time import run

PER_SECOND = 10.0
SPACE = 1 / (PER_SECOND * HEADROOM)


class Door:
    """A rate limiter, and which lanes had a turn when."""

    def __init__(self) -> None:
        clock = asyncio.get_running_loop().time
        self.may_pass = True
        self.passed: list[tuple[float, Lane]] = []
        self.sent_away = 0
        self._clock = clock
        self.rate_limiter = RateLimiter(
            RateLimit(PER_SECOND, clock()), clock, lambda: self.may_pass
        )

    async def enter(self, lane: Lane) -> None:
        """Ask for a turn."""
        if await self.rate_limiter.acquire(lane):
            self.passed.append((self._clock(), lane))
        else:
            self.sent_away += 1

    def queue(self, lane: Lane, count: int) -> list[asyncio.Task[None]]:
        """Ask for many turns at once."""
        return [asyncio.ensure_future(self.enter(lane)) for _ in range(count)]


def test_turns_are_evenly_spaced_from_the_first_on() -> None:
    """Ten at once take as long as nine spaces."""

    async def main() -> list[float]:
        door = Door()
        await asyncio.gather(*door.queue(Lane.LIVE, 10))
        return [at for at, _ in door.passed]

    moments = run(main())
    assert moments[0] == 0.0
    assert [after - before for before, after in pairwise(moments)] == pytest.approx([SPACE] * 9)


def test_live_overtakes_what_waited_before_it() -> None:
    """Redeliveries get one turn in twenty meanwhile, and all of them in the end."""

    async def main() -> list[Lane]:
        door = Door()
        waiting = door.queue(Lane.REDELIVERY, 30)
        await asyncio.sleep(0)
        waiting += door.queue(Lane.LIVE, 38)
        await asyncio.gather(*waiting)
        return [lane for _, lane in door.passed]

    found = run(main())
    assert found[0] is Lane.REDELIVERY
    assert Counter(found[1:41]) == {Lane.LIVE: 38, Lane.REDELIVERY: 2}
    assert found[41:] == [Lane.REDELIVERY] * 27


def test_when_the_breaker_shuts_all_go_without_a_turn() -> None:
    """No turn is spent on requests that are not made."""

    async def main() -> tuple[Door, float]:
        door = Door()
        waiting = door.queue(Lane.LIVE, 5) + door.queue(Lane.RETRY, 5)
        await asyncio.sleep(SPACE * 1.5)
        door.may_pass = False
        await asyncio.gather(*waiting)
        ended = asyncio.get_running_loop().time()
        await door.enter(Lane.LIVE)
        door.may_pass = True
        await door.enter(Lane.LIVE)
        return door, ended

    door, ended = run(main())
    assert ended == pytest.approx(2 * SPACE)
    assert door.sent_away == 9
    assert [at for at, _ in door.passed] == pytest.approx([0.0, SPACE, 2 * SPACE])


def test_release_does_not_wait_for_the_next_turn() -> None:
    """A worker that stops has no time for it."""

    async def main() -> tuple[int, float]:
        door = Door()
        waiting = door.queue(Lane.LIVE, 50)
        await asyncio.sleep(0)
        door.rate_limiter.release()
        await asyncio.gather(*waiting)
        return door.sent_away, asyncio.get_running_loop().time()

    assert run(main()) == (49, 0.0)


def test_whoever_gave_up_waiting_takes_no_turn() -> None:
    """A cancelled request leaves its place to the next."""

    async def main() -> list[float]:
        door = Door()
        first, *given_up, last = door.queue(Lane.LIVE, 4)
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        await asyncio.gather(first, last)
        return [at for at, _ in door.passed]

    assert run(main()) == pytest.approx([0.0, SPACE])
