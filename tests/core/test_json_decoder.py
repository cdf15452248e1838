"""JSON that anybody may have written."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from faust.types import TP

from streams.core.control import VendorControl, decode_control
from streams.core.json_decoder import json_decoder
from streams.core.receipts import decode_receipt
from streams.core.runs import decode_run
from streams.core.snapshot import decode_snapshot
from streams.delivery.progress import read_metadata
from streams.operations.audit.decode import (
    UnreadableError,
    read_enrich_commit,
    read_letter,
    read_receipt,
    read_sink_commit,
)
from streams.stages.enrich.enabled_ranges import EnabledRanges, read_ranges

NESTED = b'{"paused": true, "more": ' + b'{"a": ' * 1_000_000
"""Deeper than any interpreter goes (3.11: 1,000 levels, 3.14: 100,000), in a field not ours."""


def test_what_is_wrong_is_one_error() -> None:
    """Whatever it is."""
    decode = json_decoder(VendorControl)
    assert decode(b'{"paused": true, "more": {"a": 1}}') == VendorControl(paused=True)
    for data in (NESTED, NESTED.decode(), b'{"at": "\xc3("}', b"[", b"", b"null"):
        with pytest.raises(msgspec.DecodeError):
            decode(data)


@pytest.mark.parametrize(
    "read",
    [
        *(decode_control, decode_run, decode_snapshot, decode_receipt),
        *(read_receipt, read_letter),
        lambda data: read_metadata(data.decode()),
        lambda data: read_enrich_commit(data.decode()),
        lambda data: read_sink_commit(data.decode()),
    ],
)
def test_a_record_that_is_nested_too_deeply_is_malformed(read: Callable[[bytes], Any]) -> None:
    """It ends no worker and no command; a control record like this pauses its vendor."""
    with pytest.raises((ValueError, UnreadableError)):
        read(NESTED)


def test_metadata_of_others_say_nothing_of_vendors() -> None:
    """However deep."""
    assert read_ranges(TP("shop.clicks", 0), NESTED.decode()) == EnabledRanges()
