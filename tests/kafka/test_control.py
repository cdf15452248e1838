"""``streams pause`` and ``streams resume`` on a real broker."""

import asyncio
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from streams.cli import main
from streams.core.control import VendorControl, encode_control
from streams.core.errors import SettingsError, SetupError
from streams.kafka.group_ids import group_id
from streams.kafka.groups import members_of
from streams.kafka.reader import connect
from streams.kafka.topics import create_topics
from streams.kafka.writer import connect_writer
from streams.settings import KafkaSettings, Settings
from streams.status.judge import judge
from streams.status.observe import observe
from streams.vendors.miso import MisoSettings
from streams.worker import control
from streams.worker.control import read_controls, set_paused, stop_run, write_control
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, click, many, visitors

pytestmark = pytest.mark.kafka

RUN = "r-20261121-101500-ab12"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that sets up logging leaves the process's as it found it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def settings(broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings for this test's own topics, which do not exist yet; in the environment, too."""
    kafka = KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers, topic_prefix=prefix, partitions=1
    )
    monkeypatch.setenv("STREAMS_KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("STREAMS_KAFKA_TOPIC_PREFIX", prefix)
    return Settings(kafka=kafka, vendors={"miso": MisoSettings(api_key=SecretStr("key"))})


async def controls_of(settings: Settings) -> dict[str, VendorControl]:
    """Return each vendor's control as it is on the topic now."""
    async with connect(settings.kafka) as reader:
        return await read_controls(reader, settings)


