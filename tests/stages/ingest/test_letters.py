"""Dead letters of ingest: what they say, and what of the shop's record never stands in them."""

import json
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.core.fields import FieldMap
from streams.core.ingest.outcomes import IngestRefusal
from streams.core.ingest.section import IngestSection
from streams.core.ingest.topic_mapping import TopicMapping
from streams.stages.ingest.letters import IngestLetters


def letter_of(record: Any, **more: Any) -> dict[str, Any]:
    """The letter of a record that is refused."""
    fields = FieldMap({"anonymous_id": "who", "ip": "net.addr", "product_id": "_item.id"})
    section = IngestSection("views", "clicks", fields=fields, each="items", **more)
    mapping = TopicMapping("web", [section])
    value = json.dumps(record).encode()
    (refusal, *_) = [
        one for one in mapping.read(None, value, 2, 5, 1_795_168_800_000)
        if isinstance(one, IngestRefusal)
    ]  # fmt: skip
    raw = SimpleNamespace(
        offset=5, timestamp=1_795_168_800_000, timestamp_type=0, key=b"k", value=value, headers=()
    )
    letters = IngestLetters(lambda: 1_795_168_800_000, ["hidden-password"])
    _, (key, encoded) = letters.build(mapping, TP("web", 2), raw, refusal)
    assert key == b"k"
    found: dict[str, Any] = json.loads(encoded)
    return found


def test_letter_names_section_element_and_the_shops_own_record() -> None:
    """Enough to find the line of streams.toml, and the record."""
    found = letter_of({"who": "v", "items": [{"id": "p"}, {}], "timestamp": 1_795_168_700_000})
    assert {
        name: found[name] for name in ("stage", "section", "element", "event_id", "reason")
    } == {
        "stage": "ingest",
        "section": "views",
        "element": 1,
        "event_id": "web-2-5-1",
        "reason": "invalid_field",
    }
    assert found["source"] == {
        "topic": "web",
        "partition": 2,
        "offset": 5,
        "timestamp": 1_795_168_800_000,
    }
    assert found["detail"] == "product_id: it is required and missing"


def test_address_of_the_visitor_is_masked_wherever_the_map_finds_it() -> None:
    """Also inside an envelope, under a name of the shop's own."""
    row = {"who": "v", "net": {"addr": "203.0.113.77"}, "also": "203.0.113.77", "items": [{}]}
    for record, envelope in ((row, "none"), ({"op": "c", "after": row}, "debezium")):
        found = letter_of(record, envelope=envelope)
        assert "203.0.113.77" not in found["record"]
        assert "203.0.113.0" in found["record"]
