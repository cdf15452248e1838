"""Enrichment: one decision for each vendor, for the first reason in the contract's order."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from streams.core.consent import NO_TO_ALL, Malformed, NoConsent
from streams.core.enrich import (
    Decision,
    EnrichedEvent,
    Enricher,
    MappedEvent,
    Mapper,
    Refuse,
    Send,
    Skip,
    VendorPlan,
    differing_ids,
)
from streams.core.errors import InvalidEvent
from streams.core.event_types import Click
from streams.core.outcome import SkipReason
from streams.core.rows import Product, User

NOW_MS = 1_795_168_800_000
HOUR_MS = 3_600_000
COOKIE = "5b2e7c7e-6a0f-4b7e-9f3a-0b1c2d3e4f50"
OTHER_COOKIE = "6c3f8d8f-7b1f-4c8f-8f4b-1c2d3e4f5a61"
PRODUCT = Product("8S-1042", name="Shirt")
YES = User(user_id="u-row", consent={"miso": True, "voyado": True})


def click(**more: Any) -> Click:
    """Return a click of two seconds ago."""
    given: dict[str, Any] = {
        "anonymous_id": "visitor-7",
        "timestamp": "2026-11-20T09:59:58.120Z",
        "product_id": "p-1042",
        "event_id": "e-1",
        "timestamp_ms": NOW_MS - 1_880,
    }
    return Click(**(given | more))


def echo(enriched: EnrichedEvent) -> dict[str, Any]:
    """Map an event to what enrichment knows of it."""
    return {"sku": enriched.sku, "user": enriched.user_id}


def decide(
    event: Click | None = None,
    user: Any = YES,
    *,
    plans: list[VendorPlan] | None = None,
    map_event: Mapper = echo,
    mode: Any = "required",
    forgotten_at_ms: int | None = None,
    product: Product | None = PRODUCT,
    kafka_ms: int = NOW_MS,
    passed_to: Sequence[str] = (),
) -> list[Decision]:
    """Decide over one event, for Miso alone unless other plans are given."""
    enricher = Enricher(plans or [VendorPlan("miso", map_event)], mode)
    return enricher.decide(
        event or click(), user, forgotten_at_ms, product, kafka_ms, NOW_MS, passed_to
    )


def no_consent(why: str, vendor: str = "miso") -> Skip:
    """Return the skip that says which no_consent it is."""
    return Skip(vendor, SkipReason.NO_CONSENT, NoConsent(why))


@pytest.mark.parametrize(
    ("user", "stated", "why"),
    [
        (None, None, "no_row"),
        (None, {"miso": False}, "event_says_no"),
        (User(), None, "not_said"),
        (User(consent={"voyado": True}), None, "not_said"),
        (User(consent={"miso": False}), {"miso": True}, "said_no"),
        (User(consent={"miso": True}, yes_from_ms={"miso": NOW_MS + 1}), None, "yes_only_later"),
        (NO_TO_ALL, {"miso": True}, "malformed_row"),
    ],
)
def test_no_consent_says_which(
    user: User | Malformed | None, stated: dict[str, bool] | None, why: str
) -> None:
    """A row that is missing is another fault than a visitor who said no."""
    event = click(consent=stated) if stated else click()
    assert decide(event, user) == [no_consent(why)]


def test_sent_event_is_an_encoded_vendor_record_with_its_ground() -> None:
    """The record has the contract's five fields, and the ground is what the yes rests on."""
    (decision,) = decide()
    assert isinstance(decision, Send)
    assert decision.vendor == "miso"
    assert decision.consent == "row"
    assert msgspec.json.decode(decision.value) == {
        "event_id": "e-1",
        "event_type": "click",
        "timestamp": "2026-11-20T09:59:58.120Z",
        "anonymous_id": "visitor-7",
        "payload": {"sku": "8S-1042", "user": "u-row"},
    }


