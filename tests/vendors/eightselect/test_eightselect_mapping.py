"""8SELECT's mapping: which events it gets, under which user id, and what becomes of each field."""

import hashlib
import hmac
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.core.enrich import EnrichedEvent
from streams.core.errors import SettingsError
from streams.core.event_types import AddToCart, Campaign, Click, Content, Event, Page
from streams.core.outcome import SkipReason
from streams.core.rows import User
from streams.vendors.eightselect import VENDOR, EightSelectSettings
from streams.vendors.eightselect.mapping import keyed_uuid, mapper

SECRET = "secret-of-the-ids"
UUID = "c57a43f7-eefc-462b-b5a8-0ef421e90f67"
COOKIE = "0b8f8d5a-51b5-4a0e-9a5c-6b1f1f6f2a22"
OF_ROW = "7d4a9e90-8c2a-4d90-8a5c-2d3e4f5a6b72"
IN_A_SET = Content("customSet", "set-9")


def click(anonymous_id: str = "visitor-7", **more: Any) -> Click:
    """Return a click inside content."""
    return Click(
        anonymous_id,
        "2026-11-20T09:59:58.120Z",
        product_id="p-1042",
        **({"content": IN_A_SET} | more),
    )


def enriched(event: Event, **more: Any) -> EnrichedEvent:
    """Return the event as enrichment would hand it over."""
    given: dict[str, Any] = {
        "event": event,
        "event_id": "e-1",
        "event_type": event.event_type,
        "timestamp": "2026-11-20T09:59:58.120Z",
        "anonymous_id": event.anonymous_id,
        "product_id": "p-1042",
        "sku": "8S-1042",
        "user_id": None,
        "user": None,
        "product": None,
    }
    return EnrichedEvent(**(given | more))


def mapped(event: EnrichedEvent, **settings: Any) -> Any:
    """Return the payload as 8SELECT reads it, or the reason why it is not sent."""
    map_event = mapper(EightSelectSettings.model_validate({"user_id_secret": SECRET} | settings))
    payload = map_event(event)
    if isinstance(payload, SkipReason):
        return payload
    return msgspec.json.decode(msgspec.json.encode(payload))


def user_id(event: Event, **more: Any) -> str:
    """Return the id under which 8SELECT sees the event's visitor."""
    (found,) = [
        entry["user"]["id"]
        for entry in mapped(enriched(event, **more))["context"]
        if entry["type"] == "user"
    ]
    assert isinstance(found, str)
    return found


def test_click_in_a_set_is_the_documented_payload() -> None:
    """Written out, in the order of the vendor's own example."""
    payload = mapper(EightSelectSettings.model_validate({"user_id_secret": SECRET}))(
        enriched(click(UUID))
    )
    assert msgspec.json.encode(payload) == (
        b'{"type":"interact","interact":{"type":"product","action":"click",'
        b'"product":{"sku":"8S-1042"}},"context":[{"type":"content","content":{'
        b'"type":"customSet","customSet":{"id":"set-9"}}},{"type":"user","user":{'
        b'"id":"c57a43f7-eefc-462b-b5a8-0ef421e90f67"}}]}'
    )


def test_add_to_cart_is_the_action_that_kpis_know() -> None:
    """Its quantity has no place in an interact event."""
    event = AddToCart(
        UUID,
        "2026-11-20T09:59:58.120Z",
        product_id="p-1042",
        content=IN_A_SET,
        quantity=3,
        price=9.5,
    )
    assert mapped(enriched(event)) == {
        "type": "interact",
        "interact": {"type": "product", "action": "addToCart", "product": {"sku": "8S-1042"}},
        "context": [
            {"type": "content", "content": {"type": "customSet", "customSet": {"id": "set-9"}}},
            {"type": "user", "user": {"id": UUID}},
        ],
    }


@pytest.mark.parametrize("kind", ["customSet", "matchingProductClusters", "similarProducts"])
def test_content_is_named_twice(kind: Any) -> None:
    """Its type, and its id under the type's own name."""
    payload = mapped(enriched(click(content=Content(kind, "457297-0001"))))
    assert payload["context"][0] == {
        "type": "content",
        "content": {"type": kind, kind: {"id": "457297-0001"}},
    }


def test_event_outside_content_is_skipped() -> None:
    """Every other click would be billed as if 8SELECT had caused it."""
    assert mapped(enriched(click(content=None))) is SkipReason.OUTSIDE_CONTENT


def test_event_outside_content_goes_without_it_where_that_is_wanted() -> None:
    """With require_content off there is a user entry only."""
    payload = mapped(enriched(click(UUID, content=None)), require_content=False)
    assert payload["context"] == [{"type": "user", "user": {"id": UUID}}]
    inside = mapped(enriched(click(UUID)), require_content=False)
    assert [entry["type"] for entry in inside["context"]] == ["content", "user"]


def test_nothing_private_is_sent() -> None:
    """Of all that is known of a visitor only the id goes out, and not as the shop knows it."""
    event = click(
        "visitor-7",
        user_id="u-77",
        page=Page("https://shop.example/p/1042", title="Shirt"),
        user_agent="Mozilla/5.0",
        locale="de-DE",
        region="DE-BY",
        ip="203.0.113.77",
        campaign=Campaign("autumn"),
    )
    row = User(user_id="u-77", contact_id=COOKIE, email="ada@example.com")
    text = str(mapped(enriched(event, user_id="u-77", user=row)))
    for private in ("visitor-7", "u-77", "shop.example", "Mozilla", "de-DE", "203.0", "autumn"):
        assert private not in text
    assert "ada@" not in text
    assert COOKIE not in text


