"""8SELECT's analytics API: payload → request, response → verdict."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streams.core.enrich import MAX_VENDOR_RECORD_BYTES
from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpRequest, HttpResponse, Inquiry
from streams.vendors.eightselect.settings import EightSelectSettings
from streams.vendors.responses import (
    UNREADABLE,
    blames_nobody,
    is_html,
    is_page_for_refusal,
    no_response,
    one_line,
    outcome_of_status,
    read_json,
    retry_after_seconds,
    text_of,
    undocumented,
)

PATH = "/analytics/v3/events"
VALIDATE_PATH = f"{PATH}/validate"
MAX_BATCH_BYTES = MAX_VENDOR_RECORD_BYTES
"""8SELECT documents no limit; no payload is larger than its vendor record may be."""


def build_request(payloads: Sequence[bytes], settings: EightSelectSettings) -> HttpRequest:
    """Return the request that carries this one encoded event: there is no bulk form."""
    (payload,) = payloads
    return HttpRequest("POST", PATH, _headers(settings), payload)


_SAMPLE = (
    b'{"type":"interact","interact":{"type":"product","action":"click",'
    b'"product":{"sku":"streams-probe"}},"context":[{"type":"user",'
    b'"user":{"id":"6b1d3f60-9f1c-5b8e-8c55-2f0a5d6c7e01"}}]}'
)


def build_probe(settings: EightSelectSettings) -> HttpRequest:
    """Return a call of the validation endpoint: the sample is judged, nothing is stored."""
    return validation([_SAMPLE], settings).request


def validation(payloads: Sequence[bytes], settings: EightSelectSettings) -> Inquiry:
    """Return the question whether this one encoded event is in order; nothing is stored."""
    (payload,) = payloads
    request = HttpRequest("POST", VALIDATE_PATH, _headers(settings), payload)
    return Inquiry("validation", request, classify)


def _headers(settings: EightSelectSettings) -> Mapping[str, str]:
    api_id = "" if settings.api_id is None else settings.api_id.get_secret_value()
    return {"Content-Type": "application/json", "x-api-id": api_id}


def classify(response: HttpResponse, count: int) -> Verdict:
    """Return the verdict on a request of ``count`` events; total over every response."""
    if response.status is None:
        return no_response(response, _masked(response.failure))
    outcome = outcome_of_status(response.status)
    body = read_json(response.body)
    # What any other status stands for, no body can change.
    if outcome in {RequestOutcome.ACCEPTED, RequestOutcome.REJECTED}:
        for rule in _RULES:
            verdict = rule(response.status, response, body, count)
            if verdict is not None:
                return verdict
    return _verdict(outcome, response.status, response, _words(response, body))


def _refused_key(status: int, response: HttpResponse, body: Any, _count: int) -> Verdict | None:
    """Any form in which the account, not the event, is refused: the event is kept.

    Only words that cannot come from a visitor are checked: types, names of members, and the
    beginning of the message.
    """
    if any(_is_about_key(problem) for problem in _problems(body)) or (
        type(body) is dict and _ABOUT_KEY.match(_message(body)) is not None
    ):
        return _verdict(RequestOutcome.MISCONFIGURED, status, response, _words(response, body))
    return None


def _refused_event(status: int, response: HttpResponse, body: Any, count: int) -> Verdict | None:
    """Ajv's list of errors, or an object with errors, whatever the status: nothing was stored."""
    has_errors = type(body) is dict and bool(body.get("errors"))
    words = "; ".join(dict.fromkeys(filter(None, map(_words_of, _problems(body)))))
    if not words and not has_errors:
        return None
    words = one_line(_masked(words)) or _words(response, body)
    refused = {0: words} if count == 1 and words else {}
    return Verdict(RequestOutcome.REJECTED, f"{status} {words}".strip(), status, refused=refused)


def _not_8selects(_status: int, response: HttpResponse, _body: Any, _count: int) -> Verdict | None:
    """A refusal that is a page: no event is to blame for it."""
    if not is_page_for_refusal(response):
        return None
    return blames_nobody(response, _masked(text_of(response)))


def _success(status: int, response: HttpResponse, body: Any, _count: int) -> Verdict | None:
    """2xx: a success if it says nothing more, or says so; a page is a proxy's."""
    if status not in range(200, 300):
        return None
    text = response.body.strip()
    if (not text and not response.failure) or (body is not UNREADABLE and _says_yes(body)):
        return None
    if text and body is UNREADABLE and is_html(response):
        words = f", but the response is not 8SELECT's; check base_url: {_masked(text_of(response))}"
        return Verdict(RequestOutcome.MISCONFIGURED, f"{status}{words}", status)
    if body is UNREADABLE and not response.failure and text.lower() in _YES:
        return None
    return undocumented(response, _words(response, body))


