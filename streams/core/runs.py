"""A run: events sent once more on purpose, and what became of them; ``streams.replays`` holds it.

Pure. The topic's key is the run id, its value one ``Run``, written again as the run goes on.
"""

import re
from typing import Final, Literal

import msgspec

from streams.core.json_decoder import json_decoder

ALREADY_ACCEPTED = "already_accepted"
"""The vendor has it; only ``--again`` sends it once more."""
WAITING = "waiting"
"""It is still on its way in the live lane."""
DUPLICATE = "duplicate"
"""Another record of the same event was passed on."""
GONE = "gone"
"""What would be sent is kept nowhere any more."""

State = Literal["running", "done", "stopped", "failed"]
RUNNING: Final = "running"
DONE: Final = "done"
STOPPED: Final = "stopped"
FAILED: Final = "failed"

RUN_ID = re.compile(r"r-\d{8}-\d{6}-[0-9a-z]{4}", re.ASCII)

SILENT_MS = 30_000
"""A run whose process has said nothing for so long has none any more."""


ONE_VISITOR = "-"
"""What stays of the visitor's id once a run has ended: nothing keeps it for ever."""


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the run was asked to send: a window of raw records, or dead letters."""

    command: Literal["replay", "resend", "late_identity"]
    from_ms: int | None = None
    to_ms: int | None = None
    """Kafka time: from ≤ t < to."""
    only: tuple[str, ...] = ()
    visitor: str | None = None
    sku: str | None = None
    again: bool = False
    rate: float | None = None
    """Events a second at most, for each vendor."""
    owner: str | None = None
    """Whose dead letters: a vendor's key or ``enrich``; None: all."""
    fingerprint: str | None = None
    event_id: str | None = None
    since_ms: int | None = None


class RunReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a run's events at one vendor; the sum balances."""

    selected: int = 0
    sent: int = 0
    """Written for the vendor's sink."""
    accepted: int = 0
    refused: dict[str, int] = {}
    """By reason, in mapping or by the vendor; each is a dead letter."""
    skipped: dict[str, int] = {}
    """By reason."""
    left: dict[str, int] = {}
    """Not sent because nothing was to be done, by reason."""
    passed_over: int = 0
    """Written, and not sent because the run was stopped."""
    waiting: int = 0
    """Written, and not settled yet."""
    unread: int = 0
    """Not looked at yet, as far as it is known: raw records up to the stop offsets."""

    @property
    def balanced(self) -> bool:
        """Whether every selected event is accounted for once."""
        known = sum(map(sum, (d.values() for d in (self.refused, self.skipped, self.left))))
        return self.selected == self.accepted + known + self.passed_over + self.waiting


class VendorPart(msgspec.Struct, omit_defaults=True):
    """One vendor's share of a run."""

    vendor: str
    state: State = RUNNING
    positions: dict[str, int] = {}
    """``topic/partition`` → the first raw offset that is not looked at yet."""
    written_to: dict[str, int] = {}
    """Partition of the redelivery topic → where records that are not counted yet may begin."""
    receipts_from: dict[str, int] = {}
    """Partition of the receipts topic → where this run's may begin."""
    all_written: bool = False
    selected: int = 0
    sent: int = 0
    refused: dict[str, int] = {}
    """In mapping."""
    skipped: dict[str, int] = {}
    """In mapping."""
    left: dict[str, int] = {}
    receipt: RunReceipt | None = None
    """Kept once nothing of the run waits."""


class Run(msgspec.Struct, omit_defaults=True):
    """One run over one or more vendors."""

    run_id: str
    asked: Asked
    started_at: str
    """RFC 3339, UTC, as the two below."""
    at: str
    """When its process last said that it lives."""
    stops: dict[str, int] = {}
    """``topic/partition`` → the first offset that is not looked at, fixed at the start."""
    parts: list[VendorPart] = []
    ended_at: str | None = None
    host: str | None = None
    pid: int | None = None
    """Of the process that runs it; None: none does."""
    problem: str | None = None
    """Why it was stopped, where that is known; one sentence."""

    @property
    def state(self) -> State:
        """The whole run's state: running while one of its parts is."""
        states = [part.state for part in self.parts]
        order: tuple[State, ...] = (RUNNING, FAILED, STOPPED)
        return next((state for state in order if state in states), DONE)

    @property
    def all_written(self) -> bool:
        """Whether nothing is left to be written for any vendor's sink."""
        return all(part.all_written for part in self.parts)

    def end(self, at: str) -> None:
        """Note that it has ended; the visitor it was about is not named any more."""
        self.ended_at = self.ended_at or at
        if self.asked.visitor is not None:
            self.asked = msgspec.structs.replace(self.asked, visitor=ONE_VISITOR)

    @property
    def vendors(self) -> tuple[str, ...]:
        """The vendors that it sends to."""
        return tuple(part.vendor for part in self.parts)


_decode = json_decoder(Run)


def encode_run(run: Run) -> bytes:
    """Return the record value."""
    return msgspec.json.encode(run)


def decode_run(value: bytes) -> Run:
    """Read a record value back; raises ValueError (``msgspec.DecodeError``) where it is none."""
    return _decode(value)


def new_run_id(utc: str, randomness: bytes) -> str:
    """Return ``r-20261121-101500-ab12`` for a moment as RFC 3339 in UTC and some random bytes."""
    digits = re.sub(r"\D", "", utc)[:14]
    letters = "0123456789abcdefghjkmnpqrstvwxyz"
    tail = "".join(letters[byte % len(letters)] for byte in randomness[:4].ljust(4, b"\0"))
    return f"r-{digits[:8]}-{digits[8:]}-{tail}"
