"""What earlier versions wrote is read, and what is written now is what they read.

Each file holds what a whole pipeline of that version left on its topics and in its commits, with
one event that its vendor never takes. ``2026-11-21`` was never released; it wrote less.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from faust.types import TP

from streams.core.control import VendorControl, decode_control, encode_control
from streams.core.dead_letter import encode_dead_letter
from streams.core.events import EventParser
from streams.core.receipts import decode_receipt, encode_receipt
from streams.core.records import DeadLetter, VendorRecord
from streams.core.snapshot import decode_snapshot, encode_snapshot
from streams.delivery.progress import Admission, PartitionProgress, Recalled, read_metadata
from streams.stages.enrich.enabled_ranges import read_ranges
from streams.vendors import VENDORS

EVENTS, RECEIPTS = "vendor.miso.events", "vendor.miso.receipts"
VERSIONS = ("2026-11-21", "0.1.0")
OPEN = {"2026-11-21": range(2, 15), "0.1.0": range(2, 3)}
"""Positions of vendor records that had no outcome: the event that fails, and what it held up."""


class Left(NamedTuple):
    """What a version left behind."""

    commits: dict[tuple[str, str], dict[str, Any]]
    records: dict[str, list[dict[str, Any]]]


def left_by(version: str) -> Left:
    """Read the file of a version."""
    left = Left({}, {})
    text = (Path(__file__).parent / f"{version}.jsonl").read_text("utf-8")
    for line in map(json.loads, text.splitlines()):
        if line["kind"] == "commit":
            left.commits[line["stage"], line["topic"]] = line
        else:
            left.records.setdefault(line["topic"], []).append(line)
    return left


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    return str(request.param)


def test_a_sink_sends_what_was_open_and_nothing_else(version: str) -> None:
    """By commit and receipts: from the commit on, each record is settled or was open."""
    left = left_by(version)
    commit = left.commits["miso", EVENTS]
    metadata = read_metadata(commit["metadata"])
    receipts = [(one, decode_receipt(one["value"].encode())) for one in left.records[RECEIPTS]]
    recalled = {
        receipt.position: Recalled(receipt.source, one["timestamp"], one["offset"])
        for one, receipt in receipts
        if receipt.position is not None and one["offset"] >= metadata.receipts
    }
    progress = PartitionProgress(commit["offset"], metadata, recalled, len(receipts))
    sent = []
    for record in left.records[EVENTS][commit["offset"] :]:
        source = dict(record["headers"])["source"]
        admission = progress.admit(
            record["offset"], source, record["timestamp"], record["timestamp"]
        )
        if admission is Admission.NEW:
            sent.append(record["offset"])
    assert sent == list(OPEN[version])


def test_enrichment_continues_where_it_stopped(version: str) -> None:
    """It knows since when the vendor has been on, and reads the raw records as they were read."""
    left = left_by(version)
    commit = left.commits["enrich", "shop.clicks"]
    assert commit["offset"] == len(left.records["shop.clicks"])
    known = read_ranges(TP("shop.clicks", 0), commit["metadata"])
    assert (known.on, known.since, known.expired) == ({"miso": [[0, None]]}, 0, {})
    parser = EventParser("click", "shop.clicks", vendors=VENDORS)
    good = [one for one in left.records["shop.clicks"] if one["value"] != "{no json"]
    ids = {
        parser.parse(
            one["key"].encode(), one["value"].encode(), 0, one["offset"], one["timestamp"]
        ).event_id
        for one in good
    }
    assert {"e1", "e3", "e4", "poison-1"} <= ids


def test_outcomes_and_commands_are_read(version: str) -> None:
    """Receipts with their reasons, the dead letter, the pause, the worker's last snapshot."""
    records = left_by(version).records
    receipts = [decode_receipt(one["value"].encode()) for one in records[RECEIPTS]]
    outcomes = {one.event_id: (one.outcome, one.reason) for one in receipts}
    assert outcomes["e1"] == ("accepted", None)
    assert outcomes["e3"] == ("skipped", "no_consent")
    assert outcomes["e4"] == ("skipped", "unknown_product")
    (letter,) = records["enrich.dead-letters"]
    assert msgspec.json.decode(letter["value"], type=DeadLetter).reason == "invalid_json"
    (pause,) = records["streams.control"]
    assert pause["key"] == "voyado"
    assert decode_control(pause["value"].encode()).paused
    (snapshot,) = records["streams.status"]
    assert decode_snapshot(snapshot["value"].encode()).stage == "miso"


def written_again(topic: str, value: bytes) -> bytes:
    """Return a record's value as it is written now."""
    if topic == RECEIPTS:
        return encode_receipt(decode_receipt(value))
    if topic == EVENTS:
        return msgspec.json.encode(msgspec.json.decode(value, type=VendorRecord))
    if topic == "enrich.dead-letters":
        return encode_dead_letter(msgspec.json.decode(value, type=DeadLetter))
    if topic == "streams.control":
        control = decode_control(value)
        assert isinstance(control, VendorControl)
        return encode_control(control)
    return encode_snapshot(decode_snapshot(value))


@pytest.mark.parametrize(
    "topic", [RECEIPTS, EVENTS, "enrich.dead-letters", "streams.control", "streams.status"]
)
def test_an_earlier_version_finds_every_field_that_it_wrote(version: str, topic: str) -> None:
    """Under its name and of its kind; what is new it ignores. So a release can be rolled back."""
    records = left_by(version).records[topic]
    assert records
    for record in records:
        before = json.loads(record["value"])
        now = json.loads(written_again(topic, record["value"].encode()))
        assert keeps(now, before), record["value"]


def keeps(now: Any, before: Any) -> bool:
    """Return whether all that was there is there, with its value."""
    if isinstance(before, dict):
        return isinstance(now, dict) and all(
            name in now and keeps(now[name], value) for name, value in before.items()
        )
    return bool(now == before)


def test_the_commits_of_a_version_are_written_as_it_reads_them(version: str) -> None:
    """Marks, settled positions and where receipts begin, under their short names."""
    left = left_by(version)
    for (stage, topic), commit in left.commits.items():
        if stage == "miso":
            metadata = read_metadata(commit["metadata"])
            now = json.loads(msgspec.json.encode(metadata))
        else:
            now = json.loads(msgspec.json.encode(read_ranges(TP(topic, 0), commit["metadata"])))
        assert keeps(now, json.loads(commit["metadata"]))