_YES = (b"ok", b"success", b"accepted", b"created")


def _says_yes(body: Any) -> bool:
    """Return whether every member of a body says that all is well, or nothing at all.

    No success of ``/events`` is documented, and of the validation only what it says of faults: so
    what names anything unknown is no success, whatever its words are.
    """
    if not body or (type(body) is str and body.lower().encode() in _YES):
        return body is not False
    return type(body) is dict and all(_is_yes(name, value) for name, value in body.items())


def _is_yes(name: str, value: Any) -> bool:
    match name:
        case "id" | "eventId" | "requestId":
            return type(value) is str
        case "errors":
            return not value
        case "success" | "ok" | "accepted":
            return value is True
        case "statusCode" | "status":
            is_status = type(value) is int and 200 <= value < 300
            return is_status or (type(value) is str and value.lower().encode() in _YES)
        case "message":
            return type(value) is str and value.lower().encode() in _YES
        case _:
            return False


_RULES: tuple[Callable[[int, HttpResponse, Any, int], Verdict | None], ...] = (
    _refused_key,
    _refused_event,
    _not_8selects,
    _success,
)


def _verdict(outcome: RequestOutcome, status: int, response: HttpResponse, words: str) -> Verdict:
    waits = outcome in {RequestOutcome.THROTTLED, RequestOutcome.UNAVAILABLE}
    return Verdict(
        outcome,
        f"{status} {words}".strip(),
        status,
        retry_after_seconds=retry_after_seconds(response.headers) if waits else None,
    )


# A quote may be escaped: that of a text within a text.
_API_ID = re.compile(
    r"""(api[\s_-]?id\b(?:\\?["'])?\s*(?:[=:]\s*(?:\\?["'])?|\\?["']))[^\s"'\\&,;}]+""",
    re.IGNORECASE,
)


def _masked(text: str) -> str:
    return _API_ID.sub(r"\1***", text)


def _words(response: HttpResponse, body: Any) -> str:
    message = _message(body) if type(body) is dict else ""
    return one_line(_masked(message)) if message else _masked(text_of(response))


def _message(body: Mapping[str, Any]) -> str:
    for name in ("message", "error"):
        words = body.get(name)
        if type(words) is str and words:
            return words
    return ""


_MAX_PROBLEMS = 50
"""The validation endpoint calls itself very verbose: several entries for one fault."""


def _problems(body: Any) -> list[Mapping[str, Any]]:
    """Return the entries of a list of errors: the body itself, or its ``errors``."""
    listed = body.get("errors") if type(body) is dict else body
    if type(listed) is not list:
        return []
    return [problem for problem in listed[:_MAX_PROBLEMS] if type(problem) is dict]


_ABOUT_KEY = re.compile(
    r"unauthori[sz]ed\b|forbidden\b"
    r"|\W*(?:(?:missing|invalid|unknown|wrong|required|no|the|header)\W+){0,5}x-api-id\b",
    re.IGNORECASE,
)


def _is_about_key(problem: Mapping[str, Any]) -> bool:
    """The sister API's ``errorType``, or Ajv missing the header."""
    kind = problem.get("errorType")
    missing = _param(problem, "missingProperty")
    return (type(kind) is str and kind.lower().startswith("unauthori")) or (
        missing is not None and missing.lower() == "x-api-id"
    )


_INDEX = re.compile(r"/[0-9]+(?=/|$)")


def _words_of(problem: Mapping[str, Any]) -> str:
    """Return an Ajv error as ``<place> <message>``, its value left out; empty if it is none.

    Indices become ``*``: the same fault is the same cause wherever in ``context`` it stands.
    """
    message = problem.get("message")
    if type(message) is not str or not message:
        return ""
    place = problem.get("instancePath", problem.get("dataPath", ""))
    place = _INDEX.sub("/*", place) if type(place) is str else ""
    member = _param(problem, "missingProperty") or _param(problem, "additionalProperty")
    return f"{place}{f'/{member}' if member else ''} {message}".strip()


def _param(problem: Mapping[str, Any], name: str) -> str | None:
    params = problem.get("params")
    value = params.get(name) if type(params) is dict else None
    return value if type(value) is str and value else None
