"""Asking each vendor whether it takes our key and our requests, without storing anything."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Protocol

from streams.core.dead_letter import mask_secrets
from streams.core.errors import SettingsError
from streams.core.outcome import RequestOutcome, Verdict
from streams.delivery.http import HttpClient
from streams.operations.check.samples import sample_payloads
from streams.settings import Settings, variable
from streams.status.findings import Finding, Level, ok, problem, warning
from streams.vendors import VENDORS
from streams.vendors.base import HttpRequest, HttpResponse, Inquiry, Vendor, VendorSettings
from streams.vendors.responses import one_line

ANSWER_SECONDS = 20.0
"""So long a vendor may take; workers wait longer."""


class DryRunClient(Protocol):
    """What carries requests to one vendor."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the answer; a failure is an answer without status."""

    async def close(self) -> None:
        """Close all connections."""


_KEY_REFUSED = (401, 402, 403)
OpenClient = Callable[[Settings, VendorSettings], DryRunClient]


def open_client(settings: Settings, section: VendorSettings) -> DryRunClient:
    """Return the client that workers use, with one connection."""
    return HttpClient(section.base_url, concurrency=1, current_http=settings.current_http)


async def check_vendors(
    settings: Settings,
    *,
    send_test: bool,
    now_ms: int,
    open_client: OpenClient = open_client,
) -> list[Finding]:
    """Return what each vendor says, in the registry's order; all are asked at the same time."""
    asked = [
        _check_vendor(settings, vendor, send_test, now_ms, open_client)
        for vendor in VENDORS.values()
    ]
    return [finding for findings in await asyncio.gather(*asked) for finding in findings]


async def _check_vendor(
    settings: Settings, vendor: Vendor, send_test: bool, now_ms: int, open_client: OpenClient
) -> list[Finding]:
    unasked = _not_asked(settings, vendor)
    if unasked is not None:
        return [unasked]
    section = settings.vendors[vendor.key]
    client = open_client(settings, section)
    try:
        answer = await _send(client, vendor.build_probe(section))
        where = _where(settings, vendor)
        findings = [probe_finding(vendor, where, vendor.classify(answer, 1))]
        if findings[0].level is not Level.PROBLEM:
            for inquiry in vendor.inquiries(section, settings.named_events):
                answer = await _send(client, inquiry.request)
                verdict = inquiry.classify(answer, 0)
                findings.append(inquiry_finding(vendor, where, inquiry, verdict))
            if send_test:
                findings += [
                    finding async for finding in _validate(settings, vendor, where, client, now_ms)
                ]
    finally:
        await client.close()
    secrets = settings.secrets()
    return [
        Finding(f.level, f.subject, mask_secrets(f.text, secrets), mask_secrets(f.remedy, secrets))
        for f in findings
    ]


def _not_asked(settings: Settings, vendor: Vendor) -> Finding | None:
    """Return why a vendor is not asked anything; None: it is asked."""
    key, section = vendor.key, settings.vendors[vendor.key]
    credentials = [variable(key, name) for name in vendor.credentials]
    if section.enabled is False:
        return ok(key, f"{vendor.name} is switched off ({variable(key, 'enabled')}=false).")
    missing = [variable(key, name) for name in vendor.credentials if getattr(section, name) is None]
    if not missing:
        return None
    if section.enabled is None:
        return ok(key, f"{vendor.name} is off: {' and '.join(credentials)} would switch it on.")
    return warning(
        key,
        f"{vendor.name} is on without {' and '.join(missing)}: enrichment writes for it, but its "
        "own stage cannot run with these settings and was not checked.",
        f"Give {' and '.join(missing)} where `streams worker {key}` runs, and run the check there.",
    )


async def _send(client: DryRunClient, request: HttpRequest) -> HttpResponse:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await client.send(request)
    except TimeoutError:
        words = f"no answer within {ANSWER_SECONDS:g} s"
        return HttpResponse(None, {}, b"", failure=words, was_sent=True)


def _where(settings: Settings, vendor: Vendor) -> str:
    """Return the vendor with its address and, where a proxy is set, the way there."""
    address = settings.vendors[vendor.key].base_url
    way = settings.http.route_to(address).words
    return f"{vendor.name} at {address}" + (f", {way}," if way else "")


def probe_finding(vendor: Vendor, where: str, verdict: Verdict) -> Finding:
    """Return what the answer to a vendor's probe means for the person who set it up.

    ``where``: the vendor with its address, as it is shown.
    """
    key = vendor.key
    if verdict.outcome is RequestOutcome.ACCEPTED:
        return ok(key, f"{where} answers and accepts the key.")
    if verdict.outcome is RequestOutcome.REJECTED:
        return problem(
            key,
            f"{where} answers, but refuses a valid test request: {_words(verdict)}.",
            "Read the message. If the vendor's rules have changed, ask its support.",
        )
    return _unanswered(vendor, where, verdict)


