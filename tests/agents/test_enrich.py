"""One chunk of raw records: what is passed on, and what is closed first."""

import json
from types import SimpleNamespace
from typing import Any, NamedTuple

from faust.types import TP
from pydantic import SecretStr

from streams.agents.enrich import EnrichedChunk, EnrichStage
from streams.core.enrich import Enricher
from streams.core.topics import Topics
from streams.engine.tables import MALFORMED
from streams.vendors import VENDORS, plan_for
from streams.vendors.miso import MisoSettings

NOW_MS = 1_780_000_000_000
CLICKS = TP("shop.clicks", 2)


class Raw(NamedTuple):
    """A raw record."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = NOW_MS


class FakeOutputs:
    """Keeps what is appended."""

    def __init__(self) -> None:
        self.records: list[tuple[str, int, bytes | None, dict[str, Any], dict[str, bytes]]] = []

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Take a record."""
        self.records.append((topic, partition, key, json.loads(value), dict(headers or [])))


def stage() -> Any:
    """The stage with a product and three users, and no app."""
    made: Any = EnrichStage(
        Topics(),
        Enricher([plan_for(VENDORS["miso"], MisoSettings(api_key=SecretStr("key")))], "required"),
        ["miso"],
        click_fields=None,
        cart_fields=None,
        wall_ms=lambda: NOW_MS,
    )
    rows = {b"anna": b'{"consent": {"miso": true}}', b"mal": MALFORMED}
    made.users = SimpleNamespace(rows={2: rows, 3: {b"eve": rows[b"anna"]}}, forgotten={})
    made.products = SimpleNamespace(by_key={b"p1": b'{"sku": "S-1"}', b"p2": MALFORMED})
    return made


def click(offset: int, visitor: str = "anna", **fields: Any) -> Raw:
    """A click at this offset."""
    event = {
        "event_id": f"e{offset}",
        "timestamp": NOW_MS,
        "anonymous_id": visitor,
        "product_id": "p1",
    }
    return Raw(offset, visitor.encode(), json.dumps(event | fields).encode())


def enriched(made: Any, *records: Raw) -> tuple[FakeOutputs, FakeOutputs]:
    """Return what closes events, and what is passed on."""
    closing, passing = FakeOutputs(), FakeOutputs()
    made.enrich_chunk(CLICKS, records, EnrichedChunk(closing, passing))  # type: ignore[arg-type]
    return closing, passing


def test_an_event_becomes_a_vendor_record_on_its_own_partition() -> None:
    """With where it comes from, why it may be sent, and the raw record's time."""
    closing, passing = enriched(stage(), click(7))
    assert closing.records == []
    ((topic, partition, key, value, headers),) = passing.records
    assert (topic, partition, key) == ("vendor.miso.events", 2, b"anna")
    assert value["event_id"] == "e7"
    assert value["payload"]["product_ids"] == ["S-1"]
    assert headers == {
        "source": b"shop.clicks/2/7",
        "consent": b"row",
        "source-time": b"1780000000000",
    }


def test_what_is_not_passed_on_is_closed() -> None:
    """Skips by receipt, records that are no events by letter; in the order of the chunk."""
    closing, passing = enriched(
        stage(),
        click(0, "bert"),
        Raw(1, b"anna", b"no json"),
        click(2, product_id="p2"),
        click(3, "mal", consent={"miso": True}),
        click(4, "eve"),
        click(5),
    )
    assert [record[3]["event_id"] for record in passing.records] == ["e5"]
    assert [(topic, value["reason"]) for topic, _, _, value, _ in closing.records] == [
        ("vendor.miso.receipts", "no_consent"),
        ("enrich.dead-letters", "invalid_json"),
        ("vendor.miso.receipts", "unknown_product"),
        ("vendor.miso.receipts", "no_consent"),
        ("vendor.miso.receipts", "no_consent"),
    ]
    assert {record[1] for record in closing.records} == {2}


def test_a_defect_of_our_own_is_the_letter_of_its_record_alone() -> None:
    """The other records of the chunk go on."""
    made = stage()
    decide = made._enricher.decide

    def broken(event: Any, *rest: Any) -> Any:
        if event.event_id == "e1":
            raise ZeroDivisionError("planted")
        return decide(event, *rest)

    made._enricher = SimpleNamespace(decide=broken)
    closing, passing = enriched(made, click(0), click(1), click(2))
    assert [record[3]["event_id"] for record in passing.records] == ["e0", "e2"]
    ((topic, _, _, letter, _),) = closing.records
    assert topic == "enrich.dead-letters"
    assert letter["reason"] == "defect"
    assert "ZeroDivisionError" in letter["detail"]
    assert letter["source"]["offset"] == 1


def test_a_key_that_would_fill_a_batch_is_cut_in_its_letter() -> None:
    """The letter itself has at most 256 KiB."""
    closing, _ = enriched(stage(), Raw(0, b"k" * 900_000, b"x" * 1_000_000))
    ((_, _, key, letter, _),) = closing.records
    assert key == b"k" * 65_536
    assert letter["record_bytes"] == 1_000_000
    assert len(json.dumps(letter)) < 300_000


def test_a_changed_row_is_seen_although_rows_are_remembered_decoded() -> None:
    """By the row itself, not by its key."""
    made = stage()
    assert len(enriched(made, click(0))[1].records) == 1
    made.users.rows[2][b"anna"] = b'{"consent": {"miso": false}}'
    assert len(enriched(made, click(1))[1].records) == 0
    made.products.by_key[b"p1"] = b'{"sku": "S-9"}'
    made.users.rows[2][b"anna"] = b'{"consent": {"miso": true}}'
    (record,) = enriched(made, click(2))[1].records
    assert record[3]["payload"]["product_ids"] == ["S-9"]
