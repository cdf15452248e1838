"""``--only``: which of a window's events a replay is about. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from streams.core.errors import SettingsError
from streams.core.kinds import KINDS, kind_of
from streams.core.outcome import DeadLetterReason, Outcome, SkipReason

MISSING = "missing"
"""No receipt says what became of it: the vendor was off, or its receipt is gone."""
_REASONS = {
    Outcome.SKIPPED: {str(reason) for reason in SkipReason},
    Outcome.DEAD_LETTERED: {str(reason) for reason in DeadLetterReason},
}
_HELP = (
    "name, separated by commas, any of accepted, dead_lettered, skipped, missing, "
    "dead_lettered:REASON and skipped:REASON (`streams reasons` lists them), and of "
    f"{', '.join(kind.event_type for kind in KINDS.values())}"
)


@dataclass(frozen=True, slots=True)
class OnlyFilter:
    """Outcomes and event types; an event must be one of each kind that is named at all."""

    types: frozenset[str] = frozenset()
    outcomes: frozenset[tuple[str, str | None]] = frozenset()
    """Outcome with its reason; None: any."""
    words: tuple[str, ...] = field(default=(), compare=False)
    """As it was asked."""

    def has_type(self, event_type: str) -> bool:
        """Return whether events of this type are meant."""
        return not self.types or event_type in self.types

    def has_outcome(self, outcome: str, reason: str | None) -> bool:
        """Return whether events with this last outcome, or ``missing``, are meant."""
        wanted = self.outcomes
        return not wanted or (outcome, None) in wanted or (outcome, reason) in wanted


def parse_only(words: Iterable[str]) -> OnlyFilter:
    """Return what ``--only`` means, given once or more, each with commas; raises SettingsError."""
    types: set[str] = set()
    outcomes: set[tuple[str, str | None]] = set()
    asked: list[str] = []
    for word in (part.strip() for text in words for part in text.split(",")):
        if not word:
            continue
        asked.append(word)
        outcome, _, reason = word.partition(":")
        if (kind := kind_of(word)) is not None:
            types.add(kind.event_type)
        elif word in {MISSING, *Outcome}:
            outcomes.add((word, None))
        elif outcome in _REASONS and reason in _REASONS[Outcome(outcome)]:
            outcomes.add((outcome, reason))
        else:
            raise SettingsError([f'--only: "{word}" is neither an outcome nor a type; {_HELP}.'])
    return OnlyFilter(frozenset(types), frozenset(outcomes), tuple(asked))
