"""``streams forget`` over a real pipeline of all three vendors."""

import asyncio
import io
import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from streams.cli import main
from streams.clients import Voyado
from streams.lab.sandbox import Fault, FaultKind
from streams.worker.control import set_paused
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import ALL_KINDS, Pipeline, Record, product, user

pytestmark = pytest.mark.kafka

ENV = {
    "STREAMS_VOYADO_API_KEY": "sandbox-secret",
    "STREAMS_VOYADO_USER_AGENT": "TestShop/1.0",
    "STREAMS_EIGHTSELECT_API_ID": "sandbox-id",
    "STREAMS_EIGHTSELECT_USER_ID_SECRET": "a-secret-of-this-test",
}
YES = {"miso": True, "voyado": True, "eightselect": True}
CONTENT = {"type": "customSet", "id": "set-1"}
ANNA, BERT = "0b2c6f0e-9a8e-4c57-8a39-1f0c4d2e7b11", "bert"
CONTACTS = {
    ANNA: "5f9d2a4e-6a6b-4b5e-8d3f-2f1c7a9b0c3d",
    BERT: "6a9d2a4e-6a6b-4b5e-8d3f-2f1c7a9b0c3e",
}


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


class Terminal(io.StringIO):
    """Somebody at a keyboard."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


def of_each_kind(visitor: str, name: str) -> list[Record]:
    """An event of each kind; Voyado gets no order and no content view."""
    return [
        kind(visitor, event_id=f"{name}-{number}", consent=YES, content=CONTENT)
        for number, kind in enumerate(ALL_KINDS)
    ]


def by_user(pipeline: Pipeline, vendor: str) -> Counter[tuple[str, bool]]:
    """What a simulator stored, by the event's visitor and whether it was erased since."""
    return Counter(
        (row["event_id"].partition("-")[0], row["erased"])
        for row in pipeline.sandbox.ledgers[vendor].rows()
    )


async def outcomes(pipeline: Pipeline, vendor: str) -> Counter[tuple[str, str, str | None]]:
    """The receipts of a vendor, by the event's visitor, outcome and reason."""
    found = await pipeline.read(pipeline.topics.receipts(vendor))
    receipts = [json.loads(record.value) for record in found]
    return Counter(
        (r["event_id"].partition("-")[0], r["outcome"], r.get("reason")) for r in receipts
    )


