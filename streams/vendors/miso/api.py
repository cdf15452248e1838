"""Miso's interactions API: payloads → request, response → verdict."""

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpRequest, HttpResponse, Inquiry
from streams.vendors.miso.settings import MisoSettings
from streams.vendors.responses import (
    UNREADABLE,
    blames_nobody,
    is_html,
    no_response,
    one_line,
    outcome_of_status,
    read_json,
    retry_after_seconds,
    text_of,
    undocumented,
)

PATH = "/v1/interactions"

_HEAD = b'{"data":['
_TAIL = b"]}"
ENVELOPE_BYTES = len(_HEAD) + len(_TAIL)


def build_request(payloads: Sequence[bytes], settings: MisoSettings) -> HttpRequest:
    """Return the upload of exactly these encoded records, in order."""
    body = b"".join((_HEAD, b",".join(payloads), _TAIL))
    return HttpRequest("POST", PATH, headers(settings), body)


_PROBE = (
    b'{"type":"home_page_view","anonymous_id":"streams-probe",'
    b'"timestamp":"2026-01-01T00:00:00.000Z"}'
)


def build_probe(settings: MisoSettings) -> HttpRequest:
    """Return a dry run of one record: key, address and schema are checked, nothing is stored."""
    return dry_run([_PROBE], settings)


def validation(payloads: Sequence[bytes], settings: MisoSettings) -> Inquiry:
    """Return the dry run of exactly these encoded records."""
    return Inquiry("dry run", dry_run(payloads, settings), classify)


def dry_run(payloads: Sequence[bytes], settings: MisoSettings) -> HttpRequest:
    """Return the upload of exactly these encoded records that checks them and stores nothing."""
    request = build_request(payloads, settings)
    return HttpRequest(request.method, f"{PATH}?dry_run=1", request.headers, request.body)


def max_batch_bytes(settings: MisoSettings) -> int:
    """Return the bytes left for payloads and the commas between them."""
    return settings.batch_bytes - ENVELOPE_BYTES


def headers(settings: MisoSettings) -> Mapping[str, str]:
    """Return what every call needs."""
    # In the header, not as ?api_key=: addresses end up in logs.
    key = "" if settings.api_key is None else settings.api_key.get_secret_value()
    return {"Content-Type": "application/json", "X-API-KEY": key}


def classify(response: HttpResponse, count: int) -> Verdict:
    """Return the verdict on a request of ``count`` records; total over every response."""
    if response.status is None:
        return no_response(response, response.failure)
    body = read_json(response.body)
    for rule in _RULES:
        verdict = rule(response.status, response, body, count)
        if verdict is not None:
            return verdict
    return _verdict(outcome_of_status(response.status), response, body)


def _not_misos(status: int, response: HttpResponse, body: Any, _count: int) -> Verdict | None:
    """A refusal without an object: each of Miso's own is one, so something else answered."""
    if (
        type(body) is dict
        or outcome_of_status(status) is not RequestOutcome.REJECTED
        or status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    ):
        return None
    return blames_nobody(response, text_of(response))


def _refused_by_lines(status: int, response: HttpResponse, body: Any, count: int) -> Verdict | None:
    """422, and any status with ``errors: true``: no record of the request was stored."""
    has_errors = type(body) is dict and bool(body.get("errors"))
    if status != _UNPROCESSABLE and not (has_errors and status in range(200, 300)):
        return None
    return Verdict(
        RequestOutcome.REJECTED, _detail(response, body), status, refused=_refused(body, count)
    )


def _success(status: int, response: HttpResponse, body: Any, _count: int) -> Verdict | None:
    """2xx: a success if it says so as Miso does; a page is a proxy's; anything else is unclear."""
    if status not in range(200, 300):
        return None
    if status == HTTPStatus.NO_CONTENT and not response.body.strip() and not response.failure:
        return None  # it cannot say more
    if type(body) is dict:
        return None if _is_success(body) else undocumented(response, text_of(response))
    if body is UNREADABLE and not (response.body.strip() and is_html(response)):
        return undocumented(response, text_of(response))
    return Verdict(
        RequestOutcome.MISCONFIGURED,
        f"{status}, but the response is not Miso's; check base_url: {text_of(response)}",
        status,
    )


