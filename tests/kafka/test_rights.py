"""Stages and commands on a broker that grants exactly what `streams topics acls` lists."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from streams.core.errors import SetupError
from streams.engine.authorized import Operation
from streams.kafka.topics import TopicState, list_topics, verify_topics
from streams.operations.rights import (
    COMMANDS,
    Right,
    command_rights,
    lacking_rights,
    require_rights,
    stage_rights,
)
from streams.settings import Settings, load_settings
from tests.kafka.guarded import USER, Guarded, give, guarded_broker, take
from tests.kafka.pipeline import Pipeline, click, many, visitors

pytestmark = pytest.mark.kafka
NO_RIGHT = ("does not let", "uthorization", "may not", "cannot be read", "could not be read")
"""What is said wherever a right is lacking."""


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """A broker that obeys access control lists, and forbids what none of them allows."""
    with guarded_broker() as broker:
        yield broker


def as_user(pipeline: Pipeline, guarded: Guarded) -> Settings:
    """The settings of this pipeline for the user with few rights."""
    return load_settings({**pipeline.environment, **guarded.env()})


async def until_true(settings: Settings, rights: Sequence[Right], lacking: Sequence[Right]) -> None:
    """Wait until the broker obeys its newest list: clients see it a moment later."""
    async with asyncio.timeout(10):
        while set(await lacking_rights(settings, rights)) != set(lacking):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("is_vital_only", [False, True], ids=["all rights", "vital rights"])
async def test_events_pass_with_exactly_the_rights_of_both_stages(
    guarded: Guarded, prefix: str, tmp_path: Path, *, is_vital_only: bool
) -> None:
    """With all of them nothing is said to be lacking; with the vital ones that is all."""
    async with Pipeline(guarded, prefix, tmp_path) as pipeline:
        settings = as_user(pipeline, guarded)
        await pipeline.products("p1")
        for stage in ("enrich", "miso"):
            given = [r for r in stage_rights(settings, stage) if r.is_vital or not is_vital_only]
            await give(pipeline.admin, given)
            await until_true(settings, given, [])
            await pipeline.worker(stage, **guarded.env())
            if stage == "enrich":  # what the sink may do must be its own
                await pipeline.send(*many(100, visitors(10)), ("shop.clicks", b"v", b"{}"))
                await pipeline.written(100)
                workers = list(pipeline.workers)
                for worker in workers:
                    worker.terminate()
                    assert await worker.ended(15) == 0
                await take(pipeline.admin, given)
        await pipeline.until(lambda: len(pipeline.stored()) == 100)
        await pipeline.settled(101)
        for worker in pipeline.workers:
            said = [line for line in worker.output().splitlines() if '"warning"' in line]
            lacking = [line for line in said if any(word in line for word in NO_RIGHT)]
            assert bool(lacking) is is_vital_only, lacking


@pytest.mark.parametrize("stage", ["enrich", "miso"])
async def test_each_right_that_is_taken_away_is_named_in_one_sentence(
    guarded: Guarded, prefix: str, tmp_path: Path, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the stage cannot do without it, it does not start."""
    async with Pipeline(guarded, prefix, tmp_path) as pipeline:
        settings = as_user(pipeline, guarded)
        rights = stage_rights(settings, stage)
        await give(pipeline.admin, rights)
        await until_true(settings, rights, [])
        for right in rights:
            await take(pipeline.admin, [right])
            await until_true(settings, rights, [right])
            words = (
                f"Kafka does not let the user {USER} {right.operation.name} the {right.resource} "
                f"{right.name}"
            )
            end = (
                f": give it this right; `streams topics acls --stage {stage}` lists all that this "
                "stage needs."
            )
            if right.is_vital:
                with pytest.raises(SetupError) as caught:
                    await require_rights(settings, stage)
                assert str(caught.value) == words + end
            else:
                caplog.clear()
                await require_rights(settings, stage)
                said = [r.message for r in caplog.records if r.name == "streams"]
                assert said == [f"{words}, so {right.without}{end}"]
            await give(pipeline.admin, [right])
            await until_true(settings, rights, [])


