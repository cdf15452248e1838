"""The mapping preview: tables, order, and each vendor's payload or the reason against it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.core.enrich import EnrichedEvent, MappedEvent, VendorPlan
from streams.core.errors import InvalidEvent, SettingsError
from streams.core.outcome import DeadLetterReason, SkipReason
from streams.core.records import TopicRecord
from streams.operations.check import mapping_preview as module
from streams.operations.check.mapping_preview import MappingPreview, MappingRow, previewed_vendors
from streams.replay.rows import Rows
from streams.settings import Settings, load_settings
from streams.vendors import VENDORS, plan_for
from streams.vendors.base import Vendor
from streams.vendors.miso import MisoSettings

NOW_MS = 1_795_168_800_000
AT = "2026-11-20T09:59:58.120Z"
YES = {"consent": {"miso": True}}


def user(key: str, row: Any) -> dict[str, Any]:
    """A line of shop.users."""
    return {"topic": "users", "key": key, "value": row}


def product(key: str, row: Any) -> dict[str, Any]:
    """A line of shop.products."""
    return {"topic": "products", "key": key, "value": row}


def click(**more: Any) -> dict[str, Any]:
    """A click by itself, as a line."""
    return {"event_id": "e-1", "anonymous_id": "v-1", "product_id": "p-1", "timestamp": AT, **more}


def previewed(
    *lines: dict[str, Any] | bytes,
    settings: Settings | None = None,
    plans: tuple[VendorPlan, ...] | None = None,
) -> list[MappingRow]:
    """What becomes of these lines but good rows; at Miso alone unless plans are given."""
    settings = settings or load_settings({})
    if plans is None:
        plans = (plan_for(VENDORS["miso"], settings.vendors["miso"]),)
    preview = MappingPreview(settings, plans, NOW_MS)
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    lines_by_number = enumerate(encoded, start=1)
    rows = [row for at, line in lines_by_number for row in preview.preview_line(at, line)]
    return [row for row in rows if row.outcome != "row"]


def shown(row: MappingRow) -> Any:
    """The row as ``--json`` writes it, without what there is not."""
    document = json.loads(msgspec.json.encode(row))
    return {name: value for name, value in document.items() if value not in (None, [])}


def test_an_event_is_shown_as_the_vendor_gets_it() -> None:
    """Joined with the rows before it, under the consent that they give."""
    rows = previewed(
        user("v-1", YES | {"user_id": "u-1"}),
        product("p-1", {"sku": "8S-1"}),
        click(ip="203.0.113.77"),
    )
    assert [shown(row) for row in rows] == [
        {
            "line": 3,
            "outcome": "sent",
            "topic": "shop.clicks",
            "event_id": "e-1",
            "event_type": "click",
            "anonymous_id": "v-1",
            "vendor": "miso",
            "consent": "row",
            "payload": {
                "type": "product_detail_page_view",
                "anonymous_id": "v-1",
                "timestamp": "2026-11-20T09:59:58.120Z",
                "product_ids": ["8S-1"],
                "context": {
                    "custom_context": {"uuid": "e-1"},
                    "truncated_ip": "203.0.113.0",
                },
                "user_id": "u-1",
            },
        }
    ]


def test_rows_act_on_the_lines_after_them_only() -> None:
    """A yes, a no, and a tombstone after which the visitor is a new one."""
    rows = previewed(
        click(event_id="a", sku="8S-1"),
        user("v-1", YES),
        click(event_id="b", sku="8S-1"),
        user("v-1", {"consent": {"miso": False}}),
        click(event_id="c", sku="8S-1", consent={"miso": True}),
        user("v-1", None),
        click(event_id="d", sku="8S-1", consent={"miso": True}),
        click(event_id="e", sku="8S-1"),
    )
    assert [(row.line, row.event_id, row.outcome, row.reason, row.consent) for row in rows] == [
        (1, "a", "skipped", "no_consent", None),
        (3, "b", "sent", None, "row"),
        (5, "c", "skipped", "no_consent", None),
        (7, "d", "sent", None, "event"),
        (8, "e", "skipped", "no_consent", None),
    ]


def test_events_from_before_a_visitor_was_forgotten_are_not_sent() -> None:
    """As enrichment judges them: the Kafka time of the tombstone counts."""
    settings = load_settings({"STREAMS_CONSENT_MODE": "assumed"})
    rows = Rows(settings.topics, keep_email=False)
    rows.apply_users([TopicRecord("shop.users", 0, 0, NOW_MS, b"v-1", None)])
    plans = (plan_for(VENDORS["miso"], settings.vendors["miso"]),)
    preview = MappingPreview(settings, plans, NOW_MS, rows=rows)
    value = json.dumps(click(sku="8S-1")).encode()
    found = [
        preview.preview_record(1, TopicRecord("shop.clicks", 0, 0, kafka_ms, b"v-1", value))
        for kafka_ms in (NOW_MS - 1, NOW_MS + 1)
    ]
    assert [row.outcome for each in found for row in each] == ["skipped", "sent"]


def test_products_are_taken_and_removed() -> None:
    """Without a row and without its own sku an event goes nowhere."""
    rows = previewed(
        user("v-1", YES),
        click(),
        product("p-1", {"sku": "8S-1"}),
        click(),
        product("p-1", None),
        click(),
    )
    assert [(row.line, row.outcome, row.reason) for row in rows] == [
        (2, "skipped", "unknown_product"),
        (4, "sent", None),
        (6, "skipped", "unknown_product"),
    ]


def test_a_skip_says_what_its_reason_means() -> None:
    """In the words of `streams reasons`."""
    (row,) = previewed(click(sku="8S-1"))
    assert row.detail == "consent not given, given only later, refused, or visitor forgotten"


def test_an_event_that_can_never_be_one_is_a_dead_letter_for_all() -> None:
    """With the field that is out of shape."""
    (row,) = previewed(click(timestamp="yesterday"))
    assert shown(row) == {
        "line": 1,
        "outcome": "dead_lettered",
        "topic": "shop.clicks",
        "reason": "invalid_field",
        "field": "timestamp",
        "detail": "timestamp: neither RFC 3339 with an offset nor an integer of milliseconds",
    }


def test_a_key_that_is_not_the_visitor_is_a_dead_letter() -> None:
    """Envelopes may bring a key along."""
    (row,) = previewed({"topic": "clicks", "key": "v-2", "value": click()})
    assert (row.outcome, row.reason, row.field) == (
        "dead_lettered",
        "key_mismatch",
        "anonymous_id",
    )


def test_a_yes_of_the_row_counts_from_consent_since_on() -> None:
    """By vendor or for all of them."""
    for since in ("2026-11-20T09:59:58.120Z", {"miso": "2026-11-20T09:59:58.120Z"}):
        rows = previewed(
            user("v-1", YES | {"consent_since": since}),
            click(sku="8S-1"),
            click(sku="8S-1", timestamp="2026-11-20T09:59:58.119Z"),
        )
        assert [(row.outcome, row.consent, row.reason) for row in rows] == [
            ("sent", "row", None),
            ("skipped", None, "no_consent"),
        ]


def test_an_id_at_8select_other_than_the_rows_is_noted() -> None:
    """The event's own is sent."""
    one, other = "5b2e7c7e-6a0f-4b7e-9f3a-0b1c2d3e4f50", "6c3f8d8f-7b1f-4c8f-8f4b-1c2d3e4f5a61"
    settings = load_settings(
        {
            "STREAMS_EIGHTSELECT_USER_ID_SECRET": "secret-of-the-ids",
            "STREAMS_EIGHTSELECT_REQUIRE_CONTENT": "false",
        }
    )
    plans = (plan_for(VENDORS["eightselect"], settings.vendors["eightselect"]),)
    row, same, differs = previewed(
        user("v-1", {"consent": {"eightselect": True}, "eightselect_user_id": one}),
        click(sku="8S-1"),
        click(event_id="e-2", sku="8S-1", eightselect_user_id=one),
        click(event_id="e-3", sku="8S-1", eightselect_user_id=other),
        settings=settings,
        plans=plans,
    )
    ids = [shown(each)["payload"]["context"][0]["user"]["id"] for each in (row, same, differs)]
    assert ids == [one, one, other]
    assert [each.notes for each in (row, same, differs)] == [
        (),
        (),
        ("differs:eightselect_user_id",),
    ]


