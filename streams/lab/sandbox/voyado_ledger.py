"""What Voyado's simulator counts beside what it stored: ignored interactions, and its own rate."""

from collections import Counter, deque
from typing import Any

from streams.lab.sandbox.ledger import KEPT_EXAMPLES, Ledger


class VoyadoLedger(Ledger):
    """The ledger, with what Voyado ignores without a word."""

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self.ignored = 0
        """Interactions answered with success that broke their schema's rules."""
        self.ignored_examples: deque[dict[str, Any]] = deque(maxlen=KEPT_EXAMPLES)
        self.dropped_properties: Counter[str] = Counter()
        """Properties that the schema did not have, by name."""
        self.busiest_second = 0
        """The most requests of one key within any one second."""

    def ignore(self, *, request: int, why: str) -> None:
        """Note an interaction that was answered with success and not stored."""
        self.ignored += 1
        self.ignored_examples.append({"request": request, "why": why})

    def summary(self) -> dict[str, Any]:
        """Return the sums of the ledger, ready for JSON; bounded in size."""
        return super().summary() | {
            "ignored": self.ignored,
            "ignored_examples": list(self.ignored_examples),
            "dropped_properties": dict(self.dropped_properties),
            "busiest_second": self.busiest_second,
        }
