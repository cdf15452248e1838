"""Voyado Engage's API: the requests that are made, and what each kind of answer says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.answers import (
    UNREADABLE,
    blames_nobody,
    fate_of_status,
    is_html,
    is_page_for_refusal,
    no_answer,
    one_line,
    read_json,
    retry_after_seconds,
    text_of,
    undocumented,
)
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.voyado.schema import read_schema
from streams.vendors.voyado.settings import VoyadoSettings

INTERACTIONS = "/api/v3/interactions"
SCHEMAS = "/api/v3/interactionschemas"
CONTACT_ID = "/api/v3/contacts/id"

is_guid = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch

SUCCESS = range(200, 300)
NOT_FOUND = 404
_SERVER_ERRORS = range(500, 600)


class PrivateRequest(HttpRequest):
    """A request whose address or body speaks of a person, so neither is shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.method} {self.path.partition('?')[0]})"


def build_request(payloads: Sequence[bytes], settings: VoyadoSettings) -> HttpRequest:
    """Return the request that stores exactly this interaction; there is no bulk form."""
    (body,) = payloads
    return PrivateRequest("POST", INTERACTIONS, headers(settings), body)


def build_probe(settings: VoyadoSettings) -> HttpRequest:
    """Return a look at the schema that is needed first: key, address and schema are checked."""
    first = settings.add_to_cart_schema_id if settings.clicks == "off" else settings.click_schema_id
    return get_schema(first, settings)


def get_schema(schema_id: str, settings: VoyadoSettings) -> HttpRequest:
    """Return the request for one schema as it is registered."""
    return HttpRequest("GET", f"{SCHEMAS}/{quote(schema_id, safe='')}", headers(settings), b"")


def get_contact_id(key: str, value: str, settings: VoyadoSettings) -> HttpRequest:
    """Return the look-up of a contact by one named key.

    Never by ``any``: it stops at the first kind that the value could be of.
    """
    return PrivateRequest("GET", f"{CONTACT_ID}?{urlencode({key: value})}", headers(settings), b"")


def get_interactions(
    contact_id: str, schema_id: str, continuation: str | None, settings: VoyadoSettings
) -> HttpRequest:
    """Return the request for one page of a contact's interactions of one schema."""
    query = {"contactId": contact_id, "schemaId": schema_id}
    if continuation is not None:
        query["continuation"] = continuation
    return PrivateRequest("GET", f"{INTERACTIONS}?{urlencode(query)}", headers(settings), b"")


def headers(settings: VoyadoSettings) -> Mapping[str, str]:
    """Return what every call needs; without the content type Voyado answers 500."""
    key = "" if settings.api_key is None else settings.api_key.get_secret_value()
    return {
        "apikey": key,
        "User-Agent": settings.user_agent,
        "Content-Type": "application/json",
    }


def classify(answer: HttpResponse, count: int) -> Verdict:  # noqa: ARG001
    """Return the verdict on a POST, or on a probe; total over every answer.

    A 5xx is unclear: the interaction may be stored, so it is looked for before it is sent again.
    So is a success without an id: Voyado returns one upon acceptance. ``request_flow`` looks for
    the interaction then, and knows more of a 404.
    """
    status = answer.status
    if status in SUCCESS:
        body = read_json(answer.body)
        if type(body) is dict and "jsonSchema" in body:
            return _registered(status, answer)
        if type(body) is str and is_guid(body) is not None:
            # The form of the id is not documented: it may come bare, as that of a contact does.
            return Verdict(RequestOutcome.ACCEPTED, str(status), status, vendor_ref=body)
        verdict = judge(answer)
        if verdict.fate is RequestOutcome.ACCEPTED and verdict.vendor_ref is None:
            return undocumented(answer, text_of(answer))
        return verdict
    verdict = judge(answer)
    if verdict.fate is RequestOutcome.UNAVAILABLE and status in _SERVER_ERRORS:
        return replace(verdict, fate=RequestOutcome.UNCLEAR)
    return verdict


def _registered(status: int | None, answer: HttpResponse) -> Verdict:
    """The answer to a probe: the schema as it is registered."""
    problem = read_schema(answer.body).problem()
    if problem is not None:
        return Verdict(RequestOutcome.MISCONFIGURED, f"{status}, but the schema {problem}", status)
    return Verdict(RequestOutcome.ACCEPTED, str(status), status)


def judge(answer: HttpResponse) -> Verdict:
    """Return the verdict on any request by status and body alone."""
    if answer.status is None:
        return no_answer(answer, answer.failure)
    body = read_json(answer.body)
    if answer.status in SUCCESS:
        return _success(answer, answer.status, body)
    if is_page_for_refusal(answer):
        return blames_nobody(answer, text_of(answer))
    fate = fate_of_status(answer.status)
    waits = fate in {RequestOutcome.THROTTLED, RequestOutcome.UNAVAILABLE}
    return Verdict(
        fate,
        detail_of(answer, body),
        answer.status,
        retry_after_seconds=retry_after_seconds(answer.headers) if waits else None,
    )


def _success(answer: HttpResponse, status: int, body: Any) -> Verdict:
    """2xx: a success if it has no body, an empty one, an id, or the schema that was asked for."""
    if not answer.failure and (not answer.body.strip() or body == {}):
        return Verdict(RequestOutcome.ACCEPTED, str(status), status)
    if body is UNREADABLE and not is_html(answer):
        return undocumented(answer, text_of(answer))
    if type(body) is not dict:
        return Verdict(
            RequestOutcome.MISCONFIGURED,
            f"{status}, but the answer is not Voyado's; check base_url: {text_of(answer)}",
            status,
        )
    if body.get("errors"):
        return Verdict(RequestOutcome.REJECTED, detail_of(answer, body), status)
    reference = body.get("id")
    if type(reference) is str and reference:
        return Verdict(RequestOutcome.ACCEPTED, str(status), status, vendor_ref=one_line(reference))
    if read_schema(answer.body).properties is not None:
        return Verdict(RequestOutcome.ACCEPTED, str(status), status)
    return undocumented(answer, detail_of(answer, body).removeprefix(f"{status} "))


def detail_of(answer: HttpResponse, body: Any) -> str:
    """Return the status and the vendor's own words on one line."""
    words = ""
    if type(body) is dict:
        said = [body.get(name) for name in ("errorCode", "message", "Message", "title")]
        words = one_line(" ".join(text for text in said if type(text) is str))
    return f"{answer.status} {words or text_of(answer)}".strip()
