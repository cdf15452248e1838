"""One event that the vendor fails over for ever: the others go on, and it can be sent again."""

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest

from streams.cli import main
from tests.broker_fixtures import Broker
from tests.kafka import faulty_worker
from tests.kafka.pipeline import Pipeline, click, many, visitors

pytestmark = pytest.mark.kafka


@pytest.mark.slow
async def test_one_event_is_undeliverable_the_others_go_on_and_a_resend_delivers_it(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its batch is halved, its visitor's next event waits for it, and nobody else's does."""
    env = {"STREAMS_MISO_LINGER_SECONDS": "0.05"}
    async with Pipeline(broker, prefix, tmp_path, partitions=2, env=env) as pipeline:
        await pipeline.products("p1")
        await pipeline.worker("enrich")
        assert faulty_worker.__file__ is not None
        miso = pipeline.start("miso", program=(faulty_worker.__file__, "be_quick"))
        await pipeline.ready(miso)
        pipeline.sandbox.faults.set("miso:500,body=bad-1")
        names = visitors(8)
        await pipeline.send(
            *many(10, names[1:]),
            click(names[0], event_id="bad-1"),
            click(names[0], event_id="after"),
            *many(10, names[1:], 10),
        )
        await pipeline.until(lambda: len(pipeline.stored()) >= 20)
        states, rounds = set(), 0
        letters = pipeline.topics.dead_letters("miso")
        while not await pipeline.read(letters):
            start = 20 + 10 * rounds
            rounds += 1
            await pipeline.send(*many(10, names[1:], start))
            wanted = {f"e{n}" for n in range(start, start + 10)}
            await pipeline.until(
                partial(_are_stored, pipeline, wanted), 3, "the others to be stored"
            )
            states.add((await pipeline.status(miso))["vendor"]["state"])
        assert rounds > 5
        assert states <= {"running", "degraded"}
        raw = 22 + 10 * rounds
        report = await pipeline.settled(raw)
        (books,) = report.vendors
        assert (books.accepted, books.dead_lettered) == (raw - 1, {"undeliverable": 1})
        (letter,) = await pipeline.read(letters)
        seen = json.loads(letter.value)
        assert (seen["event_id"], seen["reason"], seen["status"]) == ("bad-1", "undeliverable", 500)
        assert seen["attempts"] >= 5
        assert pipeline.ledger.duplicates() == {}
        assert await pipeline.order_violations() == []

        pipeline.sandbox.faults.clear()
        for name, value in pipeline.environment.items():
            monkeypatch.setenv(name, value)
        resend = ["dead-letters", "resend", "--yes", "--json"]
        assert await asyncio.to_thread(main, resend) == 0
        await pipeline.until(lambda: "bad-1" in pipeline.stored())
        report = await pipeline.settled(raw)
        assert report.vendors[0].accepted == raw


def _are_stored(pipeline: Pipeline, wanted: set[str]) -> bool:
    return wanted <= set(pipeline.stored())
