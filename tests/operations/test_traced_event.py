"""What ``streams trace`` tells of a raw record: facts in, sentences out."""

from typing import Any

import msgspec
import pytest

from streams.core.events import EventParser
from streams.core.records import DeadLetter, Origin, Receipt, Source, VendorRecord
from streams.operations.audit.decode import OnRanges
from streams.operations.ingest.trail import IngestTrail
from streams.operations.trace.facts import (
    EventFacts,
    Lettered,
    RawRecord,
    Received,
    Resolved,
    SentRecord,
    ShopRecord,
    TraceLane,
    VendorFacts,
)
from streams.operations.trace.timeline import TracedEvent, VendorTrace
from streams.operations.trace.traced_event import traced_event

T0 = 1_777_000_000_000
RAW = (
    b'{"event_id":"e1","timestamp":1777000000000,"anonymous_id":"visitor-42","product_id":"p1",'
    b'"sku":"S-1","user_id":"user-4711","ip":"203.0.113.77","page":{"title":"<b>\\u001b[2J"}}'
)
SOURCE = Source("shop.clicks", 2, 100)
NAMES = {"miso": "Miso", "voyado": "Voyado Engage"}
PARSER = EventParser("click", "shop.clicks")


def place(topic: str, offset: int) -> Source:
    """Return a place on the event's own partition."""
    return Source(topic, 2, offset)


def sent(offset: int, *, run_id: str | None = None, at_ms: int = T0 + 50) -> SentRecord:
    """Return a vendor record; of the redelivery lane where it has a run."""
    payload = {"sku": "S-1", "user_id": "user-4711", "anonymous_id": "visitor-42"}
    record = VendorRecord("e1", "click", "2026-04-24T03:06:40.000Z", "visitor-42", payload)
    lane = "vendor.miso.events" if run_id is None else "vendor.miso.redelivery"
    return SentRecord(place(lane, offset), at_ms, record, SOURCE, run_id is not None, run_id, "row")


def receipt(outcome: str, offset: int, at_ms: int = T0 + 300, **more: Any) -> Received:
    """Return a receipt of the live lane, unless told otherwise."""
    fields: dict[str, Any] = {"at": "", "attempts": 1, "lane": "live", "position": 7}
    made = Receipt("e1", outcome, source=str(SOURCE), **(fields | more))
    return Received(place("vendor.miso.receipts", offset), at_ms, made, SOURCE)


def letter(reason: str, offset: int, at_ms: int, vendor: str | None = "miso") -> Lettered:
    """Return a dead letter."""
    made = DeadLetter(
        stage="deliver",
        reason=reason,
        detail="no such product for anna@mail.example",
        fingerprint="abcd2345",
        attempts=2,
        at="",
        source=Origin(*SOURCE, T0),
        record="",
        record_bytes=0,
        vendor=vendor,
        status=422,
        answer="no such product for anna@mail.example",
    )
    topic = "enrich.dead-letters" if vendor is None else f"vendor.{vendor}.dead-letters"
    return Lettered(place(topic, offset), at_ms, made, SOURCE)


def told(asked: str = "e1", committed: int | None = 200, **miso: Any) -> TracedEvent:
    """Return the story of the raw record with these facts about Miso."""
    facts = EventFacts(SOURCE, RawRecord(T0, b"visitor-42", RAW), enrich=TraceLane(committed, 300))
    fields: dict[str, Any] = {"live": TraceLane(8, 20), "redelivery": TraceLane(0, 5)}
    facts.vendors["miso"] = VendorFacts(**(fields | miso))
    return told_of(facts, asked)


def told_of(facts: EventFacts, asked: str = "e1") -> TracedEvent:
    """Return the story of these facts."""

    def parse(source: Source, raw: RawRecord) -> Any:
        return PARSER.parse(raw.key, raw.value, source.partition, source.offset, raw.at_ms)

    return traced_event(facts, parse, NAMES, asked)


def miso_of(event: TracedEvent) -> VendorTrace:
    """Return the only vendor's part."""
    (vendor,) = event.vendors
    return vendor


def test_an_accepted_event_is_told_from_the_shop_to_the_vendor() -> None:
    """Raw, enriched with its payload, accepted with status and requests; ids masked."""
    event = told(sent=[sent(7)], receipts=[receipt("accepted", 3, status=200, vendor_ref="r-9")])
    assert event.text == "Accepted by Miso."
    assert (event.visitor, event.user, event.product_id) == ("#o6kr", "#4bcv", "p1")
    assert event.raw["ip"] == "203.0.113.0"
    assert event.written_at == "2026-04-24T03:06:40.000Z"
    enriched, accepted = miso_of(event).steps
    assert enriched.text == (
        "Enriched and queued for the vendor; consent: the visitor's row says yes."
    )
    assert enriched.payload == {"sku": "S-1", "user_id": "#4bcv", "anonymous_id": "#o6kr"}
    assert accepted.text == (
        "Accepted by Miso (HTTP 200, 1 request), 0.3 s after the shop wrote it."
    )
    assert (accepted.status, accepted.vendor_ref) == (200, "r-9")
    assert b"visitor-42" not in to_json_of(event)