def test_malformed_rows_are_shown_with_their_effect() -> None:
    """A user's says no to all, a product's counts as none, one without a key is nobody's."""
    rows = previewed(
        user("v-1", YES),
        user("v-1", {"consent": 5}),
        product("p-1", {"name": "Shirt"}),
        user("v-2", YES) | {"key": None},
        click(sku="8S-1", consent={"miso": True}),
    )
    assert [(row.line, row.outcome, row.topic) for row in rows] == [
        (2, "malformed_row", "shop.users"),
        (3, "malformed_row", "shop.products"),
        (4, "malformed_row", "shop.users"),
        (5, "skipped", "shop.clicks"),
    ]
    assert (rows[0].detail or "").endswith(
        "it gives no vendor consent until a valid row or a tombstone is written"
    )
    assert (rows[1].detail or "").endswith("the product counts as absent")
    assert rows[2].detail == "the row has no key"
    assert rows[3].reason == "no_consent"


def test_a_line_that_produce_would_not_write_is_unreadable() -> None:
    """The others are judged all the same."""
    rows = previewed(b"nonsense\n", click(sku="8S-1", consent={"miso": True}))
    assert [(row.line, row.outcome) for row in rows] == [(1, "unreadable"), (2, "sent")]
    assert rows[0].detail == "is not JSON: invalid character (byte 4)"


