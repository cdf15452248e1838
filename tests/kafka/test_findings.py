"""A handful of states of a real pipeline, each named by ``streams status`` within 30 s."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline
from tests.kafka.states import STATES, Live

pytestmark = pytest.mark.kafka

NEW_LETTERS = "new_dead_letters"

HANDFUL = (
    "nothing was ever started",
    "all is well",
    "no_consent says which",
    "invalid records",
    "a malformed row",
    "a vendor's worker was stopped",
    "paused, without a worker",
)


@pytest.mark.slow
async def test_states_are_named_as_they_come(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """One after the other on one pipeline; the last also by the worker that is left."""
    states = {state.name: state for state in STATES}
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        live = Live(pipeline)
        for name in HANDFUL:
            is_last = name == HANDFUL[-1]
            state = states[name]._replace(is_seen_by_workers=is_last)
            if state.subject == "eightselect":
                state = state._replace(subject="miso")  # the only vendor here
            await state.make(live)
            await live.named(state)
            if name == "invalid records":
                await dropped(pipeline)
                assert NEW_LETTERS not in [finding.kind for finding in await live.findings()]

        async def is_over_for_a_worker() -> bool:
            found = await live.of_a_worker()
            return found is not None and NEW_LETTERS not in [one["kind"] for one in found]

        await pipeline.until(is_over_for_a_worker, 20, "a worker to name dropped letters no more")
        audit = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streams", "audit"),
            env=os.environ | pipeline.env,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await audit.communicate()
        assert "Miso is paused by an operator and no worker runs for it. 5 events" in out.decode()
        watching = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streams", "status", "--watch"),
            env=os.environ | pipeline.env,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert watching.stdout is not None
            async with asyncio.timeout(20):
                lines = [line async for line in until_blank(watching.stdout)]
        finally:
            watching.kill()
            await watching.wait()
        assert [line.split()[0] for line in lines if line.startswith(("enrich", "miso"))] == [
            "enrich",
            "miso",
        ]
        assert any("Miso is paused by an operator and no worker runs" in line for line in lines)


async def dropped(pipeline: Pipeline) -> None:
    """Drop all open dead letters, as an operator does."""
    command = (sys.executable, "-m", "streams", "dead-letters", "drop", "--yes")
    dropping = await asyncio.create_subprocess_exec(*command, env=os.environ | pipeline.env)
    assert await dropping.wait() == 0


async def until_blank(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield the lines of one block that is written into a pipe."""
    while (line := (await stream.readline()).decode()).strip():
        yield line
