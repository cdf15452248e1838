"""What a replay does with a raw record, vendor by vendor: the one judgement of preview and run."""

import json
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.core.consent import NoConsent
from streams.core.enrich import Refuse, Send, Skip
from streams.core.outcome import SkipReason
from streams.core.runs import Asked
from streams.core.topics import Topics
from streams.replay.delivery_history import DeliveryHistory
from streams.replay.planner import Judged, Judgement, Left, ReplayPlanner
from streams.replay.rows import Rows
from streams.settings import load_settings
from tests.operations.log_reader_in_memory import record

T = 1_777_622_400_000
CLICKS, CARTS = TopicPartition("shop.clicks", 0), TopicPartition("shop.add-to-carts", 0)
SETTINGS = load_settings(
    {
        "STREAMS_MISO_API_KEY": "secret",
        "STREAMS_VOYADO_API_KEY": "secret",
        "STREAMS_VOYADO_BASE_URL": "https://tenant.voyado.com",
    }
)
BOTH: dict[str, Any] = {"consent": {"miso": True, "voyado": True}}


def raw(offset: int, tp: TopicPartition = CLICKS, visitor: str = "anna", **more: Any) -> Any:
    """A raw record; all say yes to Miso."""
    value = {
        "event_id": f"e{offset}",
        "timestamp": T,
        "anonymous_id": visitor,
        "product_id": "p1",
        "consent": {"miso": True},
    }
    return record(
        tp.topic, offset, json.dumps(value | more).encode(), visitor.encode(), at_ms=T + offset
    )


class Case:
    """A judge with some receipts and rows."""

    def __init__(self, *vendors: str, **asked: Any) -> None:
        self.vendors = vendors or ("miso",)
        offsets = dict.fromkeys((CLICKS, CARTS), range(100))
        self.history = DeliveryHistory(self.vendors, offsets)
        for tp in offsets:
            self.history.enriched_to(tp, 90)
        self.rows = Rows(Topics(), keep_email=False)
        product = json.dumps({"sku": "S-1"}).encode()
        self.rows.apply_products([record("shop.products", 0, product, b"p1")])
        wanted = Asked("replay", T, T + 100, **asked)
        self.planner = ReplayPlanner(SETTINGS, self.vendors, self.rows, self.history, wanted)

    def receipt(self, offset: int, outcome: str, reason: str | None = None) -> None:
        """Miso's last word on a click."""
        value = {"outcome": outcome, "reason": reason, "source": f"shop.clicks/0/{offset}"}
        self.history.add_receipts("miso", [json.dumps(value).encode()])

    def judge(self, one: Any) -> Judged:
        """Judge a record for all vendors."""
        return self.planner.judge(one, T)

    def of(self, one: Any) -> list[Judgement]:
        """Judge a record for Miso alone."""
        return [made for made in self.judge(one).judgements if made.vendor == "miso"]


@pytest.mark.parametrize(("later_ms", "ground"), [(-1, "row"), (0, "row"), (1, None)])
def test_a_yes_of_todays_row_counts_from_consent_since_on(
    later_ms: int, ground: str | None
) -> None:
    """A replay sends nothing from before the yes."""
    case = Case()
    row = {"consent": {"miso": True}, "consent_since": T + later_ms}
    case.rows.apply_users([record("shop.users", 0, json.dumps(row).encode(), b"anna")])
    (found,) = case.of(raw(1, consent=None))
    if ground is None:
        assert isinstance(found, Skip)
        assert found.reason == "no_consent"
    else:
        assert isinstance(found, Send)
        assert found.consent == ground


def test_what_was_accepted_is_left_unless_it_is_sent_again() -> None:
    """What was skipped, refused or never seen is sent."""
    for again, wanted in ((False, [Left("miso", "already_accepted")]), (True, None)):
        case = Case(again=again)
        case.receipt(1, "accepted")
        case.receipt(2, "skipped", "no_consent")
        case.receipt(3, "dead_lettered", "rejected")
        found = [case.of(raw(offset)) for offset in (1, 2, 3, 4)]
        assert wanted is None or found.pop(0) == wanted
        assert [type(one) for (one,) in found] == [Send] * len(found)


