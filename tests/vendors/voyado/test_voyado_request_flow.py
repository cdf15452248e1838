"""The request flow with Voyado: which requests are made, in which order, and what comes of it."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.outcome import DeadLetterReason, RequestOutcome, SkipReason, Verdict
from streams.vendors.base import HttpRequest, HttpResponse, Parcel
from streams.vendors.voyado import VENDOR, VoyadoSettings
from streams.vendors.voyado.memory import Clicks, ContactMemory, Expiring

KEY = "voyado-secret-key-0815"
SETTINGS = VoyadoSettings.model_validate({"api_key": KEY, "user_agent": "AcmeShop/1.5"})
CONTACT = "5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66"
OTHER = "77777777-6f0a-4f1c-8a3e-1d2c3b4a5f66"
STRING, NUMBER = {"type": "string"}, {"type": "number"}
SCHEMA: dict[str, Any] = {
    "id": "productClick",
    "jsonSchema": {
        "properties": {"eventId": STRING, "productSku": STRING, "brand": STRING, "price": NUMBER},
        "required": ["eventId"],
    },
}
MISSING = HttpResponse(404, {}, b'{"errorCode":"NotFound"}')


def ok(content: Any, status: int = 200) -> HttpResponse:
    """Return a response with this content as JSON."""
    return HttpResponse(status, {"content-type": "application/json"}, json.dumps(content).encode())


class Voyado:
    """Voyado with a memory: answers by question, each of which a test may replace."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.posted: list[Any] = []
        self.schema: HttpResponse | list[HttpResponse] = ok(SCHEMA)
        self.contact: HttpResponse | list[HttpResponse] = ok(CONTACT)
        self.pages: list[HttpResponse] = [ok({"items": [], "links": []})]
        self.post: HttpResponse | list[HttpResponse] = ok({"id": "i-1"})

    def response(self, request: HttpRequest) -> HttpResponse:
        """Return what a test wants to be answered, and remember the question."""
        path = urlsplit(request.path)
        if "interactionschemas" in path.path:
            self.asked.append("schema")
            return _next(self.schema)
        if "contacts" in path.path:
            self.asked.append(f"contact {path.query}")
            return _next(self.contact)
        if request.method == "GET":
            token = parse_qs(path.query).get("continuation", [""])[0]
            self.asked.append(f"list {token}".strip())
            return _next(self.pages)
        self.asked.append("post")
        self.posted.append(json.loads(request.body))
        return _next(self.post)


def _next(answers: HttpResponse | list[HttpResponse]) -> HttpResponse:
    if isinstance(answers, HttpResponse):
        return answers
    return answers.pop(0) if len(answers) > 1 else answers[0]


def event(
    event_id: str = "e-1",
    kind: str = "click",
    at: str = "2026-11-20T09:59:58.120Z",
    contact: dict[str, str] | str = CONTACT,
    **payload: Any,
) -> dict[str, Any]:
    """Return a vendor record of a contact id, or of the key to look it up by."""
    body: dict[str, Any] = {
        "schemaId": "productClick" if kind == "click" else "addToCart",
        "createdDate": at,
        "payload": {"eventId": event_id, "productSku": "8S-1042", "brand": "Acme"} | payload,
    }
    record: dict[str, Any] = {
        "event_id": event_id,
        "event_type": kind,
        "timestamp": at,
        "anonymous_id": "visitor-7",
        "payload": body if isinstance(contact, dict) else {"contactId": contact} | body,
    }
    return record | ({"contact": contact} if isinstance(contact, dict) else {})


def deliver(
    voyado: Voyado,
    record: Any,
    memory: ContactMemory,
    *,
    unclear: bool = False,
    now: float = 1000.0,
    **settings: Any,
) -> Verdict:
    """Lead one request flow to its end."""
    encoded = record if isinstance(record, bytes) else json.dumps(record).encode()
    try:
        payload = bytes(msgspec.json.decode(encoded, type=dict[str, msgspec.Raw])["payload"])
    except (msgspec.DecodeError, KeyError):
        payload = b""
    parcel = Parcel([payload], [encoded], unclear, 0, now)
    flow = VENDOR.start_flow(parcel, SETTINGS.model_copy(update=settings), memory)
    try:
        request = next(flow)
        while True:
            request = flow.send(voyado.response(request))
    except StopIteration as end:
        verdict = end.value
        assert isinstance(verdict, Verdict)
        return verdict


