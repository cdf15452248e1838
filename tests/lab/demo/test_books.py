"""The demo's books against 8SELECT's ledger, which tells events by digests of their content."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from streams.lab.demo.books import Closing, accepted_places, digest
from streams.lab.demo.feed import file_feed
from streams.lab.demo.rig import Rig
from streams.lab.demo.run import free_web_port
from streams.lab.sandbox.eightselect import digest as digest_of_the_simulator
from streams.worker.supervisor.restart_policy import Ending
from tests.broker_fixtures import Broker

LANES = {"live": "vendor.eightselect.events", "redelivery": "vendor.eightselect.redelivery"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VISITOR = "6f1f0a52-8a4e-4d0b-9b7c-2d3e4f5a6b77"


def receipt(position: int | None, source: str, **changes: Any) -> ConsumerRecord:
    """A record of ``vendor.eightselect.receipts``, partition 3."""
    content: dict[str, Any] = {
        "event_id": "e",
        "outcome": "accepted",
        "at": "2026-11-20T10:00:00.000Z",
    }
    content |= {"attempts": 1, "source": source, "lane": "live", "position": position} | changes
    return ConsumerRecord(
        topic="vendor.eightselect.receipts",
        partition=3,
        offset=0,
        timestamp=0,
        timestamp_type=0,
        key=None,
        value=json.dumps(content).encode(),
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )


def test_digest_is_32_hex_digits_over_sorted_members() -> None:
    """Written out: sha256 of ``{"a":"ü","b":[{"c":"","d":"/"}]}`` in UTF-8."""
    assert digest({"b": [{"d": "/", "c": ""}], "a": "ü"}) == "8eec0825953188b5abc23f976144a3f2"


@given(
    st.dictionaries(
        TEXT, TEXT | st.lists(st.dictionaries(TEXT, TEXT | st.integers(-(2**63), 2**63 - 1)))
    )
)
def test_digest_is_the_simulators_whatever_the_text(payload: dict[str, Any]) -> None:
    """Two ways of writing JSON that share no code agree."""
    assert digest(payload) == digest_of_the_simulator(payload)


def test_accepted_events_are_counted_once_a_run() -> None:
    """By where their vendor record lies; a receipt that was written twice is one acceptance."""
    receipts = [
        receipt(5, "shop.clicks/3/10"),
        receipt(5, "shop.clicks/3/10"),
        receipt(6, "shop.clicks/3/11", outcome="skipped"),
        receipt(7, "shop.clicks/3/12", outcome="dead_lettered"),
        receipt(0, "shop.clicks/3/10", lane="redelivery", run_id="r-1"),
    ]
    assert accepted_places(receipts, LANES) == [
        "vendor.eightselect.events/3/5",
        "vendor.eightselect.redelivery/3/0",
    ]


class Silent:
    """A console that nobody reads."""

    def line(self, stage: str, text: str) -> None:
        """Pass over a worker's line."""

    def ended(self, ending: Ending) -> None:
        """Pass over an ending."""


def click(number: int, sku: str) -> dict[str, Any]:
    """A raw click inside 8SELECT content, meant for 8SELECT alone."""
    return {
        "event_id": f"e-{number}",
        "timestamp": 1_795_000_000_000 + number,
        "anonymous_id": VISITOR,
        "product_id": "p-1",
        "sku": sku,
        "content": {"type": "customSet", "id": "set-9"},
        "consent": {"eightselect": True},
    }


def payload(sku: str) -> dict[str, Any]:
    """What 8SELECT gets for it."""
    return {
        "type": "interact",
        "interact": {"type": "product", "action": "click", "product": {"sku": sku}},
        "context": [
            {"type": "content", "content": {"type": "customSet", "customSet": {"id": "set-9"}}},
            {"type": "user", "user": {"id": VISITOR}},
        ],
    }


async def ask(rig: Rig, method: str, path: str, content: Any = None) -> Any:
    """What the sandbox answers, as JSON."""
    async with (
        aiohttp.ClientSession(headers={"x-api-id": "sandbox-id"}) as session,
        session.request(method, rig.sandbox.url + path, json=content) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def store(rig: Rig, *skus: str) -> None:
    """Have 8SELECT's simulator store clicks, as requests like any other."""
    for sku in skus:
        await ask(rig, "POST", "/analytics/v3/events", payload(sku))


async def closed(rig: Rig) -> tuple[int, list[str]]:
    """The exit code of books that are closed now, and what is wrong with them."""
    closing: Closing = await rig.close_books(3, stall_seconds=0)
    return closing.exit_code, closing.problems()


@pytest.mark.slow
@pytest.mark.kafka
async def test_a_ledger_of_as_many_but_other_events_ends_with_1(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Two equal clicks and another one: what is more, less or different than these is seen."""
    file = tmp_path / "events.jsonl"
    events = [click(1, "s-1"), click(2, "s-1"), click(3, "s-2")]
    file.write_text("".join(f"{json.dumps(event)}\n" for event in events), encoding="utf-8")
    rig = Rig(
        broker.bootstrap_servers, tmp_path, free_web_port(), Silent(), dict(os.environ), prefix
    )
    first, second, other = digest(payload("s-1")), digest(payload("s-2")), digest(payload("s-3"))
    repeated = "eightselect: 1 events are in the simulator's ledger more often than accepted"
    lacking = "accepted by the receipts and not in the simulator's ledger"
    async with rig:
        await rig.start_workers()
        assert await rig.play(file_feed(file, rig.settings.topics), lambda _: None) == 3
        assert await closed(rig) == (0, [])
        ledger = (await ask(rig, "GET", "/ledger?ids=1"))["eightselect"]["ids"]
        assert Counter(ledger) == {first: 2, second: 1}

        await store(rig, "s-1")
        assert await closed(rig) == (1, [f"{repeated}: {first}."])

        await ask(rig, "DELETE", "/ledger")
        await store(rig, "s-1", "s-1", "s-3")
        assert await closed(rig) == (
            1,
            [
                f"eightselect: 1 events are {lacking}: {second}.",
                f"eightselect: 1 events are in the simulator's ledger without a receipt: {other}.",
            ],
        )

        await ask(rig, "DELETE", "/ledger")
        await store(rig, "s-2", "s-1")
        assert await closed(rig) == (1, [f"eightselect: 1 events are {lacking}: {first}."])

        await ask(rig, "DELETE", "/ledger")
        await store(rig, "s-1", "s-2", "s-1")
        assert await closed(rig) == (0, [])
