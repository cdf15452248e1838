"""Deleting a visitor's data at the vendors, one request at a time, within their quotas."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from streams.core.dead_letter import mask_secrets
from streams.core.outcome import RequestOutcome, Verdict
from streams.core.values import SUSPICIOUS_IDS
from streams.delivery.rate_limit import HEADROOM, RateLimit
from streams.delivery.retry import wait_seconds
from streams.operations.forget.plan import AtVendor
from streams.operations.forget.report import Done, VendorWord
from streams.settings import variable
from streams.vendors.base import Erasure, Forgetting, HttpRequest, HttpResponse, Trail, Vendor

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
        by_hand = f"The relay knows of no request by which {vendor.name} deletes: ask it."
        return word(Done.NOTHING, Erasure(by_hand=by_hand))
    erasure = _plan(vendor.forgetting, trail, settings)
    if not erasure.requests:
        return word(Done.NOTHING, erasure)
    if not has_credentials:
        if not there.accepted:
            return word(Done.NOTHING, erasure)
        names = " and ".join(variable(vendor.key, name) for name in vendor.credentials)
        return word(Done.FAILED, erasure, problem=f"Set {names}, then run this again.")
    limit = vendor.requests_per_second(settings)
    quota = None if limit is None else RateLimit(limit, clock(), SHARE)
    client = new_client(settings.base_url)
    made = 0
    try:
        for request in erasure.requests:
            verdict = await _insist(vendor, request, client, quota, sleep, clock)
            if verdict.outcome is not RequestOutcome.ACCEPTED:
                return word(Done.FAILED, erasure, made, _why_not(vendor, erasure, made, verdict))
            made += 1
    finally:
        await client.close()
    return word(Done.DELETED, erasure, made)


def _plan(forgetting: Forgetting, trail: Trail, settings: Any) -> Erasure:
    """Return what is to be done; ids that are no person's are left, many people share them."""
    shared = [i for i in (*trail.user_ids, *trail.subjects) if i in SUSPICIOUS_IDS]
    mine = replace(
        trail,
        user_ids=tuple(i for i in trail.user_ids if i not in SUSPICIOUS_IDS),
        subjects=tuple(i for i in trail.subjects if i not in SUSPICIOUS_IDS),
    )
    erasure = forgetting.plan(mine, settings)
    if not shared:
        return erasure
    named = ", ".join(f'"{id_}"' for id_ in dict.fromkeys(shared))
    left = f"What was sent under the user id {named} was left: many people share it."
    return replace(erasure, by_hand=f"{left} {erasure.by_hand}".rstrip())


async def _insist(
    vendor: Vendor,
    request: HttpRequest,
    client: DeletionClient,
    quota: RateLimit | None,
    sleep: Callable[[float], Awaitable[None]],
    clock: Callable[[], float],
) -> Verdict:
    """Make a request until the vendor has judged it, or has been asked often enough."""
    assert vendor.forgetting is not None
    for tried in range(1, TRIES + 1):
        if quota is not None and (turn := quota.reserve(clock())) > 0:
            await sleep(turn)
        verdict = vendor.forgetting.classify(await client.send(request))
        if verdict.outcome not in _NOT_NOW or tried == TRIES:
            break
        if verdict.outcome is RequestOutcome.THROTTLED and quota is not None:
            quota.halve(clock())
        wait = verdict.retry_after_seconds
        wait = wait_seconds(tried, WAITS, lambda: 1.0) if wait is None else wait
        if wait > LONGEST_WAIT_SECONDS:
            break
        await sleep(wait)
    return verdict


def _why_not(vendor: Vendor, erasure: Erasure, made: int, verdict: Verdict) -> str:
    of = len(erasure.requests)
    far = f"{made:,} of {of:,} requests were confirmed, then " if of > 1 else ""
    words = verdict.detail.rstrip(".") or f"status {verdict.status}"
    remedy = {
        RequestOutcome.MISCONFIGURED: "Correct the key or the address, then run this again.",
        RequestOutcome.REJECTED: "Read what it says and run this again, or ask the vendor.",
        RequestOutcome.THROTTLED: "It asks for fewer requests: run this again later.",
    }.get(verdict.outcome, "Run this again later; what is deleted already does no harm.")
    sentence = f"{far}{vendor.name} did not delete: {words}. {remedy}"
    return sentence[0].upper() + sentence[1:]
