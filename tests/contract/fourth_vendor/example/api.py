"""Example's events API: payloads → request, answer → verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.responses import (
    blames_nobody,
    is_page_for_refusal,
    no_response,
    one_line,
    outcome_of_status,
    read_json,
    retry_after_seconds,
    text_of,
    undocumented,
)

from .settings import ExampleSettings

PATH = "/v2/events"
MAX_EVENTS = 100
"""[D]: "no more than 100 events a request"."""
MAX_BODY_BYTES = 64 * 1024
"""[D]: "requests above 64 KiB are refused"."""

_HEAD = b'{"events":['
_TAIL = b"]}"
MAX_PAYLOAD_BYTES = MAX_BODY_BYTES - len(_HEAD) - len(_TAIL)
"""What is left for payloads and the commas between them."""


def build_request(payloads: Sequence[bytes], settings: ExampleSettings) -> HttpRequest:
    """Return the request that carries exactly these encoded events, in order."""
    body = b"".join((_HEAD, b",".join(payloads), _TAIL))
    return HttpRequest("POST", PATH, _headers(settings), body)


def build_probe(settings: ExampleSettings) -> HttpRequest:
    """Return a request without events: key and address are checked, nothing is stored [D]."""
    return build_request((), settings)


def _headers(settings: ExampleSettings) -> Mapping[str, str]:
    key = "" if settings.api_key is None else settings.api_key.get_secret_value()
    return {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}


def classify(response: HttpResponse, count: int) -> Verdict:
    """Return the verdict on a request of ``count`` events; total over every response."""
    if response.status is None:
        return no_response(response, response.failure)
    outcome, body = outcome_of_status(response.status), read_json(response.body)
    if is_page_for_refusal(response):
        return blames_nobody(response, text_of(response))
    if outcome is RequestOutcome.ACCEPTED and not (
        type(body) is dict and type(body.get("accepted")) is int
    ):
        return undocumented(response, text_of(response))
    waits = outcome in {RequestOutcome.THROTTLED, RequestOutcome.UNAVAILABLE}
    return Verdict(
        outcome,
        f"{response.status} {text_of(response)}".strip(),
        response.status,
        retry_after_seconds=retry_after_seconds(response.headers) if waits else None,
        refused=_refused(body, count) if outcome is RequestOutcome.REJECTED else {},
    )


def _refused(body: Any, count: int) -> dict[int, str]:
    """Return index → words for each event that ``errors`` names; a body of another form, none."""
    errors = body.get("errors") if type(body) is dict else None
    named: dict[int, str] = {}
    for error in errors if type(errors) is list else ():
        index = error.get("index") if type(error) is dict else None
        if type(index) is int and 0 <= index < count:
            named[index] = one_line(str(error.get("reason"))) or "refused"
    return named
