"""What receipts say of a window's records: the word that counts, and what waits."""

from array import array
from itertools import permutations

import msgspec
import pytest
from aiokafka import TopicPartition

from streams.core.receipts import encode_receipt
from streams.core.records import Receipt
from streams.core.runs import DONE, STOPPED, VendorPart
from streams.replay.delivery_history import DeliveryHistory, Last
from streams.replay.run_outcomes import RunOutcomes

CLICKS = TopicPartition("shop.clicks", 0)
RECEIPT = Receipt("e", "accepted", "2026-11-21T10:15:00.000Z", 1, "shop.clicks/0/5", "live", 3)


def value(outcome: str, reason: str | None = None, **more: object) -> bytes:
    """A receipt about offset 5."""
    return encode_receipt(msgspec.structs.replace(RECEIPT, outcome=outcome, reason=reason, **more))


def history() -> DeliveryHistory:
    """Of offsets 3 to 9, all enriched."""
    found = DeliveryHistory(["miso"], {CLICKS: range(3, 10)})
    found.enriched_to(CLICKS, 10)
    return found


ACCEPTED = value("accepted")
DEAD = value("dead_lettered", "rejected")
SKIPPED = value("skipped", "no_consent")


@pytest.mark.parametrize("order", list(permutations([ACCEPTED, DEAD, SKIPPED])))
def test_accepted_counts_before_dead_lettered_before_skipped(order: tuple[bytes, ...]) -> None:
    """In whatever order the receipts are read."""
    found = history()
    found.add_receipts("miso", order)
    assert found.last("miso", CLICKS, 5) == Last("accepted")
    found = history()
    found.add_receipts("miso", [one for one in order if one is not ACCEPTED])
    assert found.last("miso", CLICKS, 5) == Last("dead_lettered", "rejected")


def test_the_newest_reason_of_an_outcome_counts() -> None:
    """An event that was skipped twice was skipped for the last reason."""
    found = history()
    found.add_receipts("miso", [SKIPPED, value("skipped", "no_contact")])
    assert found.last("miso", CLICKS, 5) == Last("skipped", "no_contact")


def test_what_is_no_receipt_of_the_window_says_nothing() -> None:
    """Nor do other topics, places outside, unknown words."""
    found = history()
    found.add_receipts(
        "miso",
        [
            None,
            b"{",
            value("sent"),
            value("accepted", source="shop.clicks/0/2"),
            value("accepted", source="shop.clicks/0/10"),
            value("accepted", source="shop.clicks/1/5"),
            value("accepted", source="nowhere"),
            value("accepted", source="shop.clicks/0/x"),
        ],
    )
    assert found.last("miso", CLICKS, 5) == Last(None)
    assert found.unreadable == 4


def test_reasons_beyond_a_byte_share_one() -> None:
    """Strangers may write any."""
    found = DeliveryHistory(["miso"], {CLICKS: range(400)})
    values = [value("skipped", f"r{n}", source=f"shop.clicks/0/{n}") for n in range(300)]
    found.add_receipts("miso", values)
    assert found.last("miso", CLICKS, 100) == Last("skipped", "r100")
    assert found.last("miso", CLICKS, 299) == Last("skipped", "other")


def test_of_some_offsets_nothing_is_kept_of_those_between_them() -> None:
    """However far apart they are."""
    far = 2**44 - 1
    found = DeliveryHistory(["miso"], {CLICKS: array("q", [5, 5, far])})
    found.enriched_to(CLICKS, far + 1)
    found.add_receipts("miso", [ACCEPTED, value("accepted", source="shop.clicks/0/6")])
    found.add_waiting("miso", f"shop.clicks/0/{far}")
    last = [found.last("miso", CLICKS, offset) for offset in (4, 5, 6, far)]
    assert last == [Last(None), Last("accepted"), Last(None), Last(None)]
    assert [found.is_waiting("miso", CLICKS, offset) for offset in (5, 6, far)] == [
        False,
        False,
        True,
    ]


