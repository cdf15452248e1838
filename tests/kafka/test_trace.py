"""``streams trace`` over a real pipeline: every outcome, found by every key."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from streams.core.records import Source
from streams.dead_letters.book import Selection
from streams.dead_letters.dead_letters import drop_letters, find_letters
from streams.operations.trace.timeline import Trace, TracedEvent
from streams.operations.trace.trace import Kind, run_trace
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, Worker, cart, click, now_ms, product, until, user

pytestmark = pytest.mark.kafka

VISITOR = "anna-0123456789"
EMAIL = "anna@mail.example"
ENV = {
    "STREAMS_EIGHTSELECT_API_ID": "a-secret-api-id",
    "STREAMS_EIGHTSELECT_USER_ID_SECRET": "another-secret",
}


async def traced(pipeline: Pipeline, kind: Kind, text: str, **more: Any) -> Trace:
    """Return the answer, as of now."""
    return await run_trace(pipeline.settings, kind, text, now_ms=now_ms(), **more)


async def asked_of(worker: Worker, path: str) -> str:
    """Return what a worker's web view answers."""
    address = f"http://127.0.0.1:{worker.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        assert answer.status == 200
        return await answer.text()


async def in_transactions(pipeline: Pipeline, transactional_id: str) -> None:
    """Write the click ``aborted`` in a transaction that is aborted, and ``committed``."""
    options = pipeline.settings.kafka.client_options()
    producer = AIOKafkaProducer(
        **options, transactional_id=transactional_id, compression_type="gzip"
    )
    await producer.start()
    for event_id in ("aborted", "committed"):
        topic, key, value = click("dora", event_id=event_id)
        await producer.begin_transaction()
        await producer.send_and_wait(pipeline.settings.kafka.topic_prefix + topic, value, key)
        await getattr(producer, f"{'abort' if event_id == 'aborted' else 'commit'}_transaction")()
    await producer.stop()


def outcomes(event: TracedEvent) -> dict[str, tuple[str, str | None]]:
    """Return outcome and reason by vendor."""
    return {one.vendor: (one.outcome, one.reason) for one in event.vendors}


