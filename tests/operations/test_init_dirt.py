"""``streams init`` over the dirt of shops: nothing that it proposes goes wrong in silence."""

from collections.abc import Iterator, Mapping
from typing import Any

from streams.core.proposal.model import ProposedSection
from streams.core.proposal.propose import propose
from streams.operations.init.samples import RawSample, UndecodedRecord
from tests.operations.test_init import mapped, proposed, samples_of
from tests.shapes.formats import Shape, iso
from tests.shapes.shop import START_MS

VISITORS = [f"5a1f0000-77aa-4c1e-9d00-{number:012x}" for number in range(9)]


def remarks_of(section: ProposedSection, about: str) -> list[str]:
    """The remarks on a field of the section."""
    return [remark for remark in section.remarks if remark.startswith(f"{about}: ")]


def clicks(count: int = 40, **more: Any) -> Iterator[dict[str, Any]]:
    """Yield so many product views of a flat log."""
    for number in range(count):
        yield {
            "event": "product_viewed",
            "time": iso(START_MS + 1000 * number),
            "visitor_id": VISITORS[number % len(VISITORS)],
            "product_id": str(41_200 + number % 7),
            **more,
        }


def orders(count: int = 30) -> Iterator[dict[str, Any]]:
    """Yield so many orders as a shop system writes them."""
    for number in range(count):
        yield {
            "id": 5_520_000 + number,
            "order_number": 1000 + number,
            "created_at": iso(START_MS + 60_000 * number),
            "visitor_token": VISITORS[number % len(VISITORS)],
            "currency": "EUR",
            "subtotal_price": "279.75",
            "financial_status": "pending",
            "customer": {"email_marketing_consent": {"state": "subscribed"}},
            "line_items": [
                {"id": 10 * number + n, "product_id": 41_200 + n, "quantity": 1 + n,
                 "sku": f"S-{n}", "price": "129.90"}
                for n in range(2)
            ],
        }  # fmt: skip


def test_orders_that_are_written_again_stay_orders_and_the_repeats_are_said() -> None:
    """Each line of each of them would else pass for an add-to-cart."""
    shape = Shape()
    for order in orders():
        for status in ("pending", "paid", "shipped"):
            shape.add("shop.web-hooks", {**order, "financial_status": status})
    (section,) = proposed(shape).sections
    assert section.to == "orders"
    (remark,) = remarks_of(section, "order_id")
    assert remark.startswith("order_id: 60 of 90 records repeat an order. ")
    assert "write when so that it is true for one record of each order" in remark
    assert "region" not in section.fields, "a state of consent is no region"


def test_of_orders_that_are_written_once_no_repeat_is_said() -> None:
    """Nobody has to do anything."""
    shape = Shape()
    for order in orders():
        shape.add("shop.web-hooks", order)
    (section,) = proposed(shape).sections
    assert section.to == "orders"
    assert remarks_of(section, "order_id") == []


def test_a_few_orders_among_other_records_make_no_topic_of_orders() -> None:
    """Nothing in the values says which is which."""
    shape = Shape()
    for click, order in zip(clicks(30), orders(), strict=True):
        del click["event"]
        for _ in range(3):
            shape.add("mixed-clicks", click)
        shape.add("mixed-clicks", order | {"time": order["created_at"]})
    assert "orders" not in [section.to for section in proposed(shape).sections]


def test_a_record_s_consent_that_names_no_vendor_is_said() -> None:
    """Flags, words of consent mode, and what nobody can read; each with what to write."""
    shape = Shape()
    for number, click in enumerate(clicks()):
        consent = {
            "statistics": True,
            "marketing": number % 3 > 0,
            "tcString": "CPXxRfAPXxRfAAfKABENB",
        }
        shape.add("flags", {**click, "consent": consent})
        shape.add("only", {**click, "consent": {"statistics": True, "marketing": number % 3 > 0}})
        ads = "granted" if number % 3 else "denied"
        shape.add(
            "words", {**click, "consent_mode": {"analytics_storage": "granted", "ad_storage": ads}}
        )
        preferences = {**click, "preferences": [{"marketing": number % 3 > 0}]}
        shape.add("list", preferences)
    proposal = proposed(shape)
    flags, only, words, listed = proposal.sections
    (remark,) = remarks_of(listed, "consent")
    assert "{miso: preferences[0].marketing, voyado: preferences[0].marketing, " in remark
    assert remarks_of(only, "consent")[0] == remarks_of(flags, "consent")[0]
    assert len(mapped(shape, proposal)["clicks"]) == 160
    not_read, flag, string = remarks_of(flags, "consent")
    assert not_read.endswith("does not say it for our vendors; it is not read.")
    assert "consent.marketing may say it (so may consent.statistics), but not for which" in flag
    assert flag.endswith(
        'write consent = "{miso: consent.marketing, voyado: consent.marketing, '
        'eightselect: consent.marketing}".'
    )
    assert string.startswith("consent: consent.tcString looks like a consent string of the IAB")
    (remark,) = remarks_of(words, "consent")
    assert "{miso: consent_mode.ad_storage == 'granted', voyado: " in remark
    (question,) = [one for one in proposal.questions if one.name == "consent"]
    assert question.text.startswith("No field says for our vendors whether a visitor has consented")


