"""Partitions that are added to topics: said, and lived through without losing a row or an event."""

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import NewPartitions

from streams.cli import main
from streams.core.errors import SetupError
from streams.engine.partitioner import home_of
from streams.kafka.reader import silent
from streams.operations.forget.forget import run_forget
from streams.operations.forget.survey import survey
from streams.operations.rekey import run_rekey
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, alter_topic, click, product, user, visitors

pytestmark = pytest.mark.kafka

YES, NO = {"consent": {"miso": True}}, {"consent": {"miso": False}}


async def grow(pipeline: Pipeline, partitions: int, *topics: str) -> None:
    """Add partitions, as kafka-topics --alter does."""
    await pipeline.admin.create_partitions(
        {topic: NewPartitions(total_count=partitions) for topic in topics}
    )

    async def are_there() -> bool:
        found = await pipeline.admin.describe_topics(list(topics))
        return all(len(topic["partitions"]) == partitions for topic in found)

    await pipeline.until(are_there)
    await pipeline.producer.client.force_metadata_update()


async def grow_all(pipeline: Pipeline, partitions: int) -> None:
    """Add partitions to every topic on which a visitor's records must meet."""
    specs = pipeline.topics.specs(("eightselect", "voyado", "miso"), pipeline.partitions)
    await grow(
        pipeline, partitions, *(s.name for s in specs if s.partitions == pipeline.partitions)
    )


async def reason_of(pipeline: Pipeline, event_id: str) -> str | None:
    """Wait for an event's receipt and return its reason."""
    await pipeline.outcome(event_id)
    receipts = await pipeline.receipts()
    (reason,) = {r.get("reason") for r in receipts if r["event_id"] == event_id}
    return reason