@pytest.mark.parametrize(
    ("shop", "begins", "took"),
    [
        (ShopRecord(T0 - 60_000, b"{}"), "", "60.3 s after the shop wrote it"),
        (None, " That record is not there", "0.3 s after ingest wrote it"),
    ],
)
def test_a_record_that_ingest_wrote_begins_on_the_shop_s_own_topic(
    shop: ShopRecord | None, begins: str, took: str
) -> None:
    """The time counts from there; without the settings of its topic, from what is known."""
    trail = IngestTrail(Source("web.events", 1, 9), "views", None)
    facts = EventFacts(
        SOURCE, RawRecord(T0, b"visitor-42", RAW, trail), enrich=TraceLane(200, 300), shop=shop
    )
    facts.vendors["miso"] = VendorFacts(
        live=TraceLane(8, 20),
        redelivery=TraceLane(0, 5),
        sent=[sent(7)],
        receipts=[receipt("accepted", 3, status=200)],
    )
    event = told_of(facts)
    assert event.steps[0].text.startswith(f"Written by the shop to web.events.{begins}")
    assert took in miso_of(event).steps[-1].text


def to_json_of(event: TracedEvent) -> bytes:
    """Return an event as it goes to the page."""
    from streams.operations.trace.timeline import Trace

    return msgspec.json.encode(Trace(asked={"event": "e1"}, since="", until="", events=[event]))


def test_what_was_typed_is_shown_and_nothing_else() -> None:
    """Who asks for a visitor sees that visitor, in payloads too, and the user still masked."""
    event = told("visitor-42", sent=[sent(7)])
    assert (event.visitor, event.user) == ("visitor-42", "#4bcv")
    assert miso_of(event).steps[0].payload["anonymous_id"] == "visitor-42"


def test_a_skip_says_why_in_words() -> None:
    """The reason and its meaning."""
    event = told(receipts=[receipt("skipped", 1, reason="no_consent", position=None, attempts=0)])
    assert miso_of(event).outcome == "skipped"
    assert miso_of(event).text == (
        "Skipped for Miso: no_consent, consent not given, given only later, refused, or "
        "visitor forgotten."
    )
    assert event.text == "Skipped for Miso."


def test_a_skip_for_want_of_consent_says_what_the_row_says() -> None:
    """Behind the reason."""
    skipped = receipt("skipped", 1, reason="no_consent", position=None, attempts=0)
    event = told(receipts=[skipped], row_says="The visitor's row says no.")
    assert miso_of(event).text.endswith(" or visitor forgotten. The visitor's row says no.")


def test_a_dead_letter_shows_the_vendors_words_and_what_to_type() -> None:
    """Its answer without addresses, its fingerprint; the receipt and the letter are one step."""
    event = told(
        sent=[sent(7)],
        letters=[letter("rejected", 4, T0 + 250)],
        receipts=[receipt("dead_lettered", 3, reason="rejected", attempts=2)],
    )
    _, step = miso_of(event).steps
    assert step.answer == "no such product for ***"
    assert miso_of(event).text == (
        "Dead-lettered for Miso (2 requests): rejected, the vendor refused this event. "
        "See `streams dead-letters show --fingerprint abcd2345`."
    )


def test_a_resolution_is_told() -> None:
    """Who dropped a letter wants to see that it is dropped."""
    event = told(
        letters=[letter("rejected", 4, T0 + 250)],
        receipts=[receipt("dead_lettered", 3, reason="rejected")],
        resolved=[
            Resolved(
                place("vendor.miso.dead-letters", 5),
                T0 + 9_000,
                "vendor.miso.dead-letters-2-4",
                "dropped",
                None,
            )
        ],
    )
    assert miso_of(event).text.endswith("An operator dropped the dead letter.")
    assert [step.kind for step in miso_of(event).steps] == ["dead_lettered", "resolved"]


def test_accepted_counts_before_everything_else_whatever_the_order() -> None:
    """Also when a later run skipped or lost it."""
    event = told(
        receipts=[
            receipt("accepted", 3),
            receipt("skipped", 9, T0 + 99_000, reason="too_old", lane="redelivery", run_id="r-1"),
        ]
    )
    assert miso_of(event).outcome == "accepted"
    assert [step.run_id for step in miso_of(event).steps] == [None, "r-1"]


def test_what_was_written_twice_after_a_crash_is_told_and_counts_once() -> None:
    """The second vendor record and the second receipt are marked."""
    event = told(
        sent=[sent(7), sent(9, at_ms=T0 + 4_000)],
        receipts=[receipt("accepted", 3), receipt("accepted", 5, T0 + 5_000)],
    )
    assert [(step.kind, step.is_repeat) for step in miso_of(event).steps] == [
        ("enriched", False),
        ("accepted", False),
        ("enriched", True),
        ("accepted", True),
    ]