def test_the_zone_of_local_times_is_not_that_of_times_in_utc() -> None:
    """Two producers write to one topic, and one of them writes the Z."""
    shape = Shape()
    for number, click in enumerate(clicks()):
        local = f"2026-11-20T11:00:{number:02d}"
        shape.add(
            "letter", {**click, "time": f"2026-11-20T10:00:{number:02d}Z" if number % 2 else local}
        )
        utc = f"2026-11-20 10:00:{number:02d} UTC"
        shape.add("name", {**click, "time": utc if number % 2 else local.replace("T", " ")})
    answers = {f"timezone:{topic}": "Europe/Berlin" for topic in shape.topics}
    proposal = proposed(shape, answers)
    assert [one.timezone for one in proposal.sections] == ["Europe/Berlin", "Europe/Berlin"]
    for number, (_, click) in enumerate(mapped(shape, proposal)["clicks"]):
        assert click["timestamp"] == START_MS + number % 40 * 1000
    asked = [one.text for one in proposal.questions if one.name.startswith("timezone:")]
    assert [text.partition("such as ")[2][:19] for text in asked] == [
        "2026-11-20T11:00:00",
        "2026-11-20 11:00:00",
    ]


def test_a_purchase_that_ga4_gives_no_id_has_that_of_its_parameters() -> None:
    """Else all of them were one order."""
    shape = Shape()
    for number in range(30):
        parameters = [{"key": "transaction_id", "value": {"string_value": f"T-{number}"}}]
        record: Mapping[str, Any] = {
            "event_name": "purchase",
            "event_timestamp": (START_MS + number) * 1000,
            "event_params": parameters,
            "user_pseudo_id": VISITORS[number % len(VISITORS)],
            "ecommerce": {"transaction_id": "(not set)" if number % 2 else f"T-{number}"},
            "items": [{"item_id": "S-1", "quantity": 1, "price": 9.9}],
        }
        shape.add("ga4", record)
    (section,) = proposed(shape).sections
    found = [order["order_id"] for _, order in mapped(shape, proposed(shape))["orders"]]
    assert found == [f"T-{number}" for number in range(30)]
    assert remarks_of(section, "order_id") == []


def test_an_identify_without_an_id_is_no_row() -> None:
    """It would be malformed, and say no to every vendor; what a later row forgets is said."""
    shape = Shape()
    for number in range(40):
        call = {"messageId": f"m-{number}", "anonymousId": VISITORS[number % 9]}
        call["timestamp"] = iso(START_MS + number)
        user = {"userId": f"u-{number % 9}"} if number % 2 else {}
        traits = {"email": f"p{number % 9}@mail.example"} if number % 4 == 1 else {"plan": "club"}
        shape.add("segment", {"type": "identify", "traits": traits, **call, **user})
        properties = {"product_id": "41200", "sku": "S-1"}
        track = {"type": "track", "event": "Product Viewed", "properties": properties}
        named = {"anonymousId": None, "userId": "u-1"} if number % 4 == 0 else {}
        shape.add("segment", {**track, **call, **named})
        if number < 5:
            shape.add("segment", {"type": "page", "properties": {}, **call})
    assert "segment: no section takes 25 records that have no event." in proposed(shape).remarks
    of_clicks, of_users = proposed(shape).sections
    rows = mapped(shape, proposed(shape))["users"]
    assert len(rows) == 20
    assert all(row["user_id"] for _, row in rows)
    (forgets,) = remarks_of(of_users, "email")
    assert forgets.endswith("50 % of these rows have no email: it is then forgotten.")
    (remark,) = remarks_of(of_clicks, "anonymous_id")
    assert remark.startswith(
        "anonymous_id: 25 % of the events have no anonymousId. By userId they "
    )