@pytest.mark.slow
async def test_every_outcome_is_found_by_every_key(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Accepted, skipped, refused, no event, waiting for either stage; found as people ask."""
    both = {"miso": True, "eightselect": True}
    async with Pipeline(broker, prefix, tmp_path, env=ENV) as pipeline:
        await pipeline.send(
            product("p1"),
            user(VISITOR, {"user_id": "u-770011", "email": EMAIL, "consent": both}),
            user("ben", {"consent": both, "consent_since": now_ms() + 3_600_000}),
        )
        await pipeline.both()
        await pipeline.send(
            click(VISITOR, event_id="own-id-1", consent=both, ip="203.0.113.77"),
            cart(VISITOR, event_id="own-id-2", quantity=2, price=1, page={"title": EMAIL}),
            click("ben", event_id="no-consent", consent={}),
            click("ben", event_id="no-product", product_id="p9"),
            click("ben"),
            ("shop.clicks", b"carl", b'{"event_id":"broken","anonymous_id":"carl"}'),
        )
        await pipeline.until(lambda: len(pipeline.stored()) == 3)

        async def are_settled() -> bool:
            return len(await pipeline.receipts()) == 5 and len(await pipeline.letters()) == 1

        await pipeline.until(are_settled)

        async def are_committed() -> bool:
            stages = [(await pipeline.committed(stage)).values() for stage in ("enrich", "miso")]
            return [sum(at.offset for at in stage if at.offset > 0) for stage in stages] == [6, 3]

        await pipeline.until(are_committed)

        own = await traced(pipeline, "event", "own-id-1")
        (event,) = own.events
        assert outcomes(event) == {
            "eightselect": ("skipped", "outside_content"),
            "miso": ("accepted", None),
        }
        miso = event.vendors[-1]
        assert [step.kind for step in miso.steps] == ["enriched", "accepted"]
        assert miso.steps[0].payload["product_ids"] == ["S-p1"]
        assert miso.steps[1].status == 200
        assert miso.steps[1].attempts == 1
        assert (event.visitor, event.user) == ("#mdy7", None)
        assert event.raw["ip"] == "203.0.113.0"
        assert event.text == "Accepted by Miso; skipped for 8SELECT."
        source = Source.parse(event.source)
        place = f"shop.clicks-{source.partition}-{source.offset}"
        (by_place,) = (await traced(pipeline, "event", place, since_ms=now_ms())).events
        assert by_place == event

        by_visitor = await traced(pipeline, "visitor", VISITOR)
        assert {one.event_id for one in by_visitor.events} == {"own-id-1", "own-id-2"}
        assert {one.visitor for one in by_visitor.events} == {VISITOR}
        assert EMAIL not in json.dumps([one.raw for one in by_visitor.events])
        by_user = await traced(pipeline, "user", "u-770011")
        assert {one.event_id for one in by_user.events} == {"own-id-1", "own-id-2"}
        by_sku = await traced(pipeline, "sku", "S-p1", limit=3)
        assert len(by_sku.events) == 3
        assert by_sku.more

        (skipped,) = (await traced(pipeline, "event", "no-consent")).events
        assert outcomes(skipped)["miso"] == ("skipped", "no_consent")
        assert skipped.vendors[-1].text.endswith("(consent_since), and this event is older.")
        (unknown,) = (await traced(pipeline, "event", "no-product")).events
        assert outcomes(unknown)["miso"] == ("skipped", "unknown_product")

        (broken,) = (await traced(pipeline, "event", "broken")).events
        assert broken.vendors == []
        assert broken.text.startswith("Invalid event, sent to no vendor: invalid_field, ")
        letters = await find_letters(pipeline.settings, Selection(owner="enrich"))
        await drop_letters(pipeline.settings, letters.open, at="2026-05-01T09:00:00.000Z")
        (dropped,) = (await traced(pipeline, "event", "broken")).events
        assert [step.kind for step in dropped.steps] == ["raw", "dead_lettered", "resolved"]

        miso_worker = next(one for one in pipeline.workers if one.stage == "miso")
        metrics = await asked_of(miso_worker, "/metrics")
        shop = f'shop="{pipeline.settings.kafka.topic_prefix}"'
        of_miso, of_enrich = f'{shop},stage="miso"', f'{shop},stage="enrich"'
        events = pipeline.settings.topics.events("miso")
        for line in (
            f'streams_events_total{{outcome="accepted",reason="",{of_miso},vendor="miso"}} 3.0',
            f'streams_event_age_seconds_count{{{of_miso},vendor="miso"}} 3.0',
            f'streams_vendor_state{{{of_miso},state="running",vendor="miso"}} 1.0',
            f"streams_ready{{{of_miso}}} 1.0",
            f'streams_partitions_without_owner{{{of_miso},topic="{events}"}} 0.0',
        ):
            assert line in metrics.splitlines(), line
        assert VISITOR not in metrics
        enrich_worker = next(one for one in pipeline.workers if one.stage == "enrich")
        metrics = await asked_of(enrich_worker, "/metrics")
        skips = f'streams_events_total{{outcome="skipped",reason="%s",{of_enrich},vendor="%s"}} %s'
        for line in (
            skips % ("no_consent", "miso", "1.0"),
            skips % ("unknown_product", "miso", "1.0"),
            skips % ("outside_content", "eightselect", "2.0"),
            f'streams_dead_letters_total{{reason="invalid_field",{of_enrich},vendor="enrich"}} 1.0',
            f"streams_records_read_total{{{of_enrich}}} 6.0",
            f'streams_table_rows{{{of_enrich},table="users"}} 2.0',
        ):
            assert line in metrics.splitlines(), line
        *_, last = (await asked_of(miso_worker, "/api/trace?event=own-id-1")).splitlines()
        assert json.loads(last)["trace"]["events"] == [msgspec.to_builtins(event)]

        nothing = await traced(pipeline, "event", "nowhere")
        assert nothing.events == []
        assert nothing.notes[0].startswith("No event with this id was written since ")
        stopped: asyncio.Future[Trace] = asyncio.ensure_future(
            traced(pipeline, "event", "nowhere", tell=lambda *_: stopped.cancel())
        )
        with pytest.raises(asyncio.CancelledError):
            await stopped

        vendor_records = await pipeline.read(pipeline.topics.events("miso"))
        again = next(record for record in vendor_records if b'"own-id-1"' in record.value)
        await pipeline.producer.send(
            pipeline.topics.redelivery("miso"),
            value=again.value,
            key=again.key,
            partition=again.partition,
            headers=[*again.headers, ("run-id", b"r-1")],
        )

        async def is_sent_again() -> bool:
            return any(one.get("run_id") == "r-1" for one in await pipeline.receipts())

        await pipeline.until(is_sent_again)
        (twice,) = (await traced(pipeline, "event", "own-id-1")).events
        assert [(step.kind, step.lane, step.run_id) for step in twice.vendors[-1].steps] == [
            ("enriched", "live", None),
            ("accepted", "live", None),
            ("redelivered", "redelivery", "r-1"),
            ("accepted", "redelivery", "r-1"),
        ]
        assert not [step for step in twice.vendors[-1].steps if step.is_repeat]

        for worker in pipeline.workers:
            worker.terminate()
        await asyncio.gather(*(worker.ended(15) for worker in pipeline.workers))
        content = {"type": "customSet", "id": "set-1"}
        await pipeline.send(click(VISITOR, event_id="late", consent=both, content=content))
        (late,) = (await traced(pipeline, "event", "late")).events
        assert set(outcomes(late).values()) == {("waiting", None)}
        assert late.text == (
            "Waiting for enrichment, behind 0 records of its partition. "
            "No enrichment worker is running. Start one with `streams worker enrich`."
        )
        await in_transactions(pipeline, f"{prefix}t")
        assert (await traced(pipeline, "event", "aborted")).events == []
        assert len((await traced(pipeline, "event", "committed")).events) == 1
        await pipeline.worker("enrich")

        async def is_enriched() -> bool:
            found = (await traced(pipeline, "event", "late")).events
            return bool(found) and found[0].text == "Waiting for 8SELECT and Miso."

        await until(is_enriched, 20, "the event to be enriched")
        (late,) = (await traced(pipeline, "event", "late")).events
        assert late.text == "Waiting for 8SELECT and Miso."
        waiting = late.vendors[-1].steps
        assert [step.kind for step in waiting] == ["enriched", "waiting"]
        assert waiting[-1].place == waiting[0].place
        assert waiting[-1].text == (
            "Waiting for Miso, behind at most 0 events of its partition. Nothing is lost. "
            "No worker for Miso is running. Start one with `streams worker miso`."
        )
