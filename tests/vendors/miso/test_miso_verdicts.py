"""Miso's responses and their verdicts, written out."""

from typing import Any

import pytest

from streams.core.outcome import RequestOutcome
from streams.vendors.base import HttpResponse
from streams.vendors.miso.api import classify
from tests.vendors.verdict_tables import CUT, HTML, NEVER_SENT, NO_ANSWER, check_statuses, response

BY_STATUS = """
    100-199  unclear        no final answer
    200-203  unclear        an empty body is not the documented success
    204      accepted       it cannot have a body
    205-299  unclear
    300-399  misconfigured  a redirect is another address: the key stays here
    400      unavailable    no object: not Miso's, so no record is to blame
    401-407  misconfigured  key, contract, address, method, proxy
    408      throttled
    409      unavailable
    410-411  misconfigured
    412      unavailable
    413      rejected       goes again in halves
    414-415  misconfigured
    416-420  unavailable
    421      misconfigured
    422-424  unavailable    422: the lines of its body name the records
    425      throttled
    426      misconfigured
    427-428  unavailable
    429      throttled
    430      unavailable
    431      misconfigured
    432-450  unavailable
    451      misconfigured
    452-499  unavailable
    500      unavailable
    501      misconfigured  not implemented: repeating does not help
    502-599  unavailable
"""
A, B = "data.0.type is invalid. Unknown.", "data.2.sku (5) is invalid. No string."
BOTH = {0: "type is invalid. Unknown.", 2: "sku is invalid. No string."}
PLACES = [{"loc": ["body", "data", 1, "type"], "msg": "bad"}]

ANSWERS: dict[str, tuple[HttpResponse, RequestOutcome, dict[int, str]]] = {
    # said by                       the response                              is        and refuses
    "success": (response(200, {"message": "success"}), RequestOutcome.ACCEPTED, {}),
    "success, errors: false": (
        response(200, {"errors": False, "data": []}),
        RequestOutcome.ACCEPTED,
        {},
    ),
    "success without a body": (response(204), RequestOutcome.ACCEPTED, {}),
    "success that says no": (
        response(200, {"errors": True, "data": [A, B]}),
        RequestOutcome.REJECTED,
        BOTH,
    ),
    "success that says no, unnamed": (response(200, {"errors": True}), RequestOutcome.REJECTED, {}),
    "success, broken JSON": (response(200, b'{"message": "succ'), RequestOutcome.UNCLEAR, {}),
    "success, huge body": (response(200, CUT), RequestOutcome.UNCLEAR, {}),
    "success, HTML": (response(200, HTML), RequestOutcome.MISCONFIGURED, {}),
    "success, other JSON": (response(200, [1, 2]), RequestOutcome.MISCONFIGURED, {}),
    "redirect": (response(302, location="https://evil.example/"), RequestOutcome.MISCONFIGURED, {}),
    "redirect, HTML": (response(308, HTML, location="/x"), RequestOutcome.MISCONFIGURED, {}),
    "422 lines": (response(422, {"errors": True, "data": [A, B]}), RequestOutcome.REJECTED, BOTH),
    "422 places": (response(422, {"detail": PLACES}), RequestOutcome.REJECTED, {1: "type: bad"}),
    "422 without a body": (response(422), RequestOutcome.UNAVAILABLE, {}),
    "422, broken JSON": (response(422, b'{"errors": true, "da'), RequestOutcome.UNAVAILABLE, {}),
    "422, HTML": (response(422, HTML), RequestOutcome.UNAVAILABLE, {}),
    "422, huge body": (response(422, CUT), RequestOutcome.UNAVAILABLE, {}),
    "422 naming no record of ours": (
        response(422, {"data": ["data.7.type is invalid. x"]}),
        RequestOutcome.REJECTED,
        {},
    ),
    "400": (response(400, {"message": "Bad request."}), RequestOutcome.REJECTED, {}),
    "400 playground": (
        response(400, {"message": "Upload to the Playground is disabled."}),
        RequestOutcome.MISCONFIGURED,
        {},
    ),
    "400 timeout": (response(400, {"message": "Request timeout."}), RequestOutcome.UNCLEAR, {}),
    "401": (response(401, {"message": "Unauthorized"}), RequestOutcome.MISCONFIGURED, {}),
    "403, HTML": (response(403, HTML), RequestOutcome.MISCONFIGURED, {}),
    "404, HTML": (response(404, HTML), RequestOutcome.MISCONFIGURED, {}),
    "413, HTML": (response(413, HTML), RequestOutcome.REJECTED, {}),
    "429": (response(429, {"errors": True}), RequestOutcome.THROTTLED, {}),
    "500 that names records": (
        response(500, {"errors": True, "data": [A]}),
        RequestOutcome.UNAVAILABLE,
        {},
    ),
    "502, HTML": (response(502, HTML), RequestOutcome.UNAVAILABLE, {}),
    "503, huge body": (response(503, CUT), RequestOutcome.UNAVAILABLE, {}),
    "connection refused": (NEVER_SENT, RequestOutcome.UNAVAILABLE, {}),
    "read timeout": (NO_ANSWER, RequestOutcome.UNCLEAR, {}),
}


def test_every_status_has_its_outcome() -> None:
    """Without a body the status decides."""
    check_statuses(BY_STATUS, classify)


@pytest.mark.parametrize(("said", "outcome", "refused"), ANSWERS.values(), ids=ANSWERS)
def test_every_kind_of_response_has_its_verdict(
    said: HttpResponse, outcome: RequestOutcome, refused: dict[int, Any]
) -> None:
    """About a request of three records."""
    verdict = classify(said, 3)
    assert (verdict.outcome, verdict.refused, verdict.status) == (outcome, refused, said.status)
    assert len(verdict.detail) <= 600