def test_who_is_called_undefined_is_no_user() -> None:
    """Of a user's id nothing is sent then; the visitor's is enough."""
    shape = Shape()
    for number, click in enumerate(clicks()):
        shape.add(
            "clicks", {**click, "user_id": ("undefined", "(not set)", "u-1", "u-2")[number % 4]}
        )
    events = [event for _, event in mapped(shape, proposed(shape))["clicks"]]
    assert {event.get("user_id") for event in events} == {None, "u-1", "u-2"}


def test_amounts_with_a_comma_or_in_cents_are_read_or_said() -> None:
    """Whatever the amount is, no other one is sent in its place."""
    written: dict[str, tuple[list[Any], list[float | None]]] = {
        "comma": (["19,95", "1299,00", "5,50"], [19.95, 1299.0, 5.5]),
        "both": (["19,95", "1299.00", 5.5], [19.95, 1299.0, 5.5]),
        "thousands": (["19,95", "1.299,00", "2.000,50"], [19.95, 1299.0, 2000.5]),
        "cents": ([1995, 129900, 550], [1995.0, 129900.0, 550.0]),
        "english": (["19.95", "1,299.00", "5.50 EUR"], [None, None, None]),
        "mixed": (["19.95", "1.299,00", "2.000,50"], [None, None, None]),
    }
    for name, (given, meant) in written.items():
        shape = Shape()
        for number, click in enumerate(clicks(45)):
            shape.add("clicks", {**click, "unit_price": given[number % 3]})
        proposal = proposed(shape)
        found = [event.get("price") for _, event in mapped(shape, proposal)["clicks"]]
        assert found == meant * 15, name
        said = {
            "cents": "unit_price is always a whole number (such as 1995). If it is in cents, write "
            'price = "divide(unit_price, `100`)".',
            "english": "unit_price is text and not a number (such as 19.95); it is left out.",
            "mixed": "unit_price is text and not a number (such as 19.95); it is left out.",
        }
        assert remarks_of(proposal.sections[0], "price") == (
            [f"price: {said[name]}"] if name in said else []
        )


def test_a_value_that_may_be_that_of_all_pieces_is_said() -> None:
    """Vendors need the price of one."""
    shape = Shape()
    for number, click in enumerate(clicks()):
        cart = {
            "event": "add_to_cart",
            "value": 20.5 * (1 + number % 3),
            "quantity": 1 + number % 3,
        }
        shape.add("events", click | cart)
    (section,) = proposed(shape).sections
    assert section.fields["price"].expression == "value"
    (remark,) = remarks_of(section, "price")
    assert "vendors need that of one" in remark


def test_an_event_of_cloudevents_is_known_by_the_end_of_its_type() -> None:
    """The domain before it may contain any word, such as ``form``, and a version may follow."""
    shape = Shape()
    for number, click in enumerate(clicks(60)):
        kind = ("product.viewed.v1", "cart.item.added.v1", "order.placed.v2")[number % 3]
        data = {name: click[name] for name in ("visitor_id", "product_id")}
        if number % 3 == 2:
            line = {"product_id": data.pop("product_id"), "quantity": 1, "price": 9.9}
            data |= {"order_id": f"O-{number}", "lines": [line]}
        envelope = {"specversion": "1.0", "id": f"e-{number}", "time": click["time"]}
        shape.add("ce", {**envelope, "type": f"com.acme.platform.{kind}", "data": data})
    assert [one.to for one in proposed(shape).sections] == ["clicks", "add-to-carts", "orders"]


def test_what_only_headers_say_is_said_to_be_out_of_sight() -> None:
    """As in the binary mode of CloudEvents; what the records are taken as is said, too."""
    shape = Shape()
    for click in clicks():
        del click["event"]
        shape.add("shop.activity", click)
    (sample,) = samples_of(shape)
    proposal = propose([sample._replace(headers=("ce_id", "ce_type")).decoded()])
    assert [one.partition(". ")[0] for one in proposal.remarks] == [
        "shop.activity: no field names what happened, so all records are taken as clicks",
        "shop.activity: its records have the headers ce_id, ce_type, which expressions cannot see",
    ]


def test_the_id_of_an_item_in_a_cart_is_not_that_of_its_product() -> None:
    """Nobody else knows it."""
    shape = Shape()
    for number, click in enumerate(clicks()):
        item = {"id": f"line-{number}", "product_id": click.pop("product_id"), "quantity": 2}
        shape.add("events", click | {"event": "add_to_cart", "line_items": [item | {"price": 9.9}]})
    (section,) = proposed(shape).sections
    assert section.each == "line_items"
    assert section.fields["product_id"].expression == "_item.product_id"
    assert section.fields["price"].expression == "_item.price"