# -- the usual way


def test_schema_is_asked_once_and_the_payload_posted_as_it_is() -> None:
    """One look at the schema, then one request an event."""
    voyado, memory = Voyado(), ContactMemory()
    for number in (1, 2):
        verdict = deliver(voyado, event(f"e-{number}", productSku=f"s-{number}"), memory)
        assert verdict == Verdict(RequestOutcome.ACCEPTED, "200", 200, vendor_ref="i-1")
    assert voyado.asked == ["schema", "post", "post"]
    assert voyado.posted[1] == event("e-2", productSku="s-2")["payload"]


def test_schema_is_asked_again_after_an_hour() -> None:
    """Somebody may have made it anew, with other properties."""
    voyado, memory = Voyado(), ContactMemory()
    for now in (0.0, 3599.0, 3600.0):
        deliver(voyado, event(f"e-{now}", "add_to_cart"), memory, now=now)
    assert voyado.asked == ["schema", "post", "post", "schema", "post"]


def test_contact_is_looked_up_and_put_into_the_body() -> None:
    """Found is remembered for a day."""
    voyado, memory = Voyado(), ContactMemory()
    for now in (0.0, 86_399.0, 86_400.0):
        record = event(f"e-{now}", "add_to_cart", contact={"customKey": "C 7001"})
        assert deliver(voyado, record, memory, now=now).outcome is RequestOutcome.ACCEPTED
    assert [asked for asked in voyado.asked if asked != "schema"] == [
        "contact customKey=C+7001",
        "post",
        "post",
        "contact customKey=C+7001",
        "post",
    ]
    sent = event("e-0.0", "add_to_cart", contact={"customKey": "C 7001"})["payload"]
    assert voyado.posted[0] == sent | {"contactId": CONTACT}


def test_property_that_the_schema_lacks_is_left_out() -> None:
    """Nothing else changes."""
    voyado = Voyado()
    deliver(voyado, event(url="https://shop.example", price=19.9), ContactMemory())
    assert voyado.posted == [event(price=19.9)["payload"]]


# -- no contact


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "ContactNotFound", "404 ContactNotFound"),
        (409, "MultipleMatches", "409 MultipleMatches"),
        (400, "InvalidEmailAddress", "400 InvalidEmailAddress"),
        (404, "Other", "404"),
    ],
)
def test_visitor_without_a_contact_is_skipped(status: int, code: str, words: str) -> None:
    """Only the code is kept: a 409 lists other people, a message may name them."""
    voyado, memory = Voyado(), ContactMemory()
    details = {"multipleMatchesFound": [OTHER, "jane@shop.example"]}
    body = {"errorCode": code, "message": "jane@shop.example?", "messageDetails": details}
    voyado.contact = ok(body, status)
    for now in (0.0, 299.0, 300.0):
        record = event(contact={"email": "jane@shop.example"})
        verdict = deliver(voyado, record, memory, now=now)
        assert verdict == Verdict(RequestOutcome.SKIPPED, words, status, skip=SkipReason.NO_CONTACT)
    assert len([asked for asked in voyado.asked if asked.startswith("contact")]) == 2
    assert voyado.posted == []


def test_look_up_by_a_page_of_a_proxy_is_a_wrong_address() -> None:
    """Otherwise every visitor would count as no contact."""
    voyado = Voyado()
    voyado.contact = HttpResponse(404, {"content-type": "text/html"}, b"<html>no</html>")
    verdict = deliver(voyado, event(contact={"customKey": "C7001"}), ContactMemory())
    assert verdict.outcome is RequestOutcome.MISCONFIGURED


