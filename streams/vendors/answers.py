"""Reading HTTP answers: what the vendors' ``classify`` functions share."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpResponse

MAX_RETRY_AFTER_SECONDS = 3600.0
MAX_WORDS_CHARS = 500

UNREADABLE: Final = object()
"""What ``read_json`` returns where the body is no JSON."""

_TAGS = re.compile(
    r"<(?:script|style)\b.*?</(?:script|style)\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")
_FORMAT = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Invisible, or turning the direction in which the rest is read."""
_KEY = re.compile(r"""((?:api|access)[_-]?key["']?\s*[=:]\s*["']?)[^\s"'&,;}]+""", re.IGNORECASE)


def fate_of_status(status: int) -> RequestOutcome:
    """Return the fate that a status stands for by itself: the default of every vendor."""
    for statuses, fate in _FATES:
        if status in statuses:
            return fate
    return RequestOutcome.UNCLEAR


_FATES: tuple[tuple[frozenset[int] | range, RequestOutcome], ...] = (
    (range(200, 300), RequestOutcome.ACCEPTED),
    (range(300, 400), RequestOutcome.MISCONFIGURED),
    # Request timeout, too early, too many requests.
    (frozenset({408, 425, 429}), RequestOutcome.THROTTLED),
    # Of these, none is about the events: key, contract, address, method, proxy, media type, TLS.
    (
        frozenset({401, 402, 403, 404, 405, 406, 407, 410, 411, 414, 415, 421, 426, 431, 451}),
        RequestOutcome.MISCONFIGURED,
    ),
    (range(400, 500), RequestOutcome.REJECTED),
    # Not implemented: repeating will not help.
    (frozenset({501}), RequestOutcome.MISCONFIGURED),
    (range(500, 600), RequestOutcome.UNAVAILABLE),
)


def no_answer(answer: HttpResponse, words: str) -> Verdict:
    """Return the verdict where there is no status; ``words``: the failure, without secrets."""
    fate = RequestOutcome.UNCLEAR if answer.was_sent else RequestOutcome.UNAVAILABLE
    return Verdict(fate, one_line(words) or "no answer came", is_puzzling=answer.is_garbled)


def undocumented(answer: HttpResponse, words: str) -> Verdict:
    """Return the verdict on a 2xx that is no success as the vendor documents it.

    Whether anything was stored, it does not say. ``words``: what it says, without secrets.
    """
    why = answer.failure or f"but no success that is documented: {words or 'no body'}"
    detail = one_line(f"{answer.status}, {why}")
    return Verdict(RequestOutcome.UNCLEAR, detail, answer.status, is_puzzling=True)


def is_page(answer: HttpResponse) -> bool:
    """Return whether the body is a text, but no JSON: something else answered for the vendor."""
    has_body = bool(answer.body.strip() or answer.failure)
    return has_body and read_json(answer.body) is UNREADABLE


def is_page_for_refusal(answer: HttpResponse) -> bool:
    """Return whether a refusal is a page: it knows nothing of events, so it can blame none.

    But for 413, which anybody may say who finds a request too large: halves of it may pass.
    """
    refuses = fate_of_status(answer.status or 0) is RequestOutcome.REJECTED
    return refuses and answer.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE and is_page(answer)


def blames_nobody(answer: HttpResponse, words: str) -> Verdict:
    """Return the verdict on a refusal that is not the vendor's own: its events wait.

    ``words``: what it says, without secrets.
    """
    detail = one_line(f"{answer.status}, but the answer is not the vendor's: {words or 'no body'}")
    return Verdict(RequestOutcome.UNAVAILABLE, detail, answer.status)


def read_json(body: bytes) -> Any:
    """Return the decoded body, or UNREADABLE."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNREADABLE


def is_html(answer: HttpResponse) -> bool:
    """Return whether the answer is a page for people: a proxy's, or a wrong address's."""
    return (
        "html" in answer.headers.get("content-type", "").lower() or answer.body.lstrip()[:1] == b"<"
    )


def one_line(text: str, limit: int = MAX_WORDS_CHARS) -> str:
    """Return the text without control characters and keys, cut to ``limit`` characters."""
    text = _KEY.sub(r"\1***", _CONTROL.sub(" ", _FORMAT.sub("", text)).strip())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def text_of(answer: HttpResponse) -> str:
    """Return what a body says to a person, on one line; tags of a page are left out."""
    text = answer.body[:4096].decode(errors="replace")
    return one_line(_TAGS.sub(" ", text) if is_html(answer) else text)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return the wait that ``Retry-After`` asks for, at most an hour; None where it asks none.

    A date is measured against the answer's own ``Date``; without one it says nothing.
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
