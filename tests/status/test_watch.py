"""What a worker knows of the whole pipeline: unknown where nobody tells, said once in the log."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any, cast

import pytest

from streams.core.errors import SetupError
from streams.core.snapshot import Outcomes, VendorStatus, WorkerSnapshot
from streams.kafka.groups import GroupState
from streams.settings import load_settings
from streams.status import new_letters
from streams.status import watch as module
from streams.status.status import StatusBoard
from streams.status.watch import PipelineWatch
from tests.dead_letters.test_book import TOPIC, letter, resolution
from tests.operations.log_reader_in_memory import LogsInMemory, record

NOW = 1_777_000_000_000
SETTINGS = load_settings({"STREAMS_MISO_API_KEY": "k"})


class Contact:
    """Brokers that answered so long ago."""

    silent = 0.5
    why = "Kafka at kafka:9092 cannot be reached."

    def silent_seconds(self) -> float:
        """Return it."""
        return self.silent


class Tail:
    """A status topic on which nobody else speaks."""

    def __init__(self, *_: object) -> None:
        self.board = StatusBoard()

    async def refresh(self) -> None:
        """Find nothing new."""


class Pipeline:
    """A watch in Miso's worker, its clock, and what the brokers say of the groups."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.groups: Sequence[GroupState] = (
            GroupState("enrich", 77, has_committed=True),
            GroupState("miso", 0, has_committed=True),
        )
        self.contact = Contact()
        self.own = WorkerSnapshot(
            worker="miso-shop-1-0",
            stage="miso",
            slot=0,
            host="shop-1",
            pid=7,
            version="0.1.0",
            at=NOW,
            started_at=NOW,
            ready=True,
            vendor=VendorStatus("running", NOW),
        )
        monkeypatch.setattr(module, "StatusTail", Tail)
        self.logs: LogsInMemory | None = None
        monkeypatch.setattr(new_letters, "connect", self.connect)
        monkeypatch.setattr(module, "connect", lambda _: nullcontext())
        monkeypatch.setattr(module, "read_groups", self.read_groups)
        monkeypatch.setattr(module, "read_controls", self.read_controls)
        self.watch = PipelineWatch(
            SETTINGS,
            own=lambda: self.own,
            contact=self.contact,
            wall_ms=lambda: NOW,
            clock=lambda: self.now,
        )

    @asynccontextmanager
    async def connect(self, *_: object) -> AsyncIterator[LogsInMemory]:
        """Show the topics of dead letters; none: the brokers do not answer."""
        if self.logs is None:
            raise SetupError("no answer")
        yield self.logs

    async def read_groups(self, *_: object) -> Sequence[GroupState]:
        """Return them; nothing: the brokers do not answer."""
        if not self.groups:
            raise SetupError("no answer")
        return self.groups

    async def read_controls(self, *_: object) -> dict[str, Any]:
        """Nobody paused anything."""
        return {}

    def said(self) -> list[tuple[str, str]]:
        """Return subject and kind of each finding."""
        return [(finding.subject, finding.kind) for finding in self.watch.findings()]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline of which only Miso's worker runs."""
    return Pipeline(monkeypatch)


async def test_what_waits_for_a_stage_without_a_worker_is_the_brokers_figure(
    pipeline: Pipeline,
) -> None:
    """Before they were asked, and where they do not answer, it is unknown; never 0."""
    known = pipeline.watch.known()
    assert known.waiting(known.stages[0]) is None
    await pipeline.watch.refresh()
    known = pipeline.watch.known()
    assert known.waiting(known.stages[0]) == 77
    assert pipeline.said() == [("enrich", "no_worker")]
    pipeline.groups, pipeline.now = (), 6.0
    await pipeline.watch.refresh()
    known = pipeline.watch.known()
    assert known.waiting(known.stages[0]) is None


async def test_kafka_that_is_silent_is_the_only_finding(pipeline: Pipeline) -> None:
    """With the reason that the worker found out, and no advice to start workers."""
    await pipeline.watch.refresh()
    pipeline.contact.silent = 11.0
    (finding,) = pipeline.watch.findings()
    assert finding.kind == "kafka_away"
    assert finding.cause.startswith("Kafka at kafka:9092 cannot be reached.")
    assert "streams worker" not in finding.sentence()


async def test_a_finding_is_logged_once_when_it_begins_and_when_it_is_over(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """By the worker of its stage; numbers that grow are no news."""
    from msgspec.structs import replace

    caplog.set_level(logging.INFO, "streams.status")
    for number in (3, 4, 0):
        lately = {"miso": Outcomes(5, {}, {"rejected": number})} if number else {}
        pipeline.own = replace(pipeline.own, lately=cast("Any", lately))
        await pipeline.watch.refresh()
    assert [record.getMessage()[:52] for record in caplog.records] == [
        "Miso: 3 new dead letters of 8 events (38 %) in 10 mi",
        "miso: new_dead_letters is over",
    ]


async def test_dead_letters_are_news_until_all_are_resolved(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """Although the worker goes on counting those of the last ten minutes."""
    from msgspec.structs import replace

    caplog.set_level(logging.INFO, "streams.status")
    lately = {"miso": Outcomes(5, {}, {"rejected": 2})}
    pipeline.own = replace(pipeline.own, lately=cast("Any", lately))
    log = [letter(0), letter(1)]
    for second, resolved in ((0.0, ()), (5.0, (0,)), (10.0, (1,))):
        log += map(resolution, resolved)
        pipeline.logs = LogsInMemory(
            *(record(TOPIC, offset, value, at_ms=NOW) for offset, value in enumerate(log))
        )
        pipeline.now = second
        await pipeline.watch.refresh()
        texts = [finding.text for finding in pipeline.watch.findings() if "dead" in finding.text]
        assert (
            texts
            == [
                ["Miso: 2 new dead letters of 7 events (29 %) in 10 minutes."],
                ["Miso: 1 new dead letter of 7 events (14 %) in 10 minutes."],
                [],
            ][round(second / 5)]
        )
    assert [record.getMessage()[:25] for record in caplog.records] == [
        "Miso: 2 new dead letters ",
        "miso: new_dead_letters is",
    ]
