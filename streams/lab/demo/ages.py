"""How long the relay took for what was accepted, from the topics alone.

Measured from the raw record's Kafka time, when the shop's producer wrote it, to the receipt's
``at``, when the vendor had answered: one machine's clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from streams.kafka.reader import connect
from streams.settings import Settings


class _Receipt(msgspec.Struct, frozen=True, gc=False):
    outcome: str
    source: str
    at: str


_decode = msgspec.json.Decoder(_Receipt).decode


@dataclass(frozen=True, slots=True)
class Ages:
    """Seconds from raw record to acceptance, over ``count`` events."""

    count: int
    p50: float
    p95: float


def ages_of(seconds: Sequence[float]) -> Ages | None:
    """Return the ages' percentiles by nearest rank; None where there are no ages."""
    if not seconds:
        return None
    ranked = sorted(seconds)

    def percentile(share: int) -> float:
        return ranked[max(0, -(-len(ranked) * share // 100) - 1)]

    return Ages(len(ranked), percentile(50), percentile(95))


async def read_ages(settings: Settings, vendors: Sequence[str]) -> dict[str, Ages | None]:
    """Return each vendor's ages; a receipt that cannot be read is left to the audit."""
    topics = settings.topics
    async with connect(settings.kafka) as reader:
        written: dict[str, int] = {}
        for topic in topics.raw:
            async for tp, records in reader.read_topic(topic):
                where = f"{tp.topic}/{tp.partition}"
                written |= {f"{where}/{record.offset}": record.timestamp for record in records}
        found: dict[str, Ages | None] = {}
        for vendor in vendors:
            values = [
                record.value
                async for _, records in reader.read_topic(topics.receipts(vendor))
                for record in records
                if record.value is not None
            ]
            found[vendor] = ages_of(list(_seconds(values, written).values()))
    return found


def _seconds(receipts: Sequence[bytes], written: dict[str, int]) -> dict[str, float]:
    """Return source → seconds, of the first receipt that says accepted."""
    ages: dict[str, float] = {}
    for value in receipts:
        try:
            receipt = _decode(value)
            at_ms = datetime.fromisoformat(receipt.at).timestamp() * 1000
        except ValueError:  # msgspec's errors among them
            continue
        if receipt.outcome == "accepted" and receipt.source in written:
            ages.setdefault(receipt.source, (at_ms - written[receipt.source]) / 1000)
    return ages
