"""``streams init``: what it proposes for shapes that shops have, measured against what is right."""

import json
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from socket import socket
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.errors import SettingsError, SetupError
from streams.core.ingest.outcomes import IngestRecord, IngestRefusal
from streams.core.proposal.model import Proposal, SampledRecord, TopicSample
from streams.core.proposal.propose import propose
from streams.core.proposal.toml import proposal_toml
from streams.core.times import to_ms
from streams.operations.init.config_file import write_proposal
from streams.operations.init.preview import outlook, with_sections
from streams.operations.init.samples import (
    RawSample,
    UndecodedRecord,
    decode_avro,
    is_file,
    read_file,
)
from streams.settings import Settings, load_settings
from tests.registry.simulator import RegistrySimulator
from tests.shapes.formats import ALL, EVENTS, FIVE_FORMATS, Shape
from tests.shapes.orders import ORDERS
from tests.shapes.shop import START_MS

NOW_MS = START_MS + 3_600_000
ENOUGH = 0.9


@asynccontextmanager
async def registry_of(schemas: Mapping[str, Any]) -> AsyncIterator[str]:
    """A schema registry with these schemas by subject, their ids from 1 on; its address."""
    simulator = RegistrySimulator()
    for subject, schema in schemas.items():
        simulator.add(subject, schema)
    await simulator.start()
    try:
        yield simulator.url
    finally:
        await simulator.stop()


def samples_of(shape: Shape) -> list[RawSample]:
    """The shape's topics as they are sampled."""
    return [
        RawSample(topic, [UndecodedRecord(*record) for record in records])
        for topic, records in shape.topics.items()
    ]


def proposed(shape: Shape, answers: Mapping[str, str] | None = None) -> Proposal:
    """What is proposed for a shape where its person answers what only a person knows."""
    known = {f"timezone:{topic}": shape.timezone for topic in shape.topics if shape.timezone}
    decoded = [sample.decoded() for sample in samples_of(shape)]
    return propose(decoded, {**known, **(answers or {})})


def mapped(shape: Shape, by: Proposal | Settings) -> dict[str, list[tuple[str, Any]]]:
    """Key and value of each record that the sections write, by where it goes."""
    loaded = with_sections(load_settings({}), by) if isinstance(by, Proposal) else by
    mappings = loaded.ingest_mappings()
    found: dict[str, list[tuple[str, Any]]] = {}
    for topic, records in shape.topics.items():
        for offset, (key, value) in enumerate(records):
            for outcome in mappings[topic].read(key, value, 0, offset, NOW_MS):
                assert not isinstance(outcome, IngestRefusal), outcome
                if isinstance(outcome, IngestRecord):
                    said = None if outcome.value is None else json.loads(outcome.value)
                    found.setdefault(outcome.to, []).append((outcome.key.decode(), said))
    return found


