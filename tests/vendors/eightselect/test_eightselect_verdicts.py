"""8SELECT's answers and their verdicts, written out."""

import pytest

from streams.core.outcome import RequestOutcome
from streams.vendors.base import HttpResponse
from streams.vendors.eightselect.api import classify
from tests.vendors.verdict_tables import CUT, HTML, NEVER_SENT, NO_ANSWER, check_statuses, response

BY_STATUS = """
    100-199  unclear        no final answer
    200-299  accepted       no body is documented, so none is asked for
    300-399  misconfigured  a redirect is another address: the id stays here
    400      rejected       there is one event in a request
    401-407  misconfigured  id, contract, address, method, proxy
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
    500      unavailable
    501      misconfigured  not implemented: repeating does not help
    502-599  unavailable
"""
AJV = [{"instancePath": "/interact/product", "message": "must have required property 'sku'"}]
NO_SKU = {0: "/interact/product must have required property 'sku'"}
NO_ID = {"message": "Missing x-api-id header"}

ANSWERS: dict[str, tuple[HttpResponse, RequestOutcome, dict[int, str]]] = {
    # said by                       the response                              is        and refuses
    "success": (response(200, {}), RequestOutcome.ACCEPTED, {}),
    "success without a body": (response(204), RequestOutcome.ACCEPTED, {}),
    "success, no errors": (response(200, []), RequestOutcome.ACCEPTED, {}),
    "success, text": (response(200, b"OK"), RequestOutcome.ACCEPTED, {}),
    "success, broken JSON": (response(200, b'{"id": "cut o'), RequestOutcome.UNCLEAR, {}),
    "success, huge body": (response(200, CUT), RequestOutcome.UNCLEAR, {}),
    "success that says no": (response(200, AJV), RequestOutcome.REJECTED, NO_SKU),
    "success that says no, in errors": (
        response(200, {"errors": AJV}),
        RequestOutcome.REJECTED,
        NO_SKU,
    ),
    "success about the id": (response(200, NO_ID), RequestOutcome.MISCONFIGURED, {}),
    "success, HTML": (response(200, HTML), RequestOutcome.MISCONFIGURED, {}),
    "redirect": (response(301, location="https://evil.example/"), RequestOutcome.MISCONFIGURED, {}),
    "redirect, errors": (response(307, AJV, location="/x"), RequestOutcome.MISCONFIGURED, {}),
    "400 of Ajv": (response(400, AJV), RequestOutcome.REJECTED, NO_SKU),
    "400 about the id": (response(400, NO_ID), RequestOutcome.MISCONFIGURED, {}),
    "400 without a body": (response(400), RequestOutcome.REJECTED, {}),
    "400, broken JSON": (response(400, b'[{"instancePa'), RequestOutcome.UNAVAILABLE, {}),
    "400, HTML": (response(400, HTML), RequestOutcome.UNAVAILABLE, {}),
    "400, huge body": (response(400, CUT), RequestOutcome.UNAVAILABLE, {}),
    "401": (response(401, {"message": "Unauthorized"}), RequestOutcome.MISCONFIGURED, {}),
    "403, HTML": (response(403, HTML), RequestOutcome.MISCONFIGURED, {}),
    "404": (response(404), RequestOutcome.MISCONFIGURED, {}),
    "422 of Ajv": (response(422, {"errors": AJV}), RequestOutcome.REJECTED, NO_SKU),
    "429 with errors": (response(429, AJV), RequestOutcome.THROTTLED, {}),
    "500 with errors": (response(500, AJV), RequestOutcome.UNAVAILABLE, {}),
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
    said: HttpResponse, outcome: RequestOutcome, refused: dict[int, str]
) -> None:
    """A refusal that names nothing is about the one event of the request."""
    verdict = classify(said, 1)
    assert (verdict.outcome, verdict.refused, verdict.status) == (outcome, refused, said.status)
    assert len(verdict.detail) <= 600
