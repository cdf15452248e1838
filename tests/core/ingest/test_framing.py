"""Confluent's wire format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import InvalidEvent
from streams.core.ingest.framing import read_frame


@given(st.integers(0, 2**32 - 1), st.binary(max_size=20))
def test_a_frame_is_a_zero_byte_an_id_and_the_content(schema_id: int, content: bytes) -> None:
    """The id is a big-endian integer."""
    frame = read_frame(b"\0" + schema_id.to_bytes(4, "big") + content)
    assert frame.schema_id == schema_id
    assert bytes(frame.content) == content


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "it has 0 bytes, fewer than the 5 of the frame"),
        (b"\0\0\0\1", "it has 4 bytes, fewer than the 5 of the frame"),
        (b"\1\0\0\0\1x", "its first byte is 1, not 0"),
        (b'{"a": 1}', "its first byte is 123, not 0; for JSON without a frame, set format to json"),
    ],
)
def test_what_has_no_frame_says_why(value: bytes, why: str) -> None:
    """JSON without a frame is the likeliest mistake."""
    with pytest.raises(InvalidEvent) as caught:
        read_frame(value)
    assert caught.value.reason == "invalid_frame"
    assert caught.value.detail.endswith(why)