def test_what_waits_and_what_is_a_duplicate_is_left_also_again() -> None:
    """It comes by itself, and another record of the event was passed on."""
    case = Case(again=True)
    case.history.add_waiting("miso", "shop.clicks/0/1")
    case.receipt(2, "skipped", "duplicate")
    assert case.of(raw(1)) == [Left("miso", "waiting")]
    assert case.of(raw(95)) == [Left("miso", "waiting")]
    assert case.of(raw(2)) == [Left("miso", "duplicate")]


def test_an_event_that_two_records_have_is_sent_once() -> None:
    """To a vendor that was off when both were read; a later one of the same topic is left."""
    case = Case()
    assert isinstance(case.of(raw(1, event_id="twice"))[0], Send)
    assert case.of(raw(2, event_id="twice")) == [Left("miso", "duplicate")]
    assert isinstance(case.of(raw(3, visitor="bert", event_id="twice"))[0], Send)
    assert isinstance(case.of(raw(4, CARTS, event_id="twice"))[0], Send)


@pytest.mark.parametrize(
    ("asked", "offsets"),
    [
        ({"only": ("click",)}, [1, 2, 3]),
        ({"only": ("add_to_cart",)}, [7]),
        ({"only": ("skipped",)}, [1, 2]),
        ({"only": ("skipped:no_consent",)}, [1]),
        ({"only": ("missing", "click")}, [3]),
        ({"only": ("dead_lettered",)}, []),
        ({"visitor": "bert"}, [2]),
        ({"visitor": "nobody"}, []),
        ({"sku": "S-1"}, [1, 3, 7]),
        ({"sku": "S-2"}, [2]),
    ],
)
def test_only_what_is_asked_for_is_selected(asked: dict[str, Any], offsets: list[int]) -> None:
    """By type, last outcome, visitor, and the SKU of the event or its product."""
    case = Case(**asked)
    case.receipt(1, "skipped", "no_consent")
    case.receipt(2, "skipped", "too_old")
    records = [raw(1), raw(2, visitor="bert", sku="S-2"), raw(3), raw(7, CARTS)]
    assert [one.offset for one in records if case.of(one)] == offsets


def test_rows_and_consent_are_todays() -> None:
    """A no of the row, a tombstone, a product that is gone, a record that is no event."""
    case = Case()
    judged = case.judge(raw(1, product_id="p9"))
    assert judged == Judged([Skip("miso", SkipReason.UNKNOWN_PRODUCT)], "e1")
    judged = case.judge(record(CLICKS.topic, 2, b"no json", at_ms=T))
    (refused,) = judged.judgements
    assert isinstance(refused, Refuse)
    assert (refused.error.reason, judged.event_id) == ("invalid_json", None)
    no = json.dumps({"consent": {"miso": False}}).encode()
    case.rows.apply_users([record("shop.users", 0, no)])
    assert case.of(raw(3)) == [Skip("miso", SkipReason.NO_CONSENT, NoConsent.SAID_NO)]
    case.rows.apply_users([record("shop.users", 1, None, at_ms=T + 5)])
    assert case.of(raw(4)) == [Skip("miso", SkipReason.NO_CONSENT, NoConsent.FORGOTTEN)]
    assert isinstance(case.of(raw(6))[0], Send)


def test_each_vendor_is_judged_by_itself() -> None:
    """Of one event, one vendor has it and another one does not know the contact."""
    case = Case("miso", "voyado")
    case.receipt(1, "accepted")
    assert case.judge(raw(1, **BOTH)).judgements == [
        Left("miso", "already_accepted"),
        Skip("voyado", SkipReason.NO_CONTACT),
    ]


def test_a_defect_of_our_own_is_one_letter_and_not_the_end_of_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next record is judged as if nothing had been."""
    case = Case("miso", "voyado")

    def fail(_key: bytes) -> None:
        raise ZeroDivisionError("by anna")

    with monkeypatch.context() as patch:
        patch.setattr(case.rows, "user", fail)
        found = case.judge(raw(1, **BOTH))
    assert [made.vendor for made in found.judgements] == ["miso", "voyado"]
    for made in found.judgements:
        assert isinstance(made, Refuse)
        assert (made.error.reason, found.event_id) == ("defect", "e1")
    assert isinstance(case.of(raw(2))[0], Send)
