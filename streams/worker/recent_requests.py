"""The last requests as people see them: masked, cut, and few."""

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from streams.core.masking import masked_body, masked_text, masked_url, names_in
from streams.core.snapshot import LastRequest
from streams.delivery.exchanges import Exchange, is_success

KEPT_OF_EACH = 3
"""Successes, and failures: these must not be pushed out by what goes well."""
MAX_SENT_CHARS = 600
MAX_ANSWER_CHARS = 300
MAX_CURT_BYTES = 100
"""A success that says no more than this quotes nobody."""


class RecentRequests:
    """A few of a vendor's newest exchanges."""

    def __init__(self) -> None:
        self._good: deque[LastRequest] = deque(maxlen=KEPT_OF_EACH)
        self._bad: deque[LastRequest] = deque(maxlen=KEPT_OF_EACH)

    def add(
        self, exchanges: Iterable[Exchange], secrets: Sequence[str], now: float, now_ms: int
    ) -> None:
        """Add these; ``now`` is the clock that they were timed by."""
        for exchange in exchanges:
            kept = self._good if is_success(exchange.response) else self._bad
            kept.append(_shown(exchange, secrets, now_ms - round((now - exchange.began) * 1000)))

    def newest_first(self) -> list[LastRequest]:
        """Return all that are kept."""
        return sorted([*self._good, *self._bad], key=lambda shown: -shown.at)


def _shown(exchange: Exchange, secrets: Sequence[str], at_ms: int) -> LastRequest:
    request, answer = exchange.request, exchange.response
    if answer.status is None:
        said = masked_text(answer.failure, secrets)
    else:
        quotes = not is_success(answer) or len(answer.body) > MAX_CURT_BYTES
        hidden = [*secrets, *_names(request.body)] if quotes else secrets
        said = masked_body(answer.body, hidden, MAX_ANSWER_CHARS)
    return LastRequest(
        at=at_ms,
        method=request.method,
        path=masked_url(masked_text(request.path, secrets)),
        status=answer.status,
        seconds=round(exchange.seconds, 3),
        sent=masked_body(request.body, secrets, MAX_SENT_CHARS),
        answer=said,
    )


def _names(body: bytes) -> list[str]:
    """Return what of the request its answer must not repeat."""
    try:
        return names_in(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
