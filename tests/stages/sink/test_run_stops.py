"""Stopped runs: at once here, soon for all workers."""

import asyncio

import pytest

from streams.core.errors import SetupError
from streams.stages.sink.run_stops import RunStops


class Topic:
    """Takes the word of a stop, as long as it is reachable."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.failures = 0

    async def write(self, run: str) -> None:
        """Note it."""
        if self.failures:
            self.failures -= 1
            raise SetupError("no broker")
        self.written.append(run)


async def until_idle(stops: RunStops) -> None:
    """Let what is being written come to its end."""
    while stops._writing:
        await asyncio.wait(set(stops._writing))


async def test_a_run_is_stopped_here_before_anybody_has_read_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And said once, in words that name it and why."""
    topic = Topic()
    stops = RunStops("Miso", topic.write)
    assert stops.stop("r-1", "11 of its last 20 events were refused")
    assert stops.stopped == {"r-1"}
    assert not stops.stop("r-1", "12 of its last 21 events were refused")
    await until_idle(stops)
    assert topic.written == ["r-1"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert "run r-1 is stopped: 11 of its last 20 events were refused at Miso" in line


async def test_it_stays_stopped_until_its_own_word_is_read_and_then_the_operator_decides() -> None:
    """Control from before must not start it again; one that leaves it out later does."""
    stops = RunStops("Miso", Topic().write)
    stops.stop("r-1", "why")
    assert stops.apply(("r-0",)) == {"r-0"}
    assert stops.stopped == {"r-0", "r-1"}
    assert stops.apply(("r-0", "r-1")) == set()
    assert stops.apply(("r-0",)) == set()
    assert stops.stopped == {"r-0"}
    await until_idle(stops)


async def test_a_word_that_could_not_be_written_is_written_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The other workers have to hear of it."""
    monkeypatch.setattr("streams.stages.sink.run_stops.WRITE_AGAIN_SECONDS", 0.0)
    topic = Topic()
    topic.failures = 2
    stops = RunStops("Miso", topic.write)
    stops.stop("r-1", "why")
    await until_idle(stops)
    assert topic.written == ["r-1"]
    assert caplog.text.count("could not be written: no broker") == 2
