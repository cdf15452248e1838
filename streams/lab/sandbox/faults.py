"""Misbehaviour on demand: which fault meets which request.

A fault is limited by vendor, method, path and body, by count (``times``, after letting ``after``
requests pass) and by rate. Every fault draws from a generator of its own, seeded by the sandbox's
seed and the fault's number: the same requests meet the same faults again.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from streams.core.errors import SettingsError


class FaultKind(StrEnum):
    """What a fault does."""

    DOWN = "down"
    """Closes the connection before the request is read."""
    SLOW = "slow"
    """Waits ``seconds`` before the request is judged; it counts even if the client has left."""
    STATUS = "status"
    """Answers with ``status`` and the vendor's own error body."""
    DROP_BEFORE_STORE = "drop_before_store"
    """Reads the request, stores nothing, closes the connection."""
    STORE_THEN_DROP = "store_then_drop"
    """Stores what is acceptable and closes the connection without an answer."""
    HANG = "hang"
    """Reads the request and never answers; the connection stays open."""
    HTML = "html"
    """Answers with a gateway's HTML page and ``status`` (502 if none is given)."""
    REDIRECT = "redirect"
    """Answers 302 to ``/moved``, a page that is there: following it stores nothing."""
    REFUSE = "refuse"
    """Refuses the records that name one of ``skus`` (none given: all), in the vendor's form."""
    REFUSE_UNREADABLE = "refuse_unreadable"
    """The same refusal, in words that name no record."""
    ERRORS_TRUE = "errors_true"
    """The same refusal, with status 200 and ``"errors": true``."""


_REFUSALS = (FaultKind.REFUSE, FaultKind.REFUSE_UNREADABLE, FaultKind.ERRORS_TRUE)
_WITH_STATUS = (FaultKind.STATUS, FaultKind.HTML)
_MAY_STORE = (FaultKind.STATUS, FaultKind.HTML, FaultKind.HANG)


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault as it is set; its JSON form has the same fields."""

    kind: FaultKind
    vendor: str | None = None
    """None: every vendor."""
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many requests it meets; None: until it is cleared."""
    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many matching requests pass first."""
    rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    """The share of matching requests that it meets."""
    method: str | None = None
    path: str | None = None
    """Only requests whose path contains this."""
    body: str | None = None
    """Only requests whose body contains this text: an event's id, a visitor, a SKU."""
    seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    retry_after: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Seconds, for the header Retry-After."""
    retry_after_form: Literal["seconds", "date"] = "seconds"
    skus: tuple[str, ...] = ()
    stored: bool = False
    """The request is judged and stored first, as by a vendor whose answer went wrong."""

    def __post_init__(self) -> None:
        """Refuse fields that would have no effect, so that a slip is not taken for a setting."""
        kind = self.kind
        if (kind is FaultKind.SLOW) != (self.seconds is not None):
            raise ValueError(
                "slow needs seconds" if kind is FaultKind.SLOW else "only slow takes seconds"
            )
        if kind is FaultKind.STATUS and self.status is None:
            raise ValueError("status needs a status")
        if kind is FaultKind.DOWN and self.body is not None:
            raise ValueError("down does not take body: it closes before the request is read")
        for given, name, kinds in (
            (self.status is not None, "status", _WITH_STATUS),
            (self.retry_after is not None, "retry_after", _WITH_STATUS),
            (bool(self.skus), "skus", _REFUSALS),
            (self.stored, "stored", _MAY_STORE),
        ):
            if given and kind not in kinds:
                raise ValueError(f"{kind} does not take {name}; {', '.join(kinds)} do")


def parse_fault(text: str) -> Fault:
    """Read the short form ``[vendor:]kind[,field=value …]``.

    A status alone is a kind too (``miso:429,retry_after=2,times=5``); several SKUs are parted by
    ``|``. Raises SettingsError with one sentence for what cannot be read.
    """
    head, *rest = [part.strip() for part in text.split(",")]
    vendor, colon, kind = head.rpartition(":")
    fields: dict[str, Any] = {"kind": kind.replace("-", "_")}
    if colon:
        fields["vendor"] = vendor
    if kind.isdecimal():
        fields |= {"kind": "status", "status": kind}
    for part in rest:
        name, equals, value = part.partition("=")
        if not equals:
            raise SettingsError([f"fault '{text}': '{part}' is not of the form field=value"])
        fields[name.strip()] = value.split("|") if name.strip() == "skus" else value.strip()
    return _convert(fields, f"fault '{text}'", strict=False)


def read_faults(content: Any) -> list[Fault]:
    """Read one fault or a list of them, each as a JSON object or in the short form.

    Raises SettingsError for what cannot be read; then none of them counts.
    """
    entries = content if isinstance(content, list) else [content]
    return [
        parse_fault(entry) if isinstance(entry, str) else _convert(entry, "fault", strict=True)
        for entry in entries
    ]


def _convert(fields: Any, what: str, *, strict: bool) -> Fault:
    try:
        return msgspec.convert(fields, Fault, strict=strict)
    except msgspec.ValidationError as error:
        kinds = ", ".join(FaultKind)
        raise SettingsError(
            [f"{what}: {error} (kinds: {kinds}, or a status such as 429)"]
        ) from None


class ArmedFault:
    """A fault with its count and its own randomness."""

    def __init__(self, fault: Fault, number: int, seed: int) -> None:
        self.fault = fault
        self.number = number
        self.seen = 0
        self.fired = 0
        self._random = random.Random(f"{seed}/{number}")

    @property
    def is_spent(self) -> bool:
        """Whether it has met as many requests as it should."""
        return self.fault.times is not None and self.fired >= self.fault.times

    def matches(self, vendor: str, method: str, path: str, body: bytes = b"") -> bool:
        """Whether a request is of the sort that this fault is for; consumes nothing."""
        fault = self.fault
        return (
            not self.is_spent
            and fault.vendor in (None, vendor)
            and fault.method in (None, method)
            and (fault.path is None or fault.path in path)
            and (fault.body is None or fault.body.encode() in body)
        )

    def fire(self) -> bool:
        """Whether this matching request meets the fault; counts it."""
        self.seen += 1
        if self.is_spent or self.seen <= self.fault.after:
            return False
        if self.fault.rate < 1 and self._random.random() >= self.fault.rate:
            return False
        self.fired += 1
        return True

    def show(self) -> dict[str, Any]:
        """Return the fault, its number and what it has done, ready for JSON."""
        left = None if self.fault.times is None else self.fault.times - self.fired
        return {
            "number": self.number,
            **msgspec.to_builtins(self.fault),
            "fired": self.fired,
            "left": left,
        }


@dataclass(frozen=True, slots=True)
class SimulatedRefusal:
    """Records of one request that are to be refused: index → the SKU that is not wanted."""

    kind: FaultKind
    skus: dict[int, str]


class SimulatedRefusals:
    """The faults that may refuse records of one request; asked when its records are known."""

    def __init__(self, armed: Sequence[ArmedFault] = ()) -> None:
        self._armed = armed

    def __bool__(self) -> bool:
        return bool(self._armed)

    def among(self, skus_by_record: Sequence[Collection[str]]) -> SimulatedRefusal | None:
        """Return the refusal that meets these records, each given by its SKUs, if there is one."""
        for armed in self._armed:
            unwanted = armed.fault.skus
            hits: dict[int, str] = {}
            for index, skus in enumerate(skus_by_record):
                named = next((sku for sku in unwanted if sku in skus), None)
                if named is not None or not unwanted:
                    hits[index] = named if named is not None else next(iter(skus), "")
            if hits and armed.fire():
                return SimulatedRefusal(armed.fault.kind, hits)
        return None


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What is to happen to one request."""

    delay_seconds: float = 0.0
    ending: Fault | None = None
    """What takes the place of a good answer."""
    refusals: SimulatedRefusals | None = None


