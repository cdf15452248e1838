"""What a worker says of itself about once a second: the value of a ``streams.status`` record."""

from collections import Counter
from typing import Literal

import msgspec

from streams.core.json_decoder import json_decoder

VendorState = Literal["running", "degraded", "throttled", "parked", "paused"]

REGISTRY = "registry: "
"""How the reason begins why records wait for the schema registry."""


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


class Waiting(msgspec.Struct, frozen=True):
    """What waits on one topic before this worker."""

    records: int
    oldest_ms: int | None = None
    """Kafka time of the oldest that is read and not settled; None where none is read yet."""
    oldest_type: str = ""
    """The event type, as far as known."""


class QuotaUse(msgspec.Struct, frozen=True):
    """Requests a second, where the vendor counts them."""

    used: float
    """By this worker, over the last 10 s."""
    share: float
    """What this worker may make now."""
    limit: float
    """Of all workers together."""


class Cause(msgspec.Struct, frozen=True):
    """Dead letters of one cause since the worker started."""

    vendor: str | None
    """None: enrichment's own, about no vendor."""
    reason: str
    fingerprint: str
    count: int
    example: str = ""
    """The words of one of them without the values in them."""


class LastRequest(msgspec.Struct, frozen=True):
    """One request and its answer, masked and cut."""

    at: int
    """In ms since the epoch."""
    method: str
    path: str
    status: int | None
    """None where no answer came."""
    seconds: float
    sent: str
    """The body."""
    answer: str
    """The answer's body, or why there was none."""


class JoinHealth(msgspec.Struct, frozen=True):
    """How many events found their rows, since the worker started."""

    events: int = 0
    without_user: int = 0
    """Neither the event nor a user row says who it was."""
    without_product: int = 0
    """No product row; the event's own SKU may help out."""
    without_sku: int = 0
    """No SKU at all: such events go to no vendor that needs one."""
    examples: dict[str, list[str]] = {}
    """By ``user``, ``product``, ``sku``: the newest few that missed, masked."""


class Outcomes(msgspec.Struct, frozen=True):
    """What became of events within a time; an event counts once."""

    accepted: int = 0
    skipped: dict[str, int] = {}
    """By skip reason."""
    dead_lettered: dict[str, int] = {}
    """By dead-letter reason."""
    no_consent: dict[str, int] = {}
    """Which ``no_consent`` those skipped for it are, where enrichment decided."""

    @property
    def events(self) -> int:
        """All of them."""
        return self.accepted + sum(self.skipped.values()) + sum(self.dead_lettered.values())

    def __add__(self, other: "Outcomes") -> "Outcomes":
        """Return those of both."""
        return Outcomes(
            self.accepted + other.accepted,
            dict(Counter(self.skipped) + Counter(other.skipped)),
            dict(Counter(self.dead_lettered) + Counter(other.dead_lettered)),
            dict(Counter(self.no_consent) + Counter(other.no_consent)),
        )

    def __sub__(self, earlier: "Outcomes") -> "Outcomes":
        """Return what came since earlier counts of the same worker."""
        return Outcomes(
            self.accepted - earlier.accepted,
            dict(Counter(self.skipped) - Counter(earlier.skipped)),
            dict(Counter(self.dead_lettered) - Counter(earlier.dead_lettered)),
            dict(Counter(self.no_consent) - Counter(earlier.no_consent)),
        )


class DriftNote(msgspec.Struct, frozen=True):
    """A change in the shop's own records, as ``core.ingest.drift`` finds it."""

    change: str
    """``field_gone``, ``type_changed`` or ``new_event_name``."""
    section: str
    what: str
    """Our field, or the name of the events."""
    words: str
    since: int
    """In ms since the epoch."""
    topic: str = ""
    example: str = ""
    """A record in which it shows, masked and cut."""


class Trend(msgspec.Struct, frozen=True):
    """How what waits develops, over minutes."""

    seconds: float
    """How long it was looked at without a change of partitions."""
    arrived: float
    """Records that came in, per second."""
    settled: float
    """Records that got their outcome, per second."""


class Restarts(msgspec.Struct, frozen=True):
    """How this worker's predecessors ended: those that nobody told to."""

    at: list[int] = []
    """When a worker was started in place of one that failed, in ms since the epoch; the newest of
    the last hour, in order."""
    last_exit: str = ""
    """How the last of them ended: ``signal 9``, ``exit code 3``; empty where nobody saw it."""


class WorkerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's state at one moment; fields that a reader does not know are ignored."""

    worker: str
    """The record's key: stage, host and slot."""
    stage: str
    """``ingest``, ``enrich`` or a vendor key."""
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
    """Notes by name, which stop nothing: fields left out, clocks that ran ahead."""
    expired: dict[str, int] = {}
    """By topic: records that retention deleted before they were read."""
    users_read: dict[int, int] = {}
    """By partition of ``shop.users``: offset of the newest row or tombstone that is in use."""
    memory_bytes: int = 0
    age_seconds: dict[str, float] = {}
    """From the event's own time to the vendor's acceptance, by ``p50``, ``p95``."""
    delivery_seconds: dict[str, float] = {}
    """From the raw record's Kafka time to the vendor's acceptance, the same way."""
    accepted_rate: float = 0.0
    """Events accepted per second over the last 10 s."""
    settled_rate: float = 0.0
    """Events that got any outcome, per second over the last 10 s."""
    waiting: dict[str, Waiting] = {}
    """By topic: each is a lane of its own."""
    quota: QuotaUse | None = None
    """None where the vendor counts no requests."""
    skipped_by_vendor: dict[str, dict[str, int]] = {}
    """By vendor and reason; what a sink skips is its own vendor's."""
    causes: list[Cause] = []
    """The most frequent ones."""
    last_requests: list[LastRequest] = []
    """Newest first, failures among them."""
    join: JoinHealth | None = None
    """Enrichment only."""
    recovering_rows: int | None = None
    """Rows of tables that are still to be read before work begins; None: it has begun."""
    versions: dict[str, str] = {}
    """Of what this runs on, by name."""
    lately: dict[str, Outcomes] = {}
    """By vendor, over the last ten minutes; enrichment's own under ``enrich``."""
    before: dict[str, Outcomes] = {}
    """The same over the 50 minutes before these."""
    trend: Trend | None = None
    """None until minutes have been looked at."""
    restarts: Restarts = Restarts()
    asking: int = 0
    """Events that wait until the vendor has said whether it stored them before a restart."""
    ingested: dict[str, dict[str, int]] = {}
    """Ingest only: by section and outcome (``written``, ``unmapped``, ``dead_lettered``)."""
    drift: list[DriftNote] = []
    """Ingest only: what has changed in the shop's own records."""
    sends_alerts: bool = False
    """Whether this worker can tell people what is wrong: it has receivers of alerts."""
    warnings: list[str] = []
    """What needs attention and what to do about it, in whole sentences."""

    @property
    def registry_away(self) -> list[str]:
        """Why records wait for the schema registry, one sentence each; empty if none do."""
        return [why.removeprefix(REGISTRY) for why in self.not_ready if why.startswith(REGISTRY)]


def encode_snapshot(snapshot: WorkerSnapshot) -> bytes:
    """Return the record value of a snapshot."""
    return msgspec.json.encode(snapshot)


_decode = json_decoder(WorkerSnapshot)


def decode_snapshot(value: bytes) -> WorkerSnapshot:
    """Read a record value back; raises ``msgspec.DecodeError`` where it is no snapshot."""
    return _decode(value)
