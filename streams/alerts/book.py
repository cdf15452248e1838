"""Which findings people have been told of, and what to tell them next. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from streams.core.quantities import span
from streams.status.findings import Finding, FindingKind

OVER: Final[Mapping[str, str]] = {
    FindingKind.PARKED: "{name} is no longer parked.",
    FindingKind.REGISTRY_AWAY: "{name} no longer waits for the schema registry.",
    FindingKind.DEAD_LETTERS: "{name} has no new dead letters.",
    FindingKind.DRIFT: "The shop's records no longer differ from the settings.",
    FindingKind.FALLING_BEHIND: "{name} is no longer falling behind.",
}
"""The kinds of findings that are worth a message, and what is said when it is over."""

HIDING = frozenset(
    {
        FindingKind.NO_WORKER,
        FindingKind.STARTING,
        FindingKind.REGISTRY_AWAY,
        FindingKind.PARKED,
        FindingKind.PAUSED,
        FindingKind.THROTTLED,
        FindingKind.DEGRADED,
        FindingKind.ASKING,
    }
)
"""While one of these stands, nobody can say that something else of the same stage is over."""

QUIET_MS = 5 * 60 * 1000
"""What comes back within this time was never over."""


class Alert(msgspec.Struct, frozen=True):
    """Something that people were told of and that is not over."""

    subject: str
    """``enrich``, ``ingest`` or a vendor key."""
    kind: str
    since: int
    """When it began, in ms since the epoch."""


class Message(msgspec.Struct, frozen=True):
    """What people are told, in whole sentences without secrets."""

    title: str
    text: str
    is_over: bool = False
    """Whether it says that something has ended."""


class AlertBook:
    """Keeps what people were told: one message when something begins, one when it is over."""

    def __init__(
        self, names: Mapping[str, str], *, shop: str = "", sent: Sequence[Alert] = ()
    ) -> None:
        """``names``: stages as people call them; ``sent``: what they were told before."""
        self._names = names
        self._shop = shop
        self._open = {(one.subject, one.kind): one for one in sent}
        self._quiet_since: dict[tuple[str, str], int] = {}

    @property
    def sent(self) -> tuple[Alert, ...]:
        """What people were told of and is not over, in a fixed order."""
        return tuple(self._open[key] for key in sorted(self._open))

    def read(self, findings: Sequence[Finding], now_ms: int) -> list[Message]:
        """Return what to tell people of these findings: the whole judgement as of now.

        While Kafka does not answer nothing is known, so nothing is told.
        """
        if any(one.kind == FindingKind.KAFKA_AWAY for one in findings):
            return []
        standing: dict[tuple[str, str], list[Finding]] = {}
        for one in findings:
            if one.kind in OVER:
                standing.setdefault((one.subject, one.kind), []).append(one)
        hidden = {one.subject for one in findings if one.kind in HIDING}
        messages = []
        for key, found in standing.items():
            self._quiet_since.pop(key, None)
            if key not in self._open:
                self._open[key] = Alert(*key, found[0].since or now_ms)
                messages.append(self._begun(found))
        for key in [key for key in self._open if key not in standing]:
            if key[0] in hidden:
                self._quiet_since.pop(key, None)
            elif now_ms - self._quiet_since.setdefault(key, now_ms) >= QUIET_MS:
                quiet_since = self._quiet_since.pop(key)
                messages.append(self._ended(self._open.pop(key), quiet_since))
        return messages

    def _begun(self, findings: Sequence[Finding]) -> Message:
        first, *others = findings
        # Drift shows a part of a record, which is for those who may see the shop's records.
        is_drift = first.kind == FindingKind.DRIFT
        text = f"{first.text} {first.remedy}" if is_drift else first.sentence()
        return Message(self._title(first.text), " ".join([text, *(one.text for one in others)]))

    def _ended(self, alert: Alert, quiet_since: int) -> Message:
        name = self._names.get(alert.subject, alert.subject)
        lasted = span(max(0, quiet_since - alert.since) / 1000)
        return Message(
            self._title(OVER[alert.kind].format(name=name)), f"It lasted {lasted}.", is_over=True
        )

    def _title(self, text: str) -> str:
        return f"streams {self._shop.rstrip('.-_')}: {text}" if self._shop else f"streams: {text}"