class Faults:
    """The faults that are set now."""

    def __init__(self, vendors: Collection[str], seed: int = 0) -> None:
        self._vendors = vendors
        self._seed = seed
        self._last_number = 0
        self._armed: list[ArmedFault] = []

    def __len__(self) -> int:
        return len(self._armed)

    def set(self, *faults: Fault | str) -> None:
        """Add faults, each a Fault or its short form.

        Raises SettingsError if one cannot be read or names an unknown vendor; then none is added.
        """
        read = [parse_fault(fault) if isinstance(fault, str) else fault for fault in faults]
        for fault in read:
            if fault.vendor is not None and fault.vendor not in self._vendors:
                known = ", ".join(self._vendors)
                raise SettingsError([f"fault: no simulator for '{fault.vendor}'; there is {known}"])
        for fault in read:
            self._last_number += 1
            self._armed.append(ArmedFault(fault, self._last_number, self._seed))

    def clear(self, vendor: str | None = None) -> None:
        """Remove all faults, or those set for one vendor."""
        self._armed = [
            armed for armed in self._armed if vendor is not None and armed.fault.vendor != vendor
        ]

    def show(self) -> list[dict[str, Any]]:
        """Return the faults with their counts, spent ones included, ready for JSON."""
        return [armed.show() for armed in self._armed]

    @property
    def look_into_bodies(self) -> bool:
        """Whether a plan depends on what a request's body says."""
        return any(armed.fault.body is not None for armed in self._armed)

    def plan(self, vendor: str, method: str, path: str, body: bytes = b"") -> FaultPlan:
        """Return what is to happen to a request that has just arrived, and count it.

        Delays add up; of the other faults, the first that was set wins.
        """
        delay_seconds = 0.0
        refusing: list[ArmedFault] = []
        for armed in self._armed:
            if not armed.matches(vendor, method, path, body):
                continue
            if armed.fault.kind in _REFUSALS:
                refusing.append(armed)
            elif armed.fire():
                if armed.fault.kind is not FaultKind.SLOW:
                    return FaultPlan(delay_seconds, armed.fault, SimulatedRefusals(refusing))
                delay_seconds += armed.fault.seconds or 0.0
        return FaultPlan(delay_seconds, None, SimulatedRefusals(refusing))
