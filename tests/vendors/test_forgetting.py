"""Forgetting a visitor: which requests each vendor is to get, and what its responses mean."""

import json
from collections.abc import Sequence

import pytest
from pydantic import SecretStr

from streams.core.outcome import RequestOutcome
from streams.core.records import VendorRecord
from streams.vendors import VENDORS
from streams.vendors.base import Erasure, Forgetting, HttpResponse, Trail
from streams.vendors.eightselect import EightSelectSettings
from streams.vendors.miso import MisoSettings
from streams.vendors.voyado import VoyadoSettings

MISO = MisoSettings(api_key=SecretStr("key-1"))
VOYADO = VoyadoSettings(
    base_url="https://shop.voyado.com", api_key=SecretStr("key-2"), user_agent="Shop/1.0"
)
VISITOR = "0b2c6f0e-9a8e-4c57-8a39-1f0c4d2e7b11"
CONTACT = "5f9d2a4e-6a6b-4b5e-8d3f-2f1c7a9b0c3d"


def forgetting(vendor: str) -> Forgetting:
    """What this vendor documents."""
    found = VENDORS[vendor].forgetting
    assert found is not None
    return found


def subjects(vendor: str, payload: object) -> Sequence[str]:
    """By what a record with this payload names the person."""
    record = VendorRecord("e-1", "click", "2026-05-01T08:00:00.000Z", VISITOR, payload)
    return forgetting(vendor).subjects(record)


def response(status: int | None, body: bytes = b"", content_type: str = "") -> HttpResponse:
    """A response with this body."""
    return HttpResponse(status, {"content-type": content_type}, body)


def test_miso_is_sent_the_users_and_the_visitor_in_one_request() -> None:
    """With the key in a header; an id that both rows and records name stands there once."""
    trail = Trail(VISITOR, ("u-1", "u-2"), ("u-2", "u-3"))
    erasure = forgetting("miso").plan(trail, MISO)
    (request,) = erasure.requests
    assert (request.method, request.path) == ("DELETE", "/v1/interactions")
    assert request.headers == {"Content-Type": "application/json", "X-API-KEY": "key-1"}
    assert json.loads(request.body) == {"user_ids": ["u-1", "u-2", "u-3", VISITOR]}
    assert erasure.what == "all interactions of the visitor and of the users u-1, u-2, u-3"
    assert "by user id only" in erasure.by_hand
    alone = forgetting("miso").plan(Trail(VISITOR), MISO)
    assert json.loads(alone.requests[0].body) == {"user_ids": [VISITOR]}
    assert alone.what == "all interactions of the visitor"


def test_voyado_is_sent_one_request_for_each_interaction() -> None:
    """Addresses speak of a person, so they are never shown; ids from answers are quoted."""
    trail = Trail(VISITOR, subjects=(CONTACT,), references=("i-1", "../contacts/7?x"))
    erasure = forgetting("voyado").plan(trail, VOYADO)
    assert [(r.method, r.path) for r in erasure.requests] == [
        ("DELETE", "/api/v3/interactions/i-1"),
        ("DELETE", "/api/v3/interactions/..%2Fcontacts%2F7%3Fx"),
    ]
    assert erasure.requests[0].headers == {
        "apikey": "key-2",
        "User-Agent": "Shop/1.0",
        "Content-Type": "application/json",
    }
    assert "key-2" not in repr(erasure)
    assert erasure.what == "2 interactions"
    assert CONTACT in erasure.by_hand
    assert forgetting("voyado").plan(Trail(VISITOR), VOYADO).requests == ()


@pytest.mark.parametrize(
    ("settings", "trail", "named"),
    [
        (EightSelectSettings(), Trail(VISITOR), f"name the user id {VISITOR}."),
        (EightSelectSettings(), Trail("v-1"), "to learn which user id to name."),
        (
            EightSelectSettings(user_id_secret=SecretStr("a-long-secret")),
            Trail("v-1", subjects=(CONTACT,)),
            f"name the user ids {CONTACT}, ",
        ),
        (EightSelectSettings(), Trail("v-1", eightselect_user_ids=(CONTACT,)), f"id {CONTACT}."),
    ],
    ids=["a UUID", "no secret", "a cookie and the secret", "a row's cookie"],
)
def test_8select_gets_no_request_but_one_is_told_whom_to_name(
    settings: EightSelectSettings, trail: Trail, named: str
) -> None:
    """It documents no way to delete."""
    erasure = forgetting("eightselect").plan(trail, settings)
    assert (erasure.requests, erasure.what) == ((), "")
    assert erasure.by_hand.startswith("8SELECT documents no way to delete: ask it in writing, and ")
    assert named in erasure.by_hand


def test_the_person_is_read_from_the_records_that_were_sent() -> None:
    """The user at Miso, the contact at Voyado, the UUID at 8SELECT."""
    assert subjects("miso", {"user_id": "u-1", "anonymous_id": VISITOR}) == ("u-1",)
    assert subjects("voyado", {"contactId": CONTACT, "payload": {}}) == (CONTACT,)
    context = [{"type": "content", "content": {}}, {"type": "user", "user": {"id": CONTACT}}]
    assert subjects("eightselect", {"type": "interact", "context": context}) == (CONTACT,)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    "payload",
    [None, [], "x", {}, {"user_id": 7, "contactId": [], "context": {}}, {"context": [1, {}]}],
)
def test_a_record_of_another_shape_names_nobody(vendor: str, payload: object) -> None:
    """Whoever wrote it."""
    assert subjects(vendor, payload) == ()


PAGE = (b"<html>not here</html>", "text/html")
JSON_404 = (b'{"errorCode":"InteractionNotFound"}', "application/json")


@pytest.mark.parametrize(
    ("vendor", "status", "body", "outcome"),
    [
        ("miso", 200, (b'{"message":"success"}', ""), RequestOutcome.ACCEPTED),
        (
            "miso",
            422,
            (b'{"detail":[{"loc":["body"],"msg":"field required"}]}', ""),
            RequestOutcome.REJECTED,
        ),
        ("miso", 401, (b'{"message":"invalid api key."}', ""), RequestOutcome.MISCONFIGURED),
        ("miso", 429, (b"", ""), RequestOutcome.THROTTLED),
        ("miso", 503, (b"", ""), RequestOutcome.UNAVAILABLE),
        ("miso", None, (b"", ""), RequestOutcome.UNCLEAR),
        ("voyado", 204, (b"", ""), RequestOutcome.ACCEPTED),
        ("voyado", 200, (b"{}", ""), RequestOutcome.ACCEPTED),
        ("voyado", 404, JSON_404, RequestOutcome.ACCEPTED),
        ("voyado", 404, PAGE, RequestOutcome.MISCONFIGURED),
        ("voyado", 401, (b"{}", ""), RequestOutcome.MISCONFIGURED),
        ("voyado", 400, (b"{}", ""), RequestOutcome.REJECTED),
        ("voyado", 429, (b"", ""), RequestOutcome.THROTTLED),
        ("voyado", 500, (b"", ""), RequestOutcome.UNAVAILABLE),
    ],
)
def test_responses_to_a_deletion(
    vendor: str, status: int | None, body: tuple[bytes, str], outcome: RequestOutcome
) -> None:
    """What is not there at Voyado is deleted; a page of something else deletes nothing."""
    assert forgetting(vendor).classify(response(status, *body)).outcome is outcome


def test_an_erasure_says_nothing_by_itself() -> None:
    """A vendor without requests and words has nothing to say."""
    assert Erasure() == Erasure((), "", "")
