"""Record formats: the source header and what is always written."""

import msgspec
import pytest

from streams.core.records import Receipt, Source, VendorRecord


def test_source_header_is_read_back() -> None:
    """Topic, partition and offset survive the text form, slashes in a prefix included."""
    source = Source("eu/shop.clicks", 3, 17)
    assert str(source) == "eu/shop.clicks/3/17"
    assert Source.parse("eu/shop.clicks/3/17") == source


@pytest.mark.parametrize("text", ["", "shop.clicks", "shop.clicks/3", "shop.clicks/3/x"])
def test_what_is_no_source_is_refused(text: str) -> None:
    """A header out of shape is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011
        Source.parse(text)


def test_receipt_always_has_its_position() -> None:
    """Null where enrichment decided; other absent parts are not written."""
    receipt = Receipt(
        "e-1", "skipped", "2026-11-20T10:00:00.000Z", 0, "shop.clicks/3/17", "live", None,
        reason="no_consent",
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(receipt)) == {
        "event_id": "e-1",
        "outcome": "skipped",
        "at": "2026-11-20T10:00:00.000Z",
        "attempts": 0,
        "source": "shop.clicks/3/17",
        "lane": "live",
        "position": None,
        "reason": "no_consent",
    }


def test_vendor_record_has_five_fields_unless_a_contact_is_to_be_looked_up() -> None:
    """The sink reads the payload without decoding it."""
    record = VendorRecord("e-1", "click", "2026-11-20T10:00:00.000Z", "visitor-7", {"a": 1})
    assert msgspec.json.encode(record) == (
        b'{"event_id":"e-1","event_type":"click","timestamp":"2026-11-20T10:00:00.000Z",'
        b'"anonymous_id":"visitor-7","payload":{"a":1}}'
    )