@pytest.mark.parametrize("body", [b"{}", b'"jane"', b"", b'{"id":"x"}', b"null"])
def test_look_up_that_returns_no_id_is_a_wrong_address(body: bytes) -> None:
    """A success that is not Voyado's."""
    voyado = Voyado()
    voyado.contact = HttpResponse(200, {}, body)
    verdict = deliver(voyado, event(contact={"customKey": "C7001"}), ContactMemory())
    words = "200, but the response to the look-up is no contact id; check base_url"
    assert verdict == Verdict(RequestOutcome.MISCONFIGURED, words, 200)
    assert voyado.posted == []


# -- questions that fail

NO_ANSWER = HttpResponse(None, {}, b"", "no response within 60 s")


@pytest.mark.parametrize("question", ["schema", "contact", "pages"])
@pytest.mark.parametrize(
    ("response", "outcome", "wait"),
    [
        (ok({"message": "An error has occurred"}, 500), RequestOutcome.UNAVAILABLE, None),
        (NO_ANSWER, RequestOutcome.UNAVAILABLE, None),
        (HttpResponse(None, {}, b"", "refused", was_sent=False), RequestOutcome.UNAVAILABLE, None),
        (HttpResponse(429, {"retry-after": "9"}, b""), RequestOutcome.THROTTLED, 9.0),
        (ok({}, 401), RequestOutcome.MISCONFIGURED, None),
        (ok({}, 403), RequestOutcome.MISCONFIGURED, None),
        (ok({}, 422), RequestOutcome.MISCONFIGURED, None),
        (HttpResponse(302, {}, b""), RequestOutcome.MISCONFIGURED, None),
    ],
)
def test_question_that_fails_leaves_the_event_unsent(
    question: str, response: HttpResponse, outcome: RequestOutcome, wait: float | None
) -> None:
    """Nothing was stored by a GET: the event goes again as it is."""
    voyado = Voyado()
    setattr(voyado, question, [response])
    record = event(contact={"customKey": "C7001"})
    verdict = deliver(voyado, record, ContactMemory(), unclear=question == "pages")
    assert (verdict.outcome, verdict.retry_after_seconds) == (outcome, wait)
    assert voyado.posted == []


def test_schema_that_is_missing_parks() -> None:
    """The words name the schema and the setting."""
    voyado = Voyado()
    voyado.schema = MISSING
    verdict = deliver(voyado, event(kind="add_to_cart"), ContactMemory())
    words = "404, there is no schema addToCart; create it or correct add_to_cart_schema_id"
    assert verdict == Verdict(RequestOutcome.MISCONFIGURED, words, 404)


def test_schema_without_event_id_parks() -> None:
    """It would make a repeat unrecognisable."""
    voyado, memory = Voyado(), ContactMemory()
    voyado.schema = ok({"jsonSchema": {"properties": {"productSku": STRING}}})
    for _ in range(2):
        verdict = deliver(voyado, event(), memory)
        assert verdict == Verdict(
            RequestOutcome.MISCONFIGURED,
            "schema productClick has no property eventId, by which a repeat is recognised; "
            "name another in click_schema_id",
            200,
        )
    assert voyado.asked == ["schema", "schema"]


def test_payload_that_would_be_ignored_is_a_dead_letter() -> None:
    """Voyado would answer with success."""
    voyado = Voyado()
    verdict = deliver(voyado, event(price="19.90"), ContactMemory())
    words = "schema productClick: price is no number, as the schema wants it"
    assert verdict == Verdict(
        RequestOutcome.REJECTED, words, letter=DeadLetterReason.INVALID_PAYLOAD
    )
    assert voyado.posted == []


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        event() | {"payload": 5},
        event() | {"payload": {}},
        event() | {"timestamp": "yesterday"},
        event(contact={}),
        event(contact={"customKey": ""}),
        event(contact=""),
    ],
)
def test_foreign_record_is_a_dead_letter(record: Any) -> None:
    """No request is made for it."""
    voyado = Voyado()
    verdict = deliver(voyado, record, ContactMemory())
    assert verdict.letter is DeadLetterReason.INVALID_PAYLOAD
    assert verdict.detail.startswith("this is no interaction: ")
    assert voyado.asked == []


# -- answers to the POST


