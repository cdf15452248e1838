"""What an audit reads in each record: its own reading, so that no fault elsewhere hides here."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from streams.core.json_decoder import json_decoder


class OnRanges(msgspec.Struct, frozen=True):
    """When each vendor was on; a vendor that is not named was off."""

    ranges: dict[str, list[tuple[int, int | None]]]
    """Vendor → raw offset ranges (first, end); an end of None is open."""
    since: int = 0
    """Below this raw offset nobody knows: a loss there must not be taken for a vendor's absence."""

    def was_on(self, vendor: str, offset: int) -> bool:
        """Return whether a vendor was on at this raw offset."""
        spans = self.ranges.get(vendor, ())
        return any(first <= offset and (end is None or offset < end) for first, end in spans)


class UnreadableError(Exception):
    """A record that does not have the form it must have; the message says what is wrong."""


class ReceiptFacts(msgspec.Struct, frozen=True, gc=False):
    """What the books need of a receipt."""

    event_id: str
    outcome: str
    source: str
    lane: str
    position: int | None
    reason: str | None = None
    run_id: str | None = None


class LetterOrigin(msgspec.Struct, frozen=True, gc=False):
    """The raw record that a dead letter is about."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None = None
    """Its Kafka time in ms."""


class LetterFacts(msgspec.Struct, frozen=True):
    """What the books need of a dead letter."""

    stage: str
    reason: str
    source: LetterOrigin


class _Resolution(msgspec.Struct, frozen=True):
    resolves: Any = None


class _CommitMetadata(msgspec.Struct, frozen=True):
    on: dict[str, list[tuple[int, int | None]]] | None = None
    expired: dict[str, int] = {}
    since: int | None = None


class _SinkCommitMetadata(msgspec.Struct, frozen=True):
    x: int = 0
    g: list[tuple[int, int, int]] = []


class Expired(NamedTuple):
    """What a sink's commit says of vendor records that expired below it."""

    total: int = 0
    gaps: tuple[tuple[int, int, int], ...] = ()
    """Where the newest lay: (first position, end, how many in between expired)."""


_decode_receipt = json_decoder(ReceiptFacts)
_decode_letter = json_decoder(LetterFacts)
_decode_resolution = json_decoder(_Resolution)
_decode_commit = json_decoder(_CommitMetadata)
_decode_sink_commit = json_decoder(_SinkCommitMetadata)

ALL = "*"
"""In what enrichment's commits say of expired records: all of them, whichever vendor was on."""


def read_receipt(value: bytes | None) -> ReceiptFacts:
    """Read a receipt; raises UnreadableError."""
    if value is None:
        raise UnreadableError("a receipt without a value")
    try:
        return _decode_receipt(value)
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"not a receipt: {error}") from None


def read_letter(value: bytes | None) -> LetterFacts | None:
    """Read a dead letter, or None for the note that one was resolved; raises UnreadableError."""
    if value is None:
        raise UnreadableError("a dead letter without a value")
    try:
        if _decode_resolution(value).resolves is not None:
            return None
        return _decode_letter(value)
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"not a dead letter: {error}") from None


def read_source(headers: Iterable[tuple[str, bytes | None]]) -> tuple[str, int | None]:
    """Return a vendor record's headers ``source`` and ``source-time``, in ms where it is there.

    Raises UnreadableError where there is no source.
    """
    found = dict(headers)
    source, time = found.get("source"), found.get("source-time") or b""
    if source is None:
        raise UnreadableError("a vendor record without the header source")
    return source.decode("utf-8", "replace"), int(time) if time.isdigit() else None


def read_enrich_commit(metadata: str | None) -> tuple[OnRanges | None, Mapping[str, int]]:
    """Return when each vendor was on (None: unknown) and how many raw records expired below it.

    Those by vendor, as far as it was on, and all of them under ``ALL``. Raises UnreadableError for
    metadata that is there and cannot be read.
    """
    if not metadata:
        return None, {}
    try:
        commit = _decode_commit(metadata)
    except msgspec.MsgspecError as error:
        raise UnreadableError(
            f"commit metadata that is no JSON object with ranges: {error}"
        ) from None
    on = None if commit.on is None else OnRanges(commit.on, commit.since or 0)
    return on, commit.expired


def read_sink_commit(metadata: str | None) -> Expired:
    """Return which vendor records a sink's commit says to have expired below it.

    Older commits say only how many. Raises UnreadableError for metadata that is there and cannot
    be read.
    """
    if not metadata:
        return Expired()
    try:
        said = _decode_sink_commit(metadata)
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"commit metadata that is no JSON object: {error}") from None
    return Expired(said.x, tuple(said.g))