def inquiry_finding(vendor: Vendor, where: str, inquiry: Inquiry, verdict: Verdict) -> Finding:
    """Return what the answer to a further question means."""
    if verdict.outcome is RequestOutcome.ACCEPTED:
        words = f" ({_words(verdict)})" if verdict.detail else ""
        return ok(vendor.key, f"{vendor.name}, {inquiry.about}: as expected{words}.")
    is_about_key = (
        verdict.outcome is RequestOutcome.MISCONFIGURED and verdict.status in _KEY_REFUSED
    )
    if (
        verdict.outcome in (RequestOutcome.REJECTED, RequestOutcome.MISCONFIGURED)
        and inquiry.remedy
        and not is_about_key
    ):
        return problem(
            vendor.key, f"{vendor.name}, {inquiry.about}: {_words(verdict)}.", inquiry.remedy
        )
    if verdict.outcome is RequestOutcome.REJECTED:
        refused = "; ".join(
            f"event {at}: {words.rstrip('.')}" for at, words in verdict.refused.items()
        )
        return problem(
            vendor.key,
            f"{vendor.name}, {inquiry.about}: it refuses the events: {refused or _words(verdict)}.",
            f"Read the message, and compare with `streams check --mapping FILE` and with "
            f"{vendor.name}'s settings.",
        )
    return _unanswered(vendor, where, verdict)


def _unanswered(vendor: Vendor, where: str, verdict: Verdict) -> Finding:
    """The vendor did not come to judge the request itself."""
    key, words = vendor.key, _words(verdict)
    address = variable(key, "base_url")
    if verdict.outcome is RequestOutcome.THROTTLED:
        return warning(
            key,
            f"{where} asks to slow down: {words}.",
            "Wait and check again; find out what else uses this key.",
        )
    if verdict.outcome is RequestOutcome.MISCONFIGURED and verdict.status in _KEY_REFUSED:
        names = " and ".join(variable(key, name) for name in vendor.credentials)
        return problem(
            key,
            f"{where} refuses the key: {words}.",
            f"Correct {names}, and check that {address} is where this key is valid.",
        )
    if verdict.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return problem(
            key,
            f"{where} cannot be asked: {words}.",
            "Correct STREAMS_HTTP_PROXY (the user) and STREAMS_HTTP_PROXY_PASSWORD.",
        )
    if verdict.outcome is RequestOutcome.MISCONFIGURED:
        return problem(
            key,
            f"{where} is not the right address: {words}.",
            f"Correct {address}: scheme, host and port only.",
        )
    if verdict.status is not None:
        return problem(
            key,
            f"{where} fails: {words}.",
            f"Wait and check again: events wait, and workers keep trying. If it stays, ask "
            f"{vendor.name}.",
        )
    return problem(
        key,
        f"{where} does not answer: {words}.",
        f"Check {address}, and that this machine may reach it: name, firewall, proxy "
        "(STREAMS_HTTP_PROXY), TLS (STREAMS_HTTP_CA_FILE). Meanwhile events wait, and "
        "workers keep trying.",
    )


def _words(verdict: Verdict) -> str:
    return (one_line(verdict.detail) or f"status {verdict.status}").rstrip(".")


async def _validate(
    settings: Settings, vendor: Vendor, where: str, client: DryRunClient, now_ms: int
) -> AsyncIterator[Finding]:
    section = settings.vendors[vendor.key]
    if vendor.validation is None:
        yield ok(
            vendor.key,
            f"{vendor.name} documents no way to check an event without storing it: no test event "
            "was sent.",
        )
        return
    try:
        payloads, refusals = sample_payloads(
            vendor, section, now_ms, settings.topics.sources, settings.events
        )
    except SettingsError as error:
        yield problem(vendor.key, f"{vendor.name}'s test events: {' '.join(error.problems)}")
        return
    for refusal in refusals:
        yield problem(vendor.key, f"{vendor.name}'s test event cannot be mapped: {refusal}.")
    for part in _parts(payloads, vendor.max_batch_records(section)):
        inquiry = vendor.validation(part, section)
        verdict = inquiry.classify(await _send(client, inquiry.request), len(part))
        yield inquiry_finding(vendor, where, inquiry, verdict)


def _parts(payloads: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(payloads), size):
        yield payloads[start : start + size]
