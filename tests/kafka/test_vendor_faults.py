"""The vendor misbehaves: order is kept, nothing is lost, and only what it refused is given up."""

import json
from pathlib import Path

import pytest

from streams.lab.sandbox import Fault, FaultKind
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, click, many, visitors

pytestmark = pytest.mark.kafka


async def test_order_is_kept_through_errors_refusals_and_dropped_connections(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Three requests in ten fail in one way or another, and some records are refused."""
    env = {"STREAMS_MISO_BATCH_RECORDS": "25", "STREAMS_MISO_LINGER_SECONDS": "0.05"}
    async with Pipeline(broker, prefix, tmp_path, partitions=2, env=env) as pipeline:
        await pipeline.products("p1", "p2")
        await pipeline.both()
        pipeline.sandbox.faults.set(
            Fault(kind=FaultKind.STATUS, status=503, rate=0.15),
            Fault(kind=FaultKind.DROP_BEFORE_STORE, rate=0.1),
            Fault(kind=FaultKind.REFUSE, skus=("S-p2",)),
        )
        names = visitors(15)
        for start in range(0, 400, 20):
            await pipeline.send(*many(20, names, start))
            await pipeline.send(click(names[start % 15], event_id=f"bad{start}", product_id="p2"))
        report = await pipeline.settled(420)
        (books,) = report.vendors
        assert books.accepted == 400
        assert books.dead_lettered == {"rejected": 20}
        assert pipeline.ledger.duplicates() == {}
        assert await pipeline.order_violations() == []
        answers = pipeline.ledger.answers
        assert answers["503"] > 0
        assert answers["dropped"] > 0
        assert answers["422"] > 0


@pytest.mark.parametrize("kind", [FaultKind.REFUSE, FaultKind.ERRORS_TRUE])
async def test_a_refusal_by_lines_cuts_out_exactly_the_refused_events(
    broker: Broker, prefix: str, tmp_path: Path, kind: FaultKind
) -> None:
    """Two requests for a batch with refused events: the refused one, and the rest of it."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1", "p2", "p3")
        await pipeline.worker("enrich")
        pipeline.sandbox.faults.set(Fault(kind=kind, skus=("S-p2", "S-p3")))
        await pipeline.send(
            *(click("anna", event_id=f"e{n}", product_id=f"p{1 + n % 3}") for n in range(12))
        )
        await pipeline.written(12)
        await pipeline.worker("miso")
        report = await pipeline.settled(12)
        assert pipeline.stored() == ["e0", "e3", "e6", "e9"]
        assert report.vendors[0].dead_lettered == {"rejected": 8}
        assert pipeline.ledger.requests == 2
        letters = await pipeline.read(pipeline.topics.dead_letters("miso"))
        assert [record.key for record in letters] == [b"anna"] * 8
        ids = [json.loads(record.value)["event_id"] for record in letters]
        assert ids == [f"e{n}" for n in range(12) if n % 3]
        receipts = {r["event_id"]: (r["outcome"], r["attempts"]) for r in await pipeline.receipts()}
        assert receipts["e0"] == ("accepted", 2)
        assert receipts["e1"] == ("dead_lettered", 1)


async def test_a_refusal_that_names_no_record_halves_the_batch_until_it_is_found(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """One refused event of 16 costs five requests more, and the order of the others is kept."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1", "p2")
        await pipeline.worker("enrich")
        pipeline.sandbox.faults.set(Fault(kind=FaultKind.REFUSE_UNREADABLE, skus=("S-p2",)))
        await pipeline.send(
            *(
                click("anna", event_id=f"e{n}", product_id="p2" if n == 5 else "p1")
                for n in range(16)
            )
        )
        await pipeline.written(16)
        await pipeline.worker("miso")
        report = await pipeline.settled(16)
        assert pipeline.stored() == [f"e{n}" for n in range(16) if n != 5]
        assert report.vendors[0].dead_lettered == {"rejected": 1}
        assert pipeline.ledger.requests == 6


async def test_a_refused_key_parks_the_vendor_and_nothing_is_lost(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """After 401 only probes go out; when the key is good again, everything arrives in order."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2) as pipeline:
        await pipeline.products("p1")
        _, miso = await pipeline.both()
        pipeline.sandbox.faults.set("miso:401")
        names = visitors(8)
        await pipeline.send(*many(60, names))

        async def is_parked() -> bool:
            return bool((await pipeline.status(miso))["vendor"]["state"] == "parked")

        await pipeline.until(is_parked)
        assert await pipeline.health(miso) == 200
        asked = pipeline.ledger.requests
        assert asked <= 2 * pipeline.partitions
        await pipeline.send(*many(60, names, 60))
        pipeline.sandbox.faults.clear()
        report = await pipeline.settled(120)
        assert report.vendors[0].accepted == 120
        assert pipeline.ledger.duplicates() == {}
        assert await pipeline.order_violations() == []
        assert (await pipeline.status(miso))["vendor"]["state"] == "running"
        assert pipeline.ledger.dry_run_records >= 1


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_429_waits_for_retry_after(
    broker: Broker, prefix: str, tmp_path: Path, form: str
) -> None:
    """No request of any partition goes out before the time that the vendor named."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        await pipeline.products("p1")
        await pipeline.both()
        pipeline.sandbox.faults.set(f"miso:429,retry_after=3,times=1,retry_after_form={form}")
        times = pipeline.record_requests()
        await pipeline.send(*many(30, visitors(20)))
        await pipeline.settled(30)
        refused = times[0]
        later = [at for at in times if at - refused > 1.0]
        assert len(later) >= 1
        # A date has whole seconds.
        assert min(later) - refused >= (2.9 if form == "seconds" else 1.9)
        assert pipeline.ledger.duplicates() == {}


async def test_what_was_stored_without_an_answer_is_repeated_and_counted(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """At least once: the request goes again, and the receipt tells how many were made."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        await pipeline.worker("enrich")
        await pipeline.send(*(click("anna", event_id=f"e{n}") for n in range(5)))
        await pipeline.written(5)
        pipeline.sandbox.faults.set("miso:store_then_drop,times=2")
        await pipeline.worker("miso")
        await pipeline.settled(5)
        assert pipeline.ledger.duplicates() == {f"e{n}": 3 for n in range(5)}
        assert {r["attempts"] for r in await pipeline.receipts()} == {3}
        assert await pipeline.order_violations() == []


async def test_an_outage_only_delays(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """While the vendor is down retries become rarer; when it is back, all arrives once."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        _, miso = await pipeline.both()
        pipeline.sandbox.faults.set("miso:down")
        times = pipeline.record_requests()
        await pipeline.send(*many(50, visitors(5)))
        await pipeline.until(lambda: len(times) >= 24)
        assert times[7] - times[0] < times[23] - times[16]
        assert (await pipeline.status(miso))["vendor"]["state"] == "degraded"
        pipeline.sandbox.faults.clear()
        await pipeline.settled(50)
        assert pipeline.ledger.duplicates() == {}
        assert await pipeline.order_violations() == []
