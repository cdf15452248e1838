"""Voyado Engage's API: its requests, and response → verdict."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpRequest, HttpResponse
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
    """Return the request for the schema in use: it checks key, address and schema."""
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
    """Return the headers of every call; without the content type Voyado responds with 500."""
    key = "" if settings.api_key is None else settings.api_key.get_secret_value()
    return {
        "apikey": key,
        "User-Agent": settings.user_agent,
        "Content-Type": "application/json",
    }


def classify(response: HttpResponse, count: int) -> Verdict:  # noqa: ARG001
    """Return the verdict on a POST, or on a probe; total over every response.

    A 5xx is unclear: the interaction may be stored, so it is looked up before it is sent again.
    So is a success without an id: Voyado returns one upon acceptance. ``request_flow`` looks for
    the interaction then, and knows more of a 404.
    """
    status = response.status
    if status in SUCCESS:
        body = read_json(response.body)
        if type(body) is dict and "jsonSchema" in body:
            return _registered(status, response)
        if type(body) is str and is_guid(body) is not None:
            # The form of the id is not documented: it may come bare, as that of a contact does.
            return Verdict(RequestOutcome.ACCEPTED, str(status), status, vendor_ref=body)
        verdict = judge(response)
        if verdict.outcome is RequestOutcome.ACCEPTED and verdict.vendor_ref is None:
            return undocumented(response, text_of(response))
        return verdict
    verdict = judge(response)
    if verdict.outcome is RequestOutcome.UNAVAILABLE and status in _SERVER_ERRORS:
        return replace(verdict, outcome=RequestOutcome.UNCLEAR)
    return verdict


def _registered(status: int | None, response: HttpResponse) -> Verdict:
    """The response to a probe: the schema as it is registered."""
    problem = read_schema(response.body).problem()
    if problem is not None:
        return Verdict(RequestOutcome.MISCONFIGURED, f"{status}, but the schema {problem}", status)
    return Verdict(RequestOutcome.ACCEPTED, str(status), status)


def judge(response: HttpResponse) -> Verdict:
    """Return the verdict on any request by status and body alone."""
    if response.status is None:
        return no_response(response, response.failure)
    body = read_json(response.body)
    if response.status in SUCCESS:
        return _success(response, response.status, body)
    if is_page_for_refusal(response):
        return blames_nobody(response, text_of(response))
    outcome = outcome_of_status(response.status)
    waits = outcome in {RequestOutcome.THROTTLED, RequestOutcome.UNAVAILABLE}
    return Verdict(
        outcome,
        detail_of(response, body),
        response.status,
        retry_after_seconds=retry_after_seconds(response.headers) if waits else None,
    )


def _success(response: HttpResponse, status: int, body: Any) -> Verdict:
    """2xx: a success if it has no body, an empty one, an id, or the schema that was asked for."""
    if not response.failure and (not response.body.strip() or body == {}):
        return Verdict(RequestOutcome.ACCEPTED, str(status), status)
    if body is UNREADABLE and not is_html(response):
        return undocumented(response, text_of(response))
    if type(body) is not dict:
        return Verdict(
            RequestOutcome.MISCONFIGURED,
            f"{status}, but the response is not Voyado's; check base_url: {text_of(response)}",
            status,
        )
    if body.get("errors"):
        return Verdict(RequestOutcome.REJECTED, detail_of(response, body), status)
    reference = body.get("id")
    if type(reference) is str and reference:
        return Verdict(RequestOutcome.ACCEPTED, str(status), status, vendor_ref=one_line(reference))
    if read_schema(response.body).properties is not None:
        return Verdict(RequestOutcome.ACCEPTED, str(status), status)
    return undocumented(response, detail_of(response, body).removeprefix(f"{status} "))


def detail_of(response: HttpResponse, body: Any) -> str:
    """Return the status and the vendor's own words on one line."""
    words = ""
    if type(body) is dict:
        said = [body.get(name) for name in ("errorCode", "message", "Message", "title")]
        words = one_line(" ".join(text for text in said if type(text) is str))
    return f"{response.status} {words or text_of(response)}".strip()
