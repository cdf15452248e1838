"""What a worker's clients wait for at the brokers: answers, and refusals that are tried again."""

from collections import deque
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, NotEnoughReplicasError, NotLeaderForPartitionError
from aiokafka.structs import TopicPartition

from streams.engine import pending
from streams.engine.pending import BrokerRefusals, TellingHandler, Unanswered


def connection(*requests: object) -> Any:
    """A connection with these unanswered requests, the oldest first."""
    return SimpleNamespace(_requests=deque(requests))


def test_an_answer_that_takes_longer_than_a_second_is_waited_for() -> None:
    """As long as it is the same request, and for a little while after it was given up."""
    seen, slow, busy = Unanswered(), connection(object()), connection(object())
    for second in range(8):
        busy._requests = deque([object()])
        seen.observe([("produce", slow), ("fetch", busy)], 100.0 + second)
    assert seen.recent(("produce",), 107.0) == 7.0
    assert seen.recent(("fetch", "group"), 107.0) is None
    slow._requests.clear()
    seen.observe([("produce", slow)], 108.0)
    assert seen.recent(("produce",), 117.0) == 7.0
    assert seen.recent(("produce",), 117.1) is None


def test_a_connection_that_has_gone_is_waited_for_no_longer() -> None:
    """A new request on a new connection begins anew."""
    seen = Unanswered()
    seen.observe([("produce", connection(object()))], 100.0)
    seen.observe([("produce", connection(object()))], 150.0)
    assert seen.recent(("produce",), 150.0) is None


@pytest.mark.parametrize(
    ("error", "is_noted"), [(NotEnoughReplicasError(), True), (NotLeaderForPartitionError(), False)]
)
def test_a_batch_that_is_sent_again_is_noted_where_the_broker_is_to_blame(
    error: KafkaError, is_noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where the worker may know the wrong leader: a fresh one would know better."""
    noted = BrokerRefusals()
    monkeypatch.setattr(pending, "refusals", noted)
    handler: Any = object.__new__(TellingHandler)
    handler._sender = SimpleNamespace(_txn_manager=object())
    batch = SimpleNamespace(tp=TopicPartition("receipts", 3), expired=lambda: False)
    assert handler._can_retry(error, batch)
    found = noted.recent("produce", monotonic())
    assert (found is not None) is is_noted
    if found is not None:
        assert found[:2] == ("receipts partition 3", "NotEnoughReplicasError")
        assert noted.recent("produce", found.at + 10.1) is None