def test_what_lies_in_the_live_lane_waits_until_a_receipt_settles_it() -> None:
    """Also what enrichment has not read yet."""
    found = history()
    found.add_waiting("miso", "shop.clicks/0/5")
    found.add_waiting("miso", "shop.clicks/0/6")
    found.add_waiting("miso", "elsewhere/0/6")
    found.add_waiting("miso", "shop.clicks/0/99")
    found.add_receipts("miso", [ACCEPTED])
    assert not found.is_waiting("miso", CLICKS, 5)
    assert found.is_waiting("miso", CLICKS, 6)
    found.enriched_to(CLICKS, 7)
    assert [found.is_waiting("miso", CLICKS, offset) for offset in (4, 7, 9)] == [False, True, True]


def test_what_a_run_wrote_waits_until_that_runs_receipt() -> None:
    """An older receipt, the one for which it was written once more, settles nothing."""
    found = history()
    found.add_redelivered("miso", "shop.clicks/0/5", "r-1")
    found.add_receipts("miso", [SKIPPED, value("skipped", "no_contact", run_id="r-0")])
    assert found.is_waiting("miso", CLICKS, 5)
    found.add_receipts("miso", [value("accepted", run_id="r-1")])
    assert not found.is_waiting("miso", CLICKS, 5)


def test_a_runs_receipt_counts_each_event_once_by_its_best_outcome() -> None:
    """Receipts of other runs, and those that the run wrote itself, are left out."""
    settled = RunOutcomes("r-1", {})
    of_run = {"lane": "redelivery", "run_id": "r-1"}
    settled.add_receipts(
        [
            value("dead_lettered", "rejected", **of_run),
            value("accepted", **of_run),
            value("accepted", **of_run),
            value("skipped", "no_contact", source="shop.clicks/0/6", **of_run),
            value("skipped", "no_contact", source="shop.clicks/0/7", position=None, **of_run),
            value("accepted", source="shop.clicks/0/8", run_id="r-10"),
            value("accepted", source="shop.clicks/0/9"),
            b"r-1",
            None,
        ]
    )
    part = VendorPart("miso", selected=6, sent=3, skipped={"no_contact": 1}, left={"waiting": 2})
    receipt = settled.receipt(part, is_over=False, unread=4)
    assert (receipt.accepted, receipt.waiting, receipt.unread) == (1, 1, 4)
    assert receipt.skipped == {"no_contact": 2}
    assert receipt.balanced
    assert settled.has("shop.clicks/0", 6)
    assert not settled.has("shop.clicks/0", 9)


def test_what_a_killed_run_did_not_count_is_known_by_its_receipts() -> None:
    """Otherwise less than nothing would wait."""
    settled = RunOutcomes("r-1", {})
    of_run = {"lane": "redelivery", "run_id": "r-1"}
    settled.add_receipts(
        [value("accepted", source=f"shop.clicks/0/{n}", **of_run) for n in range(3)]
    )
    part = VendorPart("miso", selected=1, sent=1)
    receipt = settled.receipt(part, is_over=False, unread=9)
    assert (receipt.selected, receipt.sent, receipt.accepted) == (3, 3, 3)
    assert (receipt.waiting, receipt.unread) == (0, 7)
    assert receipt.balanced


@pytest.mark.parametrize(
    ("state", "passed_over", "skipped"), [(STOPPED, 2, {}), (DONE, 0, {"expired": 2})]
)
def test_what_the_sink_passed_without_a_word_was_stopped_or_deleted(
    state: str, passed_over: int, skipped: dict[str, int]
) -> None:
    """Once it has passed all that was written, nothing waits any more."""
    part = VendorPart("miso", state=state, selected=2, sent=2)  # type: ignore[arg-type]
    receipt = RunOutcomes("r-1", {}).receipt(part, is_over=True)
    assert (receipt.passed_over, receipt.skipped, receipt.waiting) == (passed_over, skipped, 0)
    assert receipt.balanced
