"""Deleting a visitor's data at the vendors, one request at a time, within their quotas."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

from streams.core.dead_letter import mask_secrets
from streams.core.outcome import RequestOutcome, Verdict
from streams.core.values import SUSPICIOUS_IDS
from streams.delivery.rate_limit import HEADROOM, RateLimit
from streams.delivery.retry import wait_seconds
from streams.operations.forget.plan import AtVendor
from streams.operations.forget.report import Done, VendorWord
from streams.settings import variable
from streams.vendors.base import Erasure, Forgetting, HttpRequest, HttpResponse, Trail, Vendor

T = TypeVar("T")

TRIES = 5
WAITS = (1.0, 2.0, 5.0, 10.0)
LONGEST_WAIT_SECONDS = 60.0
"""A vendor that asks for more is left: the command can be run again."""
SHARE = 1 - HEADROOM
"""The part of a vendor's quota that its workers leave free."""

_NOT_NOW = (RequestOutcome.THROTTLED, RequestOutcome.UNAVAILABLE, RequestOutcome.UNCLEAR)


class DeletionClient(Protocol):
    """What carries requests to a vendor."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the answer; a failure is an answer without status."""

    async def close(self) -> None:
        """Close all connections."""


NewClient = Callable[[str], DeletionClient]
"""base_url → what carries requests there."""


async def erase(
    vendor: Vendor,
    settings: Any,
    trail: Trail,
    there: AtVendor,
    *,
    has_credentials: bool,
    new_client: NewClient,
    secrets: Sequence[str],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> VendorWord:
    """Delete what the vendor lets us delete; return what was done and what was not, and why."""

    def word(done: Done, erasure: Erasure, requests: int = 0, problem: str = "") -> VendorWord:
        return VendorWord(
            vendor.key,
            vendor.name,
            len(there.accepted),
            len(there.open),
            done,
            erasure.what if done is Done.DELETED else "",
            requests,
            mask_secrets(problem, secrets),
            erasure.by_hand if has_credentials or there.accepted else "",
        )

    if vendor.forgetting is None:
        by_hand = (
            f"{vendor.name} offers no deletion request that the relay can use. Ask the vendor."
        )
        return word(Done.NOTHING, Erasure(by_hand=by_hand))
    forgetting = vendor.forgetting
    trail, shared = _without_shared_ids(trail)
    erasure = _plan(forgetting, trail, settings, shared)
    if not erasure.requests and not (forgetting.search and has_credentials):
        return word(Done.NOTHING, erasure)
    if not has_credentials:
        if not there.accepted:
            return word(Done.NOTHING, erasure)
        names = " and ".join(variable(vendor.key, name) for name in vendor.credentials)
        return word(Done.FAILED, erasure, problem=f"Set {names}, then run this command again.")
    client = new_client(settings.base_url)
    try:
        asked = _VendorInquiry(vendor, settings, client, sleep, clock)
        if forgetting.search is not None:
            found = await asked.insist(
                partial(asked.search, partial(forgetting.search, trail, settings))
            )
            if isinstance(found, Verdict):
                return word(Done.FAILED, erasure, 0, _why_not(vendor, erasure, 0, found))
            erasure = _plan(forgetting, found, settings, shared)
        for made, request in enumerate(erasure.requests):
            verdict = await asked.insist(partial(asked.delete, forgetting, request))
            if isinstance(verdict, Verdict) and verdict.outcome is not RequestOutcome.ACCEPTED:
                return word(Done.FAILED, erasure, made, _why_not(vendor, erasure, made, verdict))
    finally:
        await client.close()
    done = Done.DELETED if erasure.requests else Done.NOTHING
    return word(done, erasure, len(erasure.requests))


def _without_shared_ids(trail: Trail) -> tuple[Trail, Sequence[str]]:
    """Return the trail without ids that are no person's, since many people share them; and these.

    What a contact is looked up by is left out without a word: nothing was sent under it.
    """
    shared = [i for i in (*trail.user_ids, *trail.subjects) if i in SUSPICIOUS_IDS]
    mine = replace(
        trail,
        user_ids=tuple(i for i in trail.user_ids if i not in SUSPICIOUS_IDS),
        subjects=tuple(i for i in trail.subjects if i not in SUSPICIOUS_IDS),
        contacts=tuple(pair for pair in trail.contacts if pair[1] not in SUSPICIOUS_IDS),
    )
    return mine, shared


def _plan(forgetting: Forgetting, trail: Trail, settings: Any, shared: Sequence[str]) -> Erasure:
    """Return what is to be done, and which shared ids were left."""
    erasure = forgetting.plan(trail, settings)
    if not shared:
        return erasure
    named = ", ".join(f'"{id_}"' for id_ in dict.fromkeys(shared))
    left = f"Data sent under the user id {named} was not deleted: many people share this id."
    return replace(erasure, by_hand=f"{left} {erasure.by_hand}".rstrip())


class _VendorInquiry:
    """Requests to one vendor, in what its workers leave of the quota."""

    def __init__(
        self,
        vendor: Vendor,
        settings: Any,
        client: DeletionClient,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        limit = vendor.requests_per_second(settings)
        self._quota = None if limit is None else RateLimit(limit, clock(), SHARE)
        self._client = client
        self._sleep = sleep
        self._clock = clock

    async def delete(self, forgetting: Forgetting, request: HttpRequest) -> Verdict:
        """Make a request of an erasure."""
        return forgetting.classify(await self._send(request))

    async def search(
        self, start: Callable[[], Generator[HttpRequest, HttpResponse, Trail | Verdict]]
    ) -> Trail | Verdict:
        """Make the requests of a search."""
        flow = start()
        try:
            request = next(flow)
            while True:
                request = flow.send(await self._send(request))
        except StopIteration as end:
            found: Trail | Verdict = end.value
            return found

    async def insist(self, attempt: Callable[[], Awaitable[T | Verdict]]) -> T | Verdict:
        """Try until the vendor has judged it, or has been asked often enough."""
        for tried in range(1, TRIES + 1):
            found = await attempt()
            if not isinstance(found, Verdict) or found.outcome not in _NOT_NOW or tried == TRIES:
                break
            if found.outcome is RequestOutcome.THROTTLED and self._quota is not None:
                self._quota.halve(self._clock())
            wait = found.retry_after_seconds
            wait = wait_seconds(tried, WAITS, lambda: 1.0) if wait is None else wait
            if wait > LONGEST_WAIT_SECONDS:
                break
            await self._sleep(wait)
        return found

    async def _send(self, request: HttpRequest) -> HttpResponse:
        if self._quota is not None and (turn := self._quota.reserve(self._clock())) > 0:
            await self._sleep(turn)
        return await self._client.send(request)


def _why_not(vendor: Vendor, erasure: Erasure, made: int, verdict: Verdict) -> str:
    of = len(erasure.requests)
    far = f"{made:,} of {of:,} requests were confirmed, then " if of > 1 else ""
    words = verdict.detail.rstrip(".") or f"status {verdict.status}"
    remedy = {
        RequestOutcome.MISCONFIGURED: "Correct key or address, then run this command again.",
        RequestOutcome.REJECTED: "Read the answer and run this command again, or ask the vendor.",
        RequestOutcome.THROTTLED: "The vendor limits requests. Run this command again later.",
    }.get(verdict.outcome, "Run this command again later. Repeating a deletion does no harm.")
    sentence = f"{far}{vendor.name} did not delete: {words}. {remedy}"
    return sentence[0].upper() + sentence[1:]
