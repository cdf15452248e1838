"""Reading a vendor's tables of verdicts, as its tests write them out."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpResponse

HTML = b"<html><head><title>Sorry</title></head><body><h1>Something is wrong</h1></body></html>"
"""What a proxy or a load balancer answers instead of the vendor."""
HUGE = b'{"message": "' + b"x" * 2_000_000 + b'"}'
CUT = HUGE[: 1024 * 1024]
"""A huge response, as the client hands it over: no JSON any more."""
NEVER_SENT = HttpResponse(None, {}, b"", "connection refused", was_sent=False)
NO_ANSWER = HttpResponse(None, {}, b"", "no response within 60 s")


def response(status: int, body: Any = b"", **headers: str) -> HttpResponse:
    """Return a response; what is no bytes is encoded as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, raw
    )


def statuses(table: str) -> Iterator[tuple[int, RequestOutcome]]:
    """Yield each status of a table with its outcome: ``401-407  misconfigured  why``."""
    for line in filter(None, map(str.strip, table.splitlines())):
        numbers, outcome, *_ = line.split()
        first, _, last = numbers.partition("-")
        for status in range(int(first), int(last or first) + 1):
            yield status, RequestOutcome(outcome)


def check_statuses(table: str, classify: Callable[[HttpResponse, int], Verdict]) -> None:
    """Assert that the table names each status from 100 to 599 once, and says what is true."""
    rows = list(statuses(table))
    assert [status for status, _ in rows] == list(range(100, 600))
    wrong = {
        status: (str(outcome), str(verdict.outcome))
        for status, outcome in rows
        if (verdict := classify(response(status), 1)).outcome is not outcome
        or verdict.status != status
    }
    assert wrong == {}