def flat(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event with dotted parts, its time in ms, and no id that we made ourselves."""
    found: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, dict) and name != "consent":
            found |= {f"{name}.{part}": item for part, item in value.items()}
        elif name == "timestamp":
            found["timestamp_ms"] = to_ms(value)
        else:
            found[name] = value
    return found


def share_of_right_fields(
    meant: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]
) -> tuple[float, dict[str, float]]:
    """Return the share of fields that are right in nearly all events, and each field's own."""
    assert len(given) == len(meant)
    assert meant
    wanted = {name for event in meant for name in event}
    made_ids = "event_id" not in wanted
    names = wanted | {
        name for event in given for name in event if not (made_ids and name == "event_id")
    }
    right = {
        name: sum(a.get(name) == b.get(name) for a, b in zip(meant, given, strict=True))
        / len(meant)
        for name in names
    }
    return sum(share >= 0.99 for share in right.values()) / len(right), right


@pytest.mark.parametrize("name", EVENTS)
def test_nearly_all_fields_of_a_shop_s_events_are_found(name: str) -> None:
    """Nine of ten at least, by what the mapping writes; the key is the visitor."""
    shape = EVENTS[name]()
    found = mapped(shape, proposed(shape))
    for to, meant in (("clicks", shape.clicks), ("add-to-carts", shape.carts)):
        given = [flat(value) for _, value in found[to]]
        share, right = share_of_right_fields(meant, given)
        wrong = {field: share for field, share in right.items() if share < 0.99}
        assert share >= ENOUGH, f"{name} {to}: {share:.0%} of the fields are right, not {wrong}"
    for key, event in [*found["clicks"], *found["add-to-carts"]]:
        assert key == event["anonymous_id"]


@pytest.mark.parametrize("name", ORDERS)
def test_nearly_all_fields_of_a_shop_s_orders_are_found(name: str) -> None:
    """With all their lines; what else is on the topic goes where it went."""
    shape = ORDERS[name]()
    found = mapped(shape, proposed(shape))
    share, right = share_of_right_fields(
        shape.orders, [flat(order) for _, order in found["orders"]]
    )
    wrong = {field: share for field, share in right.items() if share < 0.99}
    assert share >= ENOUGH, f"{name}: {share:.0%} of the fields are right, not {wrong}"
    assert right["lines"] == right["order_id"] == right["anonymous_id"] == 1.0
    assert len(found.get("clicks", ())) == len(shape.clicks)
    assert len(found.get("add-to-carts", ())) == len(shape.carts)


def test_a_file_that_is_written_switches_the_orders_on(tmp_path: Path) -> None:
    """Unless it does so already; where it has them off, somebody meant that."""
    shape = ORDERS["magento"]()
    path = tmp_path / "streams.toml"
    write_proposal(path, proposed(shape))
    assert "[source.orders]\nenabled = true\n" in path.read_text()
    loaded = load_settings({"STREAMS_CONFIG": str(path)})
    assert len(mapped(shape, loaded)["orders"]) == len(shape.orders)
    path.write_text("[source.orders]\nenabled = true\n")
    write_proposal(path, proposed(shape))
    assert path.read_text().count("[source.orders]") == 1
    path.write_text("[source.orders]\nenabled = false\n")
    with pytest.raises(SettingsError, match=r"\[source.orders\]; write enabled = true into it"):
        write_proposal(path, proposed(shape))


def test_an_order_is_shown_at_each_vendor() -> None:
    """Beside one click and one add-to-cart."""
    shape = ORDERS["segment"]()
    assumed = proposed(shape, {"consent": "assumed"})
    seen = outlook(load_settings({}), assumed, samples_of(shape), NOW_MS)
    assert [view.to for view in seen.views] == ["clicks", "add-to-carts", "orders"]
    outcomes = {row.vendor: row.outcome for row in seen.views[2].rows}
    assert (outcomes["eightselect"], outcomes["miso"]) == ("sent", "sent")


def test_views_of_a_vendor_s_content_are_told_from_those_of_products() -> None:
    """By the types of the content, which nobody else writes; clicks in it keep it, too."""
    shape = Shape()
    for number in range(90):
        event: dict[str, Any] = {
            "event": ("product_clicked", "set_viewed", "product_clicked")[number % 3],
            "at": f"2026-11-20T10:00:{number % 60:02d}Z",
            "visitor_id": f"v{number % 7}-{number % 7}",
        }
        if number % 3 == 1:
            event |= {"widget": {"kind": "customSet", "set_id": f"s{number % 5}"}}
        else:
            event |= {"product_id": f"p{number % 9}", "sku": f"s-{number % 9}"}
        if number % 3 == 2:
            event |= {"widget": {"kind": "similarProducts", "set_id": f"s{number % 5}"}}
        shape.add("web", event)
    proposal = proposed(shape)
    assert proposal.sources() == ["content-views"]
    found = mapped(shape, proposal)
    assert {key: len(events) for key, events in found.items()} == {
        "clicks": 60,
        "content-views": 30,
    }
    assert found["content-views"][0][1]["content"] == {"type": "customSet", "id": "s1"}
    assert sum("content" in event for _, event in found["clicks"]) == 30


def test_five_formats_of_known_trackers_are_recognised_by_their_structure() -> None:
    """Not only guessed by the names of their fields."""
    for name in FIVE_FORMATS:
        shapes = {section.shape for section in proposed(EVENTS[name]()).sections[:2]}
        assert len(shapes) == 1
        assert shapes != {"recognised by names and values"}


@pytest.mark.parametrize("name", ALL)
def test_rows_of_tables_are_found_and_deletes_are_tombstones(name: str) -> None:
    """Envelopes and keys included: what is left is what is right."""
    shape = ALL[name]()
    found = mapped(shape, proposed(shape))
    for to, meant in (("users", shape.users), ("products", shape.products)):
        left: dict[str, Any] = {}
        for key, row in found.get(to, []):
            if row is None:
                left.pop(key)
            else:
                left[key] = row
        assert left == meant


def test_what_nobody_takes_is_said_by_name_and_count() -> None:
    """A purchase is neither a click nor an add-to-cart."""
    proposal = proposed(EVENTS["session_log"]())
    assert "behaviour: no section takes these events: purchase (40)." in proposal.remarks


def test_a_product_id_is_the_field_whose_values_are_keys_of_the_products() -> None:
    """Whatever both of them are called."""
    shape = Shape()
    for number in range(60):
        event = {"when": f"2026-11-20T10:00:{number:02d}Z", "who": f"visitor-{number % 7}"}
        shape.add("clicks", {**event, "alpha": str(number % 9), "beta": f"B{number % 11}"})
    for number in range(11):
        shape.add("assortment", {"beta_code": f"B{number}", "sku": f"S{number}", "name": "Shirt"})
    section = proposed(shape).sections[0]
    assert section.fields["product_id"].expression == "beta"


def test_all_topics_of_a_shop_are_proposed_as_each_is_by_itself() -> None:
    """Names that several tables share are no keys."""
    shapes = {name: make() for name, make in EVENTS.items()}
    samples = [sample.decoded() for shape in shapes.values() for sample in samples_of(shape)]
    together = {(one.topic, one.to): one for one in propose(samples).sections}
    for shape in shapes.values():
        for section in proposed(shape).sections:
            other = together[section.topic, section.to]
            assert other.key == section.key
            if section.to in {"users", "products"}:
                assert other.fields == section.fields


def test_the_visitor_is_no_field_that_guests_share() -> None:
    """User 0 is everybody who is not signed in."""
    shape = Shape()
    for number in range(60):
        shape.add(
            "events",
            {
                "event": "product_viewed",
                "date": f"2026-11-20T10:00:{number:02d}Z",
                "session_key": f"k{number % 7}-{number % 7}",
                "user": {"id": number % 3},
                "product": {"id": number % 9 + 1},
            },
        )
    proposal = proposed(shape)
    events = [event for _, event in mapped(shape, proposal)["clicks"]]
    assert {event["anonymous_id"] for event in events} == {f"k{n}-{n}" for n in range(7)}
    assert {event.get("user_id") for event in events} == {None, "1", "2"}


def test_a_field_of_another_meaning_does_not_pass_for_ours() -> None:
    """GA4's consent is not the shop's consent for a vendor."""
    shape = EVENTS["ga4_measurement_protocol"]()
    events = mapped(shape, proposed(shape))["clicks"]
    assert not any("consent" in event for _, event in events)


def test_a_row_s_consent_of_another_meaning_is_not_taken_for_a_vendor_s() -> None:
    """It would say no to all of them."""
    shape = Shape()
    for number in range(30):
        row = {"visitor_id": f"v-{number}", "email": f"p{number}@mail.example", "consent": "yes"}
        shape.add("visitors", row, f"v-{number}")
    proposal = proposed(shape)
    rows = [row for _, row in mapped(shape, proposal)["users"]]
    assert rows[0] == {"email": "p0@mail.example"}
    assert any(remark.startswith("consent: ") for remark in proposal.sections[0].remarks)


def test_times_without_a_zone_are_asked_for_and_said() -> None:
    """Who is not asked reads what was assumed."""
    shape = EVENTS["magento_cart"]()
    proposal = propose([sample.decoded() for sample in samples_of(shape)])
    assert [question.name for question in proposal.questions] == [
        "timezone:magento_events",
        "consent",
    ]
    assert any("UTC is assumed" in remark for remark in proposal.sections[0].remarks)


def test_days_and_months_that_can_be_swapped_are_asked_for() -> None:
    """The answer decides."""
    shape = Shape()
    for day in range(1, 10):
        shape.add(
            "clicks", {"time": f"0{day}/11/2026 10:00:00", "visitor_id": day, "product_id": 1}
        )
    assert proposed(shape).sections[0].timestamp_format == ("%d/%m/%Y %H:%M:%S",)
    american = proposed(shape, {"format:clicks": "%m/%d/%Y %H:%M:%S"})
    assert american.sections[0].timestamp_format == ("%m/%d/%Y %H:%M:%S",)


def test_records_of_no_shape_get_no_section_and_a_sentence() -> None:
    """Nothing is made up."""
    shape = Shape()
    for number in range(30):
        shape.add("weather", {"station": number, "celsius": 7.5})
    proposal = proposed(shape)
    assert proposal.sections == []
    (remark,) = proposal.remarks
    assert remark.startswith("weather looks like none of clicks, add-to-carts, users and products;")


@pytest.mark.parametrize("name", ALL)
def test_what_is_written_is_read_as_settings_and_means_the_same(name: str, tmp_path: Path) -> None:
    """Comments, quotes and dotted names come back as they were proposed."""
    shape = ALL[name]()
    proposal = proposed(shape)
    path = tmp_path / "streams.toml"
    write_proposal(path, proposal)
    loaded = load_settings({"STREAMS_CONFIG": str(path)})
    assert mapped(shape, loaded) == mapped(shape, with_sections(load_settings({}), proposal))


def test_what_stands_in_the_settings_file_stays(tmp_path: Path) -> None:
    """Sections are added, and none is added twice."""
    path = tmp_path / "streams.toml"
    path.write_text('# ours\n[consent]\nmode = "assumed"\n')
    proposal = proposed(EVENTS["segment"](), {"consent": "assumed"})
    write_proposal(path, proposal)
    assert path.read_text().startswith('# ours\n[consent]\nmode = "assumed"\n')
    assert set(tomllib.loads(path.read_text())["ingest"]) == {
        "segment-clicks",
        "segment-add-to-carts",
        "segment-users",
    }
    with pytest.raises(SettingsError, match=r"already has the section \[ingest.segment-clicks\]"):
        write_proposal(path, proposal)


def test_examples_name_nobody() -> None:
    """Ids of people, e-mail and IP addresses are masked; products are not."""
    text = proposal_toml(proposed(EVENTS["segment"]()))
    assert "mail.example" not in text
    assert "198.51.100.1" not in text
    assert "5a1f0000" not in text
    assert "SH-1000-S" in text


def test_each_vendor_s_payload_is_shown_and_what_it_waits_for() -> None:
    """And what it would be with a yes."""
    shape = EVENTS["segment"]()
    seen = outlook(load_settings({}), proposed(shape), samples_of(shape), NOW_MS)
    assert [view.to for view in seen.views] == ["clicks", "add-to-carts"]
    view = seen.views[0]
    assert {row.vendor: row.reason for row in view.rows} == {
        "eightselect": "no_consent",
        "voyado": "no_consent",
        "miso": "no_consent",
    }
    assert view.with_a_yes["eightselect"].reason == "outside_content"
    payload = json.loads(bytes(view.with_a_yes["miso"].payload or b""))
    assert payload["product_ids"] == ["SH-1000-S"]
    assumed = proposed(shape, {"consent": "assumed"})
    seen = outlook(load_settings({}), assumed, samples_of(shape), NOW_MS)
    assert {row.vendor: row.outcome for row in seen.views[0].rows}["miso"] == "sent"
    assert seen.written["segment-clicks"] == 160


def test_sections_of_long_topic_names_have_names_that_settings_take() -> None:
    """And different ones."""
    shape, long = Shape(), "eu-central-1.production.web.shop.example.clickstream"
    for number in range(120):
        for topic in (f"{long}.events", f"{long}.more.events"):
            event = {"event": ("view", "cart")[number % 2], "sku": f"s{number % 9}"}
            time = {"time": f"2026-11-20T10:{number % 60:02d}:00Z", "cookie": f"c{number % 7}"}
            shape.add(topic, event | time)
    proposal = proposed(shape)
    assert len({section.name for section in proposal.sections}) == 4
    assert max(len(section.name) for section in proposal.sections) <= 40
    assert with_sections(load_settings({}), proposal).ingest_mappings()


def test_a_file_holds_values_or_names_topics_and_keys(tmp_path: Path) -> None:
    """Both forms of JSON lines."""
    plain = tmp_path / "my events.jsonl"
    plain.write_text('{"a": 1}\n\n{"a": 2}\nnonsense\n')
    (sample,) = read_file(plain, 10)
    assert sample.topic == "my-events"
    assert sample.decoded().unreadable == 1
    named = tmp_path / "two.jsonl"
    named.write_text(
        '{"topic": "a", "key": "k", "value": {"x": 1}}\n{"topic": "b", "key": 7, "value": null}\n'
    )
    assert read_file(named, 10) == [
        RawSample("a", [UndecodedRecord(b"k", b'{"x": 1}')]),
        RawSample("b", [UndecodedRecord(b"7", None)]),
    ]
    assert is_file(str(plain))
    assert not is_file("shop.events")
    with pytest.raises(SettingsError, match=r"There is no file gone\.jsonl"):
        is_file("gone.jsonl")


def test_of_a_long_file_records_are_chosen_from_all_of_it(tmp_path: Path) -> None:
    """Not only its first ones."""
    path = tmp_path / "long.jsonl"
    path.write_text("".join(f'{{"n": {number}}}\n' for number in range(1_000)))
    numbers = [record.value["n"] for record in read_file(path, 10)[0].decoded().records]
    assert numbers == [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]


def test_confluent_s_framing_before_json_is_recognised() -> None:
    """A zero and a schema id stand before each value."""
    records = [UndecodedRecord(None, b'\0\0\0\0\7{"n": 1}') for _ in range(5)]
    assert RawSample("t", records).decoded().format == "confluent-json"
    shape = EVENTS["segment"]()
    framed = [
        RawSample(
            sample.topic,
            [UndecodedRecord(key, b"\0\0\0\0\7" + (v or b"")) for key, v in sample.records],
        )
        for sample in samples_of(shape)
    ]
    proposal = propose([sample.decoded() for sample in framed])
    assert proposal.sections[0].settings()["format"] == "confluent-json"
    seen = outlook(load_settings({}), proposal, framed, NOW_MS)
    assert seen.written["segment-clicks"] == 160
    binary = [UndecodedRecord(None, b"\0\0\0\0\7\x02\x06abc") for _ in range(5)]
    assert RawSample("t", binary).decoded().format == "confluent-avro"
    (remark, *_) = propose([RawSample("t", binary).decoded()]).remarks
    assert remark == (
        "t holds Avro records: set [registry] url (STREAMS_REGISTRY_URL) and run this again."
    )


EVENT = {
    "type": "record",
    "name": "Event",
    "fields": [
        {
            "name": "event_name",
            "type": {"type": "enum", "name": "Kind", "symbols": ["view", "add"]},
        },
        {"name": "visitor_id", "type": "string"},
        {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {
            "name": "product",
            "type": {
                "type": "record",
                "name": "Product",
                "fields": [
                    {"name": "product_id", "type": "long"},
                    {
                        "name": "price",
                        "type": {
                            "type": "bytes",
                            "logicalType": "decimal",
                            "precision": 9,
                            "scale": 2,
                        },
                    },
                ],
            },
        },
    ],
}


async def test_avro_is_read_by_the_schemas_of_the_registry_and_proposed_like_json() -> None:
    """What the proposed section makes of it is shown; a value that does not fit is said."""
    async with registry_of({"shop-value": EVENT, "key": "string"}) as url:
        parsed = fastavro.parse_schema(EVENT)
        records = []
        for number in range(40):
            out, key = BytesIO(), BytesIO()
            product = {"product_id": 1000 + number % 5, "price": Decimal("19.90")}
            at_us = (START_MS + number) * 1000
            event = {"visitor_id": f"v-{number % 9}", "occurred_at": at_us, "product": product}
            fastavro.schemaless_writer(
                out, parsed, event | {"event_name": "add" if number % 4 == 0 else "view"}
            )
            fastavro.schemaless_writer(key, "string", event["visitor_id"])
            framed = b"\0\0\0\0\1" + out.getvalue()
            records.append(UndecodedRecord(b"\0\0\0\0\2" + key.getvalue(), framed))
        records.append(UndecodedRecord(None, framed + b"more"))
        registry = load_settings({"STREAMS_REGISTRY_URL": url}).registry
        (sample,) = await decode_avro([RawSample("shop", records)], registry)
    assert [key for key, _ in sample.records][:1] == [b'"v-0"']
    proposal = propose([sample.decoded()])
    assert proposal.remarks[0] == (
        "shop: 1 record cannot be read as confluent-avro (the record is not what its Avro schema "
        "says: 4 bytes follow the value)."
    )
    clicks = next(section for section in proposal.sections if section.to == "clicks")
    assert clicks.settings()["format"] == "confluent-avro"
    assert clicks.timestamp_format == ("us",)
    fields = {name: found.expression for name, found in clicks.fields.items()}
    assert fields["anonymous_id"] == "visitor_id"
    assert fields["product_id"] == "product.product_id"
    assert fields["price"] == "product.price"
    seen = outlook(load_settings({"STREAMS_REGISTRY_URL": url}), proposal, [sample], NOW_MS)
    assert sum(seen.written.values()) == 40
    assert clicks.name in seen.written


async def test_avro_with_a_registry_that_is_away_is_said_in_a_sentence() -> None:
    """Nothing is proposed from what nobody could read."""
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        registry = load_settings({"STREAMS_REGISTRY_URL": url}).registry
        binary = [UndecodedRecord(None, b"\0\0\0\0\7\x02\x06abc") for _ in range(5)]
        with pytest.raises(SetupError, match=r"Records of t cannot be read: .*\[registry\] url"):
            await decode_avro([RawSample("t", binary)], registry)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["event", "items", "id", "ts", "price", "payload", "key", "value", "a b", "é'\""]
            )
            | st.text(max_size=8),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.lists(st.tuples(JSON, JSON), max_size=8))
@settings(max_examples=150, deadline=None)
def test_whatever_the_records_are_what_is_proposed_can_be_loaded(
    records: list[tuple[Any, Any]],
) -> None:
    """Names of strangers are quoted, and nothing raises."""
    sample = TopicSample("any.topic", [SampledRecord(key, value) for key, value in records])
    proposal = propose([sample])
    assert with_sections(load_settings({}), proposal).ingest_mappings() is not None
    written = tomllib.loads(proposal_toml(proposal))
    assert set(written.get("ingest", {})) == {section.name for section in proposal.sections}
