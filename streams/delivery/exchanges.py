"""The newest requests of a line, for people to look at; nothing is copied or kept for long."""

from typing import NamedTuple

from streams.vendors.base import HttpRequest, HttpResponse


class Exchange(NamedTuple):
    """A request and what came back."""

    request: HttpRequest
    answer: HttpResponse
    began: float
    """On the line's clock, in seconds."""
    seconds: float


class Exchanges:
    """The newest exchange, and the newest that was no success, since they were last taken."""

    def __init__(self) -> None:
        self._newest: Exchange | None = None
        self._newest_failure: Exchange | None = None

    def note(self, request: HttpRequest, answer: HttpResponse, began: float, ended: float) -> None:
        """Take note of one, in place of the one before."""
        exchange = Exchange(request, answer, began, ended - began)
        if is_success(answer):
            self._newest = exchange
        else:
            self._newest_failure = exchange

    def take(self) -> list[Exchange]:
        """Return what came since the last call, at most one success and one failure."""
        found = [one for one in (self._newest, self._newest_failure) if one is not None]
        self._newest = self._newest_failure = None
        return found


def is_success(answer: HttpResponse) -> bool:
    """Return whether the vendor answered with a 2xx."""
    return answer.status is not None and 200 <= answer.status < 300
