"""The answer to "where is my event?": what is shown, in the terminal, as JSON and in the page.

Everything in it is fit to be shown to the person who asked: ids and addresses are masked, but for
what was typed. Strangers' text stands in it as it came; who shows it escapes it.
"""

from typing import Any, Literal

import msgspec

VendorOutcome = Literal["accepted", "dead_lettered", "skipped", "waiting", "off", "unknown"]
"""The three outcomes of a receipt, and: not settled yet; the vendor was off; nothing is known."""

StepKind = Literal[
    "raw",
    "enriched",
    "redelivered",
    "accepted",
    "skipped",
    "dead_lettered",
    "resolved",
    "waiting",
    "off",
    "unknown",
]
"""What a step says; each has its own mark in the page. ``raw`` is the record of the shop itself,
``enriched`` and ``redelivered`` are vendor records on their two lanes, ``resolved`` is what
somebody did about a dead letter."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing that happened to the event, or did not happen yet."""

    kind: StepKind
    text: str
    """In words, one sentence."""
    at: str | None = None
    """When: RFC 3339 UTC; None where it is about the present."""
    place: str | None = None
    """The record that says so: topic/partition/offset."""
    lane: Literal["live", "redelivery"] | None = None
    run_id: str | None = None
    """Of a replay or a resend."""
    attempts: int | None = None
    """Requests made."""
    status: int | None = None
    """The vendor's HTTP status."""
    reason: str | None = None
    """Of a skip or a dead letter: a word of the closed list."""
    vendor_ref: str | None = None
    """What the vendor calls what it stored."""
    answer: str | None = None
    """The vendor's words, as the dead letter has them."""
    fingerprint: str | None = None
    """Of a dead letter: what ``streams dead-letters show --fingerprint`` takes."""
    payload: Any = None
    """What the vendor receives, masked."""
    is_repeat: bool = False
    """Written again after a crash; counts once."""


class VendorTrace(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of the event at one vendor."""

    vendor: str
    name: str
    """Its display name."""
    outcome: VendorOutcome
    text: str
    """The same in one sentence, with what to do where something is to be done."""
    reason: str | None = None
    steps: list[Step] = []
    """In order of time, what is not settled yet last."""


class TracedEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One raw record and all that came of it."""

    event_id: str | None
    """None of a record that is no event and names none."""
    source: str
    """Where the raw record lies: topic/partition/offset."""
    written_at: str | None
    """The raw record's Kafka time; None where retention has deleted it."""
    event_type: str | None = None
    happened_at: str | None = None
    visitor: str | None = None
    """Masked, unless it was asked for; so is the user."""
    user: str | None = None
    product_id: str | None = None
    sku: str | None = None
    text: str
    """The whole in one sentence."""
    raw: Any = None
    """The shop's record, masked: a JSON value, or text where it is no JSON."""
    steps: list[Step] = []
    """What happened before and beside the vendors: the raw record, a dead letter of enrichment."""
    vendors: list[VendorTrace] = []
    """In the order of the settings."""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """All events that were found, newest first."""

    asked: dict[str, str]
    """One entry: ``event``, ``visitor``, ``user`` or ``sku``, as it was typed."""
    since: str
    """From when on was looked, by Kafka time: RFC 3339 UTC."""
    until: str
    events: list[TracedEvent] = []
    more: bool = False
    """There are more than are listed: narrow the time."""
    notes: list[str] = []
    """Sentences about the search itself: nothing found and what to do, what retention deleted."""
    records: int = 0
    """Records looked through."""
    seconds: float = 0.0
    """How long it took."""