def test_an_event_that_waits_for_its_vendor_says_behind_how_many() -> None:
    """By its position and what the sink has committed."""
    event = told(
        sent=[sent(12)], live=TraceLane(8, 20, "The worker is parked: Miso refuses the key.")
    )
    assert miso_of(event).outcome == "waiting"
    assert event.text == "Waiting for Miso."
    assert miso_of(event).steps[-1].text == (
        "Waiting for Miso, behind at most 4 events of its partition. Nothing is lost. "
        "The worker is parked: Miso refuses the key."
    )
    nobody = told(sent=[sent(12)], live=TraceLane(None, 20, "No worker of Miso is running."))
    assert miso_of(nobody).text == (
        "Waiting for Miso, which has not read anything yet. No worker of Miso is running."
    )


def test_a_redelivery_that_waits_stands_beside_what_came_before() -> None:
    """The dead letter is the last word so far, and its run waits."""
    event = told(
        sent=[sent(7), sent(2, run_id="r-20261121-101500-ab12", at_ms=T0 + 60_000)],
        letters=[letter("rejected", 4, T0 + 250)],
        receipts=[receipt("dead_lettered", 3, reason="rejected")],
    )
    steps = miso_of(event).steps
    assert [step.kind for step in steps] == ["enriched", "dead_lettered", "redelivered", "waiting"]
    assert steps[2].text.startswith("Queued for redelivery by run r-20261121-101500-ab12")
    assert steps[3].text.startswith("Redelivery: waiting for Miso, behind at most 2 events")
    assert miso_of(event).outcome == "dead_lettered"


def test_an_event_that_enrichment_has_not_read_waits_there() -> None:
    """Whatever vendors there are."""
    event = told(committed=60)
    assert event.text == "Waiting for enrichment, behind 40 records of its partition."
    assert miso_of(event).outcome == "waiting"
    assert told(committed=None).text == ("Waiting for enrichment, which has not read anything yet.")


def test_a_vendor_that_was_off_owes_nothing_and_silence_is_called_unknown() -> None:
    """Off is no fault; what should have left a trace and has none is for the audit."""
    assert miso_of(told(was_on=False)).outcome == "off"
    event = told()
    assert miso_of(event).outcome == "unknown"
    assert "`streams audit`" in miso_of(event).text
    ranges = OnRanges({"miso": [(0, 50), (90, None)]})
    assert [ranges.was_on("miso", at) for at in (49, 50, 89, 90)] == [True, False, False, True]
    assert not ranges.was_on("voyado", 49)


def test_a_record_that_is_no_event_goes_to_no_vendor() -> None:
    """The letter says what is wrong; no vendor is listed."""
    facts = EventFacts(SOURCE, RawRecord(T0, b"k", b"{broken"), enrich=TraceLane(200, 300))
    facts.letters.append(letter("invalid_json", 8, T0 + 20, vendor=None))
    facts.vendors["miso"] = VendorFacts()
    event = told_of(facts)
    assert event.vendors == []
    assert event.text == (
        "Invalid event, sent to no vendor: invalid_json, not a JSON object in valid UTF-8. "
        "See `streams dead-letters show --fingerprint abcd2345`."
    )
    assert [step.kind for step in event.steps] == ["raw", "dead_lettered"]
    assert event.raw == "{broken"


def test_a_record_that_retention_has_deleted_is_told_from_what_is_left() -> None:
    """By its vendor record: id, type and time."""
    facts = EventFacts(SOURCE, None, enrich=TraceLane(200, 300))
    facts.vendors["miso"] = VendorFacts(sent=[sent(7)], receipts=[receipt("accepted", 3)])
    event = told_of(facts)
    assert (event.event_id, event.event_type, event.raw) == ("e1", "click", None)
    assert event.steps[0].text == "The raw record was deleted by retention."


def test_what_lies_behind_a_source_that_is_off_waits_for_nobody() -> None:
    """What was read before is told as ever."""
    facts = EventFacts(SOURCE, RawRecord(T0, b"visitor-42", RAW), is_source_off=True)
    facts.enrich = TraceLane(100, 300)
    facts.vendors["miso"] = VendorFacts()
    event = told_of(facts)
    words = "Not read: the source of shop.clicks is switched off, so the event goes to no vendor."
    assert event.text == words
    assert (event.steps[-1].kind, miso_of(event).outcome, miso_of(event).text) == (
        "off",
        "off",
        words,
    )
    facts.enrich = TraceLane(101, 300)
    facts.vendors["miso"] = VendorFacts(receipts=[receipt("accepted", 3, status=200)])
    assert told_of(facts).text == "Accepted by Miso."