async def test_a_topic_that_grew_alone_ends_enrichment_with_its_name_and_the_sinks_go_on(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """At work and at a start; what still works is named, too."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2) as pipeline:
        enrich, miso = await pipeline.both()
        clicks = pipeline.topics.clicks
        await grow(pipeline, 3, clicks)
        assert await enrich.ended(25) == 2
        again = pipeline.start("enrich")
        assert await again.ended(25) == 2
        _, at_start = again.output().splitlines()
        for said in (enrich.output(), at_start):
            assert f"{clicks} has 3" in said
            assert (
                "and 3 more have 2), so miso still works, the rest waits, and nothing is lost"
                in said
            )
            assert "delete" not in said
            assert "Traceback" not in said
        assert miso.code is None
        await pipeline.ready(miso)
        await miso_delivers(pipeline)


async def miso_delivers(pipeline: Pipeline) -> None:
    """A sink that was started after the growth works, too."""
    second = await pipeline.worker("miso", "--slot", "1")
    assert second.code is None


@pytest.mark.slow
async def test_after_all_topics_grew_rows_are_brought_home_and_nobody_is_forgotten(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited on the old partitions is delivered; a newer no is kept; it can be repeated."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2) as pipeline:
        people = visitors(40)
        moved = [name for name in people if home_of(name.encode(), 3) != home_of(name.encode(), 2)]
        stayed = next(name for name in people if name not in moved)
        anna, bert, dora, emil = moved[:4]
        assert len(moved) > 10
        await pipeline.send(product("p1"), *(user(name, YES) for name in people))
        enrich = await pipeline.worker("enrich")
        await pipeline.send(*(click(name, event_id=f"{name}-old", consent=None) for name in people))
        await pipeline.written(len(people))  # and no sink runs: they wait
        await grow_all(pipeline, 3)
        assert await enrich.ended(25) in (2, 70)

        enrich = await pipeline.worker("enrich")
        await pipeline.send(
            user(bert, {"consent": {"miso": False}}), click(anna, event_id="lost", consent=None)
        )
        assert await reason_of(pipeline, "lost") == "no_consent"
        (warning,) = (await pipeline.status(enrich))["warnings"]
        assert "streams topics rekey" in warning
        assert "a row whose key belongs on another partition" in enrich.output()

        looked = await run_rekey(pipeline.settings, wait_seconds=0, dry_run=True)
        assert (looked.rows, looked.left, looked.removed) == (len(people) + 1, len(moved), 0)
        found = await survey(pipeline.settings, emil)
        assert found.elsewhere == (home_of(emil.encode(), 2),)
        await run_forget(
            pipeline.settings, found, tell=silent, say=lambda _: None, workers_seconds=5
        )
        first = await run_rekey(pipeline.settings, wait_seconds=0)
        assert (first.removed, first.left) == (0, len(moved) - 1)
        assert first.waiting[0].startswith("miso has not settled all of ")
        await pipeline.send(
            click(anna, event_id="found", consent=None), click(bert, event_id="no", consent=None)
        )
        assert await reason_of(pipeline, "no") == "no_consent"

        await pipeline.worker("miso")
        waited = {f"{name}-old" for name in people if name not in (bert, emil)}
        await pipeline.until(lambda: set(pipeline.stored()) == {*waited, "found"})
        assert await reason_of(pipeline, f"{bert}-old") == "no_consent"
        assert await reason_of(pipeline, f"{emil}-old") == "no_consent"
        for name, value in pipeline.env.items():
            monkeypatch.setenv(name, value)
        second = await run_rekey(pipeline.settings, wait_seconds=20)
        assert (second.copied, second.removed, second.left) == (0, len(moved) - 1, 0)
        third = await run_rekey(pipeline.settings, wait_seconds=0)
        assert (third.rows, third.copied, third.removed) == (len(people) - 1, 0, 0)

        await pipeline.send(user(dora, None))
        await pipeline.send(*(click(name, event_id=f"{name}-new", consent=None) for name in people))
        new = {f"{name}-new" for name in people if name not in (bert, dora, emil)}
        await pipeline.until(lambda: set(pipeline.stored()) == {*waited, "found", *new})
        assert await reason_of(pipeline, f"{dora}-new") == "no_consent"
        assert f"{stayed}-new" in pipeline.stored()
        assert (await pipeline.status(enrich))["warnings"] == []


async def test_a_vendor_that_is_off_is_named_and_not_waited_for(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Nobody settles its events; if it is switched on, their consent is in the rows."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2) as pipeline:
        topic, users = pipeline.topics.events("voyado"), pipeline.topics.users
        away = 1 - home_of(b"anna", 2)
        row = b'{"consent": {"voyado": true}}'
        await pipeline.producer.send_and_wait(users, row, b"anna", partition=away)
        await pipeline.producer.send_and_wait(topic, b"{}", b"anna", partition=away)
        done = await asyncio.wait_for(run_rekey(pipeline.settings, wait_seconds=3_600), 30)
        assert (done.copied, done.removed, done.left) == (1, 0, 1)
        (waiting,) = done.waiting
        assert waiting == (
            f"voyado has not settled all of {topic}/{away} and is off: switch it on, or give --now "
            "if it stays off"
        )
        assert (await run_rekey(pipeline.settings, wait_seconds=0, remove_now=True)).removed == 1


@pytest.mark.slow
async def test_a_no_that_is_said_while_rows_move_stops_old_and_new_events(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """On the new partition, and on the old one by a producer that does not know the new ones."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2) as pipeline:
        users = pipeline.topics.users
        moved = [v for v in visitors(40) if home_of(v.encode(), 3) != home_of(v.encode(), 2)]
        anna, bert = moved[:2]
        old = {name: home_of(name.encode(), 2) for name in (anna, bert)}
        await pipeline.send(product("p1"), user(anna, YES), user(bert, YES))
        enrich = await pipeline.worker("enrich")
        await pipeline.send(*(click(v, event_id=f"{v}-old", consent=None) for v in (anna, bert)))
        await pipeline.written(2)  # and no sink runs: they wait
        await grow_all(pipeline, 3)
        assert await enrich.ended(25) in (2, 70)
        await pipeline.worker("enrich")

        async def said(visitor: str, partition: int) -> bytes | None:
            rows = [r.value for r in await pipeline.read(users) if r.partition == partition
                    and r.key == visitor.encode()]  # fmt: skip
            return rows[-1] if rows else None

        async def say(visitor: str, what: bytes, partition: int) -> None:
            async def is_there() -> bool:
                return await said(visitor, partition) == what

            await pipeline.until(is_there, what=f"{what!r} on partition {partition}")

        yes, no = user(anna, YES)[2], user(anna, NO)[2]
        assert yes is not None
        assert no is not None
        rekey = asyncio.ensure_future(run_rekey(pipeline.settings, wait_seconds=60))
        for name in (anna, bert):
            await say(name, yes, home_of(name.encode(), 3))
        await pipeline.send(user(anna, NO))
        await pipeline.producer.send_and_wait(users, no, bert.encode(), partition=old[bert])
        await say(anna, no, old[anna])
        await say(bert, no, home_of(bert.encode(), 3))
        await pipeline.worker("miso")
        done = await rekey
        assert (done.rows, done.removed, done.left) == (2, 2, 0)
        await pipeline.send(*(click(v, event_id=f"{v}-new", consent=None) for v in (anna, bert)))
        await pipeline.settled(4)
        assert await pipeline.outcomes() == {("skipped", "no_consent"): 4}


async def test_rows_are_not_moved_where_the_broker_would_make_their_copies_the_newest(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """With LogAppendTime nobody knows any more which of two rows was the last word."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2) as pipeline:
        users = pipeline.topics.users
        await alter_topic(pipeline.admin, users, {"message.timestamp.type": "LogAppendTime"})
        await pipeline.send(*(user(name, YES) for name in visitors(40)))
        assert (await run_rekey(pipeline.settings, wait_seconds=0)).copied == 0
        await grow_all(pipeline, 3)
        with pytest.raises(SetupError, match=r"LogAppendTime.*Set it to CreateTime"):
            await run_rekey(pipeline.settings, wait_seconds=0)
        assert len(await pipeline.read(users)) == 40
        await alter_topic(pipeline.admin, users, {"message.timestamp.type": "CreateTime"})
        done = await run_rekey(pipeline.settings, wait_seconds=0)
        assert done.copied == done.removed > 10


@pytest.mark.slow
async def test_after_products_grew_the_newest_row_of_a_product_counts(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Its old row lies on its old partition for ever, here at the end of a log that takes long."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        moved = [p for p in (f"p{n}" for n in range(40)) if home_of(p.encode(), 2) == 1]
        changed, deleted = moved[:2]
        await pipeline.send(*(product(f"other{n}", name="x" * 300) for n in range(10_000)))
        await pipeline.products(changed, deleted)
        enrich = await pipeline.worker("enrich")
        await grow(pipeline, 2, pipeline.topics.products)
        assert await enrich.ended(25) == 70
        await pipeline.send(
            product(changed, sku="S-new"), ("shop.products", deleted.encode(), None)
        )
        await pipeline.worker("enrich")
        await pipeline.send(
            click("anna", event_id="e1", product_id=changed),
            click("anna", event_id="e2", product_id=deleted),
        )
        assert await reason_of(pipeline, "e2") == "unknown_product"
        await pipeline.written(1)
        (record,) = await pipeline.read(pipeline.topics.events("miso"))
        assert b'"S-new"' in record.value


def test_the_command_says_what_it_did(
    broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With nothing to do, too."""
    monkeypatch.setenv("STREAMS_KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers)
    monkeypatch.setenv("STREAMS_KAFKA_TOPIC_PREFIX", prefix)
    assert main(["topics", "create"]) == 0
    capsys.readouterr()
    assert main(["topics", "rekey"]) == 0
    assert capsys.readouterr().out == ("0 rows; 0 written, 0 removed from their old partitions.\n")
    assert main(["topics", "rekey", "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith("Nothing was changed.\n")
