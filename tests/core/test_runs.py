"""Runs: their ids, their record, and receipts whose sum balances."""

import pytest

from streams.core.runs import (
    DONE,
    FAILED,
    RUN_ID,
    RUNNING,
    STOPPED,
    Asked,
    Run,
    RunReceipt,
    State,
    VendorPart,
    decode_run,
    encode_run,
    new_run_id,
)


def run_of(*states: State) -> Run:
    """A run whose parts are in these states."""
    parts = [VendorPart(f"vendor{number}", state) for number, state in enumerate(states)]
    return Run("r-20261121-101500-ab12", Asked("replay", 1, 2), "then", "now", parts=parts)


def test_a_run_id_says_when_it_began() -> None:
    """With four letters that are not easily taken for each other."""
    run_id = new_run_id("2026-11-21T10:15:00.123Z", bytes([10, 11, 1, 2]))
    assert run_id == "r-20261121-101500-ab12"
    assert RUN_ID.fullmatch(run_id)
    assert RUN_ID.fullmatch(new_run_id("2026-11-21T10:15:00.123Z", b"\xff\x00"))


def test_a_record_is_read_back_as_it_was() -> None:
    """Whatever was asked and reached."""
    asked = Asked("replay", 1, 2, only=("skipped:no_contact",), visitor="v-1", rate=2.5, again=True)
    part = VendorPart("miso", positions={"shop.clicks/0": 7}, sent=3, skipped={"too_old": 1})
    run = Run("r-1", asked, "then", "now", stops={"shop.clicks/0": 9}, parts=[part], pid=1)
    assert decode_run(encode_run(run)) == run


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"run_id": "r"}'])
def test_what_is_no_record_is_refused(value: bytes) -> None:
    """As a ValueError, for whoever reads the topic."""
    with pytest.raises(ValueError, match=r".+"):
        decode_run(value)


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        ((RUNNING, DONE), RUNNING),
        ((STOPPED, DONE), STOPPED),
        ((FAILED, STOPPED), FAILED),
        ((DONE, DONE), DONE),
    ],
)
def test_a_run_is_what_its_vendors_are(states: tuple[State, ...], whole: State) -> None:
    """Running while one of them is; done only where all are."""
    run = run_of(*states)
    assert run.state == whole
    assert run.vendors == ("vendor0", "vendor1")


def test_a_receipt_balances_where_each_event_is_counted_once() -> None:
    """Selected = accepted + refused + skipped + left + passed over + waiting."""
    receipt = RunReceipt(
        selected=21,
        sent=15,
        accepted=10,
        refused={"rejected": 1, "invalid_payload": 1},
        skipped={"no_consent": 2},
        left={"already_accepted": 3},
        passed_over=2,
        waiting=2,
    )
    assert receipt.balanced
    assert not RunReceipt(selected=2, accepted=1).balanced
