"""What happened at the vendors' doors, noted by this process beside the simulators' own ledgers."""

import time
from bisect import bisect_left
from collections import Counter
from typing import Any

from streams.lab.sandbox import Ledger
from tests.chaos.shop import number_of

BUFFERED_SECONDS = 0.4
"""What a killed worker had sent may lie in a socket's buffer, and be read only afterwards.

No new worker makes a request so soon: it takes longer to start.
"""


class Door:
    """One vendor's requests and what it stored, in order, with the times of this process's clock.

    A simulator whose ledger is given tells each request and each record as it comes.
    """

    def __init__(self, vendor: str, ledger: Ledger) -> None:
        self.vendor = vendor
        self.opened_at: list[float] = []
        """When each request was read; request numbers begin at 1."""
        self.stored: list[int] = []
        """Event numbers in the order of storing, repeats included."""
        self.stored_at: list[float] = []
        self.requests: list[int] = []
        """The request of each stored record."""
        self.first_at: dict[int, float] = {}
        """Event number → when it was stored for the first time."""
        self.endings: Counter[str] = Counter()
        """Requests by how they ended."""
        self._listen(ledger)

    @property
    def open(self) -> int:
        """How many requests wait for their answer; those that hang are given up already."""
        return len(self.opened_at) - self.endings.total()

    def requests_until(self, moment: float) -> int:
        """Return how many requests had been read by then."""
        return bisect_left(self.opened_at, moment)

    def _listen(self, ledger: Ledger) -> None:
        open_request, close_request, store = (
            ledger.open_request,
            ledger.close_request,
            ledger.store,
        )

        def note_open() -> int:
            self.opened_at.append(time.monotonic())
            return open_request()

        def note_close(ending: int | str) -> None:
            self.endings[str(ending)] += 1
            close_request(ending)

        def note_stored(**record: Any) -> None:
            number = number_of(self.vendor, record["event_id"], record["payload"])
            now = time.monotonic()
            self.first_at.setdefault(number, now)
            self.stored_at.append(now)
            self.requests.append(record["request"])
            # Last, for the thread that checks the books meanwhile.
            self.stored.append(number)
            store(**record)

        ledger.open_request = note_open  # type: ignore[method-assign]
        ledger.close_request = note_close  # type: ignore[method-assign]
        ledger.store = note_stored  # type: ignore[method-assign]
