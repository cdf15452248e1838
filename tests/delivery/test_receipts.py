"""Receipts as they are written."""

import json

from hypothesis import given
from hypothesis import strategies as st

from streams.core.outcome import SkipReason
from streams.core.records import Receipt
from streams.delivery.receipts import SkipReceipts, decode_receipt, encode_receipt

AT = "2026-11-20T10:00:00.000Z"


@given(st.text(max_size=128), st.sampled_from(SkipReason))
def test_a_skips_receipt_put_together_is_the_encoded_one(event_id: str, reason: SkipReason) -> None:
    """Byte for byte, whatever a stranger calls the event."""
    made = SkipReceipts(AT)
    value = made.begin(event_id, b"a.shop.clicks/3/42") + made.end[reason]
    assert value == encode_receipt(
        Receipt(event_id, "skipped", AT, 0, "a.shop.clicks/3/42", "live", None, reason)
    )
    assert decode_receipt(value).event_id == event_id


def test_a_skips_receipt_has_the_contracts_fields() -> None:
    """The position is there, and null."""
    made = SkipReceipts(AT)
    assert json.loads(made.begin("e-1", b"shop.clicks/3/42") + made.end["duplicate"]) == {
        "event_id": "e-1",
        "outcome": "skipped",
        "reason": "duplicate",
        "at": AT,
        "attempts": 0,
        "source": "shop.clicks/3/42",
        "lane": "live",
        "position": None,
    }
