"""HTTP responses: what the vendors' ``classify`` functions share."""

import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpResponse

MAX_RETRY_AFTER_SECONDS = 3600.0
MAX_WORDS_CHARS = 500
_MAX_TEXT_BYTES = 4096

UNREADABLE: Final = object()
"""What ``read_json`` returns if the body is not JSON."""

_TAGS = re.compile(
    r"<(?:script|style)\b.*?</(?:script|style)\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")
_FORMAT = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Invisible characters, and characters that change the direction of text."""
_KEY = re.compile(r"""((?:api|access)[_-]?key["']?\s*[=:]\s*["']?)[^\s"'&,;}]+""", re.IGNORECASE)


def outcome_of_status(status: int) -> RequestOutcome:
    """Return the outcome for a status alone: the default of every vendor."""
    for statuses, outcome in _OUTCOMES:
        if status in statuses:
            return outcome
    return RequestOutcome.UNCLEAR


_OUTCOMES: tuple[tuple[frozenset[int] | range, RequestOutcome], ...] = (
    (range(200, 300), RequestOutcome.ACCEPTED),
    (range(300, 400), RequestOutcome.MISCONFIGURED),
    # Request timeout, too early, too many requests.
    (frozenset({408, 425, 429}), RequestOutcome.THROTTLED),
    # None of these is about the events: key, payment, address, method, proxy, media type, TLS.
    (
        frozenset({401, 402, 403, 404, 405, 406, 407, 410, 411, 414, 415, 421, 426, 431, 451}),
        RequestOutcome.MISCONFIGURED,
    ),
    (range(400, 500), RequestOutcome.REJECTED),
    # Not implemented: a retry does not help.
    (frozenset({501}), RequestOutcome.MISCONFIGURED),
    (range(500, 600), RequestOutcome.UNAVAILABLE),
)


def no_response(response: HttpResponse, words: str) -> Verdict:
    """Return the verdict if there is no status; ``words``: the failure, without secrets."""
    outcome = RequestOutcome.UNCLEAR if response.was_sent else RequestOutcome.UNAVAILABLE
    return Verdict(outcome, one_line(words) or "no response came", is_puzzling=response.is_garbled)


def undocumented(response: HttpResponse, words: str) -> Verdict:
    """Return the verdict on a 2xx that is not a documented success: UNCLEAR.

    ``words``: the text of the response, without secrets.
    """
    why = response.failure or f"but no success that is documented: {words or 'no body'}"
    detail = one_line(f"{response.status}, {why}")
    return Verdict(RequestOutcome.UNCLEAR, detail, response.status, is_puzzling=True)


def is_page(response: HttpResponse) -> bool:
    """Return whether the body is a text but not JSON: it is not from the vendor's API."""
    has_body = bool(response.body.strip() or response.failure)
    return has_body and read_json(response.body) is UNREADABLE


def is_page_for_refusal(response: HttpResponse) -> bool:
    """Return whether a refusal is a page, and so not about the events.

    Except 413, which a proxy may send for a request that is too large: its halves may pass.
    """
    refuses = outcome_of_status(response.status or 0) is RequestOutcome.REJECTED
    return refuses and response.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE and is_page(response)


def blames_nobody(response: HttpResponse, words: str) -> Verdict:
    """Return the verdict on a refusal that is not from the vendor: the events wait.

    ``words``: the text of the response, without secrets.
    """
    detail = one_line(
        f"{response.status}, but the response is not the vendor's: {words or 'no body'}"
    )
    return Verdict(RequestOutcome.UNAVAILABLE, detail, response.status)


def read_json(body: bytes) -> Any:
    """Return the decoded body, or UNREADABLE."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNREADABLE


def is_html(response: HttpResponse) -> bool:
    """Return whether the response is a page for people: a proxy's, or a wrong address's."""
    return (
        "html" in response.headers.get("content-type", "").lower()
        or response.body.lstrip()[:1] == b"<"
    )


def one_line(text: str, limit: int = MAX_WORDS_CHARS) -> str:
    """Return the text without control characters and keys, cut to ``limit`` characters."""
    text = _KEY.sub(r"\1***", _CONTROL.sub(" ", _FORMAT.sub("", text)).strip())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def text_of(response: HttpResponse, limit: int = MAX_WORDS_CHARS) -> str:
    """Return the text of a body on one line, without the tags of a page."""
    text = response.body[:_MAX_TEXT_BYTES].decode(errors="replace")
    return one_line(_TAGS.sub(" ", text) if is_html(response) else text, limit)


def with_answer(verdict: Verdict, response: HttpResponse) -> Verdict:
    """Return the verdict on this response with its body, for the dead letter."""
    if verdict.outcome is RequestOutcome.ACCEPTED or response.status is None:
        return verdict
    said = f"{response.status} {text_of(response, _MAX_TEXT_BYTES)}".strip()
    return replace(verdict, answer=said)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return the ``Retry-After`` in seconds, at most an hour; None: there is none.

    A date is measured against the response's ``Date``, which the HTTP client adds if it is missing.
    """
    wanted = headers.get("retry-after", "").strip()
    if not wanted:
        return None
    if wanted.isascii() and wanted.replace(".", "", 1).isdigit():
        return min(float(wanted), MAX_RETRY_AFTER_SECONDS)
    try:
        until = parsedate_to_datetime(wanted)
        seconds = (until - parsedate_to_datetime(headers.get("date", ""))).total_seconds()
    # TypeError: one of the two dates is without a zone.
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
