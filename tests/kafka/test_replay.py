"""Replays and resends on a real broker: windows, runs that are killed, live traffic, the books."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from streams.cli import main
from streams.core.errors import SettingsError, SetupError
from streams.core.receipts import encode_receipt
from streams.core.records import Receipt, VendorRecord
from streams.core.runs import Asked, Run
from streams.core.times import utc_text
from streams.dead_letters.book import Selection
from streams.dead_letters.dead_letters import find_letters
from streams.delivery.progress import Metadata
from streams.kafka.groups import read_groups
from streams.kafka.reader import connect
from streams.lab.sandbox import Fault, FaultKind
from streams.operations import offsets
from streams.operations.check.check import pipeline_findings
from streams.operations.offsets import apply_reset, plan_reset, read_places
from streams.replay import preview as replay_preview
from streams.replay import run as replay_run
from streams.replay.counts import Counts
from streams.replay.preview import ReplayPreview, preview
from streams.replay.replay import resume_run, show_run, start_run, stop_runs
from streams.replay.resend import preview_resend
from streams.replay.run_store import list_runs
from streams.settings import load_settings
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import (
    ALL_KINDS,
    ALL_SOURCES,
    MISO_TYPES,
    Pipeline,
    click,
    event,
    many,
    now_ms,
    user,
    visitors,
)

pytestmark = pytest.mark.kafka

HOUR_MS = 3_600_000


def asked(from_ms: int, to_ms: int, **more: object) -> Asked:
    """A replay of a window."""
    return Asked("replay", from_ms, to_ms, **more)  # type: ignore[arg-type]


async def previewed(pipeline: Pipeline, wanted: Asked) -> tuple[ReplayPreview, Counts]:
    """Return the preview for Miso."""
    found = await preview(pipeline.settings, ["miso"], wanted, now_ms=now_ms())
    (counts,) = found.vendors
    return found, counts


async def replayed(pipeline: Pipeline, wanted: Asked) -> Run:
    """Run a replay to Miso to its end."""
    return await start_run(pipeline.settings, ["miso"], wanted, watch=lambda _: None)


def command(pipeline: Pipeline, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command of its own process."""
    others = {name: v for name, v in os.environ.items() if not name.startswith("STREAMS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "streams", *arguments],
        env=others | pipeline.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def send_at(pipeline: Pipeline, kafka_ms: int, event_id: str, visitor: str = "anna") -> None:
    """Write a click on a product that is unknown, with this Kafka time."""
    value = json.dumps(event(visitor, event_id=event_id, product_id="p9", timestamp=kafka_ms))
    await pipeline.producer.send_and_wait(
        pipeline.topics.clicks, value.encode(), visitor.encode(), timestamp_ms=kafka_ms
    )


@pytest.mark.slow
async def test_a_window_is_replayed_to_the_millisecond_beside_live_traffic_and_through_kills(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Skipped events become accepted, each once, and the books balance."""
    from_ms = now_ms() - HOUR_MS
    to_ms = from_ms + 60_000
    inside = {"first": from_ms, "last": to_ms - 1, "late": from_ms + 5}
    small = {"STREAMS_MISO_BATCH_RECORDS": "50"}
    async with Pipeline(
        broker, prefix, tmp_path, partitions=2, env=small, all_sources=True
    ) as pipeline:
        settings = pipeline.settings
        await pipeline.products("p1")
        for event_id, at in (
            ("before", from_ms - 1),
            ("first", from_ms),
            ("after", to_ms),
            ("last", to_ms - 1),
            ("much-later", from_ms + HOUR_MS // 2),
            ("late", from_ms + 5),
        ):
            await send_at(pipeline, at, event_id)
        await pipeline.both()
        names = visitors(12)
        await pipeline.send(*many(600, names, kinds=ALL_KINDS, product_id="p9"))
        report = await pipeline.settled(606)
        assert report.vendors[0].skipped == {"unknown_product": 486, "no_products": 120}
        await pipeline.products("p9")

        # The window: borders, out of order, empty.
        seen, counts = await previewed(pipeline, asked(from_ms, to_ms))
        assert (seen.records, counts.selected, counts.sent) == (3, 3, 3)
        assert (seen.sampled, seen.is_cut, seen.late_ms) == (False, False, None)
        assert seen.kept_from_ms is None  # nothing was ever deleted
        assert counts.before == {"skipped": 3}
        for empty in (asked(from_ms + 100, from_ms + 200), asked(from_ms, from_ms)):
            _, counts = await previewed(pipeline, empty)
            assert (counts.selected, counts.sent) == (0, 0)
        _, counts = await previewed(pipeline, asked(from_ms, to_ms, only=("accepted",)))
        assert counts.selected == 0
        with monkeypatch.context() as patch:
            patch.setattr(replay_preview, "EXACT_RECORDS", 100)
            patch.setattr(replay_preview, "SAMPLE_BLOCK", 4)
            seen, counts = await previewed(pipeline, asked(from_ms - HOUR_MS, now_ms()))
        assert seen.sampled
        assert seen.looked_at < 606 == seen.records
        assert counts.selected == counts.sent
        assert 550 < counts.sent < 660
        run = await replayed(pipeline, asked(from_ms, to_ms))
        assert run.state == "done"
        assert sorted(pipeline.stored()) == sorted(inside)

        # Killed, twice, and gone on with, while live events come.
        whole = asked(from_ms - HOUR_MS, now_ms())
        window = ("--from", str(whole.from_ms), "--to", str(whole.to_ms))
        looking = command(pipeline, "replay", "--vendor", "miso", *window, "--preview")
        killed = command(pipeline, "replay", "--vendor", "miso", *window, "--yes", "--rate", "250")
        looking.send_signal(signal.SIGKILL)
        looking.wait()
        live = asyncio.create_task(pipeline.send(*many(200, names, 600, ALL_KINDS)))

        async def begun() -> bool:
            runs = await list_runs(settings)
            return len(runs) == 2 and runs[0].parts[0].sent > 100

        await pipeline.until(begun)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        interrupted, _ = await list_runs(settings)
        assert interrupted.state == "running"
        with pytest.raises(SettingsError, match=f"Resume it with .*{interrupted.run_id}"):
            await replayed(pipeline, asked(from_ms, to_ms))
        resumed = await resume_run(settings, interrupted.run_id, watch=lambda _: None)
        await live
        (part,) = resumed.parts
        assert part.receipt is not None
        assert (part.state, part.receipt.selected, part.receipt.sent) == ("done", 606, 603)
        assert part.receipt.accepted == 603
        assert part.receipt.left == {"already_accepted": 3}
        assert part.receipt.balanced

        # Once more: nothing is left to do. All are there once, whatever was killed.
        again = await replayed(pipeline, whole)
        assert (again.parts[0].sent, again.parts[0].left) == (0, {"already_accepted": 606})
        report = await pipeline.settled(806)
        assert report.vendors[0].accepted == 806
        assert Counter(Counter(pipeline.stored()).values()) == {1: 806}
        assert pipeline.ledger.types == dict.fromkeys(MISO_TYPES, 160) | {
            "product_detail_page_view": 166
        }

        # What the vendor refuses stops its own run; what was accepted stays accepted.
        pipeline.sandbox.faults.set(Fault(kind=FaultKind.REFUSE))
        bad = await replayed(pipeline, asked(whole.from_ms or 0, whole.to_ms or 0, again=True))
        (part,) = bad.parts
        assert part.receipt is not None
        assert (part.state, part.receipt.accepted, part.receipt.balanced) == ("stopped", 0, True)
        assert part.receipt.passed_over > 0
        assert sum(part.receipt.refused.values()) >= 20
        assert "miso refused most of what came" in (bad.problem or "")
        assert (await pipeline.settled(806)).vendors[0].accepted == 806
        pipeline.sandbox.faults.clear()

        # The beginning of the window is deleted.
        clicks = await pipeline.read(pipeline.topics.clicks)
        (first,) = [r for r in clicks if b'"first"' in r.value]
        tp = TopicPartition(first.topic, first.partition)
        await pipeline.admin.delete_records({tp: RecordsToDelete(before_offset=first.offset + 1)})
        seen, counts = await previewed(pipeline, asked(from_ms, to_ms))
        assert (seen.is_cut, counts.selected) == (True, 2)
        place = (first.partition, first.offset + 1)
        (oldest,) = [r for r in clicks if (r.partition, r.offset) == place]
        assert seen.kept_from_ms == oldest.timestamp


@pytest.mark.slow
async def test_dead_letters_are_sent_again_and_what_fails_again_is_a_new_letter(
    broker: Broker,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From raw records, from what letters kept, and for what was no event; a stop opens letters."""
    monkeypatch.setattr(replay_run, "PASS_OVER_SECONDS", 0.5)
    async with Pipeline(broker, prefix, tmp_path, partitions=2, all_sources=True) as pipeline:
        settings = pipeline.settings
        await pipeline.products("p1", "p2", "p3")
        _, miso = await pipeline.both()
        pipeline.sandbox.faults.set(Fault(kind=FaultKind.REFUSE, skus=("S-p2", "S-p3")))
        await pipeline.send(*(click(f"v{n}", event_id=f"good{n}") for n in range(40)))
        await pipeline.send(*many(5, visitors(4), kinds=ALL_KINDS, product_id="p2"))
        await pipeline.send(click("v1", event_id="worse", product_id="p3"))
        await pipeline.send(("shop.clicks", b"v1", b"no json"))
        report = await pipeline.settled(47)
        assert report.vendors[0].dead_lettered == {"rejected": 6}
        pipeline.sandbox.faults.clear()
        pipeline.sandbox.faults.set(Fault(kind=FaultKind.REFUSE, skus=("S-p3",)))

        async def resent(owner: str | None = None) -> Run:
            wanted = Asked("resend", owner=owner)
            return await start_run(settings, ["miso"], wanted, watch=lambda _: None)

        async def is_committed() -> bool:
            async with connect(settings.kafka) as reader:
                return not any(group.waiting for group in await read_groups(reader, settings))

        # What is settled counts as waiting until it is committed, about a second later.
        await pipeline.until(is_committed)
        seen = await preview_resend(settings, Asked("resend"), now_ms=now_ms())
        (counts,) = seen.vendors
        assert (counts.selected, counts.sent) == (7, 6)
        assert counts.refused == {"invalid_json": 1}
        for name, value in pipeline.env.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        resend = ["dead-letters", "resend", "--yes", "--json"]
        assert await asyncio.to_thread(main, resend) == 0
        (shown,) = json.loads(capsys.readouterr().out)
        assert (shown["state"], shown["vendors"][0]["balanced"]) == ("done", True)
        run = await show_run(settings, shown["run_id"])
        (part,) = run.parts
        assert part.receipt is not None
        assert part.receipt.accepted == 5
        assert part.receipt.refused == {"invalid_json": 1, "rejected": 1}
        assert part.receipt.balanced
        found = await find_letters(settings, Selection())
        assert [letter.cause.reason for letter in found.open] == ["invalid_json", "rejected"]
        assert found.resolved == {"resent": 7}
        assert Counter(Counter(pipeline.stored()).values()) == {1: 45}
        # Miso's worker has counted six by now, and only what failed again is open.
        named = await pipeline_findings(settings, {settings.topics.status})
        new = [one.text for one in named if one.kind == "new_dead_letters"]
        assert [text.partition(" letter")[0] for text in new] == [
            "Enrichment: 1 new dead",
            "Miso: 1 new dead",
        ]

        # A mended field map makes an event of what was none.
        theirs = event("v2", event_id="theirs", article="p1", product_id=None)
        await pipeline.send(("shop.clicks", b"v2", json.dumps(theirs).encode()))

        async def is_given_up() -> bool:
            return len((await find_letters(settings, Selection(owner="enrich"))).open) == 2

        await pipeline.until(is_given_up)
        await pipeline.until(is_committed)
        config = tmp_path / "streams.toml"
        config.write_text(ALL_SOURCES + '[source.clicks.fields]\nproduct_id = "article"\n')
        mended = load_settings(pipeline.env | {"STREAMS_CONFIG": str(config)})
        wanted = Asked("resend", owner="enrich")
        run = await start_run(mended, ["miso"], wanted, watch=lambda _: None)
        assert run.parts[0].receipt is not None
        assert run.parts[0].receipt.accepted == 1
        assert run.parts[0].receipt.refused == {"invalid_json": 1}
        found = await find_letters(settings, Selection(owner="enrich"))
        assert [letter.cause.reason for letter in found.open] == ["invalid_json"]
        report = await pipeline.settled(48)
        assert report.vendors[0].accepted == 46
        assert report.enrich_dead_letters == {"invalid_field": 1, "invalid_json": 1}

        # The raw record is gone: what the letter kept is sent, if today's row says yes.
        raw = pipeline.topics.clicks
        for number in await pipeline.producer.partitions_for(raw):
            tp = TopicPartition(raw, number)
            await pipeline.admin.delete_records({tp: RecordsToDelete(before_offset=-1)})
        pipeline.sandbox.faults.clear()
        run = await resent(owner="miso")
        assert run.parts[0].skipped == {"no_consent": 1}
        row = json.dumps({"consent": {"miso": True}}).encode()
        await pipeline.send(("shop.users", b"v1", row))

        # Stopped before a worker took it: the letter is open again.
        miso.kill()
        going_on = asyncio.create_task(resent(owner="miso"))

        async def is_written() -> bool:
            runs = await list_runs(settings)
            return runs[0].state == "running" and runs[0].parts[0].sent == 1

        await pipeline.until(is_written)
        (stopped, *_) = await list_runs(settings)
        await stop_runs(settings, stopped.run_id)
        assert (await going_on).state == "stopped"
        found = await find_letters(settings, Selection(owner="miso"))
        assert [one.words.event_id for one in found.groups if one.words] == ["worse"]
        await pipeline.worker("miso")
        run = await resent(owner="miso")
        assert run.parts[0].receipt is not None
        assert run.parts[0].receipt.accepted == 1
        assert (await show_run(settings, stopped.run_id)).parts[0].receipt is not None
        assert Counter(pipeline.stored())["worse"] == 1
        assert len((await find_letters(settings, Selection(owner="miso"))).open) == 0


async def delivered(pipeline: Pipeline, count: int) -> None:
    """Leave the topics as stages leave them that delivered so many events and ended."""
    topics, at = pipeline.topics, now_ms()
    await pipeline.products("p1")
    for number in range(count):
        value = json.dumps(event("anna", event_id=f"e{number}")).encode()
        await pipeline.producer.send_and_wait(topics.clicks, value, b"anna", timestamp_ms=at)
        payload = {"type": "click", "context": {"custom_context": {"uuid": f"e{number}"}}}
        record = VendorRecord(f"e{number}", "click", utc_text(at), "anna", payload)
        source = f"{topics.clicks}/0/{number}"
        headers = {"source": source, "consent": "event", "source-time": str(at)}
        await pipeline.producer.send_and_wait(
            topics.events("miso"),
            msgspec.json.encode(record),
            b"anna",
            headers=[(name, text.encode()) for name, text in headers.items()],
        )
        accepted = Receipt(f"e{number}", "accepted", utc_text(at), 1, source, "live", number)
        await pipeline.producer.send_and_wait(topics.receipts("miso"), encode_receipt(accepted))
    marks = {topics.clicks: (count - 1, at)}
    of_sink = msgspec.json.encode(Metadata(marks=marks, clean=True)).decode()
    of_enrich = json.dumps({"on": {"miso": [[0, None]]}})
    for stage, topic, metadata in (
        ("miso", topics.events("miso"), of_sink),
        ("enrich", topics.clicks, of_enrich),
    ):
        await pipeline.commit(stage, TopicPartition(topic, 0), count, metadata)


async def test_a_sink_is_set_back_only_without_workers_and_sends_what_it_had_settled(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its marks nor its receipts hide what lies behind the new place."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await delivered(pipeline, 10)
        (place,) = [
            place
            for place in await read_places(pipeline.settings, "miso")
            if place.tp.topic == pipeline.topics.events("miso")
        ]
        assert (place.committed, place.log_end, place.waiting) == (10, 10, 0)
        planned = await plan_reset(pipeline.settings, "miso", "earliest")
        assert (planned.repeated, planned.left_out) == (10, 0)
        await apply_reset(pipeline.settings, planned)
        await pipeline.worker("miso")
        await pipeline.until(lambda: pipeline.ledger.requests > 0 and len(pipeline.stored()) == 10)
        monkeypatch.setattr(offsets, "EMPTY_SECONDS", 0.0)
        with pytest.raises(SetupError, match="has 1 worker in its group"):
            await plan_reset(pipeline.settings, "miso", "earliest")


async def test_enrichment_is_set_back_with_the_marks_of_its_sinks(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """What is enriched once more passes the sinks; what lies before the new place does not."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await delivered(pipeline, 10)
        planned = await plan_reset(pipeline.settings, "enrich", "earliest", "shop.clicks")
        assert set(planned.commits) == {"enrich", "miso"}
        await apply_reset(pipeline.settings, planned)
        await pipeline.both()
        report = await pipeline.settled(10)
        await pipeline.until(lambda: len(pipeline.stored()) == 10)
        assert report.vendors[0].accepted == 10


async def test_who_becomes_known_is_sent_what_came_before_once(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Of the minutes that the setting names; a row that says the same again sends nothing."""
    env = {
        "STREAMS_MISO_ENABLED": "false",
        "STREAMS_VOYADO_API_KEY": "sandbox-secret",
        "STREAMS_VOYADO_USER_AGENT": "TestShop/1.0",
        "STREAMS_VOYADO_CLICKS": "all",
        "STREAMS_VOYADO_LATE_IDENTITY_MINUTES": "30",
    }
    yes = {"consent": {"voyado": True}}
    async with Pipeline(broker, prefix, tmp_path, partitions=1, env=env) as pipeline:
        await pipeline.products("p1")
        old = json.dumps(event("anna", event_id="old", **yes)).encode()
        an_hour_ago = now_ms() - HOUR_MS
        await pipeline.producer.send_and_wait(
            pipeline.topics.clicks, old, b"anna", timestamp_ms=an_hour_ago
        )
        workers = pipeline.start("enrich"), pipeline.start("voyado")
        await pipeline.send(*(click("anna", event_id=f"a{n}", **yes) for n in range(3)))
        await pipeline.send(click("bert", event_id="b0", **yes))
        await pipeline.ready(*workers)
        report = await pipeline.settled(5)
        assert report.vendors[0].skipped == {"no_contact": 5}
        row = user("anna", {"custom_key": "k-anna"})
        await pipeline.send(row, user("bert", {"custom_key": "k-bert"}))
        ledger = pipeline.sandbox.ledgers["voyado"]
        await pipeline.until(lambda: len(ledger.event_ids()) == 4)
        await pipeline.send(row, click("anna", event_id="a3", **yes))
        await pipeline.until(lambda: len(ledger.event_ids()) == 5)
        assert sorted(ledger.event_ids()) == ["a0", "a1", "a2", "a3", "b0"]
        report = await pipeline.settled(6)
        assert report.vendors[0].accepted == 5
        assert report.vendors[0].skipped == {"no_contact": 1}
