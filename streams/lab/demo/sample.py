"""The sample that the demo and tests run on: real sessions in a made-up shop, moved to now.

``sample.jsonl`` has the rows and the events as ``streams produce`` takes them; README.md beside it
says where they come from.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any, NamedTuple

SPAN_MS = 5 * 60 * 1000
"""From the first event to the last."""


class SampleEvent(NamedTuple):
    """One raw event and the topic kind it belongs to."""

    kind: str
    key: str
    event: dict[str, Any]


class SampleRow(NamedTuple):
    """One row of ``shop.users`` or ``shop.products``."""

    key: str
    row: dict[str, Any]


class BrokenRecord(NamedTuple):
    """A record that becomes a dead letter."""

    kind: str
    key: bytes | None
    value: bytes | None
    reason: str
    """The dead letter's."""


@dataclass(frozen=True, slots=True)
class SampleSessions:
    """Everything that the demo writes, in the order in which to write it."""

    events: list[SampleEvent]
    users: list[SampleRow]
    products: list[SampleRow]
    broken: list[BrokenRecord]


def load_sample(now_ms: int) -> SampleSessions:
    """The sample as it would look if the last event happened at ``now_ms``.

    The same ``now_ms`` gives the same sample. Events come in the order of their times.
    """
    text = resources.files("streams.lab.demo").joinpath("sample.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    began = {"updated_at": _utc(now_ms - SPAN_MS)}
    return SampleSessions(
        events=[
            SampleEvent(
                line["topic"],
                line["key"],
                line["value"] | {"timestamp": _utc(now_ms - line["before_end_ms"])},
            )
            for line in lines
            if "before_end_ms" in line
        ],
        users=[SampleRow(key, row | began) for key, row in _rows(lines, "users")],
        products=_rows(lines, "products"),
        broken=_broken("visitor-0", "visitor-1", _utc(now_ms)),
    )


def _rows(lines: list[dict[str, Any]], table: str) -> list[SampleRow]:
    return [SampleRow(line["key"], line["value"]) for line in lines if line["topic"] == table]


def _broken(key: str, other: str, now: str) -> list[BrokenRecord]:
    """A handful of what arrives in real life, told apart by reason."""

    def record(kind: str, reason: str, **event: object) -> BrokenRecord:
        whole = {"timestamp": now, "anonymous_id": key, "product_id": "1517085"} | event
        whole = {name: value for name, value in whole.items() if value is not None}
        return BrokenRecord(kind, key.encode(), json.dumps(whole).encode(), reason)

    return [
        BrokenRecord("clicks", key.encode(), b'{"event_id": "broken-1", "timest', "invalid_json"),
        BrokenRecord("clicks", key.encode(), b'{"event_id": "broken-2\xff"}', "invalid_json"),
        BrokenRecord("clicks", key.encode(), b"\0" * 1000, "invalid_json"),
        BrokenRecord("add-to-carts", key.encode(), None, "empty"),
        record("clicks", "key_mismatch", event_id="broken-3", anonymous_id=other),
        record("clicks", "invalid_field", event_id="broken-4", product_id=None),
        record("clicks", "invalid_field", event_id="broken-5", timestamp="yesterday"),
        record("clicks", "invalid_field", event_id="broken-6", timestamp=86_400),
        record("add-to-carts", "invalid_field", event_id="broken-7", quantity=0),
        record("clicks", "too_large", event_id="broken-8", note="x" * 300_000),
    ]


def _utc(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