def test_404_with_the_schema_there_is_an_unknown_contact() -> None:
    """The schema is asked for anew, whatever is remembered."""
    voyado = Voyado()
    voyado.post = ok({"errorCode": "ContactNotFound", "message": "Not found."}, 404)
    verdict = deliver(voyado, event(), ContactMemory())
    assert verdict == Verdict(
        RequestOutcome.REJECTED,
        "404 ContactNotFound Not found.",
        404,
        letter=DeadLetterReason.UNKNOWN_CONTACT,
    )
    assert voyado.asked == ["schema", "post", "schema"]


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (MISSING, RequestOutcome.MISCONFIGURED),
        (ok({}, 401), RequestOutcome.MISCONFIGURED),
        (ok({}, 500), RequestOutcome.UNAVAILABLE),
        (ok({}, 429), RequestOutcome.THROTTLED),
    ],
)
def test_404_without_the_schema_is_no_ones_fault(
    response: HttpResponse, outcome: RequestOutcome
) -> None:
    """The event stays as it is until the question is answered."""
    voyado = Voyado()
    voyado.schema = [ok(SCHEMA), response]
    voyado.post = MISSING
    assert deliver(voyado, event(), ContactMemory()).outcome is outcome


def test_remembered_contact_that_is_unknown_is_looked_up_again() -> None:
    """Contacts are merged: the event goes to whom the key names now."""
    voyado, memory = Voyado(), ContactMemory()
    voyado.contact = [ok(CONTACT), ok(OTHER)]
    voyado.post = [ok({"id": "i-1"}), MISSING, ok({"id": "i-2"})]
    key = {"customKey": "C7001"}
    deliver(voyado, event("e-1", "add_to_cart", contact=key), memory)
    verdict = deliver(voyado, event("e-2", "add_to_cart", contact=key), memory)
    assert (verdict.outcome, verdict.vendor_ref) == (RequestOutcome.ACCEPTED, "i-2")
    assert [body["contactId"] for body in voyado.posted] == [CONTACT, CONTACT, OTHER]


@pytest.mark.parametrize(
    ("again", "outcome", "posts"),
    [
        (ok(CONTACT), RequestOutcome.REJECTED, 2),
        (MISSING, RequestOutcome.SKIPPED, 2),
        (NO_ANSWER, RequestOutcome.UNAVAILABLE, 2),
    ],
)
def test_look_up_again_may_find_the_same_or_nobody(
    again: HttpResponse, outcome: RequestOutcome, posts: int
) -> None:
    """The same: unknown contact. Nobody: no contact."""
    voyado, memory = Voyado(), ContactMemory()
    voyado.contact = [ok(CONTACT), again]
    voyado.post = [ok({"id": "i-1"}), MISSING]
    key = {"customKey": "C7001"}
    deliver(voyado, event("e-1", "add_to_cart", contact=key), memory)
    verdict = deliver(voyado, event("e-2", "add_to_cart", contact=key), memory)
    assert (verdict.outcome, len(voyado.posted)) == (outcome, posts)
    if outcome is RequestOutcome.REJECTED:
        assert verdict.letter is DeadLetterReason.UNKNOWN_CONTACT


def test_contact_just_found_is_not_looked_up_twice() -> None:
    """A response of this moment cannot be outdated."""
    voyado = Voyado()
    voyado.post = MISSING
    verdict = deliver(voyado, event(contact={"customKey": "C7001"}), ContactMemory())
    assert voyado.asked == ["schema", "contact customKey=C7001", "post", "schema"]
    assert verdict.letter is DeadLetterReason.UNKNOWN_CONTACT


def test_success_without_an_id_is_asked_about() -> None:
    """Stored: accepted with its id. Not stored: it was ignored."""
    stored = ok({"data": [{"id": "i-9", "payload": {"eventId": "e-1"}}]})
    found = "200 found among the contact's interactions"
    gone = "200 without an id, and the interaction was not stored"
    for page, verdict in (
        (stored, Verdict(RequestOutcome.ACCEPTED, found, 200, vendor_ref="i-9")),
        (ok([]), Verdict(RequestOutcome.REJECTED, gone, 200)),
    ):
        voyado = Voyado()
        voyado.post, voyado.pages = ok({}), [page]
        assert deliver(voyado, event(), ContactMemory()) == verdict
        assert voyado.asked == ["schema", "post", "list"]


