"""What a worker says of itself about once a second: the value of a ``streams.status`` record."""

from typing import Literal

import msgspec

VendorState = Literal["running", "degraded", "throttled", "parked", "paused"]


class VendorStatus(msgspec.Struct, frozen=True):
    """How a sink's vendor is doing, in words for the person who must act."""

    state: VendorState
    since: int
    """When this state began, in ms since the epoch."""
    reason: str = ""
    """Why, in one sentence; empty while running."""
    advice: str = ""
    """What to do about it; empty where nothing is to be done."""


class Totals(msgspec.Struct, frozen=True):
    """Counts since the worker started; an event counts once."""

    events: int = 0
    accepted: int = 0
    skipped: dict[str, int] = {}
    """By skip reason."""
    dead_lettered: dict[str, int] = {}
    """By dead-letter reason."""
    requests: dict[str, int] = {}
    """Requests to the vendor by HTTP status; ``none`` where no answer came."""


class WorkerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's state at one moment; fields that a reader does not know are ignored."""

    worker: str
    """The record's key: stage, host and slot."""
    stage: str
    """``enrich`` or a vendor key."""
    slot: int
    host: str
    pid: int
    version: str
    at: int
    """When this was written, in ms since the epoch."""
    started_at: int
    """In ms since the epoch."""
    ready: bool
    not_ready: list[str] = []
    """The reasons, one sentence each; empty when ready."""
    partitions: dict[str, list[int]] = {}
    """By topic, what this worker has been given."""
    lag: dict[str, int] = {}
    """By topic: log end minus committed offset over its partitions, in records."""
    totals: Totals = Totals()
    rate: float = 0.0
    """Events per second over the last 10 s."""
    oldest_unsettled_seconds: float | None = None
    """Age of the oldest record that is read and not settled; None where there is none."""
    vendor: VendorStatus | None = None
    """None in enrichment."""
    notes: dict[str, int] = {}
    """Oddities that stop nothing, by name: fields left out, clocks that ran ahead."""
    expired: dict[str, int] = {}
    """By topic: records that retention deleted before they were read."""
    memory_bytes: int = 0
    age_seconds: dict[str, float] = {}
    """Event to settled, by ``p50``, ``p95``."""


def encode_snapshot(snapshot: WorkerSnapshot) -> bytes:
    """Return the record value of a snapshot."""
    return msgspec.json.encode(snapshot)


_DECODER = msgspec.json.Decoder(WorkerSnapshot)


def decode_snapshot(value: bytes) -> WorkerSnapshot:
    """Read a record value back; raises ``msgspec.DecodeError`` where it is no snapshot."""
    return _DECODER.decode(value)
