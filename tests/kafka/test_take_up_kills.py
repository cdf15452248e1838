"""Workers killed while they take their partitions up leave the group's commits as they were."""

from pathlib import Path
from typing import Any

import pytest

from tests.broker_fixtures import Broker
from tests.kafka import faulty_worker
from tests.kafka.pipeline import ALL_KINDS, Pipeline, Worker, many, product, user, visitors

pytestmark = pytest.mark.kafka

STAGES = ("enrich", "eightselect", "voyado", "miso")
ROUNDS = 5
EVENTS = 40
START_SECONDS = 60.0
ENV = {
    "STREAMS_VOYADO_API_KEY": "sandbox-secret",
    "STREAMS_VOYADO_USER_AGENT": "TestShop/1.0",
    "STREAMS_VOYADO_CLICKS": "all",
    "STREAMS_EIGHTSELECT_API_ID": "sandbox-id",
    "STREAMS_EIGHTSELECT_USER_ID_SECRET": "a-secret-of-this-test",
    "STREAMS_EIGHTSELECT_REQUIRE_CONTENT": "false",
}
YES = {"eightselect": True, "voyado": True, "miso": True}
CONTENT = {"type": "customSet", "id": "set-1"}

Commits = dict[str, dict[Any, tuple[int, str]]]


async def commits(pipeline: Pipeline) -> Commits:
    """Return offset and metadata of each partition, by stage, as the broker has them."""
    return {
        stage: {
            tp: (at.offset, at.metadata) for tp, at in (await pipeline.committed(stage)).items()
        }
        for stage in STAGES
    }


def said(worker: Worker, words: str) -> bool:
    """Whether a worker that still runs has written these words."""
    assert worker.code is None, worker.output()
    return words in worker.output()


@pytest.mark.slow
async def test_twenty_kills_while_partitions_are_taken_up_change_no_commit(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Five of each stage, before and after it has read what the last owner left."""
    async with Pipeline(
        broker, prefix, tmp_path, partitions=2, env=ENV, all_sources=True
    ) as pipeline:
        names = visitors(8)
        contact = "5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66"
        await pipeline.send(product("p1"), *(user(name, {"contact_id": contact}) for name in names))
        workers = [pipeline.start(stage) for stage in STAGES]
        await pipeline.ready(*workers)
        events = list(many(EVENTS, names, kinds=ALL_KINDS, consent=YES, content=CONTENT))
        ledgers = pipeline.sandbox.ledgers
        # After a start one request goes alone.
        await pipeline.send(events[0])
        await pipeline.until(lambda: len(ledgers["voyado"]) == 1)
        # Voyado's next request of each strand stays open: its commits say that it is to be asked.
        pipeline.sandbox.faults.set("voyado:hang,method=POST")
        asked = ledgers["voyado"].requests
        await pipeline.send(*events[1:])
        await pipeline.until(
            lambda: (
                len(ledgers["miso"]) == len(ledgers["eightselect"]) == EVENTS
                and ledgers["voyado"].requests >= asked + len(names) // 2
            )
        )

        async def all_settled() -> bool:
            found = await commits(pipeline)
            return all(
                sum(offset for tp, (offset, _) in found[stage].items() if ".events" in tp.topic)
                == EVENTS
                for stage in ("miso", "eightselect")
            )

        await pipeline.until(all_settled)
        for worker in workers:
            worker.kill()
        before = await commits(pipeline)
        for stage in STAGES:
            assert all(metadata for _, metadata in before[stage].values()), before
        for number in range(ROUNDS):
            fault = "take_up_for_ever" if number % 2 == 0 else "never_quite_take_up"
            program = (str(faulty_worker.__file__), fault)
            workers = [pipeline.start(stage, program=program) for stage in STAGES]
            await pipeline.until(
                lambda workers=workers: all(  # type: ignore[misc]
                    said(worker, faulty_worker.TAKING_UP) for worker in workers
                ),
                START_SECONDS,
                "all four to be in the midst of it",
            )
            assert await commits(pipeline) == before, fault
            for worker in workers:
                worker.kill()
            assert await commits(pipeline) == before, fault
        report = await pipeline.audit()
        assert report.balanced, report
        assert [vendor.missing for vendor in report.vendors] == [0, 0, 0]
