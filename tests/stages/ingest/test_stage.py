"""The stage on its own: what it waits for, says and counts; Kafka is the tests with a broker."""

import asyncio
import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.core.ingest.decoding import PlainJsonDecoder, RegistryAway
from streams.core.ingest.section import IngestSection
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.topics import Topics
from streams.engine.app import StageApp
from streams.engine.chunks import Chunk
from streams.engine.expired import total_by_topic
from streams.engine.partitioner import home_of
from streams.stages.ingest import stage as stage_module
from streams.stages.ingest.stage import IngestStage

NOW_MS = 1_795_168_800_000
TOPICS = Topics("x.", ("web",), ("clicks",))
PARTITIONS = {"x.shop.clicks": 6, "x.ingest.dead-letters": 6}
WEB = TP("web", 11)


class Registry(PlainJsonDecoder):
    """A decoder whose registry is away for the first questions."""

    def __init__(self, away: int) -> None:
        self.away = away

    async def prepare(self, values: Iterable[bytes]) -> None:
        """See ``Decoder``."""
        assert [*values]
        if self.away:
            self.away -= 1
            raise RegistryAway("http://registry answers 503")


class App:
    """What the stage asks of its app, and what it writes."""

    def __init__(self) -> None:
        self.written: list[tuple[Any, ...]] = []
        self.acked: list[Any] = []
        self.in_hand = True
        self.consumer = SimpleNamespace(is_in_hand=lambda _: self.in_hand, ack=self.acked.append)

    def read_chunks(self, topic: str, *, name: str, take: object) -> None:  # noqa: ARG002
        """Nothing comes by itself."""
        assert name == f"ingest-{topic}"

    ours: Any = StageApp.ours

    def may_act(self) -> bool:
        """This worker is in its group."""
        return True

    def new_outputs(self) -> Any:
        """Batches that are written at once."""

        async def acknowledged() -> None: ...

        async def send() -> Any:
            return SimpleNamespace(acknowledged=acknowledged)

        return SimpleNamespace(append=lambda *record: self.written.append(record), send=send)


def made(decoder: Any = None) -> tuple[IngestStage, App, TopicMapping]:
    """A stage with one section to clicks."""
    mapping = TopicMapping("web", [IngestSection("views", "clicks", when="name")], decoder)
    app: Any = App()
    stage = IngestStage(
        app, TOPICS, {"web": mapping}, partitions=PARTITIONS, wall_ms=lambda: NOW_MS
    )
    return stage, app, mapping


def chunk(*values: Any) -> Chunk:
    """Records of one partition of the shop's topic."""
    records = [
        SimpleNamespace(
            offset=at, timestamp=NOW_MS, timestamp_type=0, key=None, headers=(),
            value=None if value is None else json.dumps(value).encode(),
        )
        for at, value in enumerate(values)
    ]  # fmt: skip
    return Chunk(WEB, records)


VIEW = {"name": "view", "anonymous_id": "anna", "timestamp": NOW_MS, "product_id": "p"}


async def finished(stage: IngestStage) -> None:
    """Wait for all that is in flight."""
    await asyncio.gather(*stage._in_flight)


async def test_event_goes_to_its_visitors_partition_and_says_where_it_came_from() -> None:
    """Letters lie by the shop's partition, within what their topic has."""
    stage, app, mapping = made()
    taken = chunk(VIEW, {"name": "view"}, {"other": 1})
    await stage._take(mapping, [taken])
    await finished(stage)
    assert app.acked == [taken]
    (event, letter) = app.written
    assert event[:3] == ("x.shop.clicks", home_of(b"anna", 6), b"anna")
    assert event[4] == [("source", b"web/11/0"), ("section", b"views")]
    assert letter[:2] == ("x.ingest.dead-letters", 11 % 6)
    assert stage.counters.events == 3
    assert stage.counters.ingested == {
        ("views", "written"): 1,
        ("views", "dead_lettered"): 1,
        ("views", "unmapped"): 1,
    }


async def test_records_wait_while_the_registry_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given up; the worker says so, and is silent for a good reason."""
    monkeypatch.setattr(stage_module, "REGISTRY_SECONDS", 0.0)
    stage, app, mapping = made(Registry(away=3))
    seen: list[list[str]] = []
    decode = mapping.decoder.prepare

    async def watched(values: Iterable[bytes]) -> None:
        seen.append(stage.not_ready())
        assert stage.may_be_silent(WEB) == bool(seen[-1])
        await decode(values)

    mapping.decoder.prepare = watched  # type: ignore[method-assign]
    await stage._take(mapping, [chunk(VIEW)])
    await finished(stage)
    assert seen == [[], *[["registry: http://registry answers 503"]] * 3]
    assert stage.not_ready() == []
    assert len(app.written) == 1


async def test_chunk_that_was_revoked_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next owner starts from the commit."""
    monkeypatch.setattr(stage_module, "REGISTRY_SECONDS", 0.0)
    stage, app, mapping = made()
    app.in_hand = False
    await stage._take(mapping, [chunk(VIEW)])
    await finished(stage)
    assert app.written == []


async def test_fault_of_our_own_over_a_record_is_its_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others of the chunk go on."""
    stage, app, mapping = made()
    read = mapping.read

    def faulty(key: Any, value: Any, partition: int, offset: int, kafka_ms: int) -> Any:
        if offset == 0:
            raise ZeroDivisionError("division by zero")
        return read(key, value, partition, offset, kafka_ms)

    monkeypatch.setattr(mapping, "read", faulty)
    await stage._take(mapping, [chunk(VIEW, VIEW)])
    await finished(stage)
    letter, event = app.written
    body = json.loads(letter[3])
    assert (body["reason"], body["detail"]) == ("defect", "ZeroDivisionError: division by zero")
    assert event[2] == b"anna"


async def test_what_expired_travels_with_the_commits() -> None:
    """A restart goes on counting; foreign metadata counts as none."""
    stage, _, _ = made()
    start = SimpleNamespace(offset=5, log_start=0, metadata='{"expired": {"*": 7}}')
    await stage.on_start_positions({WEB: start})  # type: ignore[dict-item]
    stage.on_expired(WEB, 5, 9)
    assert total_by_topic(stage.expired) == {"web": 11}
    assert json.loads(stage.commit_metadata(WEB, 9) or "") == {"expired": {"*": 11}}
    foreign = SimpleNamespace(offset=5, log_start=0, metadata="[]")
    await stage.on_start_positions({WEB: foreign})  # type: ignore[dict-item]
    assert total_by_topic(stage.expired) == {}
    stage.on_partitions_gone([WEB])
    assert stage.commit_metadata(WEB, 9) is None


def test_only_a_topic_that_gives_nothing_but_rows_may_be_compacted() -> None:
    """Of events Kafka would keep a visitor's newest."""
    sections = {
        "web": ["clicks"],
        "crm": ["users"],
        "both": ["users", "clicks"],
    }
    mappings = {
        topic: TopicMapping(topic, [IngestSection(f"{topic}-{to}", to) for to in targets])
        for topic, targets in sections.items()
    }
    app: Any = App()
    topics = Topics("x.", tuple(sections), ("clicks", "users"))
    stage = IngestStage(
        app, topics, mappings, partitions=PARTITIONS | {"x.shop.users": 6}, wall_ms=lambda: NOW_MS
    )
    assert [topic for topic in sections if stage.may_be_compacted(topic)] == ["crm"]