@pytest.mark.parametrize("response", [ok({}, 500), ok({}, 429), ok({}, 401), NO_ANSWER])
def test_success_without_an_id_that_cannot_be_asked_about_is_unclear(
    response: HttpResponse,
) -> None:
    """It is looked for before it is sent again."""
    voyado = Voyado()
    voyado.post, voyado.pages = ok({}), [response]
    assert deliver(voyado, event(), ContactMemory()).outcome is RequestOutcome.UNCLEAR


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (ok({"message": "An error has occurred"}, 500), RequestOutcome.UNCLEAR),
        (NO_ANSWER, RequestOutcome.UNCLEAR),
        (HttpResponse(None, {}, b"", "refused", was_sent=False), RequestOutcome.UNAVAILABLE),
        (ok({}, 429), RequestOutcome.THROTTLED),
        (ok({}, 401), RequestOutcome.MISCONFIGURED),
        (ok({"message": "No."}, 400), RequestOutcome.REJECTED),
    ],
)
def test_other_responses_to_a_post(response: HttpResponse, outcome: RequestOutcome) -> None:
    """As they are classified."""
    voyado = Voyado()
    voyado.post = response
    assert deliver(voyado, event(), ContactMemory()).outcome is outcome


# -- look before repeating


def test_unclear_event_is_looked_for_and_not_sent_again() -> None:
    """Accepted, with the id that Voyado gave it."""
    voyado = Voyado()
    voyado.pages = [ok({"items": [{"id": "i-7", "payload": {"eventId": "e-1"}}]})]
    verdict = deliver(voyado, event(), ContactMemory(), unclear=True)
    words = "200 found among the contact's interactions"
    assert verdict == Verdict(RequestOutcome.ACCEPTED, words, 200, vendor_ref="i-7")
    assert voyado.asked == ["schema", "list"]


@pytest.mark.parametrize("page", [ok({"items": []}), ok([]), MISSING])
def test_unclear_event_that_is_not_there_is_sent(page: HttpResponse) -> None:
    """Nobody there to have it is as good as an empty list: the POST says what is missing."""
    voyado = Voyado()
    voyado.pages = [page]
    assert deliver(voyado, event(), ContactMemory(), unclear=True).vendor_ref == "i-1"
    assert voyado.asked == ["schema", "list", "post"]


def page_of(*event_ids: str, token: str = "", form: str = "items") -> HttpResponse:
    """Return a page with these events and a continuation."""
    content: dict[str, Any] = {
        form: [{"id": f"i-{id_}", "payload": {"eventId": id_}} for id_ in event_ids]
    }
    if token and form == "data":
        content["continuation"] = token
    elif token:
        content["links"] = [{"rel": "next", "href": f"/x?continuation={token}", "method": "GET"}]
    return ok(content)


@pytest.mark.parametrize("form", ["items", "data"])
def test_list_is_read_to_its_end(form: str) -> None:
    """Page by page, until it is found."""
    voyado = Voyado()
    voyado.pages = [
        page_of("e-8", token="t1", form=form),
        page_of("e-9", token="t2", form=form),
        page_of("e-1", token="t3", form=form),
    ]
    assert deliver(voyado, event(), ContactMemory(), unclear=True).vendor_ref == "i-e-1"
    assert voyado.asked == ["schema", "list", "list t1", "list t2"]


def test_list_that_goes_in_circles_is_no_response() -> None:
    """Neither found nor not found: it is tried again later, and not sent."""
    voyado = Voyado()
    voyado.pages = [page_of("e-8", token="t1"), page_of("e-9", token="t1")]
    verdict = deliver(voyado, event(), ContactMemory(), unclear=True)
    assert verdict == Verdict(
        RequestOutcome.UNAVAILABLE, "the list of interactions goes in circles"
    )
    assert voyado.posted == []


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b'{"items":[', RequestOutcome.UNAVAILABLE),
        (b"{}", RequestOutcome.MISCONFIGURED),
        (b"<html>Log in</html>", RequestOutcome.MISCONFIGURED),
    ],
)
def test_response_that_is_no_list_is_not_taken_for_an_empty_one(
    body: bytes, outcome: RequestOutcome
) -> None:
    """Sending then could be a blind repeat."""
    voyado = Voyado()
    voyado.pages = [HttpResponse(200, {}, body)]
    assert deliver(voyado, event(), ContactMemory(), unclear=True).outcome is outcome
    assert voyado.posted == []


