"""Records whose visitor is not known wait for it, and for no longer than somebody may say it."""

import asyncio
import json
from collections.abc import Callable
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from streams.core.ingest.section import IngestSection
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.ingest.visitors import VisitorIndex
from streams.core.topics import Topics
from streams.engine.chunks import Chunk
from streams.engine.offset_tracker import OffsetTracker
from streams.engine.thread import Committed
from streams.stages.ingest import visitor_wait
from streams.stages.ingest.stage import IngestStage
from tests.core.ingest.test_visitors import order as link
from tests.stages.ingest.test_stage import App, finished

NOW_MS = 1_795_168_800_000
TOPICS = Topics("", ("erp", "web"), ("orders", "visitors"), ("orders",), joins=True)
PARTITIONS = {
    "shop.orders": 1, "shop.users": 2, "shop.visitors": 1, "ingest.dead-letters": 1,
    "erp": 1, "web": 1,
}  # fmt: skip
ERP, WEB = TP("erp", 0), TP("web", 0)


class JoiningApp(App):
    """Its tables, and how far it has read the topics that fill them."""

    def __init__(self) -> None:
        super().__init__()
        self.followed: dict[str, Any] = {}
        self.delay = 0.0
        self.position: int | None = 5
        self.end: int | None = 5
        self.consumer.offset_trackers = {ERP: OffsetTracker(), WEB: OffsetTracker()}
        self.consumer.stash = {}
        self.consumer.highwater = lambda _: self.end
        self.consumer.read_below = lambda _: self.position
        self.consumer.thread = self
        self.hidden = 0.0
        self.commit = Committed(5, "", 0, 5)
        self.first_after: dict[TP, int] = {}
        self.is_away = False

    def new_table(self, _kind: type, name: str, **options: Any) -> None:
        """See ``StageApp``."""
        self.followed[name] = options

    def row_delay(self, topic: str, partition: int) -> float:
        """See ``StageApp``."""
        assert partition < PARTITIONS[topic]
        return self.delay

    def hidden_seconds(self, tp: TP) -> float:
        """See ``StageApp``."""
        assert tp.partition < PARTITIONS[tp.topic]
        return self.hidden

    async def committed(self, tps: list[TP]) -> dict[TP, Committed]:
        """See ``ConsumerThread``."""
        if self.is_away:
            raise KafkaConnectionError
        return dict.fromkeys(tps, self.commit)

    async def offsets_at(self, tps: list[TP], ms: int) -> dict[TP, int]:
        """See ``ConsumerThread``."""
        assert (set(tps), ms) == ({WEB}, NOW_MS - 30_000)
        return self.first_after


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes between two looks, but some does for the tables."""
    times = iter(range(1_000_000))
    monkeypatch.setattr(visitor_wait, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(visitor_wait, "elapsed", lambda: next(times))


def made(wall_ms: Callable[[], int] = lambda: NOW_MS) -> tuple[IngestStage, Any, TopicMapping]:
    """A stage that writes orders of a server; and its mapping."""
    visitors = VisitorIndex([])
    erp = TopicMapping(
        "erp", [IngestSection("erp", "orders", visitor_from=["order_id"], visitors=visitors)]
    )
    web = TopicMapping("web", [IngestSection("web", "visitors")])
    app: Any = JoiningApp()
    stage = IngestStage(
        app, TOPICS, {"erp": erp, "web": web}, partitions=PARTITIONS, wall_ms=wall_ms,
        visitors=visitors,
    )  # fmt: skip
    return stage, app, erp


def orders(*numbers: str, at: int = NOW_MS) -> Chunk:
    """Orders of one line."""
    line = {"product_id": "p", "quantity": 1}
    values = [{"order_id": n, "timestamp": NOW_MS, "lines": [line]} for n in numbers]
    records = [
        SimpleNamespace(offset=offset, timestamp=at, timestamp_type=0, key=None, headers=(),
                        value=json.dumps(value).encode())
        for offset, value in enumerate(values)
    ]  # fmt: skip
    return Chunk(ERP, records)


async def turns(count: int = 50) -> None:
    """Let others run."""
    for _ in range(count):
        await asyncio.sleep(0)


def written(app: Any) -> list[tuple[str, bytes | None]]:
    """Topic and key of what is written."""
    return [(topic, key) for topic, _, key, *_ in app.written]


@pytest.mark.usefixtures("looks")
async def test_order_waits_for_its_visitor_and_what_follows_waits_with_it() -> None:
    """So the order of the topic stays; the watchdog knows that it waits."""
    stage, app, mapping = made()
    app.followed["visitors"]["apply_row"](0, link("2", "ben", NOW_MS))
    task = asyncio.ensure_future(stage._take(mapping, [orders("1", "2")]))
    await turns()
    assert written(app) == []
    assert (stage.may_be_silent(ERP), stage.may_be_silent(WEB)) == (True, False)
    app.followed["visitors"]["apply_row"](0, link("1", "anna", NOW_MS))
    await task
    await finished(stage)
    assert written(app) == [("shop.orders", b"anna"), ("shop.orders", b"ben")]
    assert not stage.may_be_silent(ERP)
    assert stage.counters.notes == {"joined:order_id": 2}
    assert app.followed["visitors"]["size"]() == 2


@pytest.mark.usefixtures("looks")
async def test_old_order_of_nobody_does_not_wait() -> None:
    """All that was said in its time is read: it is a dead letter, the others are written."""
    stage, app, mapping = made()
    app.followed["visitors"]["apply_row"](0, link("2", "ben", NOW_MS))
    await stage._take(mapping, [orders("1", "2", at=NOW_MS - 30_001)])
    await finished(stage)
    assert written(app) == [("ingest.dead-letters", None), ("shop.orders", b"ben")]
    assert stage.counters.dead_lettered == {"unknown_visitor": 1}


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize(
    "behind",
    [
        {"position": 4},
        {"position": None},
        {"end": None},
        {"delay": inf},
    ],
)
async def test_old_order_waits_while_what_names_its_visitor_is_not_read(
    behind: dict[str, Any],
) -> None:
    """At a first start all topics are old: none of their orders may be given up for that."""
    stage, app, mapping = made()
    vars(app).update(behind)
    task = asyncio.ensure_future(stage._take(mapping, [orders("1", at=NOW_MS - 86_400_000)]))
    await turns()
    assert not task.done()
    app.position = app.end = 5
    app.delay = 0.0
    await task
    await finished(stage)
    assert written(app) == [("ingest.dead-letters", None)]


@pytest.mark.usefixtures("looks")
async def test_order_waits_until_the_rows_of_its_time_are_written() -> None:
    """What is read of the other topic and not acknowledged does not count."""
    stage, app, mapping = made()
    taken = Chunk(WEB, orders("1", at=NOW_MS - 60_000).value)
    app.consumer.offset_trackers[WEB].hand_out(taken)
    task = asyncio.ensure_future(stage._take(mapping, [orders("1", at=NOW_MS - 60_000)]))
    await turns()
    assert not task.done()
    taken.acked = True
    await task
    await finished(stage)
    assert written(app) == [("ingest.dead-letters", None)]


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize("where", [{"position": 4}, {"delay": inf}])
async def test_order_waits_for_a_transaction_but_not_for_one_that_hangs(
    where: dict[str, Any],
) -> None:
    """It may say whose the order is: of the topic that names visitors, or of our own tables."""
    stage, app, mapping = made()
    vars(app).update(where, hidden=29.0)
    task = asyncio.ensure_future(stage._take(mapping, [orders("1", at=NOW_MS - 40_000)]))
    await turns()
    assert not task.done()
    app.hidden = 30.0
    await task
    await finished(stage)
    assert written(app) == [("ingest.dead-letters", None)]


@pytest.mark.usefixtures("looks")
async def test_order_that_is_older_than_a_transaction_does_not_wait_for_it() -> None:
    """Where one follows the other the log's end is never read."""
    stage, app, mapping = made()
    vars(app).update(position=4, hidden=29.0)
    await stage._take(mapping, [orders("1", at=NOW_MS - 59_000)])
    await finished(stage)
    assert written(app) == [("ingest.dead-letters", None)]