def test_rows_of_customers_are_said_to_be_nobody_s_where_visitors_are_the_key() -> None:
    """Neither their consent nor their contact is found then."""
    shape = Shape()
    for number, click in enumerate(clicks()):
        shape.add("events", {**click, "customer_id": 700 + number % 9})
    for number in range(9):
        row = {"customer_id": 700 + number, "email": f"p{number}@mail.example"}
        shape.add("customers", row, str(700 + number))
    remarks = proposed(shape).sections[0].remarks
    said = "0 % of its values are keys of the users. No event finds its row of users then."
    assert f"anonymous_id: {said}" in remarks


def test_several_events_of_a_request_are_said_to_share_a_page() -> None:
    """The measurement protocol takes 25; an item does not say of which it is."""
    shape = Shape()
    for number in range(30):
        views = [
            {
                "name": "view_item",
                "params": {"page_location": "https://u", "items": [{"item_id": "S"}]},
            }
        ] * (1 + number % 2)
        shape.add("mp", {"client_id": f"c{number % 7}.1", "timestamp_micros": 1, "events": views})
    (section,) = proposed(shape).sections
    assert section.remarks[0].startswith("15 records of 30 hold several view_item: ")


def test_debezium_s_times_without_a_zone_are_said() -> None:
    """They are written as if the local time were UTC."""
    shape = Shape()
    for number, click in enumerate(clicks()):
        after = {**click, "time": (START_MS + 1000 * number) * 1000}
        shape.add("db.clicks", {"before": None, "after": after, "op": "c", "ts_ms": START_MS})
    (section,) = proposed(shape).sections
    (remark,) = remarks_of(section, "timestamp")
    assert remark.startswith("timestamp: Debezium writes a column without zone")


def test_snowplow_s_lines_with_tabs_are_said_to_be_no_json() -> None:
    """Many shops have them on Kafka."""
    line = "\t".join(["shop", "web", "2026-11-20 10:00:02.123", *[""] * 120]).encode()
    proposal = propose([RawSample("enriched.good", [UndecodedRecord(None, line)]).decoded()])
    assert proposal.sections == []
    assert "Snowbridge, write them as JSON" in proposal.remarks[0]


def test_a_product_that_is_named_by_its_sku_alone_has_both_ids() -> None:
    """Vendors need the SKU."""
    shape = Shape()
    for number, click in enumerate(clicks()):
        del click["product_id"]
        shape.add("events", click | {"sku": f"S-{number % 7}"})
    (section,) = proposed(shape).sections
    assert section.fields["product_id"].expression == section.fields["sku"].expression == "sku"
    assert remarks_of(section, "sku") == []


def test_rows_that_debezium_has_flattened_are_deleted_by_what_they_say() -> None:
    """A visitor who is deleted has no consent any more."""
    shape = Shape()
    for number, visitor in enumerate(VISITORS):
        row = {"visitor_id": visitor, "email": f"p{number}@mail.example", "miso_consent": True}
        shape.add("db.visitors", row | {"__deleted": "false"}, visitor)
    shape.add("db.visitors", row | {"__deleted": "true"}, visitor)
    proposal = proposed(shape)
    assert proposal.sections[0].envelope == "debezium"
    assert mapped(shape, proposal)["users"][-1] == (VISITORS[-1], None)


def test_a_quantity_that_cannot_be_read_is_said() -> None:
    """Each add-to-cart counts as one piece then."""
    shape = Shape()
    for click in clicks():
        shape.add("events", click | {"event": "add_to_cart", "qty": "2 Stk"})
    (section,) = proposed(shape).sections
    (remark,) = remarks_of(section, "quantity")
    assert remark.startswith("quantity: qty has values that are no whole number, such as 2 Stk;")


def test_a_field_that_says_no_where_it_is_true_is_no_consent() -> None:
    """Whoever has refused would else count as one who has agreed."""
    shape = Shape()
    for number, click in enumerate(clicks()):
        shape.add("events", {**click, "marketing_opt_out": number % 3 > 0})
    for number, visitor in enumerate(VISITORS):
        row = {"visitor_id": visitor, "email": f"p{number}@mail.example", "miso_opt_out": True}
        shape.add("visitors", row | {"unsubscribed_newsletter": number % 2}, visitor)
    for section in proposed(shape).sections:
        assert "consent" not in section.fields
        assert remarks_of(section, "consent") == []
