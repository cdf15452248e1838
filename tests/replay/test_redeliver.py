"""Dead letters judged once more: from the raw record, from what was kept, or not at all."""

import json
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.core.dead_letter import build_dead_letter, encode_dead_letter
from streams.core.enrich import Refuse, Send, Skip
from streams.core.outcome import SkipReason
from streams.core.records import Origin
from streams.core.topics import Topics
from streams.dead_letters.book import LetterBook
from streams.replay.delivery_history import DeliveryHistory
from streams.replay.planner import Left
from streams.replay.redeliver import LetterPages, LetterTable
from streams.replay.resend import about_raw
from streams.replay.rows import Rows
from streams.replay.run_pages import Task
from streams.settings import load_settings
from tests.operations.log_reader_in_memory import LogsInMemory, record

AT_MS = 1_777_622_400_000
CLICKS = TopicPartition("shop.clicks", 0)
LETTERS = "vendor.miso.dead-letters"
SETTINGS = load_settings({"STREAMS_MISO_API_KEY": "secret"})


def raw(event_id: str, **more: Any) -> bytes:
    """A click that Miso takes."""
    fields = {
        "event_id": event_id,
        "timestamp": AT_MS,
        "anonymous_id": "anna",
        "product_id": "p1",
        "sku": "S-1",
        "consent": {"miso": True},
    }
    return json.dumps(fields | more).encode()


def kept_record() -> bytes:
    """A vendor record as a sink keeps it."""
    return json.dumps(
        {
            "event_id": "e",
            "event_type": "click",
            "timestamp": "2026-05-01T08:00:00.000Z",
            "anonymous_id": "anna",
            "payload": {"type": "click"},
        }
    ).encode()


def letter(
    offset: int, stage: str = "deliver", kept: bytes | None = None, partition: int = 0
) -> bytes:
    """A letter about the click at this offset."""
    return encode_dead_letter(
        build_dead_letter(
            stage=stage,
            vendor="miso",
            reason="rejected",
            detail="no",
            source=Origin("shop.clicks", partition, offset, AT_MS),
            record=kept_record() if kept is None else kept,
            at="2026-05-01T08:00:00.000Z",
        )
    )


async def judged(
    *records: Any,
    letters: list[bytes],
    starts: dict[str, int] | None = None,
    row: dict[str, Any] | None = None,
    forgotten: bool = False,
    accepted: tuple[int, ...] = (),
) -> list[Task]:
    """Judge these letters, which lie on partition 0 from offset 0 on."""
    book = LetterBook("miso", LETTERS, Topics())
    written = [record(LETTERS, offset, value) for offset, value in enumerate(letters)]
    for one in written:
        book.add(0, one.offset, AT_MS, one.value)
    logs = LogsInMemory(*records, *written, starts=starts)
    rows = Rows(Topics(), keep_email=False)
    if row is not None:
        rows.apply_users([record("shop.users", 0, json.dumps(row).encode())])
    if forgotten:
        rows.apply_users([record("shop.users", 1, None, at_ms=AT_MS)])
    found = LetterTable(book)
    window = found.window({CLICKS: 0})
    history = DeliveryHistory(["miso"], {tp: window.offsets(tp) for tp in window.starts})
    history.enriched_to(CLICKS, 1_000_000)
    history.add_receipts(
        "miso",
        [
            json.dumps({"outcome": "accepted", "source": f"shop.clicks/0/{offset}"}).encode()
            for offset in accepted
        ],
    )
    mapper = SETTINGS.record_mapper([SETTINGS.plan_for("miso")], rows)
    work = LetterPages(logs, found, mapper, history, "miso", "required")  # type: ignore[arg-type]
    tasks: list[Task] = []
    while open_ := work.open_partitions():
        for page in await work.next_pages(open_, 2, AT_MS):
            tasks += page.tasks
    assert work.unread() == 0
    return tasks


