"""What a vendor is: settings, a mapping, requests and the classification of responses. Pure."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from streams.core.enrich import EnrichedEvent, Mapper
from streams.core.outcome import SkipReason, Verdict
from streams.core.records import VendorRecord


class VendorSettings(BaseModel):
    """The settings that every vendor has; each vendor's own type adds to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool | None = None
    """None: on if its credentials are set."""
    base_url: str
    """Scheme, host and port; the documented path is appended."""
    max_age_hours: float | None = None
    """Older events are skipped as ``too_old``; None: no limit."""


class RequestModel(BaseModel):
    """The body of a request, with the vendor's own names; what it does not document is refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    def encode(self) -> bytes:
        """Return the body as it is sent; what was left out is not in it."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


def is_single(value: Any) -> bool:
    """Return whether JSON can hold a value as text, number or boolean."""
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)
    return isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value))


class AnswerModel(BaseModel):
    """What a vendor answers. Vendors may add fields to their answers: unknown ones are left out."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as the courier sends it; ``path`` is appended to the vendor's base_url."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    """They contain the key and are never shown."""
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response: status and body, or why there is none."""

    status: int | None
    """None: no response came, or it cannot be read."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """As much as could be read."""
    failure: str = ""
    """Why there is no response, or why its body is incomplete: one plain sentence."""
    was_sent: bool = True
    """Status None only: whether the request may have reached the vendor."""
    is_garbled: bool = False
    """Status None only: bytes came back that are not a readable response."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One micro-batch, as input of a request flow."""

    payloads: Sequence[bytes]
    """Encoded, in order."""
    records: Sequence[bytes]
    """The vendor records of the same events, encoded."""
    unclear: bool
    """An earlier request may have stored these events although no response came."""
    partition: int
    """The partition of the first event; with a vendor's own request flow, of all events."""
    now: float
    """Seconds of a clock that only grows, for the vendor's memory."""


class VendorMemory(Protocol):
    """What a vendor's request flows remember; each vendor has its own type."""

    def forget_partition(self, partition: int) -> None:
        """Forget a partition that was assigned or revoked."""


class NoMemory:
    """The memory of vendors that need none."""

    def forget_partition(self, partition: int) -> None:
        """Do nothing."""


RequestFlow = Generator[HttpRequest, HttpResponse, Verdict]
"""Yields requests, receives their responses, and returns the verdict; without I/O."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A request of ``streams check`` that stores nothing at the vendor."""

    about: str
    """What it is about, as the start of a sentence: ``schema "click-1"``."""
    request: HttpRequest
    classify: Callable[[HttpResponse, int], Verdict]
    """(response, number of events in the request, 0 where none) → verdict; REJECTED: the vendor
    answered, and what it said is not as it must be."""
    remedy: str = ""
    """What to do if the verdict is REJECTED, in one sentence."""


@dataclass(frozen=True, slots=True)
class Trail:
    """What is known about a visitor to be forgotten, for one vendor."""

    visitor: str
    """The ``anonymous_id``."""
    user_ids: tuple[str, ...] = ()
    """Of the visitor's rows in ``shop.users``."""
    subjects: tuple[str, ...] = ()
    """The ids by which the visitor's vendor records name the person to the vendor."""
    references: tuple[str, ...] = ()
    """The vendor's ids of the accepted events (``Verdict.vendor_ref``)."""
    eightselect_user_ids: tuple[str, ...] = ()
    """Of the visitor's rows in ``shop.users``."""
    contacts: tuple[tuple[str, str], ...] = ()
    """(key, value) by which Voyado knows the contact, of the rows and of the vendor records."""
    voyado_schema_ids: tuple[str, ...] = ()
    """Those of the sections ``[events.NAME]``."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """How a visitor's data is deleted at a vendor."""

    requests: tuple[HttpRequest, ...] = ()
    """Each may be repeated: data that is already gone counts as deleted."""
    what: str = ""
    """What these delete, to follow a verb; empty if there are none."""
    by_hand: str = ""
    """What has to be deleted by hand and how, in sentences."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """How a vendor documents the deletion of one person's data."""

    subjects: Callable[[VendorRecord], Sequence[str]]
    """(vendor record, payload decoded) → the ids by which it names the person to the vendor."""
    plan: Callable[[Trail, Any], Erasure]
    """(trail, settings) → what is to be done; settings may lack credentials."""
    classify: Callable[[HttpResponse], Verdict]
    """Response to one of the requests → verdict; ACCEPTED: deleted, or not there."""
    search: Callable[[Trail, Any], Generator[HttpRequest, HttpResponse, Trail | Verdict]] | None = (
        None
    )
    """(trail, settings) → asks the vendor for what the trail does not know; returns the trail with
    it, or why it cannot be known now."""


