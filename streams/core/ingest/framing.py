"""Confluent's wire format: a zero byte, the id of a schema in four bytes, then the value. Pure."""

from typing import NamedTuple

from streams.core.errors import InvalidEvent
from streams.core.outcome import DeadLetterReason

FRAME_BYTES = 5
_MAGIC = 0


class WireFrame(NamedTuple):
    """What a framed value consists of."""

    schema_id: int
    content: memoryview


def read_frame(value: bytes) -> WireFrame:
    """Return schema id and content of a framed value; raises InvalidEvent where it has no frame."""
    if len(value) < FRAME_BYTES:
        raise _no_frame(f"it has {len(value)} bytes, fewer than the {FRAME_BYTES} of the frame")
    if value[0] != _MAGIC:
        hint = "; for JSON without a frame, set format to json" if value[:1] in b"{[" else ""
        raise _no_frame(f"its first byte is {value[0]}, not 0{hint}")
    return WireFrame(int.from_bytes(value[1:FRAME_BYTES], "big"), memoryview(value)[FRAME_BYTES:])


def _no_frame(why: str) -> InvalidEvent:
    return InvalidEvent(
        DeadLetterReason.INVALID_FRAME, f"the value is not in Confluent's wire format: {why}"
    )