async def test_a_worker_without_a_vital_right_ends_with_1_and_the_sentence(
    guarded: Guarded, prefix: str, tmp_path: Path
) -> None:
    """All that it lacks at once, so that nobody asks twice."""
    async with Pipeline(guarded, prefix, tmp_path) as pipeline:
        settings = as_user(pipeline, guarded)
        lacking = [
            Right("topic", settings.topics.receipts("miso"), Operation.WRITE),
            Right("group", f"{prefix}streams-miso", Operation.READ),
        ]
        given = [r for r in stage_rights(settings, "miso") if r not in lacking]
        await give(pipeline.admin, given)
        await until_true(settings, given, [])
        worker = pipeline.start("miso", **guarded.env())
        assert await worker.ended(30) == 1
        for right in lacking:
            assert f"{right.operation.name} the {right.resource} {right.name}:" in worker.output()
        assert "Traceback" not in worker.output()


async def test_what_does_not_exist_is_told_from_what_may_not_be_described(
    guarded: Guarded, prefix: str, tmp_path: Path
) -> None:
    """Only for the former topics are to be created."""
    async with Pipeline(guarded, prefix, tmp_path) as pipeline:
        settings = as_user(pipeline, guarded)
        clicks, missing = settings.topics.clicks, f"{prefix}missing"
        seen = [Right("topic", missing, Operation.DESCRIBE)]
        await give(pipeline.admin, seen)

        async def are_told_apart() -> bool:
            hidden, absent = await verify_topics(settings, [clicks, missing])
            assert hidden == (
                f"Kafka does not let this user describe the topic {clicks}, so whether it exists "
                "is not known: give the user the right to read or describe it."
            )
            return absent == f"Topic {missing} does not exist: run `streams topics create`."

        await pipeline.until(are_told_apart)
        reports = await list_topics(settings)
        assert {report.state for report in reports} == {TopicState.HIDDEN}
        code, output = await run(settings, pipeline, guarded, "status")
        assert code == 1
        assert f"Kafka does not let this user describe the topic {prefix}" in output


LINES = {
    "topics list": ["--json"],
    "topics rekey": ["--json"],
    "status": ["--json"],
    "audit": ["--json"],
    "diff": ["old.toml", "new.toml", "--json"],
    "trace": ["e1", "--json"],
    "check": ["--json"],
    "pause": ["miso"],
    "resume": ["miso"],
    "forget": ["anna", "--yes"],
    "produce": ["events.jsonl"],
    "dead-letters list": ["--json"],
    "dead-letters drop": ["--vendor", "enrich", "--yes"],
    "dead-letters resend": ["--vendor", "miso", "--yes"],
    "replay": ["--vendor", "miso", "--from", "2020-01-01", "--to", "2030-01-01", "--yes"],
    "offsets show": ["--stage", "enrich", "--json"],
    "offsets reset": ["--stage", "enrich", "--to", "earliest", "--yes"],
    "topics create": [],
}
"""A line for each command; `dead-letters show` reads what `list` reads."""


async def run(
    settings: Settings, pipeline: Pipeline, guarded: Guarded, *words: str
) -> tuple[int, str]:
    """Run a command as the user; return its exit code and what it wrote."""
    env = {n: v for n, v in os.environ.items() if not n.startswith("STREAMS_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams", *words),
        env={**env, **pipeline.environment, **guarded.env()},
        cwd=pipeline.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.slow
async def test_each_command_works_with_exactly_its_rights(
    guarded: Guarded, prefix: str, tmp_path: Path
) -> None:
    """None of them says that it lacks one."""
    assert set(LINES) == {*COMMANDS} - {"dead-letters show"}
    async with Pipeline(guarded, prefix, tmp_path) as pipeline:
        settings = as_user(pipeline, guarded)
        (tmp_path / "events.jsonl").write_text(json.dumps({"anonymous_id": "anna"}) + "\n")
        for name in ("old.toml", "new.toml"):
            (tmp_path / name).touch()
        await pipeline.products("p1")
        workers = await pipeline.both()
        await pipeline.send(click("anna", event_id="e1"), ("shop.clicks", b"v", b"{}"))
        await pipeline.settled(2)
        failed = []
        for command, arguments in LINES.items():
            if command == "offsets reset":
                for worker in workers:
                    worker.terminate()
                    assert await worker.ended(15) == 0
            rights = command_rights(settings, command)
            await give(pipeline.admin, rights)
            await until_true(settings, rights, [])
            words = (*command.split(), *arguments)
            code, output = await run(settings, pipeline, guarded, *words)
            if code or any(word in output for word in NO_RIGHT):
                failed.append((words, code, output[-1500:]))
            await take(pipeline.admin, rights)
        for words, code, output in failed:
            print(words, code, output, sep="\n")
        assert [words for words, *_ in failed] == []