def test_a_remark_stands_once_however_often_it_is_true() -> None:
    """Of a thousand products that nobody knows, say."""
    settings = load_settings({"STREAMS_SOURCE_CONTENT_VIEWS_ENABLED": "true"})
    view = {"anonymous_id": "v-1", "timestamp": AT, "product_ids": ["p-1", *map(str, range(999))]}
    lines = product("p-1", {"sku": "8S-1"}), {"topic": "content-views", "value": view | YES}
    (row,) = previewed(*lines, settings=settings)
    assert (row.outcome, row.notes) == ("sent", ("made_event_id", "left_out:miso.product_ids"))


def test_what_was_put_right_is_noted() -> None:
    """A field left out, a clock ahead, an id made of the place in Kafka."""
    (row,) = previewed(
        click(event_id="", ip="nonsense", timestamp="2027-01-01T00:00:00Z", sku="8S-1")
    )
    assert row.event_id == "shop.clicks-0-0"
    assert row.notes == ("left_out:ip", "clock_ahead", "made_event_id")


def test_field_maps_consent_mode_and_age_are_those_of_the_settings(tmp_path: Any) -> None:
    """As enrichment itself would read and judge the line."""
    (tmp_path / "streams.toml").write_text(
        '[consent]\nmode = "assumed"\n[miso]\nmax_age_hours = 24\nproduct_id = "product_id"\n'
        '[source.clicks.fields]\nproduct_id = "item.id"\nsku = "item.sku"\n'
    )
    settings = load_settings({"STREAMS_CONFIG": str(tmp_path / "streams.toml")})
    line = {"anonymous_id": "v-1", "timestamp": AT, "item": {"id": "p-9", "sku": "8S-9"}}
    old = line | {"timestamp": "2026-11-18T00:00:00Z"}
    fresh, stale = previewed(line, old, settings=settings)
    assert fresh.consent == "assumed"
    assert shown(fresh)["payload"]["product_ids"] == ["p-9"]
    assert (stale.outcome, stale.reason) == ("skipped", "too_old")