@pytest.mark.slow
async def test_a_visitor_is_forgotten_here_and_at_the_vendors_and_nobody_else_is(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """What two vendors took is deleted, what waits for the third is stopped; later, all anew.

    At Voyado that includes what no receipt names any more.
    """
    async with Pipeline(
        broker, prefix, tmp_path, partitions=2, env=ENV, all_sources=True
    ) as pipeline:
        for name, value in pipeline.environment.items():
            monkeypatch.setenv(name, value)
        pipeline.sandbox.faults.set(Fault(kind=FaultKind.STATUS, vendor="eightselect", status=403))
        await pipeline.send(
            product("p1"),
            *(
                user(visitor, {"user_id": f"u-{visitor[:4]}", "contact_id": contact})
                for visitor, contact in CONTACTS.items()
            ),
        )
        monkeypatch.setattr("sys.stdin", Terminal("n\n"))
        assert await asyncio.to_thread(main, ["forget", ANNA]) == 1
        said = capsys.readouterr()
        assert f"Visitor {ANNA}: 1 record on 1 topic." in said.err
        assert "of the visitor and of the user u-0b2c." in said.err
        assert said.err.endswith("Nothing was changed.\n")
        assert all(row.value for row in await pipeline.read(pipeline.topics.users))
        workers = {
            stage: pipeline.start(stage) for stage in ("enrich", "eightselect", "voyado", "miso")
        }
        await pipeline.ready(*workers.values())
        await pipeline.send(*of_each_kind(ANNA, "anna"), *of_each_kind(BERT, "bert"))
        await pipeline.until(
            lambda: by_user(pipeline, "miso") == {("anna", False): 5, ("bert", False): 5}
        )
        await pipeline.until(
            lambda: by_user(pipeline, "voyado") == {("anna", False): 3, ("bert", False): 3}
        )
        # From before the receipts that are kept: only Voyado's list knows of these.
        async with Voyado(pipeline.settings) as voyado:
            for name, visitor in (("anna", ANNA), ("bert", BERT)):
                payload = {"eventId": f"{name}-old", "productSku": "sku-1"}
                old = {"contactId": CONTACTS[visitor], "schemaId": "productClick"}
                await voyado.create_interaction({**old, "payload": payload})

        async def eightselect_is(state: str) -> bool:
            status = await pipeline.status(workers["eightselect"])
            return bool(status["vendor"]["state"] == state)

        await pipeline.until(lambda: eightselect_is("parked"))

        assert await asyncio.to_thread(main, ["forget", "--yes", "--json", ANNA]) == 0
        said = capsys.readouterr()
        assert f"Visitor {ANNA}: " in said.err
        assert "Voyado Engage: 3 events accepted; to be deleted: 3 interactions." in said.err
        assert "8SELECT: 0 events accepted, 5 waiting, which will not be sent." in said.err
        report = json.loads(said.out)
        assert report["complete"]
        assert {s["stage"]: s["obeys"] for s in report["stages"]} == dict.fromkeys(workers, "yes")
        words = {vendor["vendor"]: vendor for vendor in report["vendors"]}
        assert [words[v]["done"] for v in ("miso", "voyado", "eightselect")] == [
            "deleted",
            "deleted",
            "nothing",
        ]
        assert words["eightselect"]["waiting"] == 5
        assert f"name the user id {ANNA}." in words["eightselect"]["by_hand"]
        held = {topic["topic"].removeprefix(prefix) for topic in report["held"]}
        raw = {topic.removeprefix(prefix) for topic in pipeline.topics.raw}
        assert {"shop.users", *raw, "vendor.miso.events"} <= held
        assert by_user(pipeline, "miso") == {("anna", True): 5, ("bert", False): 5}
        assert by_user(pipeline, "voyado") == {("anna", True): 4, ("bert", False): 4}

        # 8SELECT answers again: bert's events go out, the visitor's are skipped.
        pipeline.sandbox.faults.clear()
        await set_paused(pipeline.settings, "eightselect", paused=False)

        async def all_settled() -> bool:
            return (await outcomes(pipeline, "eightselect")).total() == 10

        await pipeline.until(all_settled)
        assert await outcomes(pipeline, "eightselect") == Counter(
            {("bert", "accepted", None): 5, ("anna", "skipped", "no_consent"): 5}
        )
        assert len(pipeline.sandbox.ledgers["eightselect"]) == 5

        # Again: nothing is left to delete, and nothing goes wrong.
        assert await asyncio.to_thread(main, ["forget", "--yes", ANNA]) == 0
        assert "All steps are complete." in capsys.readouterr().out

        # The browser comes back with a consent of its own, and without a row.
        await pipeline.send(*of_each_kind(ANNA, "later"))

        def is_sent_anew() -> bool:
            sent = by_user(pipeline, "miso")[("later", False)]
            return sent == 5 and len(pipeline.sandbox.ledgers["eightselect"]) == 10

        await pipeline.until(is_sent_anew)

        async def books_balance() -> bool:
            audited = await pipeline.audit()
            return audited.balanced and all(books.waiting == 0 for books in audited.vendors)

        await pipeline.until(books_balance)
        assert await outcomes(pipeline, "voyado") == Counter(
            {
                ("anna", "accepted", None): 3,
                ("bert", "accepted", None): 3,
                ("later", "skipped", "no_contact"): 3,
                ("anna", "skipped", "own_pathway"): 2,
                ("bert", "skipped", "own_pathway"): 2,
                ("later", "skipped", "own_pathway"): 2,
            }
        )
