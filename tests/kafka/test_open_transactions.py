"""A visitor's no is obeyed while another producer's transaction is open on the partition."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from streams.worker.control import set_paused
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, Worker, click, user

pytestmark = pytest.mark.kafka

SILENT: dict[str, Any] = {"consent": None}
YES, NO = {"consent": {"miso": True}}, {"consent": {"miso": False}}


async def reasons(worker: Worker) -> tuple[int, list[str]]:
    """Return status and reasons of ``/health/ready``."""
    url = f"http://127.0.0.1:{worker.port}/health/ready"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, (await answer.json())["reasons"]


async def test_events_wait_while_a_transaction_hides_what_their_visitors_said(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Readiness says why; once it ends the no is obeyed, and its markers hold up nothing."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        topic = pipeline.topics.users
        await pipeline.products("p1")
        await pipeline.send(user("anna", YES), user("bert", YES))
        workers = await pipeline.both()
        other = AIOKafkaProducer(
            **pipeline.settings.kafka.client_options(), transactional_id=f"{prefix}shop"
        )
        await other.start()
        try:
            await other.begin_transaction()
            await other.send_and_wait(topic, b"{}", b"somebody")
            await pipeline.send(user("anna", NO))

            async def both_say_why() -> bool:
                found = [await reasons(worker) for worker in workers]
                head = f"{topic} partition 0: a transaction of another producer is open, so "
                return all(
                    status == 503 and len(why) == 1 and why[0].startswith(head)
                    for status, why in found
                )

            await pipeline.until(both_say_why)
            await pipeline.send(*(click("anna", event_id=f"a{n}", **SILENT) for n in range(20)))
            await pipeline.send(click("bert", event_id="b", **SILENT))

            async def are_read() -> bool:
                lag = (await pipeline.status(workers[0]))["lag"]
                return bool(lag.get(pipeline.topics.clicks) == 21)

            await pipeline.until(are_read)
            assert pipeline.stored() == []
            await other.abort_transaction()
            await pipeline.until(lambda: pipeline.stored() == ["b"])
            await pipeline.settled(21)
            assert await pipeline.outcomes() == {
                ("accepted", None): 1,
                ("skipped", "no_consent"): 20,
            }
            # Markers end the log: of an aborted transaction above, of a committed one here.
            async with other.transaction():
                await other.send(topic, b'{"consent":{"miso":true}}', b"carl")

            async def row_is_visible() -> bool:
                return any(row.key == b"carl" for row in await pipeline.read(topic))

            # The brokers write the marker after they have answered that they commit.
            await pipeline.until(row_is_visible)
            await pipeline.send(click("carl", event_id="c", **SILENT))
            await pipeline.until(lambda: pipeline.stored() == ["b", "c"])
            assert [await reasons(worker) for worker in workers] == [(200, []), (200, [])]
        finally:
            await other.stop()


async def test_markers_and_aborted_records_do_not_wait_and_expire_without_a_word(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Nothing is left to do, as others see it, too; once they are deleted, no event was lost."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        clicks = TopicPartition(pipeline.topics.clicks, 0)
        await pipeline.products("p1")
        enrich, _ = await pipeline.both()
        shop = AIOKafkaProducer(
            **pipeline.settings.kafka.client_options(), transactional_id=f"{prefix}shop"
        )
        await shop.start()
        try:
            for ids, is_aborted in ((range(3), False), (range(3, 53), True)):
                await shop.begin_transaction()
                for number in ids:
                    _, key, value = click("anna", event_id=f"e{number}")
                    await shop.send(clicks.topic, value, key)
                await (shop.abort_transaction() if is_aborted else shop.commit_transaction())
        finally:
            await shop.stop()
        await pipeline.settled(3)

        async def is_done() -> bool:
            committed = (await pipeline.committed("enrich"))[clicks].offset
            lag = (await pipeline.status(enrich))["lag"]
            return bool(committed == 55 and lag[clicks.topic] == 0)

        await pipeline.until(is_done, what="all of the log to be committed")
        enrich.kill()
        await pipeline.admin.delete_records({clicks: RecordsToDelete(before_offset=55)})
        await pipeline.worker("enrich")
        await pipeline.send(click("anna", event_id="e53"))
        await pipeline.until(lambda: "e53" in pipeline.stored())
        report = await pipeline.settled(1)
        assert report.expired[clicks.topic] == 0
        assert pipeline.stored() == ["e0", "e1", "e2", "e53"]


async def test_a_pause_hidden_by_a_transaction_is_not_missed_in_silence(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Log and status say that it is not obeyed; once the transaction ends, it is."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        miso = await pipeline.worker("miso")
        other = AIOKafkaProducer(
            **pipeline.settings.kafka.client_options(), transactional_id=f"{prefix}stranger"
        )
        await other.start()
        try:
            await other.begin_transaction()
            topic = pipeline.topics.control
            await other.send_and_wait(topic, b"{}", b"nobody")
            await set_paused(pipeline.settings, "miso", paused=True)
            why = f"{topic} partition 0: a transaction of another producer is open, so later pauses"

            async def is_said() -> bool:
                warnings = (await pipeline.status(miso))["warnings"]
                return any(warning.startswith(why) for warning in warnings)

            await pipeline.until(is_said, 15, "the status to say it")
            await pipeline.until(lambda: why in miso.output(), 5, "the log to say it")
            assert (await pipeline.status(miso))["vendor"]["state"] == "running"
            await other.abort_transaction()

            async def is_paused() -> bool:
                status = await pipeline.status(miso)
                return status["vendor"]["state"] == "paused" and not status["warnings"]

            await pipeline.until(is_paused, 15, "the pause to be obeyed")
            assert miso.output().count(why) == 1
        finally:
            await other.stop()
