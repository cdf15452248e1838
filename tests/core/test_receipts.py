"""Receipts as they are written."""

import json

from hypothesis import given
from hypothesis import strategies as st

from streams.core.consent import NoConsent
from streams.core.outcome import SkipReason
from streams.core.receipts import (
    ReceiptsOfSinks,
    SkipReceipts,
    decode_receipt,
    encode_receipt,
    is_of_a_sink,
)
from streams.core.records import Receipt

AT = "2026-11-20T10:00:00.000Z"


@given(st.text(max_size=128), st.sampled_from(SkipReason))
def test_a_skips_receipt_put_together_is_the_encoded_one(event_id: str, reason: SkipReason) -> None:
    """Byte for byte, whatever a stranger calls the event."""
    made = SkipReceipts(AT)
    value = made.begin(event_id, b"a.shop.clicks/3/42") + made.end[reason, None]
    assert value == encode_receipt(
        Receipt(event_id, "skipped", AT, 0, "a.shop.clicks/3/42", "live", None, reason)
    )
    assert decode_receipt(value).event_id == event_id


@given(st.sampled_from(NoConsent))
def test_the_receipt_of_a_no_consent_says_which(why: NoConsent) -> None:
    """The reason stays; the detail stands beside it, as it is encoded."""
    value = SkipReceipts(AT).begin("e-1", b"c/3/42") + SkipReceipts.end["no_consent", why]
    receipt = Receipt(
        "e-1", "skipped", AT, 0, "c/3/42", "live", None, "no_consent", detail=str(why)
    )
    assert value == encode_receipt(receipt)


def test_a_skips_receipt_has_the_contracts_fields() -> None:
    """The position is there, and null."""
    made = SkipReceipts(AT)
    assert json.loads(made.begin("e-1", b"shop.clicks/3/42") + made.end["duplicate", None]) == {
        "event_id": "e-1",
        "outcome": "skipped",
        "reason": "duplicate",
        "at": AT,
        "attempts": 0,
        "source": "shop.clicks/3/42",
        "lane": "live",
        "position": None,
    }


@given(st.lists(st.tuples(st.text(max_size=40) | st.just('"position":7'), st.booleans())))
def test_a_sinks_receipts_are_told_from_enrichments_by_their_bytes(
    receipts: list[tuple[str, bool]],
) -> None:
    """One among many in a batch, and each by itself, whatever a stranger calls its event."""
    values = [
        encode_receipt(Receipt(id_, "accepted", AT, 1, "t/0/1", "live", 5 if is_ours else None))
        for id_, is_ours in receipts
    ]
    batch = b"before" + b"\0".join(values)
    is_there = any(is_ours for _, is_ours in receipts)
    assert ReceiptsOfSinks().is_in(batch, 6, len(batch)) is is_there
    assert [is_of_a_sink(value) for value in values] == [is_ours for _, is_ours in receipts]