async def test_a_letter_is_mapped_anew_from_its_raw_record() -> None:
    """By today's mapping, not from what was kept; however far apart the records lie."""
    offsets = [3, 4, 90_000]
    records = [record("shop.clicks", offset, raw(f"e{offset}")) for offset in offsets]
    found = await judged(*records, letters=[letter(offset) for offset in offsets])
    sent = [json.loads(one.judgement.value) for one in found if isinstance(one.judgement, Send)]
    assert [one["event_id"] for one in sent] == ["e3", "e4", "e90000"]
    assert sent[0]["payload"]["product_ids"] == ["S-1"]


async def test_a_letter_about_a_distant_offset_takes_no_memory_for_what_lies_between() -> None:
    """A foreign program may name any offset."""
    letters = [letter(3), letter(2**44 - 1)]
    near, far = await judged(record("shop.clicks", 3, raw("e3")), letters=letters)
    assert isinstance(near.judgement, Send)
    assert far.judgement == Left("miso", "waiting")


async def test_what_was_accepted_meanwhile_is_left() -> None:
    """By whatever run."""
    found = await judged(record("shop.clicks", 3, raw("e3")), letters=[letter(3)], accepted=(3,))
    assert [one.judgement for one in found] == [Left("miso", "already_accepted")]


async def test_what_fails_again_is_refused_and_what_consent_forbids_is_skipped() -> None:
    """A raw record that is still no event is refused for its own reason."""
    found = await judged(
        record("shop.clicks", 3, b"no json"),
        record("shop.clicks", 4, raw("e4", consent={"miso": False})),
        letters=[letter(3, "enrich"), letter(4)],
    )
    refused, skipped = (one.judgement for one in found)
    assert isinstance(refused, Refuse)
    assert isinstance(skipped, Skip)
    assert (refused.error.reason, skipped.reason) == ("invalid_json", "no_consent")
    assert [one.event_id for one in found] == [None, "e4"]


@pytest.mark.parametrize(
    ("row", "forgotten", "is_sent"),
    [
        ({"consent": {"miso": True}}, False, True),
        ({"consent": {"miso": False}}, False, False),
        (None, False, False),
        ({"consent": {"miso": True}}, True, False),
        ({"consent": {"miso": True}, "consent_since": AT_MS}, False, True),
        ({"consent": {"miso": True}, "consent_since": AT_MS + 1}, False, False),
    ],
)
async def test_where_the_raw_record_is_gone_the_kept_one_is_sent_if_todays_row_says_yes(
    row: dict[str, Any] | None, forgotten: bool, is_sent: bool
) -> None:
    """The event's own consent is gone with it: without a yes of the row nothing is sent."""
    (found,) = await judged(
        letters=[letter(3)], starts={"shop.clicks": 10}, row=row, forgotten=forgotten
    )
    assert found.event_id == "e"
    if is_sent:
        assert found.judgement == Send("miso", kept_record(), "row")
    else:
        assert found.judgement == Skip("miso", SkipReason.NO_CONSENT)


async def test_what_a_letter_kept_of_a_raw_record_is_mapped() -> None:
    """One that mapping refused keeps the raw record itself."""
    (found,) = await judged(letters=[letter(3, "enrich", raw("e3"))], starts={"shop.clicks": 10})
    assert isinstance(found.judgement, Send)
    assert json.loads(found.judgement.value)["event_id"] == "e3"


@pytest.mark.parametrize("stage", ["deliver", "enrich"])
@pytest.mark.parametrize("kept", [b'{"event_id": "e', b"\xff\xfe", b""])
async def test_what_is_kept_only_in_part_is_gone(stage: str, kept: bytes) -> None:
    """A letter holds 256 KiB at most; what does not parse is never sent."""
    found = await judged(
        letters=[letter(3, stage, kept)],
        starts={"shop.clicks": 10},
        row={"consent": {"miso": True}},
    )
    assert [one.judgement for one in found] == [Left("miso", "gone")]


async def test_a_letter_about_a_partition_that_does_not_exist_hinders_no_other() -> None:
    """Its topic was recreated with fewer; the brokers would be asked in vain."""
    book = LetterBook("miso", LETTERS, Topics())
    for offset, partition in enumerate((0, 7)):
        book.add(0, offset, AT_MS, letter(3, partition=partition))
    found = await about_raw(SETTINGS, LogsInMemory(), book)  # type: ignore[arg-type]
    assert found.partitions() == [CLICKS]
    assert len(found) == 1
