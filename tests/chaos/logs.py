"""What lies on the topics, read by this run itself: raw events, receipts, enrichment's letters.

Nothing is shared with the audit or the workers: only Kafka's protocol and the contract's formats.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tests.chaos.shop import VENDORS

RAW = ("shop.clicks", "shop.add-to-carts")
LETTERS = "enrich.dead-letters"
INGEST_LETTERS = "ingest.dead-letters"

Place = tuple[int, int]
"""Partition and offset of a record."""
Ends = Mapping[int, int]
"""Partition → the offset behind its last record."""


def receipts_topic(vendor: str) -> str:
    """The topic of a vendor's receipts, without prefix."""
    return f"vendor.{vendor}.receipts"


def letters_topic(vendor: str) -> str:
    """The topic of a vendor's dead letters, without prefix."""
    return f"vendor.{vendor}.dead-letters"


class Logs:
    """Follows the topics; ``read`` takes in what has come since."""

    def __init__(
        self,
        servers: str,
        partitions: int,
        vendors: Sequence[str] = VENDORS,
        *,
        ingest: bool = False,
    ) -> None:
        """``ingest``: there is such a stage, which has dead letters of its own."""
        self._servers = servers
        own = [INGEST_LETTERS] if ingest else []
        names = [*RAW, LETTERS, *own, *map(receipts_topic, vendors), *map(letters_topic, vendors)]
        self._next = {TopicPartition(name, p): 0 for name in names for p in range(partitions)}
        self._partitions = partitions
        self.raw: dict[str, list[tuple[str, int]]] = {name: [] for name in RAW}
        """Raw topic → visitor and event number, each partition's in log order."""
        self.partition_of: dict[int, int] = {}
        """Event number → its partition."""
        self.repeated_raw: list[int] = []
        """Events that lie on the raw topics more than once: the producer's doing, or ingest's."""
        self.letters: dict[int, list[str]] = defaultdict(list)
        """Event number → reasons of dead letters of ingest and enrichment."""
        self.vendor_letters: dict[str, set[int]] = {vendor: set() for vendor in vendors}
        """Vendor → events of which a dead letter lies there."""
        self.receipts: dict[str, dict[int, list[tuple[str, Place]]]] = {
            vendor: defaultdict(list) for vendor in vendors
        }
        """Vendor → event number → outcome (skips with their reason) and place of each receipt."""

    async def ends(self, topic: str) -> Ends:
        """Return where a topic ends now."""
        async with _consumer(self._servers) as consumer:
            tps = [TopicPartition(topic, p) for p in range(self._partitions)]
            found = await consumer.end_offsets(tps)
        return {tp.partition: end for tp, end in found.items()}

    async def read(self) -> None:
        """Take in all that has come; a broker that is away raises KafkaError."""
        async with _consumer(self._servers) as consumer:
            ends: dict[TopicPartition, int] = await consumer.end_offsets(list(self._next))
            due = [tp for tp, at in self._next.items() if at < ends[tp]]
            if not due:
                return
            consumer.assign(due)
            for tp in due:
                consumer.seek(tp, self._next[tp])
            while any(self._next[tp] < ends[tp] for tp in due):
                fetched = await consumer.getmany(timeout_ms=500)
                for tp, records in fetched.items():
                    for record in records:
                        if record.offset >= self._next[tp]:
                            self._take(tp, record)
                            self._next[tp] = record.offset + 1

    def _take(self, tp: TopicPartition, record: Any) -> None:
        body = json.loads(record.value)
        if tp.topic in RAW:
            number = _number(body["event_id"])
            if number in self.partition_of:
                self.repeated_raw.append(number)
                return
            self.partition_of[number] = tp.partition
            self.raw[tp.topic].append((record.key.decode(), number))
        elif tp.topic == INGEST_LETTERS:
            self.letters[_number(body["event_id"])].append(body["reason"])
        elif tp.topic == LETTERS:
            number = _number(json.loads(body["record"])["event_id"])
            self.letters[number].append(body["reason"])
        elif tp.topic.endswith("dead-letters"):
            self.vendor_letters[tp.topic.split(".")[1]].add(_number(body["event_id"]))
        else:
            outcome = " ".join(filter(None, (body["outcome"], body.get("reason"))))
            place = (tp.partition, record.offset)
            vendor = tp.topic.split(".")[1]
            self.receipts[vendor][_number(body["event_id"])].append((outcome, place))


def _number(event_id: str) -> int:
    return int(event_id.removeprefix("e"))


class _consumer:  # noqa: N801 - used like a function
    """A consumer without a group, for the length of a block."""

    def __init__(self, servers: str) -> None:
        self._servers = servers

    async def __aenter__(self) -> AIOKafkaConsumer:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            request_timeout_ms=15_000,
        )
        try:
            await self._consumer.start()
        except KafkaError:
            await self._consumer.stop()
            raise
        return self._consumer

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