def test_what_a_hidden_record_means_is_said_of_topics_that_name_visitors() -> None:
    """Of the others it means that they wait."""
    stage, *_ = made()
    assert "dead letters (unknown_visitor) 30 s after" in stage.effect_of_hidden(WEB)
    assert stage.effect_of_hidden(ERP) == "later records wait"


def commit(offset: int | None = None, *, start: int = 0, end: int = 5) -> Committed:
    """A commit on the partition of another worker."""
    return Committed(offset, "", start, end)


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize(
    ("behind", "written_now"),
    [
        ({"commit": commit(4)}, {"commit": commit(5)}),
        ({"commit": commit()}, {"commit": commit(5)}),
        ({"commit": commit(2, end=9), "first_after": {WEB: 3}}, {"commit": commit(3, end=9)}),
        ({"commit": commit(start=4)}, {"commit": commit(start=5)}),
        ({"is_away": True}, {"is_away": False}),
    ],
)
async def test_order_waits_for_what_another_worker_has_not_written_yet(
    behind: dict[str, Any], written_now: dict[str, Any]
) -> None:
    """What it has written is committed up to the first record that is too late for the order."""
    stage, app, mapping = made()
    del app.consumer.offset_trackers[WEB]
    vars(app).update(behind)
    task = asyncio.ensure_future(stage._take(mapping, [orders("1", at=NOW_MS - 60_000)]))
    await turns()
    assert not task.done()
    app.followed["visitors"]["apply_row"](0, link("2", "ben", NOW_MS))
    vars(app).update(written_now)
    await task
    await finished(stage)
    assert written(app) == [("ingest.dead-letters", None)]


@pytest.mark.usefixtures("looks")
async def test_nothing_is_written_of_a_partition_that_another_worker_has() -> None:
    """It waits there then."""
    stage, app, mapping = made()
    task = asyncio.ensure_future(stage._take(mapping, [orders("1")]))
    await turns()
    app.in_hand = False
    await task
    await finished(stage)
    assert (written(app), app.acked) == ([], [])


async def test_time_of_a_wrong_clock_holds_nobody_up_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Kafka time of tomorrow counts as now."""
    monkeypatch.setattr(visitor_wait, "LOOK_SECONDS", 0.0)
    stage, app, mapping = made()
    clock = [NOW_MS]
    assert stage._wait is not None
    stage._wait._now_ms = lambda: clock[0]
    task = asyncio.ensure_future(stage._take(mapping, [orders("1", at=NOW_MS + 86_400_000)]))
    await turns()
    assert not task.done()
    clock[0] += 30_000
    await task
    await finished(stage)
    assert written(app) == [("ingest.dead-letters", None)]


@pytest.mark.usefixtures("looks")
async def test_clock_that_is_set_back_holds_nobody_up_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The wait is over after its time, whatever the clock says then."""
    monkeypatch.setattr(visitor_wait, "VISITOR_SECONDS", 0.05)
    clock = [NOW_MS]
    stage, app, mapping = made(wall_ms=lambda: clock[0])
    task = asyncio.ensure_future(stage._take(mapping, [orders("1")]))
    await turns(5)
    clock[0] -= 3_600_000
    async with asyncio.timeout(20):
        await task
    await finished(stage)
    assert written(app) == [("ingest.dead-letters", None)]
