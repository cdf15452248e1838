"""From a record's bytes to its value: the protocol, and plain JSON."""

from collections.abc import Iterable
from typing import Protocol

from streams.core.errors import InvalidEvent, StreamsError
from streams.core.outcome import DeadLetterReason
from streams.core.strict_json import Decoded, StrictJsonError, decode_repaired

MAX_RECORD_BYTES = 1024 * 1024
"""Kafka's own default for a record; a larger one is a dead letter."""


class RegistryAway(StreamsError):
    """The schema registry gives no answer that can be used; the message says why.

    Nothing is known of the record: whoever reads it waits.
    """


class UnknownSchema(InvalidEvent):
    """The registry has no schema of the id that stands in the record: a dead letter."""

    def __init__(self, detail: str) -> None:
        super().__init__(DeadLetterReason.UNKNOWN_SCHEMA, detail)


class Decoder(Protocol):
    """Decodes values, and keys of the same format."""

    async def prepare(self, values: Iterable[bytes]) -> None:
        """Fetch what ``decode`` needs for these values; raises RegistryAway."""

    def decode(self, value: bytes) -> Decoded:
        """Return the value as JSON has it: dicts, lists, texts, numbers, booleans, None.

        Raises InvalidEvent for bytes that cannot be read, UnknownSchema among them.
        """


class PlainJsonDecoder:
    """Decodes ``format = "json"``."""

    async def prepare(self, values: Iterable[bytes]) -> None:
        """Nothing is needed."""

    def decode(self, value: bytes) -> Decoded:
        """See ``Decoder``."""
        try:
            return decode_repaired(value)
        except StrictJsonError as problem:
            raise InvalidEvent(DeadLetterReason.INVALID_JSON, str(problem)) from None


def plain_decoder(format_: str) -> Decoder:
    """Return the decoder of ``json``, the one format that needs nothing from outside."""
    if format_ != "json":
        raise ValueError(f"{format_} is not read here")
    return PlainJsonDecoder()


def check_size(value: bytes) -> None:
    """Raise InvalidEvent for a record of more bytes than one may have."""
    if len(value) > MAX_RECORD_BYTES:
        raise InvalidEvent(
            DeadLetterReason.TOO_LARGE,
            f"the record has {len(value)} bytes, more than the {MAX_RECORD_BYTES} of a shop's own",
        )
