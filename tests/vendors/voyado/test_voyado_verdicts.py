"""Voyado's responses to a POST and their verdicts, written out.

The tables are of one response alone. Where it leads to a question first (404: is the schema there;
a success without an id: is it stored), ``test_voyado_request_flow.py`` has the rest.
"""

import pytest

from streams.core.outcome import RequestOutcome
from streams.vendors.base import HttpResponse
from streams.vendors.voyado.api import classify
from tests.vendors.verdict_tables import CUT, HTML, NEVER_SENT, NO_ANSWER, check_statuses, response

BY_STATUS = """
    100-199  unclear        no final answer
    200-299  unclear        without an id: asked for before it counts
    300-399  misconfigured  a redirect is another address: the key stays here
    400      rejected
    401-407  misconfigured  404: the schema is asked for first
    408      throttled
    409      rejected
    410-411  misconfigured
    412-413  rejected
    414-415  misconfigured
    416-420  rejected
    421      misconfigured
    422-424  rejected
    425      throttled
    426      misconfigured
    427-428  rejected
    429      throttled
    430      rejected
    431      misconfigured
    432-450  rejected
    451      misconfigured
    452-499  rejected
    500      unclear        may be stored: looked for before it is sent again
    501      misconfigured  not implemented: repeating does not help
    502-599  unclear
"""
GUID = "0b4b7c1e-1111-4222-8333-944455556666"
NO = {"errorCode": "InvalidPayload", "message": "No."}

ANSWERS: dict[str, tuple[HttpResponse, RequestOutcome, str | None]] = {
    # said by                       the response                              is        stored as
    "success": (response(201, {"id": "i-1"}), RequestOutcome.ACCEPTED, "i-1"),
    "success, bare id": (response(200, GUID), RequestOutcome.ACCEPTED, GUID),
    "success without an id": (response(200, {}), RequestOutcome.UNCLEAR, None),
    "success without a body": (response(202), RequestOutcome.UNCLEAR, None),
    "success that says no": (
        response(200, {"id": "i", "errors": True}),
        RequestOutcome.REJECTED,
        None,
    ),
    "success, broken JSON": (response(200, b'{"id":"i-'), RequestOutcome.UNCLEAR, None),
    "success, huge body": (response(200, CUT), RequestOutcome.UNCLEAR, None),
    "success, HTML": (response(200, HTML), RequestOutcome.MISCONFIGURED, None),
    "redirect": (
        response(302, location="https://evil.example/"),
        RequestOutcome.MISCONFIGURED,
        None,
    ),
    "redirect with an id": (
        response(307, {"id": "i-1"}, location="/x"),
        RequestOutcome.MISCONFIGURED,
        None,
    ),
    "400": (response(400, NO), RequestOutcome.REJECTED, None),
    "400 without a body": (response(400), RequestOutcome.REJECTED, None),
    "400, broken JSON": (response(400, b'{"errorCo'), RequestOutcome.UNAVAILABLE, None),
    "400, HTML": (response(400, HTML), RequestOutcome.UNAVAILABLE, None),
    "400, huge body": (response(400, CUT), RequestOutcome.UNAVAILABLE, None),
    "401": (response(401, {"message": "Unauthorized"}), RequestOutcome.MISCONFIGURED, None),
    "403, HTML": (response(403, HTML), RequestOutcome.MISCONFIGURED, None),
    "404": (response(404, {"errorCode": "NotFound"}), RequestOutcome.MISCONFIGURED, None),
    "409": (response(409, {"errorCode": "MultipleMatches"}), RequestOutcome.REJECTED, None),
    "422": (response(422, NO), RequestOutcome.REJECTED, None),
    "429": (response(429, NO), RequestOutcome.THROTTLED, None),
    "500": (response(500, {"message": "An error has occurred"}), RequestOutcome.UNCLEAR, None),
    "500 with an id": (response(500, {"id": "i-1"}), RequestOutcome.UNCLEAR, None),
    "502, HTML": (response(502, HTML), RequestOutcome.UNCLEAR, None),
    "503, huge body": (response(503, CUT), RequestOutcome.UNCLEAR, None),
    "connection refused": (NEVER_SENT, RequestOutcome.UNAVAILABLE, None),
    "read timeout": (NO_ANSWER, RequestOutcome.UNCLEAR, None),
}


def test_every_status_has_its_outcome() -> None:
    """Without a body the status decides."""
    check_statuses(BY_STATUS, classify)


@pytest.mark.parametrize(("said", "outcome", "reference"), ANSWERS.values(), ids=ANSWERS)
def test_every_kind_of_response_has_its_verdict(
    said: HttpResponse, outcome: RequestOutcome, reference: str | None
) -> None:
    """A refusal names nothing: there is one interaction in a request."""
    verdict = classify(said, 1)
    assert (verdict.outcome, verdict.vendor_ref, verdict.status) == (
        outcome,
        reference,
        said.status,
    )
    assert verdict.refused == {}
    assert len(verdict.detail) <= 600
