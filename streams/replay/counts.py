"""What a replay would do or did, counted by vendor; pure."""

from collections import Counter
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import msgspec

from streams.core.enrich import Send, Skip
from streams.core.outcome import Outcome
from streams.core.quantities import count
from streams.delivery.rate_limit import HEADROOM
from streams.replay.planner import Judgement, Left
from streams.settings import Settings
from streams.vendors import VENDORS


class _Contact(msgspec.Struct):
    contact: dict[str, str] | None = None


_decode_contact = msgspec.json.Decoder(_Contact).decode


@dataclass(slots=True)
class Counts:
    """One vendor's figures."""

    vendor: str
    sent: int = 0
    left: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    """Of those that are sent, the last word until now."""
    payload_bytes: int = 0
    contacts: set[str] = field(default_factory=set)
    """Keys by which the sink has to look contacts up."""

    def add(self, judgement: Judgement, last: str | None) -> None:
        """Count one event; ``last`` is its outcome until now."""
        if isinstance(judgement, Send):
            self.sent += 1
            self.before[last or "missing"] += 1
            self.payload_bytes += len(judgement.value)
            if b'"contact":{' in judgement.value:
                contact = _decode_contact(judgement.value).contact or {}
                self.contacts.update(contact.values())
        elif isinstance(judgement, Left):
            self.left[judgement.why] += 1
        elif isinstance(judgement, Skip):
            self.skipped[str(judgement.reason)] += 1
        else:
            self.refused[judgement.error.reason] += 1

    @property
    def selected(self) -> int:
        """How many events were looked at."""
        return self.sent + self.left.total() + self.skipped.total() + self.refused.total()

    @property
    def dead_letters(self) -> int:
        """How many of those that are sent are dead letters until now."""
        return self.before[Outcome.DEAD_LETTERED]

    def scaled(self, factor: float) -> "Counts":
        """Return the figures of a sample taken for the whole."""

        def times(counter: Counter[str]) -> Counter[str]:
            return Counter({word: round(count * factor) for word, count in counter.items()})

        return replace(
            self,
            sent=round(self.sent * factor),
            left=times(self.left),
            skipped=times(self.skipped),
            refused=times(self.refused),
            before=times(self.before),
            payload_bytes=round(self.payload_bytes * factor),
        )


@dataclass(frozen=True, slots=True)
class Effort:
    """What sending takes of a vendor."""

    requests: int
    """About: repeats, and questions that an answer leads to, come on top."""
    requests_per_second: float | None
    """The quota of all workers together; None: the vendor counts none."""
    seconds: float | None
    """At the quota and the rate, if there is either; live traffic goes first and takes its part."""


def effort(settings: Settings, counts: Counts, rate: float | None) -> Effort:
    """Return about how many requests these events take, and how long at the quota and the rate."""
    vendor, section = VENDORS[counts.vendor], settings.vendors[counts.vendor]
    by_count = ceil(counts.sent / vendor.max_batch_records(section))
    by_bytes = ceil(counts.payload_bytes / vendor.max_batch_bytes(section))
    requests = max(by_count, by_bytes) + len(counts.contacts)
    quota = vendor.requests_per_second(section)
    lengths = []
    if quota is not None:
        lengths.append(requests / (quota * HEADROOM))
    if rate is not None:
        lengths.append(counts.sent / rate)
    return Effort(requests, quota, max(lengths, default=None))


def counts_json(settings: Settings, counts: Counts, rate: float | None) -> dict[str, Any]:
    """Return one vendor's part of a preview, as ``--json`` shows it."""
    needed = effort(settings, counts, rate)
    return {
        "vendor": counts.vendor,
        "selected": counts.selected,
        "would_send": counts.sent,
        "left": dict(sorted(counts.left.items())),
        "skipped": dict(sorted(counts.skipped.items())),
        "refused": dict(sorted(counts.refused.items())),
        "dead_letters_among_them": counts.dead_letters,
        "requests": needed.requests,
        "requests_per_second": needed.requests_per_second,
        "seconds": None if needed.seconds is None else round(needed.seconds, 1),
        "warnings": warnings_for(counts),
    }


def warnings_for(counts: Counts) -> list[str]:
    """Return what is to be said before anything is sent to this vendor."""
    warnings = []
    if counts.vendor == "eightselect" and counts.sent:
        warnings.append(
            "8SELECT's events have no timestamp: it counts replayed events at the time of the "
            "replay, which distorts its figures."
        )
    again = counts.before[Outcome.ACCEPTED]
    if again:
        warnings.append(
            f"{count(again, 'event')} that {VENDORS[counts.vendor].name} has accepted "
            f"{'is' if again == 1 else 'are'} sent again (--again) and may be counted twice."
        )
    return warnings