def test_events_own_sku_and_user_win_over_the_tables() -> None:
    """The tables fill in what the event does not say."""
    (decision,) = decide(click(sku="8S-own", user_id="u-own"))
    assert isinstance(decision, Send)
    assert msgspec.json.decode(decision.value)["payload"] == {"sku": "8S-own", "user": "u-own"}


def test_unknown_product_is_skipped_unless_the_event_names_a_sku() -> None:
    """Without a row, only the event's own sku can say what was clicked."""
    assert decide(product=None) == [Skip("miso", SkipReason.UNKNOWN_PRODUCT)]
    (decision,) = decide(click(sku="8S-own"), product=None)
    assert isinstance(decision, Send)


def test_unknown_product_is_judged_by_vendor() -> None:
    """Where a vendor's catalogue is by product id, no SKU is needed; for the others it is."""
    plans = [VendorPlan("miso", echo, needs_sku=False), VendorPlan("voyado", echo)]
    sent, skipped = decide(plans=plans, product=None)
    assert isinstance(sent, Send)
    assert skipped == Skip("voyado", SkipReason.UNKNOWN_PRODUCT)


@pytest.mark.parametrize(
    ("own", "of_row", "notes"),
    [
        (None, None, ()),
        (COOKIE, None, ()),
        (None, COOKIE, ()),
        (COOKIE, COOKIE.upper(), ()),
        (COOKIE, OTHER_COOKIE, ("differs:eightselect_user_id",)),
    ],
)
def test_two_ids_of_one_visitor_at_8select_are_noted(
    own: str | None, of_row: str | None, notes: tuple[str, ...]
) -> None:
    """Where event and row both name one, and not the same."""
    event = click(eightselect_user_id=own)
    assert differing_ids(event, User(eightselect_user_id=of_row)) == notes
    assert differing_ids(event, NO_TO_ALL) == differing_ids(event, None) == ()


def test_a_yes_counts_for_events_from_consent_since_on() -> None:
    """By the event's own time; an older one has no word of the row."""
    row = User(consent={"miso": True}, yes_from_ms={"miso": NOW_MS - 1_880})
    (sent,) = decide(user=row)
    assert isinstance(sent, Send)
    assert sent.consent == "row"
    older = click(timestamp_ms=NOW_MS - 1_881)
    assert decide(older, row) == [no_consent("yes_only_later")]
    (assumed,) = decide(older, row, mode="assumed")
    assert isinstance(assumed, Send)
    assert assumed.consent == "assumed"


def test_no_consent_is_a_skip() -> None:
    """Required means a yes must be there; assumed means only a no stops it."""
    assert decide(user=None) == [no_consent("no_row")]
    (decision,) = decide(user=None, mode="assumed")
    assert isinstance(decision, Send)
    assert decision.consent == "assumed"


def test_malformed_row_skips_every_vendor() -> None:
    """A row out of shape says no, whatever event and mode say."""
    plans = [VendorPlan("voyado", echo), VendorPlan("miso", echo)]
    event = click(consent={"miso": True, "voyado": True})
    assert decide(event, NO_TO_ALL, plans=plans, mode="assumed") == [
        no_consent("malformed_row", "voyado"),
        no_consent("malformed_row"),
    ]


@pytest.mark.parametrize(("kafka_ms", "sent"), [(999, False), (1000, False), (1001, True)])
def test_forgotten_visitors_older_events_are_never_sent(kafka_ms: int, sent: bool) -> None:
    """Only a raw record newer than the tombstone is judged afresh."""
    (decision,) = decide(
        click(consent={"miso": True}), None, forgotten_at_ms=1000, kafka_ms=kafka_ms
    )
    assert isinstance(decision, Send) is sent
    if not sent:
        assert decision == no_consent("forgotten")


def test_age_is_judged_per_vendor_by_the_events_own_time() -> None:
    """Exactly as old as allowed is still young enough."""
    plans = [
        VendorPlan("voyado", echo, max_age_hours=0.5),
        VendorPlan("miso", echo, max_age_hours=1),
    ]
    event = click(timestamp_ms=NOW_MS - HOUR_MS)
    first, second = decide(event, plans=plans)
    assert first == Skip("voyado", SkipReason.TOO_OLD)
    assert isinstance(second, Send)