def _is_success(body: Mapping[str, Any]) -> bool:
    """``{"message": "success"}`` [D], or without a message ``{"errors": false}``."""
    if "message" in body:
        return bool(body["message"] == "success")
    return body.get("errors") is False


def _bad_request(status: int, response: HttpResponse, body: Any, _count: int) -> Verdict | None:
    """400: the message tells a playground key and a server-side timeout from a bad request."""
    if status != _BAD_REQUEST:
        return None
    message = text_of(response).lower()
    if "playground" in message:
        return _verdict(RequestOutcome.MISCONFIGURED, response, body)
    if "request timeout" in message:
        return _verdict(RequestOutcome.UNCLEAR, response, body)
    return None


_UNPROCESSABLE = 422
_BAD_REQUEST = 400
_RULES: tuple[Callable[[int, HttpResponse, Any, int], Verdict | None], ...] = (
    _bad_request,
    _not_misos,
    _refused_by_lines,
    _success,
)


def _verdict(outcome: RequestOutcome, response: HttpResponse, body: Any) -> Verdict:
    waits = outcome in {RequestOutcome.THROTTLED, RequestOutcome.UNAVAILABLE}
    return Verdict(
        outcome,
        _detail(response, body),
        response.status,
        retry_after_seconds=retry_after_seconds(response.headers) if waits else None,
    )


def _detail(response: HttpResponse, body: Any) -> str:
    message = body.get("message") if type(body) is dict else None
    words = one_line(message) if type(message) is str else text_of(response)
    return f"{response.status} {words}".strip()


# Anchored at the line's start: a visitor's text within the value cannot name another record.
_LINE = re.compile(r"\s*data\.([0-9]{1,9})(?:\.(\S+))?\s+(.*)", re.DOTALL)
_VERDICT = "is invalid."


def _refused(body: Mapping[str, Any], count: int) -> dict[int, str]:
    """Return index → words for each record that the response names; what names none is left out."""
    words: dict[int, list[str]] = {}
    for index, text in (*_named_by_lines(body.get("data")), *_named_by_places(body.get("detail"))):
        if index < count:
            words.setdefault(index, []).append(text)
    return {index: one_line("; ".join(words[index])) for index in sorted(words)}


def _named_by_lines(lines: Any) -> list[tuple[int, str]]:
    """``data.<index>[.<path>] [(<value>)] is invalid. <reason>``.

    The value is left out of the words: the record itself holds it.
    """
    named = []
    for line in [lines] if type(lines) is str else lines if type(lines) is list else ():
        found = _LINE.fullmatch(line) if type(line) is str else None
        if found is None:
            continue
        index, path, rest = found.groups()
        before, is_invalid, reason = (
            rest.rpartition(f") {_VERDICT}") if rest[0:1] == "(" else rest.partition(_VERDICT)
        )
        if is_invalid and (not before or before[0] == "("):
            named.append((int(index), f"{path or 'record'} is invalid.{reason}"))
    return named


def _named_by_places(problems: Any) -> list[tuple[int, str]]:
    """``{"loc": ["body", "data", <index>, <path> …], "msg": …}``."""
    named = []
    for problem in problems if type(problems) is list else ():
        place = problem.get("loc") if type(problem) is dict else None
        if type(place) is not list or "data" not in place:
            continue
        index, *path = place[place.index("data") + 1 :] or [None]
        if type(index) is int and index >= 0:
            named.append((index, f"{'.'.join(map(str, path)) or 'record'}: {problem.get('msg')}"))
    return named