def test_each_vendor_decides_for_itself() -> None:
    """A payload with a contact to look up, a skip of the mapping, a misfit, a defect."""

    def addressed(event: EnrichedEvent) -> MappedEvent:
        return MappedEvent({"sku": event.sku}, {"customKey": "4711"})

    def outside(_: EnrichedEvent) -> SkipReason:
        return SkipReason.OUTSIDE_CONTENT

    def misfit(_: EnrichedEvent) -> object:
        raise InvalidEvent(DeadLetterReason.INVALID_PAYLOAD, "sku: too long", "sku")

    def broken(_: EnrichedEvent) -> object:
        raise ZeroDivisionError

    settings = load_settings({"STREAMS_CONSENT_MODE": "assumed"})
    plans = (
        VendorPlan("one", addressed),
        VendorPlan("two", outside),
        VendorPlan("three", misfit),
        VendorPlan("four", broken),
    )
    rows = [
        {name: value for name, value in shown(row).items() if name not in _OF_THE_EVENT}
        for row in previewed(click(sku="8S-1"), settings=settings, plans=plans)
    ]
    assert rows == [
        {
            "vendor": "one",
            "outcome": "sent",
            "consent": "assumed",
            "payload": {"sku": "8S-1"},
            "contact": {"customKey": "4711"},
        },
        {
            "vendor": "two",
            "outcome": "skipped",
            "reason": "outside_content",
            "detail": "the event happened outside 8SELECT content (8SELECT only)",
        },
        {
            "vendor": "three",
            "outcome": "dead_lettered",
            "reason": "invalid_payload",
            "field": "sku",
            "detail": "sku: too long",
        },
        {
            "vendor": "four",
            "outcome": "dead_lettered",
            "reason": "defect",
            "detail": "mapping for four failed: ZeroDivisionError",
        },
    ]


_OF_THE_EVENT = {"line", "topic", "event_id", "event_type", "anonymous_id"}


def test_an_email_is_known_only_where_a_vendor_looks_contacts_up_by_it() -> None:
    """As in enrichment's own table."""
    seen = []

    def note(event: EnrichedEvent) -> object:
        assert event.user is not None
        seen.append(event.user.email)
        return {}

    row = user("v-1", {"email": "a@b.example", "consent": {"miso": True}})
    previewed(row, click(sku="8S-1"), plans=(VendorPlan("miso", note),))
    assert seen == [None]


def test_vendors_without_credentials_are_shown_and_said_to_be_off() -> None:
    """A mapping needs none."""
    vendors = previewed_vendors(load_settings({}))
    assert "miso" in [plan.vendor for plan in vendors.plans]
    assert (
        "Miso is off until STREAMS_MISO_API_KEY is given; it is shown anyway, because a mapping "
        "needs no credentials."
    ) in vendors.remarks


def test_a_vendor_that_is_on_needs_no_remark() -> None:
    """Nor one that is on for enrichment alone."""
    for environ in ({"STREAMS_MISO_API_KEY": "k"}, {"STREAMS_MISO_ENABLED": "true"}):
        vendors = previewed_vendors(load_settings(environ))
        assert "miso" in [plan.vendor for plan in vendors.plans]
        assert not [remark for remark in vendors.remarks if "Miso" in remark]


def test_a_vendor_that_is_switched_off_is_not_shown() -> None:
    """It would get nothing."""
    vendors = previewed_vendors(load_settings({"STREAMS_MISO_ENABLED": "false"}))
    assert "miso" not in [plan.vendor for plan in vendors.plans]
    assert "Miso is switched off (STREAMS_MISO_ENABLED=false) and not shown." in vendors.remarks


