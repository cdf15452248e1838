"""docs/named-events.md: the six use cases of Voyado's page, mapped and held against its schemas."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.core.enrich import Enricher, Send, rows_named
from streams.core.events import EventParser
from streams.core.rows import Product, User
from streams.settings import Settings, load_settings
from streams.vendors.voyado.schema import read_schema

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "named-events.md").read_text("utf-8")
EXAMPLES = ROOT / "streams" / "vendors" / "voyado" / "schemas" / "examples"
EVENTS: list[dict[str, Any]] = [
    json.loads(line)["value"]
    for block in re.findall(r"(?ms)^```jsonl\n(.*?)^```", PAGE)
    for line in block.splitlines()
]
KAFKA_MS = 1_795_166_127_311
PRODUCT = Product(
    "643078-0021",
    name="Rain jacket",
    brand="Acme",
    category=["Outdoor", "Jackets"],
    price=129.9,
    currency="EUR",
    attributes={"size": "M", "ecoLabel": "OEKO-TEX"},
)
USER = User(contact_id="5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of the page."""
    (toml,) = re.findall(r"(?ms)^```toml\n(.*?)^```", PAGE)
    file = tmp_path / "streams.toml"
    file.write_text(toml)
    return load_settings(
        {
            "STREAMS_CONFIG": str(file),
            "STREAMS_VOYADO_API_KEY": "key",
            "STREAMS_VOYADO_BASE_URL": "https://acme.voyado.com",
        }
    )


def test_each_use_case_has_an_event(settings: Settings) -> None:
    """Six of them, by six schemas."""
    assert [event["name"] for event in EVENTS] == list(settings.events)
    schemas = {section.voyado_schema_id for section in settings.events.values()}
    assert schemas == {path.stem for path in EXAMPLES.glob("*.json")}


@pytest.mark.parametrize("event", EVENTS, ids=[event["name"] for event in EVENTS])
def test_a_use_case_gives_its_schema_every_property(
    event: dict[str, Any], settings: Settings
) -> None:
    """With the right types, attributes of the product among them; nothing is left out."""
    record = msgspec.json.encode(event)
    parsed = EventParser("event", "shop.events").parse(b"v-83f1", record, 0, 1, KAFKA_MS)
    product, products = rows_named(parsed, {"643078": PRODUCT}.get)
    enricher = Enricher([settings.plan_for("voyado")], "assumed")
    (decision,) = enricher.decide(
        parsed, USER, None, product, KAFKA_MS, KAFKA_MS, products=products
    )
    assert isinstance(decision, Send)
    assert decision.notes == ()
    sent = msgspec.json.decode(decision.value)["payload"]
    schema = read_schema((EXAMPLES / f"{sent['schemaId']}.json").read_bytes())
    assert (schema.problem(), schema.misfit(sent["payload"])) == (None, None)
    assert schema.properties is not None
    assert set(sent["payload"]) == set(schema.properties)