async def test_a_will_is_changed_in_part_and_nobody_elses_word_is_lost(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pausing keeps what runs were stopped; a will written in between is taken up, or wins."""
    with pytest.raises(SettingsError, match="There is no vendor misso; name one of eightselect"):
        await set_paused(settings, "misso", paused=True)
    with pytest.raises(
        SetupError, match=r"control does not exist\. Create it with: streams topics"
    ):
        await set_paused(settings, "miso", paused=True)
    await create_topics(settings)
    assert await controls_of(settings) == {}

    paused = await set_paused(settings, "miso", paused=True)
    assert (paused.paused, paused.resumed_at) == (True, None)
    assert await set_paused(settings, "miso", paused=True) == paused
    stopped = await stop_run(settings, "miso", RUN)
    assert stopped == VendorControl(paused=True, at=paused.at, stopped_runs=(RUN,))
    assert await stop_run(settings, "miso", RUN) == stopped
    await set_paused(settings, "voyado", paused=True)
    resumed = await set_paused(settings, "miso", paused=False)
    assert resumed == VendorControl(at=resumed.at, resumed_at=resumed.at, stopped_runs=(RUN,))
    controls = await controls_of(settings)
    assert (controls["miso"], controls["voyado"].paused) == (resumed, True)

    # A record that nobody can read counts as a pause, which either command makes a good one.
    async with connect_writer(settings.kafka, "streams-control", str) as producer:
        await producer.send_and_wait(settings.topics.control, b"{", b"miso")
        unreadable = (await controls_of(settings))["miso"]
        assert (unreadable.is_unreadable, unreadable.paused) == (True, True)
        assert (await set_paused(settings, "miso", paused=True)).stopped_runs == (RUN,)
        assert not (await controls_of(settings))["miso"].is_unreadable
        await producer.send_and_wait(settings.topics.control, b"{", b"miso")
        await set_paused(settings, "miso", paused=False)
        assert not (await controls_of(settings))["miso"].paused

    # A worker stops a run between our reading and our writing; then somebody resumes after it.
    ours = write_control
    between = VendorControl(stopped_runs=(RUN, "r-2"))

    async def disturbed(
        producer: AIOKafkaProducer, topic: str, vendor: str, will: VendorControl
    ) -> int:
        monkeypatch.setattr(control, "write_control", ours)
        await producer.send_and_wait(topic, b"no will", b"miso")
        await ours(producer, topic, vendor, between)
        return await ours(producer, topic, vendor, will)

    monkeypatch.setattr(control, "write_control", disturbed)
    merged = await set_paused(settings, "miso", paused=True)
    assert merged == VendorControl(paused=True, at=merged.at, stopped_runs=(RUN, "r-2"))
    assert (await controls_of(settings))["miso"] == merged

    other = VendorControl(at="2026-11-21T10:00:00.000Z", resumed_at="2026-11-21T10:00:00.000Z")

    async def overtaken(
        producer: AIOKafkaProducer, topic: str, vendor: str, will: VendorControl
    ) -> int:
        offset = await ours(producer, topic, vendor, will)
        await producer.send_and_wait(topic, encode_control(other), vendor.encode())
        return offset

    await set_paused(settings, "miso", paused=False)
    monkeypatch.setattr(control, "write_control", overtaken)
    code = await asyncio.to_thread(main, ["pause", "miso"])
    assert code == 1
    assert capsys.readouterr().err == (
        "Miso was resumed by another operator at 2026-11-21T10:00:00.000Z.\n"
    )


async def stage_state(pipeline: Pipeline) -> tuple[int, str, str]:
    """Return Miso's live workers, its state, and why, as ``streams status`` shows them."""
    _, known, _ = await observe(pipeline.settings)
    miso = known.stages[-1]
    why = [one.sentence() for one in judge(known) if (one.subject, one.kind) == ("miso", "paused")]
    return len(known.alive("miso")), known.state(miso), " ".join(why)


@pytest.mark.slow
async def test_a_paused_vendor_gets_nothing_from_any_worker_until_it_is_resumed(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Not from one that joins, not after a kill and a restart; then every event arrives once."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        monkeypatch.setenv("STREAMS_KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        monkeypatch.setenv("STREAMS_KAFKA_TOPIC_PREFIX", prefix)
        await pipeline.products("p1")
        _, first = await pipeline.both()
        await pipeline.send(*many(30, visitors(10)))
        await pipeline.settled(30)
        assert await asyncio.to_thread(main, ["pause", "miso"]) == 0
        assert capsys.readouterr().out.startswith("Miso is paused since ")

        async def is_paused() -> bool:
            return bool((await pipeline.status(first))["vendor"]["state"] == "paused")

        await pipeline.until(is_paused)
        requests = pipeline.record_requests()
        await pipeline.send(*many(60, visitors(10), start=30))
        await pipeline.written(90)
        second = await pipeline.worker("miso", "--slot", "1")
        first.kill()
        first = await pipeline.worker("miso", "--slot", "0")

        async def both_say_so() -> bool:
            vendors = [(await pipeline.status(w))["vendor"] for w in (first, second)]
            return [v["state"] for v in vendors] == ["paused", "paused"]

        await pipeline.until(both_say_so)
        # What cannot be read stays a pause, also for one that starts behind it.
        await pipeline.send(("streams.control", b"miso", b"paused?"))
        first.kill()
        first = await pipeline.worker("miso", "--slot", "0")

        async def both_cannot_read_it() -> bool:
            reasons = [(await pipeline.status(w))["vendor"]["reason"] for w in (first, second)]
            return all("control record of Miso is unreadable" in reason for reason in reasons)

        await pipeline.until(both_cannot_read_it)
        await pipeline.until(both_say_so)
        assert "is malformed and pauses its vendor until a valid one is written" in first.output()
        assert await asyncio.to_thread(main, ["pause", "miso"]) == 0

        async def lag_is_shown() -> bool:
            found = [await pipeline.status(w) for w in (first, second)]
            events = pipeline.topics.events("miso")
            return bool(sum(status["lag"].get(events, 0) for status in found) == 60)

        await pipeline.until(lag_is_shown)
        assert (requests, len(pipeline.stored())) == ([], 30)

        async def pause_is_read() -> bool:
            return (await stage_state(pipeline))[2].startswith(
                "Miso is paused by an operator since "
            )

        await pipeline.until(pause_is_read)
        workers, state, reason = await stage_state(pipeline)
        assert (workers, state) == (2, "paused")
        assert reason.startswith("Miso is paused by an operator since ")
        assert "Nothing is lost. Resume with `streams resume miso`." in reason

        assert await asyncio.to_thread(main, ["resume", "miso"]) == 0
        report = await pipeline.settled(90)
        assert report.vendors[0].accepted == 90
        assert sorted(pipeline.stored()) == sorted(f"e{n}" for n in range(90))
        assert await pipeline.order_violations() == []

        async def runs() -> bool:
            return (await stage_state(pipeline))[1] == "running"

        await pipeline.until(runs)


@pytest.mark.slow
async def test_events_that_wait_at_a_paused_vendor_are_mapped_again_before_they_are_sent(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """By the steps of docs/operations.md, "Wrong data"; each arrives once, mapped correctly."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:

        def typed(command: str, click_type: str = "") -> None:
            env = {name: v for name, v in os.environ.items() if not name.startswith("STREAMS_")}
            env |= pipeline.env | {"STREAMS_MISO_CLICK_TYPE": click_type}
            subprocess.run(
                [sys.executable, "-m", "streams", *shlex.split(command)],
                env=env,
                check=True,
                stdin=subprocess.DEVNULL,
            )

        await pipeline.products("p1")
        enrich, miso = await pipeline.both()
        await asyncio.to_thread(typed, "pause miso")

        async def is_paused() -> bool:
            return bool((await pipeline.status(miso))["vendor"]["state"] == "paused")

        await pipeline.until(is_paused)
        await pipeline.send(*many(20, visitors(5), kinds=(click,)))
        await pipeline.written(20)
        enrich.terminate()
        miso.terminate()
        assert (await enrich.ended(20), await miso.ended(20)) == (0, 0)
        await pipeline.worker("enrich", STREAMS_MISO_CLICK_TYPE="read")
        await pipeline.send(*many(10, visitors(5), start=20, kinds=(click,)))
        await pipeline.written(30)

        async def has_left() -> bool:
            members, _ = await members_of(pipeline.admin, group_id(prefix, "miso"))
            return members == 0

        await pipeline.until(has_left)
        await asyncio.to_thread(typed, "offsets reset --stage miso --to latest --yes")
        await pipeline.worker("miso")
        await asyncio.to_thread(typed, "resume miso")
        again = "replay --vendor miso --from '1h ago' --to now --only missing --yes"
        await asyncio.to_thread(typed, again, "read")
        await pipeline.settled(30)
        assert sorted(pipeline.stored()) == sorted(f"e{number}" for number in range(30))
        assert pipeline.ledger.types == {"read": 30}