def test_a_vendor_whose_mapping_lacks_a_secret_is_shown_with_a_made_up_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The setting is named, and nothing of what is given is changed."""
    seen = []

    def plan(_: Vendor, section: MisoSettings, _events: object) -> VendorPlan:
        if section.api_key is None:
            raise SettingsError(["STREAMS_MISO_API_KEY: is missing; ids are made with it."])
        seen.append((section.api_key.get_secret_value(), section.product_id))
        return VendorPlan("miso", lambda _: {})

    monkeypatch.setattr(module, "plan_for", plan)
    monkeypatch.setattr(module, "VENDORS", {"miso": VENDORS["miso"]})
    vendors = previewed_vendors(load_settings({"STREAMS_MISO_PRODUCT_ID": "product_id"}))
    assert [plan.vendor for plan in vendors.plans] == ["miso"]
    assert seen == [("streams check --mapping", "product_id")]
    assert vendors.remarks[0] == (
        "Miso is shown with secrets made up for this: STREAMS_MISO_API_KEY: is missing; ids are "
        "made with it."
    )


def test_every_row_of_json_has_the_same_fields() -> None:
    """Rows of tables are told as rows; null is what there is not."""
    preview = MappingPreview(load_settings({}), (), NOW_MS)
    (row,) = preview.preview_line(1, json.dumps(product("p-1", {"sku": "8S-1"})).encode())
    assert json.loads(msgspec.json.encode(row)) == {
        "line": 1, "outcome": "row", "topic": "shop.products", "event_id": None,
        "event_type": None, "anonymous_id": None, "vendor": None, "reason": None, "field": None,
        "detail": None, "consent": None, "payload": None, "contact": None, "notes": [],
    }  # fmt: skip
    (gone,) = preview.preview_line(2, json.dumps(product("p-1", None)).encode())
    assert (gone.outcome, preview.rows_taken) == ("row", 2)


def test_odd_ids_and_failed_expressions_are_named_where_an_event_is_sent() -> None:
    """A person who looks at the mapping sees what would be counted only."""
    settings = load_settings(
        {"STREAMS_SOURCE_CLICKS_FIELDS": '{"user_id": "to_string(who)", "price": "abs(amount)"}'}
    )
    line = click(sku="undefined", who="null", amount="19", consent={"miso": True})
    (row,) = previewed(line, settings=settings)
    assert row.notes == ("left_out:price", "suspicious_id")
    assert row.detail == (
        'user_id reads "null": who has it is many people at once; sku reads "undefined": who has '
        "it is many people at once; price: the expression abs(amount) failed: abs() got string, "
        "not number"
    )


OWN_TOPICS = """
[consent]
mode = "assumed"
[ingest.views]
topic = "web"
to = "clicks"
when = "name == 'view'"
format = "confluent-json"
[ingest.views.fields]
anonymous_id = "client"
timestamp = "at"
product_id = "product"
[ingest.orders]
topic = "web"
to = "add-to-carts"
when = "name == 'order'"
format = "confluent-json"
each = "items"
[ingest.orders.fields]
anonymous_id = "client"
timestamp = "at"
product_id = "_item"
[ingest.catalogue]
topic = "products"
to = "products"
key = "id"
[ingest.catalogue.fields]
sku = "code"
"""


@pytest.mark.parametrize("bare", [False, True])
def test_a_line_of_a_shops_topic_is_mapped_by_the_sections_that_read_it(
    tmp_path: Path, bare: bool
) -> None:
    """By its envelope or by the topic's name; framed formats are JSON in a file."""
    config = tmp_path / "streams.toml"
    config.write_text(OWN_TOPICS)
    settings = load_settings({"STREAMS_CONFIG": str(config)})
    plans = (plan_for(VENDORS["miso"], settings.vendors["miso"]),)
    preview = MappingPreview(settings, plans, NOW_MS, "web" if bare else None)
    records: list[Any] = [
        {"name": "view", "client": "v-1", "at": AT, "product": 7},
        {"name": "order", "client": "v-1", "at": AT, "items": [7, None, 8]},
        {"name": "scroll"},
    ]
    lines = [{"topic": "products", "key": None, "value": {"id": 7, "code": "8S-7"}}]
    lines += records if bare else [{"topic": "web", "value": value} for value in records]
    lines.append(click(product_id="7"))
    rows = [
        row
        for number, line in enumerate(lines, start=1)
        for row in preview.preview_line(number, json.dumps(line).encode())
    ]
    found = [(row.line, row.outcome, row.event_id, row.topic, row.reason) for row in rows]
    assert found[:6] == [
        (1, "row", None, "shop.products", None),
        (2, "sent", "web-0-0", "shop.clicks", None),
        (3, "sent", "web-0-1-0", "shop.add-to-carts", None),
        (3, "dead_lettered", "web-0-1-1", "web", "invalid_field"),
        (3, "skipped", "web-0-1-2", "shop.add-to-carts", "unknown_product"),
        (4, "skipped", None, "web", "unmapped"),
    ]
    # An event of our own is one where no topic is named for lines alone.
    assert found[6][1:4] == (("skipped", None, "web") if bare else ("sent", "e-1", "shop.clicks"))


