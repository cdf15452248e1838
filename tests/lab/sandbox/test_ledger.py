"""What the ledger says of what was stored."""

import tracemalloc

from streams.lab.sandbox.ledger import Ledger


def store(ledger: Ledger, event_id: str, request: int = 1, user_id: str = "u-1") -> None:
    """Store one click of visitor a-1."""
    ledger.store(
        request=request,
        at=100.0 + request,
        type_="click",
        event_id=event_id,
        anonymous_id="a-1",
        user_id=user_id,
        payload={"id": event_id},
    )


def test_the_summary_tells_records_from_events() -> None:
    """Repeats, records without an id, requests and their answers are all in the sums."""
    ledger = Ledger(kept_payloads=2)
    for event_id in ("e-1", "e-2", "e-1", "", "e-1"):
        store(ledger, event_id, ledger.open_request())
        ledger.close_request(200)
    ledger.open_request()
    ledger.close_request("dropped")
    ledger.refuse(request=6, records=1, lines=["data.0 is invalid. No."])
    assert ledger.summary() == {
        "records": 5,
        "distinct": 2,
        "duplicates": 2,
        "duplicate_ids": {"e-1": 3},
        "without_event_id": 1,
        "erased": 0,
        "dry_run_records": 0,
        "refused_records": 1,
        "types": {"click": 5},
        "requests": 6,
        "answers": {"200": 5, "dropped": 1},
        "flagged": {},
        "flag_examples": [],
        "refusals": [{"request": 6, "lines": ["data.0 is invalid. No."]}],
        "first_at": 101.0,
        "last_at": 105.0,
    }
    assert ledger.event_ids() == ["e-1", "e-2", "e-1", "", "e-1"]
    assert ledger.event_ids(since=1, limit=2) == ["e-2", "e-1"]
    assert [row["position"] for row in ledger.rows(since=3, limit=9)] == [3, 4]
    assert (ledger.times_stored("e-1"), ledger.times_stored("e-9")) == (3, 0)
    assert ledger.payloads() == [{"id": ""}, {"id": "e-1"}]


def test_clearing_forgets_everything() -> None:
    """A cleared ledger is as a new one, request numbers included."""
    ledger = Ledger()
    store(ledger, "e-1", ledger.open_request())
    ledger.flag("no_visitor", request=1, index=0)
    ledger.clear()
    assert ledger.summary() == Ledger().summary()
    assert ledger.open_request() == 1


def test_one_record_can_be_erased_once() -> None:
    """By position, as a vendor with an id per record does."""
    ledger = Ledger()
    store(ledger, "e-1")
    ledger.erase(0)
    ledger.erase(0)
    assert (ledger.erased_records, ledger.rows()[0]["erased"]) == (1, True)


def test_a_record_takes_few_bytes() -> None:
    """A million records fit in some 250 MB: payloads are not kept, visitors are shared."""
    ledger = Ledger()
    tracemalloc.start()
    for number in range(20_000):
        store(ledger, f"9b2f3c44-0000-4000-8000-{number:012d}", number, f"user-{number % 100:032d}")
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown / 20_000 < 250
