"""What a vendor is: a mapping, a request and a reading of responses, all pure."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from streams.core.enrich import EnrichedEvent
from streams.core.outcome import SkipReason, Verdict
from streams.core.records import VendorRecord


class VendorSettings(BaseModel):
    """What every vendor's section of the settings has; each vendor's own type adds to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool | None = None
    """None: on where its credentials are given."""
    base_url: str
    """Scheme, host and port; the documented path is appended."""
    max_age_hours: float | None = None
    """Events older than this are skipped as ``too_old``; None: none are."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as the courier sends it; ``path`` is appended to the vendor's base_url."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    """With the key, so never shown."""
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What came back: a status with its body, or no response and why."""

    status: int | None
    """None: no response came, or none that can be read."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """As far as it could be read."""
    failure: str = ""
    """Why there is no response, or why its body ends early: one plain sentence."""
    was_sent: bool = True
    """Status None only: whether the request may have reached the vendor."""
    is_garbled: bool = False
    """Status None only: bytes came back, and they are no response that can be read."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One micro-batch as a request flow gets it."""

    payloads: Sequence[bytes]
    """Encoded, in order."""
    records: Sequence[bytes]
    """The vendor records of the same events, encoded."""
    unclear: bool
    """An earlier request with these events may have been stored although no response came."""
    partition: int
    """Of the vendor's topic, on which the first event lies; those of a vendor with a request flow
    of its own all lie on one."""
    now: float
    """Seconds of a clock that only grows, for what the vendor's memory keeps."""


class VendorMemory(Protocol):
    """What a vendor's request flows remember; the type beyond this is the vendor's own."""

    def forget_partition(self, partition: int) -> None:
        """Forget what belongs to a partition that is taken anew or gone."""


class NoMemory:
    """The memory of vendors whose requests have nothing to do with each other."""

    def forget_partition(self, partition: int) -> None:
        """Do nothing."""


RequestFlow = Generator[HttpRequest, HttpResponse, Verdict]
"""Yields requests, is sent their responses, and returns the verdict: no I/O of its own."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question to the vendor that stores nothing; ``streams check`` asks it."""

    about: str
    """What is asked, as the start of a sentence: ``schema "click-1"``."""
    request: HttpRequest
    classify: Callable[[HttpResponse, int], Verdict]
    """(response, number of events in the request, 0 where none) → verdict; REJECTED: the vendor
    answered, and what it said is not as it must be."""
    remedy: str = ""
    """Where the verdict is REJECTED: what to do, one sentence."""


@dataclass(frozen=True, slots=True)
class Trail:
    """What is known of a visitor who is to be forgotten, as far as one vendor is concerned."""

    visitor: str
    """The ``anonymous_id``."""
    user_ids: tuple[str, ...] = ()
    """Of the visitor's rows in ``shop.users``."""
    subjects: tuple[str, ...] = ()
    """By what the vendor records of the visitor name the person to the vendor."""
    references: tuple[str, ...] = ()
    """What the vendor calls the events that it took (``Verdict.vendor_ref``)."""
    eightselect_user_ids: tuple[str, ...] = ()
    """Of the visitor's rows in ``shop.users``."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """How a visitor's data leaves a vendor."""

    requests: tuple[HttpRequest, ...] = ()
    """Each may be made again: what is gone already counts as deleted."""
    what: str = ""
    """What these delete, to follow a verb; empty where there are none."""
    by_hand: str = ""
    """What the vendor offers no request for, and what to do about it, in whole sentences."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What a vendor documents for the deletion of one person's data."""

    subjects: Callable[[VendorRecord], Sequence[str]]
    """(vendor record, payload decoded) → the ids by which it names the person to the vendor."""
    plan: Callable[[Trail, Any], Erasure]
    """(trail, settings) → what is to be done; settings may lack credentials."""
    classify: Callable[[HttpResponse], Verdict]
    """Answer to one of the requests → verdict; ACCEPTED: deleted, or was not there."""


Payload = Any
"""A msgspec Struct or dict that encodes to what the vendor receives for one event."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor's facts and pure functions; the registry ``VENDORS`` holds one of each."""

    key: str
    """As in topics, commands, settings and labels."""
    name: str
    """As people write it."""
    settings: type[VendorSettings]
    credentials: tuple[str, ...]
    """The settings without which the vendor is off."""
    mapper: Callable[[Any], Callable[[EnrichedEvent], Payload | SkipReason]]
    """settings → (event → payload, or why it is not sent); raises InvalidEvent for a misfit."""
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
    mapping_secrets: tuple[str, ...] = ()
    """The settings without which nothing can be mapped: what enrichment needs, and the vendor's
    own stage does not."""
    concurrency: Callable[[Any], int] = lambda _: 16
    """settings → requests in flight at once at most, in one worker."""
    queues: int = 1
    """Ordered queues of one partition: events of one queue stay in order, one request at a time."""
    ordering_key: Callable[[VendorRecord], str] = lambda record: record.anonymous_id
    """What must stay in order; its hash is the queue."""
    requests_per_second: Callable[[Any], float | None] = lambda _: None
    """settings → what all workers together may ask of the vendor; None: it counts nothing."""
    can_look_up_delivered: bool = False
    """Whether its request flow can tell what the vendor has already: then the first event of each
    queue is looked for where a former owner may have left a request without a response."""
    retry_waits: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
    """Seconds before the next attempt, by failures in a row; the last one repeats."""
    request_flow: Callable[[Parcel, Any, Any], RequestFlow] | None = None
    """(parcel, settings, memory) → a request flow of several requests; None: one request."""
    new_memory: Callable[[], VendorMemory] = NoMemory
    """What one worker's request flows remember between them: a cache of contacts, say."""
    inquiries: Callable[[Any], Sequence[Inquiry]] = lambda _: ()
    """settings → what ``streams check`` asks beyond the probe: whether its schemas fit, say."""
    validation: Callable[[Sequence[bytes], Any], Inquiry] | None = None
    """(encoded payloads, settings) → the vendor's own check of these without storing them, at
    most ``max_batch_records`` at a time; None: the vendor documents no such thing."""

    forgetting: Forgetting | None = None
    """How a visitor is forgotten there; None: the vendor documents nothing."""

    def start_flow(self, parcel: Parcel, settings: Any, memory: Any) -> RequestFlow:
        """Return the request flow that delivers a parcel."""
        if self.request_flow is not None:
            return self.request_flow(parcel, settings, memory)
        return self._one_request(parcel, settings)

    def _one_request(self, parcel: Parcel, settings: Any) -> RequestFlow:
        response = yield self.build_request(parcel.payloads, settings)
        return self.classify(response, len(parcel.payloads))