Payload = Any
"""A msgspec Struct or dict that encodes to what the vendor receives for one event."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor's facts and pure functions; listed in ``VENDORS``."""

    key: str
    """Its name in topics, commands, settings and labels."""
    name: str
    """Its name for people."""
    settings: type[VendorSettings]
    credentials: tuple[str, ...]
    """The settings without which the vendor is off."""
    mapper: Callable[[Any], Callable[[EnrichedEvent], Payload | SkipReason]]
    """settings → (event → payload, or why it is not sent); raises InvalidEvent.

    Of clicks and add-to-carts; ``mappers`` has the other kinds.
    """
    build_request: Callable[[Sequence[bytes], Any], HttpRequest]
    """(encoded payloads in order, settings) → the request that carries exactly these."""
    build_probe: Callable[[Any], HttpRequest]
    """settings → a request that checks key and address without storing anything."""
    classify: Callable[[HttpResponse, int], Verdict]
    """(response, number of events in the request) → verdict; total over every response."""
    max_batch_records: Callable[[Any], int]
    """settings → events in one request at most; 1 for vendors without a bulk form."""
    max_batch_bytes: Callable[[Any], int]
    linger_seconds: Callable[[Any], float]
    """settings → how long an event may wait for others to share its request."""
    needs_sku: Callable[[Any], bool] = lambda _: True
    """settings → whether an event of whose product no SKU is known is ``unknown_product``."""
    mappers: Mapping[str, Callable[[Any], Mapper]] = field(default_factory=dict)
    """By event type: settings → mapping; events of a type that is missing are ``unmapped``."""
    event_mapper: Callable[[Any, Mapping[str, Any]], Mapper] | None = None
    """(settings, sections ``[events.NAME]`` by name) → mapping of named events; None: of none."""
    mapping_secrets: tuple[str, ...] = ()
    """The settings that enrichment needs for the mapping, and the sink does not."""
    concurrency: Callable[[Any], int] = lambda _: 16
    """settings → maximum number of requests in flight in one worker."""
    queues: int = 1
    """The number of ordered queues of a partition; each has at most one request in flight."""
    ordering_key: Callable[[VendorRecord], str] = lambda record: record.anonymous_id
    """Events with the same key stay in order; its hash selects the queue."""
    requests_per_second: Callable[[Any], float | None] = lambda _: None
    """settings → the vendor's limit for all workers together; None: no limit."""
    can_look_up_delivered: bool = False
    """Whether its request flow can look up stored events. If a former owner may have left a request
    without a response, the first event of each queue is then looked up."""
    retry_waits: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
    """Seconds before the next attempt, by failures in a row; the last value repeats."""
    request_flow: Callable[[Parcel, Any, Any], RequestFlow] | None = None
    """(parcel, settings, memory) → a flow of several requests; None: a single request."""
    new_memory: Callable[[], VendorMemory] = NoMemory
    """Makes the memory that one worker's request flows share, such as a cache of contacts."""
    inquiries: Callable[[Any, Mapping[str, Any]], Sequence[Inquiry]] = lambda *_: ()
    """(settings, sections ``[events.NAME]`` by name) → the requests of ``streams check`` beside the
    probe: for schemas, for example."""
    validation: Callable[[Sequence[bytes], Any], Inquiry] | None = None
    """(encoded payloads, settings) → the vendor's check of these, which stores nothing; at most
    ``max_batch_records`` at a time. None: the vendor documents no check."""

    forgetting: Forgetting | None = None
    """How a visitor is forgotten there; None: the vendor documents no deletion."""

    def account(self, settings: Any) -> tuple[str, ...]:
        """Return what the vendor counts requests by: its address and the credentials."""
        keys = (getattr(settings, name) for name in self.credentials)
        return (self.key, settings.base_url, *(key.get_secret_value() for key in keys if key))

    def start_flow(self, parcel: Parcel, settings: Any, memory: Any) -> RequestFlow:
        """Return the request flow that delivers a parcel."""
        if self.request_flow is not None:
            return self.request_flow(parcel, settings, memory)
        return self._one_request(parcel, settings)

    def _one_request(self, parcel: Parcel, settings: Any) -> RequestFlow:
        response = yield self.build_request(parcel.payloads, settings)
        return self.classify(response, len(parcel.payloads))