def test_first_reason_in_the_contracts_order_is_given() -> None:
    """Too old comes before no consent, that before unknown product, that before the mapping's."""

    def outside(_: EnrichedEvent) -> SkipReason:
        return SkipReason.OUTSIDE_CONTENT

    old = [VendorPlan("miso", outside, max_age_hours=1)]
    event = click(timestamp_ms=NOW_MS - HOUR_MS - 1)
    assert decide(event, None, plans=old, product=None) == [Skip("miso", SkipReason.TOO_OLD)]
    assert decide(user=None, product=None) == [no_consent("no_row")]
    assert decide(product=None, map_event=outside) == [Skip("miso", SkipReason.UNKNOWN_PRODUCT)]
    assert decide(map_event=outside) == [Skip("miso", SkipReason.OUTSIDE_CONTENT)]


def test_a_duplicate_is_one_for_the_vendors_that_got_the_first() -> None:
    """Whatever its consent; only being too old comes before it."""
    plans = [
        VendorPlan("miso", echo),
        VendorPlan("voyado", echo),
        VendorPlan("old", echo, max_age_hours=0.0001),
    ]
    of_miso, of_voyado, of_old = decide(plans=plans, passed_to=("miso", "old"))
    assert of_miso == Skip("miso", SkipReason.DUPLICATE)
    assert isinstance(of_voyado, Send)
    assert of_old == Skip("old", SkipReason.TOO_OLD)
    no_consent = decide(user=None, product=None, passed_to=("miso",))
    assert no_consent == [Skip("miso", SkipReason.DUPLICATE)]


def test_misfit_refuses_one_vendor_only() -> None:
    """What one vendor cannot take, the others still get."""
    error = InvalidEvent("invalid_payload", "sku: too long", "sku")

    def misfit(_: EnrichedEvent) -> Any:
        raise error

    refused, sent = decide(plans=[VendorPlan("voyado", misfit), VendorPlan("miso", echo)])
    assert refused == Refuse("voyado", error)
    assert isinstance(sent, Send)


def test_failing_mapping_is_a_defect_of_one_vendor_only() -> None:
    """Our own mistake over one event is a letter that keeps the cause, and stops nothing."""

    def broken(_: EnrichedEvent) -> Any:
        raise KeyError("secret value")

    refused, sent = decide(plans=[VendorPlan("voyado", broken), VendorPlan("miso", echo)])
    assert isinstance(refused, Refuse)
    assert refused.error.reason == "defect"
    assert refused.error.detail == "mapping for voyado failed: KeyError"
    assert isinstance(refused.error.__cause__, KeyError)
    assert isinstance(sent, Send)


def test_record_over_the_limit_is_refused_by_its_encoded_size() -> None:
    """256 KiB is the limit, counted as it would lie on the topic."""

    def padded(size: int) -> Mapper:
        return lambda _: "x" * size

    (small,) = decide(map_event=padded(1))
    assert isinstance(small, Send)
    room = 256 * 1024 - len(small.value) + 1
    (fits,) = decide(map_event=padded(room))
    assert isinstance(fits, Send)
    assert len(fits.value) == 262_144
    (too_large,) = decide(map_event=padded(room + 1))
    assert isinstance(too_large, Refuse)
    assert too_large.error.reason == "too_large"


def test_address_of_a_contact_lies_beside_the_payload() -> None:
    """The sink looks the contact up before it sends."""
    (decision,) = decide(
        map_event=lambda _: MappedEvent({"a": 1}, {"customKey": "k-1"}, ("cut:a",))
    )
    assert isinstance(decision, Send)
    record = msgspec.json.decode(decision.value)
    assert (record["payload"], record["contact"]) == ({"a": 1}, {"customKey": "k-1"})
    assert decision.notes == ("cut:a",)