# -- thinning


@pytest.mark.parametrize(
    ("at", "more", "sent"),
    [
        ("2026-11-20T10:00:00.000Z", {}, False),
        ("2026-11-20T10:29:59.999Z", {}, False),
        ("2026-11-20T10:30:00.000Z", {}, True),
        ("2026-11-20T09:59:59.999Z", {}, True),
        ("2026-11-20T10:01:00.000Z", {"productSku": "8S-2"}, True),
        ("2026-11-20T10:01:00.000Z", {"contact": OTHER}, True),
        ("2026-11-20T10:01:00.000Z", {"contact": CONTACT.upper()}, False),
        ("2026-11-20T10:01:00.000Z", {"kind": "add_to_cart"}, True),
    ],
)
def test_click_after_an_accepted_one_is_thinned(at: str, more: dict[str, Any], sent: bool) -> None:
    """Of the same contact and SKU, within 30 minutes before it, by the events' own times."""
    voyado, memory = Voyado(), ContactMemory()
    deliver(voyado, event("e-1", at="2026-11-20T10:00:00.000Z"), memory)
    verdict = deliver(voyado, event("e-2", at=at, **more), memory)
    if sent:
        assert verdict.outcome is RequestOutcome.ACCEPTED
    else:
        words = "a click within 30 minutes was accepted"
        assert verdict == Verdict(RequestOutcome.SKIPPED, words, skip=SkipReason.THINNED)
    assert len(voyado.posted) == 1 + sent


def test_late_click_between_two_accepted_ones_is_thinned_by_the_earlier() -> None:
    """Whatever came after it: 10:10 lies within 30 minutes of 10:00, 10:35 of neither."""
    voyado, memory = Voyado(), ContactMemory()
    outcomes = [
        deliver(voyado, event(f"e-{at}", at=f"2026-11-20T{at}:00.000Z"), memory).outcome
        for at in ("10:00", "10:40", "10:10", "10:29", "10:35", "10:50", "09:59")
    ]
    accepted, skipped = RequestOutcome.ACCEPTED, RequestOutcome.SKIPPED
    assert outcomes == [accepted, accepted, skipped, skipped, accepted, skipped, accepted]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3)), max_size=40))
def test_thinning_is_what_the_contract_says(arrivals: list[tuple[int, int]]) -> None:
    """Thinned if another accepted click lies in the 30 minutes before it, in any order."""
    clicks, accepted = Clicks(), list[tuple[int, str]]()
    for minute, number in arrivals:
        at, event_id = minute * 60_000, f"e-{minute}-{number}"
        expected = any(
            0 <= at - earlier < 30 * 60_000 and other != event_id for earlier, other in accepted
        )
        assert clicks.thin_out("c", "s", at, event_id) == expected
        if not expected:
            accepted.append((at, event_id))
            clicks.accepted("c", "s", at, event_id)
    assert len(clicks) == len(set(accepted))


def test_thinned_click_does_not_thin_the_next() -> None:
    """What counts is the last accepted one: after 30 minutes one goes out again."""
    voyado, memory = Voyado(), ContactMemory()
    outcomes = [
        deliver(voyado, event(f"e-{minute}", at=f"2026-11-20T10:{minute}:00.000Z"), memory).outcome
        for minute in (10, 25, 39, 40, 55)
    ]
    accepted, skipped = RequestOutcome.ACCEPTED, RequestOutcome.SKIPPED
    assert outcomes == [accepted, skipped, skipped, accepted, skipped]