def test_visitor_of_a_line_is_found_in_the_lines_before_it(tmp_path: Path) -> None:
    """By its user or its order, as the stage finds it; and not after the visitor is forgotten.

    The order that is there twice is a duplicate, as enrichment would decide.
    """
    config = tmp_path / "streams.toml"
    config.write_text(
        '[consent]\nmode = "assumed"\n[source.orders]\nenabled = true\n'
        '[ingest.erp]\ntopic = "erp"\nto = "orders"\nvisitor_from = ["order_id", "user_id"]\n'
        '[ingest.web]\ntopic = "web"\nto = "visitors"\n'
    )
    settings = load_settings({"STREAMS_CONFIG": str(config)})
    plans = (plan_for(VENDORS["miso"], settings.vendors["miso"]),)
    preview = MappingPreview(settings, plans, NOW_MS)
    bought = [{"product_id": "7", "sku": "8S-7", "quantity": 1}]
    order = {"timestamp": AT, "user_id": 12, "lines": bought}
    lines = [
        {"topic": "users", "key": "ann", "value": {"user_id": "12"}},
        {"topic": "web", "value": {"anonymous_id": "ben", "order_id": 2, "timestamp": AT}},
        {"topic": "erp", "value": order | {"order_id": "1"}},
        {"topic": "erp", "value": order | {"order_id": "2"}},
        {"topic": "erp", "value": order | {"order_id": "2"}},
        {"topic": "users", "key": "ann", "value": None},
        {"topic": "erp", "value": order | {"order_id": "3"}},
    ]
    rows = [
        row
        for number, line in enumerate(lines, start=1)
        for row in preview.preview_line(number, json.dumps(line).encode())
    ]
    assert [(row.outcome, row.topic, row.anonymous_id, row.reason, row.notes) for row in rows] == [
        ("row", "shop.users", None, None, ()),
        ("row", "shop.visitors", None, None, ()),
        ("sent", "shop.orders", "ann", None, ("joined:user_id",)),
        ("sent", "shop.orders", "ben", None, ("joined:order_id",)),
        ("skipped", "shop.orders", "ben", "duplicate", ("joined:order_id",)),
        ("row", "shop.users", None, None, ()),
        ("dead_lettered", "erp", None, "unknown_visitor", ()),
    ]


def test_a_topic_that_no_section_reads_is_a_mistake(tmp_path: Path) -> None:
    """Those that are read are named."""
    config = tmp_path / "streams.toml"
    config.write_text(OWN_TOPICS)
    settings = load_settings({"STREAMS_CONFIG": str(config)})
    with pytest.raises(SettingsError, match="reads wbe; topics that are read: web, products"):
        MappingPreview(settings, (), NOW_MS, "wbe")


def test_fields_are_counted_over_all_records_of_a_topic() -> None:
    """Also over those that are no events: a field that nobody has shows a wrong expression."""
    preview = MappingPreview(load_settings({}), (), NOW_MS)
    for line in (
        click(sku="8S-1", page={"url": "https://u", "title": " "}),
        click(sku="", user_id=4711),
        click(timestamp="yesterday"),
        b'{"topic":"clicks","key":"v","value":"text"}',
    ):
        encoded = line if isinstance(line, bytes) else json.dumps(line).encode()
        list(preview.preview_line(1, encoded))
    assert preview.events == {"shop.clicks": 4}
    assert preview.fields["shop.clicks"] == {
        "event_id": 3, "anonymous_id": 3, "product_id": 3, "timestamp": 3, "sku": 1,
        "user_id": 1, "page.url": 1,
    }  # fmt: skip
