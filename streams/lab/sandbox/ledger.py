"""The ledger: what a simulator stored, in order, and how it answered.

Columns instead of objects: a million records take about 170 MB, payloads not included; of these
only the newest few are kept.
"""

from array import array
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

import msgspec

KEPT_EXAMPLES = 100


class Ledger:
    """Everything one simulator stored since it started or was cleared."""

    def __init__(self, *, kept_payloads: int = 200) -> None:
        self._kept_payloads = kept_payloads
        self.clear()

    def clear(self) -> None:
        """Forget everything, the request count included."""
        self.requests = 0
        self.answers: Counter[str] = Counter()
        """Requests by what became of them: a status, or a word such as ``dropped``."""
        self.types: Counter[str] = Counter()
        """Stored records by the vendor's own type."""
        self.dry_run_records = 0
        self.refused_records = 0
        """Records that an answer named as refused, or that came in a refused request of one."""
        self.erased_records = 0
        self.flagged: Counter[str] = Counter()
        """Records that the vendor takes, but that break a rule of this project, by rule."""
        self.flag_examples: deque[dict[str, Any]] = deque(maxlen=KEPT_EXAMPLES)
        self.refusals: deque[dict[str, Any]] = deque(maxlen=KEPT_EXAMPLES)
        self._recent: deque[Any] = deque(maxlen=self._kept_payloads)
        self._event_ids: list[str] = []
        self._visitors: list[str] = []
        self._users: list[str] = []
        self._at = array("d")
        self._request_numbers = array("Q")
        self._erased = bytearray()
        self._times_stored: dict[str, int] = {}
        self._names: dict[str, str] = {"": ""}

    def __len__(self) -> int:
        return len(self._event_ids)

    def open_request(self) -> int:
        """Return the number of a request that has just arrived, counted from 1."""
        self.requests += 1
        return self.requests

    def close_request(self, ending: int | str) -> None:
        """Count how a request ended: with this status, or with this word in place of an answer."""
        self.answers[str(ending)] += 1

    def store(
        self,
        *,
        request: int,
        at: float,
        type_: str,
        event_id: str,
        anonymous_id: str,
        user_id: str,
        payload: Any,
    ) -> None:
        """Append one accepted record; an empty string stands for an id that was not given."""
        names = self._names
        self._event_ids.append(event_id)
        self._visitors.append(names.setdefault(anonymous_id, anonymous_id))
        self._users.append(names.setdefault(user_id, user_id))
        self._at.append(at)
        self._request_numbers.append(request)
        self._erased.append(0)
        self.types[type_] += 1
        if event_id:
            self._times_stored[event_id] = self._times_stored.get(event_id, 0) + 1
        self._recent.append(payload)

    def flag(self, rule: str, *, request: int, index: int) -> None:
        """Note that record ``index`` of this request breaks a rule which the vendor lets pass."""
        self.flagged[rule] += 1
        self.flag_examples.append({"rule": rule, "request": request, "index": index})

    def refuse(self, *, request: int, records: int, lines: list[str]) -> None:
        """Note a refusal in the vendor's own words, and how many records it named."""
        self.refused_records += records
        self.refusals.append({"request": request, "lines": lines[:10]})

    def erase_users(self, user_ids: Iterable[str]) -> int:
        """Mark the records of these users as erased; return how many were not so already."""
        wanted = set(user_ids)
        erased = 0
        for position, user_id in enumerate(self._users):
            if user_id in wanted and not self._erased[position]:
                self._erased[position] = 1
                erased += 1
        self.erased_records += erased
        return erased

    def erase(self, position: int) -> None:
        """Mark one record as erased, by its position."""
        if not self._erased[position]:
            self._erased[position] = 1
            self.erased_records += 1

    def event_ids(self, since: int = 0, limit: int | None = None) -> list[str]:
        """Return the event ids in the order of storing, repeats included, from a position on."""
        return self._event_ids[since : None if limit is None else since + limit]

    def times_stored(self, event_id: str) -> int:
        """Return how often a record with this event id was stored."""
        return self._times_stored.get(event_id, 0)

    def duplicates(self) -> dict[str, int]:
        """Return the event ids that were stored more than once, with their counts."""
        return {event_id: n for event_id, n in self._times_stored.items() if n > 1}

    def rows(self, since: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the stored records from a position on, one dict each, without payloads."""
        end = len(self) if limit is None else min(len(self), since + limit)
        return [
            {
                "position": position,
                "event_id": self._event_ids[position],
                "anonymous_id": self._visitors[position],
                "user_id": self._users[position],
                "at": self._at[position],
                "request": self._request_numbers[position],
                "erased": bool(self._erased[position]),
            }
            for position in range(since, end)
        ]

    def payloads(self) -> list[Any]:
        """Return the newest stored payloads, oldest first, as dicts."""
        return [msgspec.to_builtins(payload) for payload in self._recent]

    def summary(self) -> dict[str, Any]:
        """Return the sums of the ledger, ready for JSON; bounded in size."""
        with_id = sum(self._times_stored.values())
        repeated = self.duplicates()
        return {
            "records": len(self),
            "distinct": len(self._times_stored),
            "duplicates": with_id - len(self._times_stored),
            "duplicate_ids": dict(list(repeated.items())[:KEPT_EXAMPLES]),
            "without_event_id": len(self) - with_id,
            "erased": self.erased_records,
            "dry_run_records": self.dry_run_records,
            "refused_records": self.refused_records,
            "types": dict(self.types),
            "requests": self.requests,
            "answers": dict(self.answers),
            "flagged": dict(self.flagged),
            "flag_examples": list(self.flag_examples),
            "refusals": list(self.refusals),
            "first_at": self._at[0] if self._at else None,
            "last_at": self._at[-1] if self._at else None,
        }