@pytest.mark.parametrize(
    "response", [ok({}, 400), ok({}, 429), ok({}, 500), MISSING, ok({"errors": True})]
)
def test_click_that_was_not_accepted_thins_nothing(response: HttpResponse) -> None:
    """Otherwise both would be lost."""
    voyado, memory = Voyado(), ContactMemory()
    voyado.post = [response, ok({"id": "i-2"})]
    deliver(voyado, event("e-1"), memory)
    assert deliver(voyado, event("e-2"), memory).outcome is RequestOutcome.ACCEPTED


def test_add_to_cart_thins_no_click() -> None:
    """Add-to-carts neither count nor are thinned."""
    voyado, memory = Voyado(), ContactMemory()
    for number in range(2):
        deliver(voyado, event(f"c-{number}", "add_to_cart"), memory)
    assert deliver(voyado, event("e-1"), memory).outcome is RequestOutcome.ACCEPTED
    assert len(voyado.posted) == 3


def test_click_that_comes_again_is_not_thinned_by_itself() -> None:
    """It was accepted before its partition moved away and back, and its receipt was lost."""
    voyado, memory = Voyado(), ContactMemory()
    deliver(voyado, event("e-1"), memory)
    voyado.pages = [page_of("e-1")]
    assert deliver(voyado, event("e-1"), memory, unclear=True).outcome is RequestOutcome.ACCEPTED
    assert len(voyado.posted) == 1


def test_click_found_by_looking_thins_as_well() -> None:
    """It was accepted, however that became known."""
    voyado, memory = Voyado(), ContactMemory()
    voyado.pages = [page_of("e-1")]
    deliver(voyado, event("e-1"), memory, unclear=True)
    assert deliver(voyado, event("e-2"), memory).skip is SkipReason.THINNED


def test_unclear_click_is_looked_for_before_it_is_thinned() -> None:
    """If it is stored, it is accepted, not skipped."""
    voyado, memory = Voyado(), ContactMemory()
    deliver(voyado, event("e-1"), memory)
    voyado.pages = [page_of("e-2")]
    assert deliver(voyado, event("e-2"), memory, unclear=True).vendor_ref == "i-e-2"
    voyado.pages = [page_of("e-2")]
    assert deliver(voyado, event("e-3"), memory, unclear=True).skip is SkipReason.THINNED


def test_all_clicks_are_sent_if_the_shop_wants_it() -> None:
    """``clicks = "all"``."""
    voyado, memory = Voyado(), ContactMemory()
    for number in range(3):
        verdict = deliver(voyado, event(f"e-{number}"), memory, clicks="all")
        assert verdict.outcome is RequestOutcome.ACCEPTED


def test_clicks_switched_off_meanwhile_are_not_sent() -> None:
    """Records of clicks may still wait; one that may be stored is looked for."""
    voyado, memory = Voyado(), ContactMemory()
    verdict = deliver(voyado, event(), memory, clicks="off")
    assert verdict == Verdict(RequestOutcome.SKIPPED, "clicks are off", skip=SkipReason.THINNED)
    assert voyado.asked == []
    assert (
        deliver(voyado, event(), memory, unclear=True, clicks="off").outcome
        is RequestOutcome.SKIPPED
    )
    voyado.pages = [page_of("e-1")]
    assert (
        deliver(voyado, event(), memory, unclear=True, clicks="off").outcome
        is RequestOutcome.ACCEPTED
    )
    assert deliver(voyado, event(kind="add_to_cart"), memory, clicks="off").vendor_ref == "i-1"
    assert len(voyado.posted) == 1


# -- memory


def test_memory_is_bounded() -> None:
    """The oldest make room."""
    values: Expiring[int] = Expiring(3)
    for number in range(5):
        values.put(str(number), number, until=10.0)
    assert [values.get(str(number), 0.0) for number in range(5)] == [None, None, 2, 3, 4]
    assert values.get("4", 10.0) is None
    assert len(values) == 2


def test_clicks_of_all_partitions_share_one_bound() -> None:
    """A worker with many partitions needs no more memory than one with few."""
    memory = ContactMemory(max_clicks=4)
    memory.accept_click(7, "c", "s", 0, "e")
    for number in range(5):
        memory.accept_click(2, "c", f"s-{number}", 0, "e")
    few, many = memory.clicks_of(7), memory.clicks_of(2)
    assert few.thin_out("c", "s", 1, "x")
    assert [many.thin_out("c", f"s-{number}", 1, "x") for number in range(5)] == [
        *(False, False),
        *(True, True, True),
    ]
    assert (len(few), len(many)) == (1, 3)