def test_cookie_of_the_widgets_comes_first() -> None:
    """Otherwise the widgets' events and ours would be those of two users."""
    assert user_id(click(UUID, eightselect_user_id=COOKIE)) == COOKIE


def test_the_rows_cookie_comes_next() -> None:
    """So a visitor is one user at 8SELECT, whether or not a page reads the cookie."""
    row = User(eightselect_user_id=OF_ROW)
    assert user_id(click(UUID), user=row) == OF_ROW
    assert user_id(click("visitor-7"), user=row) == OF_ROW
    assert user_id(click(UUID, eightselect_user_id=COOKIE), user=row) == COOKIE
    assert user_id(click(UUID), user=User(user_id="u-77")) == UUID


@pytest.mark.parametrize(
    "anonymous_id",
    [
        UUID,
        UUID.upper(),
        "018f3c1e-8f0a-7d6e-9b60-2f4f9d6f1a11",
    ],
)
def test_uuid_of_a_visitor_is_sent_letter_for_letter(anonymous_id: str) -> None:
    """Whatever its version or case."""
    assert user_id(click(anonymous_id)) == anonymous_id


def test_other_ids_become_a_keyed_uuid() -> None:
    """Computed here by other means: HMAC-SHA256, 16 bytes, version 5."""
    digest = hmac.new(SECRET.encode(), b"visitor-7", hashlib.sha256).digest()
    expected = str(uuid.UUID(bytes=digest[:16], version=5))
    assert expected == "386076ca-5db9-5456-9cea-f7a59727ce7e"
    assert user_id(click("visitor-7")) == expected


@pytest.mark.parametrize(
    "anonymous_id",
    [
        "c57a43f7eefc462bb5a80ef421e90f67",
        "{c57a43f7-eefc-462b-b5a8-0ef421e90f67}",
        "urn:uuid:c57a43f7-eefc-462b-b5a8-0ef421e90f67",
        "c57a43f7-eefc-462b-b5a8-0ef421e90f67\n",
        " c57a43f7-eefc-462b-b5a8-0ef421e90f67",
        "c57a43f7-eefc-462b-b5a8-0ef421e90f6g",
        "c57a43f7-eefc-462b-b5a8-0ef421e90f6\u0667",
        "Besucher-\u00fc\U0001f642",
        "ada@example.com",
        "00000000-0000-0000-0000-000000000000",
    ],
)
def test_what_is_nearly_a_uuid_is_none(anonymous_id: str) -> None:
    """8SELECT would refuse it."""
    found = user_id(click(anonymous_id))
    assert found != anonymous_id
    assert uuid.UUID(found).version == 5


def test_login_changes_nobody() -> None:
    """The id is never made of user_id, neither the event's nor the row's."""
    before = user_id(click("visitor-7"))
    assert user_id(click("visitor-7", user_id="u-77"), user_id="u-77") == before
    assert user_id(click("visitor-7", user_id=UUID), user_id=UUID, user=User(UUID)) == before


def test_another_secret_makes_other_ids() -> None:
    """Who does not know it cannot try ids until one fits."""
    assert keyed_uuid("visitor-7", b"one") != keyed_uuid("visitor-7", b"two")


@given(st.text(min_size=1, max_size=40), st.binary(min_size=1, max_size=80))
def test_keyed_ids_are_uuids_of_version_5(anonymous_id: str, secret: bytes) -> None:
    """In the canonical spelling, the same each time, the same as the standard library makes."""
    found = keyed_uuid(anonymous_id, secret)
    digest = hmac.new(secret, anonymous_id.encode(), hashlib.sha256).digest()
    assert found == str(uuid.UUID(bytes=digest[:16], version=5))
    assert keyed_uuid(anonymous_id, secret) == found


def test_mapping_without_its_secret_is_a_settings_problem() -> None:
    """It is found at start and named; there is no id made of nothing."""
    with pytest.raises(SettingsError) as problem:
        mapper(EightSelectSettings.model_validate({"api_id": "id"}))
    assert problem.value.problems == (
        "STREAMS_EIGHTSELECT_USER_ID_SECRET: is missing; 8SELECT's user ids are made with it.",
    )


def test_settings_as_documented() -> None:
    """The defaults of the contract."""
    settings = EightSelectSettings()
    assert settings.model_dump() == {
        "enabled": None,
        "base_url": "https://api.8select.io",
        "max_age_hours": None,
        "api_id": None,
        "user_id_secret": None,
        "require_content": True,
        "concurrency": 32,
    }
    assert VENDOR.concurrency(EightSelectSettings(concurrency=7)) == 7
    for wrong in (0, 1001, -1):
        with pytest.raises(ValidationError):
            EightSelectSettings(concurrency=wrong)


def test_one_event_a_request_at_once_and_visitors_in_order() -> None:
    """Nothing is waited for; one partition has queues for the whole concurrency."""
    settings = EightSelectSettings()
    assert VENDOR.max_batch_records(settings) == 1
    assert VENDOR.linger_seconds(settings) == 0.0
    assert VENDOR.queues >= VENDOR.concurrency(settings)
    assert VENDOR.credentials == ("api_id",)


def test_secrets_are_not_shown() -> None:
    """Neither of the two, in any form that is printed."""
    settings = EightSelectSettings.model_validate({"api_id": "id-0815", "user_id_secret": SECRET})
    for shown in (repr(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "id-0815" not in shown
        assert SECRET not in shown
