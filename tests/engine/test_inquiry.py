"""Who is asked for what stands still, and what is known without asking anybody."""

from collections import deque
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import ConnectionGroup
from aiokafka.errors import GroupCoordinatorNotAvailableError, NotEnoughReplicasError
from faust.types import TP

from streams.engine import inquiry, pending
from streams.engine.inquiry import BrokerAnswer, BrokerInquiry
from streams.engine.pending import BrokerRefusals

CLICKS = TP("shop.clicks", 2)


class Asked:
    """A worker's connections, a clock, and brokers that answer whatever they are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.asked: list[Any] = []
        self.refusals = BrokerRefusals()
        self.group_refusal: str | None = None
        self.connections: dict[str, Any] = {
            kind: SimpleNamespace(_requests=deque()) for kind in ("produce", "fetch", "group")
        }
        groups = {ConnectionGroup.DEFAULT: "fetch", ConnectionGroup.COORDINATION: "group"}
        reading = {(1, group): self.connections[kind] for group, kind in groups.items()}
        writing = {(1, ConnectionGroup.DEFAULT): self.connections["produce"]}
        thread = SimpleNamespace(
            client=SimpleNamespace(_conns=reading),
            group_refusal=lambda: self.group_refusal,
        )
        producer = SimpleNamespace(client=SimpleNamespace(_conns=writing))
        options = SimpleNamespace(
            client_options={"bootstrap_servers": ["kafka:9092"]},
            group="g",
            topics=("shop.clicks", "receipts"),
        )
        app = SimpleNamespace(
            started_consumer=SimpleNamespace(thread=thread),
            started_producer=producer,
            options=options,
        )
        self.inquiry = BrokerInquiry(app)
        for module in (inquiry, pending):
            monkeypatch.setattr(module, "monotonic", lambda: self.now)
        monkeypatch.setattr(inquiry, "refusals", self.refusals)
        monkeypatch.setattr(inquiry, "coordinator_answers", self._coordinator)
        monkeypatch.setattr(inquiry, "leaders_answer", self._leaders)

    async def _coordinator(self, _options: Any, group: str) -> None:
        self.asked.append(group)

    async def _leaders(self, _options: Any, topics: Collection[str], tp: TP | None) -> None:
        self.asked.append((topics, tp))

    async def waited_for(self, connection: str, kind: str) -> BrokerAnswer | None:
        """Return what is said of this kind of work behind a request unanswered for 30 s."""
        self.connections[connection]._requests.append(object())
        for _ in range(31):
            self.inquiry.observe()
            self.now += 1
        return await self.inquiry.about(kind, CLICKS)


@pytest.mark.parametrize(
    ("kind", "tp", "asked"),
    [
        ("start", None, [(["shop.clicks", "receipts"], None)]),
        ("group", None, ["g"]),
        ("take up", None, ["g", (["shop.clicks", "receipts"], None)]),
        ("fetch", CLICKS, [(["shop.clicks"], CLICKS)]),
        ("hand out", CLICKS, [(["shop.clicks"], CLICKS)]),
        ("settle", CLICKS, [(["shop.clicks", "receipts"], CLICKS)]),
        ("commit", CLICKS, ["g"]),
    ],
)
async def test_those_are_asked_who_matter(
    kind: str, tp: TP | None, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leaders of what is read or written, or the group's coordinator."""
    seen = Asked(monkeypatch)
    assert await seen.inquiry.about(kind, tp) is None
    assert seen.asked == asked


@pytest.mark.parametrize(
    ("connection", "kind"),
    [("produce", "settle"), ("fetch", "fetch"), ("group", "commit"), ("group", "group")],
)
async def test_a_broker_that_owes_an_answer_is_a_reason_however_quick_it_is_otherwise(
    connection: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader with slow followers acknowledges late and tells at once where its log ends."""
    answer = await Asked(monkeypatch).waited_for(connection, kind)
    assert answer == BrokerAnswer("a broker has not answered a request for 30 s")


async def test_an_answer_that_is_owed_to_others_is_no_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Work that has written nothing waits for no acknowledgement of what others wrote."""
    assert await Asked(monkeypatch).waited_for("group", "settle") is None
    assert await Asked(monkeypatch).waited_for("produce", "fetch") is None


async def test_what_is_refused_by_brokers_alone_is_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For work that waits for the acknowledgement, or for the commit, respectively."""
    seen = Asked(monkeypatch)
    seen.refusals.record("produce", "receipts partition 2", NotEnoughReplicasError())
    answer = await seen.inquiry.about("settle", CLICKS)
    assert answer is not None
    assert not answer.is_final
    assert answer.words.startswith("receipts partition 2 refuses what is written (NotEnoughRep")
    assert await seen.inquiry.about("commit", CLICKS) is None
    seen.refusals.record("commit", "the coordinator", GroupCoordinatorNotAvailableError())
    assert await seen.inquiry.about("commit", CLICKS) is not None


async def test_a_group_that_cannot_be_entered_is_a_reason_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only where membership is what stands still."""
    seen = Asked(monkeypatch)
    seen.group_refusal = "Kafka does not let this user into the group g"
    assert await seen.inquiry.about("group", None) == BrokerAnswer(
        seen.group_refusal, is_final=True
    )
    assert await seen.inquiry.about("fetch", CLICKS) is None