def test_late_click_does_not_move_the_window_back() -> None:
    """It opens one of its own."""
    clicks = Clicks()
    clicks.accepted("c", "s", 3_600_000, "e-1")
    clicks.accepted("c", "s", 1_000, "e-2")
    assert clicks.thin_out("c", "s", 3_600_001, "e-3")


# -- nothing private


@pytest.mark.parametrize("question", ["schema", "contact", "pages", "post"])
@pytest.mark.parametrize(
    "make",
    [lambda text: ok({"message": text}, 500), lambda text: HttpResponse(None, {}, b"", text)],
)
def test_no_verdict_speaks_of_a_person_or_the_key(
    question: str, make: Callable[[str], HttpResponse]
) -> None:
    """Details are logged and shown: neither key, e-mail nor whom a response names."""
    voyado = Voyado()
    text = f"{KEY} ann+x@shop.example ann%2Bx%40shop.example bob@other.example apikey=abc123"
    setattr(voyado, question, [make(text)])
    record = event(contact={"email": "ann+x@shop.example"})
    verdict = deliver(voyado, record, ContactMemory(), unclear=question == "pages")
    assert "***" in verdict.detail
    for private in (KEY, "ann", "bob", "abc123", "other.example"):
        assert private not in verdict.detail
        assert private not in verdict.answer


def test_contact_id_is_masked_too() -> None:
    """A vendor's words may repeat it."""
    voyado = Voyado()
    voyado.post = ok({"message": f"Contact {CONTACT} is locked."}, 400)
    verdict = deliver(voyado, event(), ContactMemory())
    assert verdict.detail == "400 Contact *** is locked."
    assert verdict.answer == '400 {"message": "Contact *** is locked."}'


@pytest.mark.parametrize("status", [400, 404])
def test_the_answer_to_a_refused_post_is_whole(status: int) -> None:
    """Its error body is not documented: what names the cause may stand in any member."""
    voyado = Voyado()
    body = {"title": "Invalid.", "errors": {"createdDate": ["Not a date."]}}
    voyado.post = ok(body, status)
    verdict = deliver(voyado, event(), ContactMemory())
    assert verdict.outcome is RequestOutcome.REJECTED
    assert verdict.answer == f"{status} {json.dumps(body)}"


ANSWERS = st.builds(
    HttpResponse,
    st.sampled_from([None, 200, 204, 302, 400, 401, 404, 409, 422, 429, 500, 503]),
    st.just({}),
    st.binary(max_size=30)
    | st.sampled_from(
        [
            b'{"items":[],"links":[]}',
            b'{"data":[{"id":"i","payload":{"eventId":"e-1"}}],"continuation":"t"}',
            b'{"items":[],"continuation":"t"}',
            b'{"id":"i-1"}',
            f'"{CONTACT}"'.encode(),
            json.dumps(SCHEMA).encode(),
            b"{}",
        ]
    ),
)


@given(st.lists(ANSWERS, min_size=1, max_size=12), st.booleans(), st.booleans())
def test_every_request_flow_ends(answers: list[HttpResponse], unclear: bool, by_key: bool) -> None:
    """Whatever is answered: within few requests, with a verdict that fits."""
    left = list(answers)
    asked = 0

    class Odd(Voyado):
        def response(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002
            nonlocal asked
            asked += 1
            return left.pop(0) if len(left) > 1 else left[0]

    record = event(contact={"customKey": "C7001"} if by_key else CONTACT)
    verdict = deliver(Odd(), record, ContactMemory(), unclear=unclear)
    assert asked <= 12
    assert (verdict.outcome is RequestOutcome.SKIPPED) is (verdict.skip is not None)
    assert verdict.vendor_ref is None or verdict.outcome is RequestOutcome.ACCEPTED
    assert verdict.refused == {}
