"""A vendor's newest requests and responses, to be shown; nothing is copied or kept for long."""

from typing import NamedTuple

from streams.vendors.base import HttpRequest, HttpResponse


class Exchange(NamedTuple):
    """A request and its response."""

    request: HttpRequest
    response: HttpResponse
    began: float
    """In seconds of the courier's clock."""
    seconds: float


class Exchanges:
    """The newest success and the newest failure since the last ``drain``."""

    def __init__(self) -> None:
        self._newest: Exchange | None = None
        self._newest_failure: Exchange | None = None

    def record(
        self, request: HttpRequest, response: HttpResponse, began: float, ended: float
    ) -> None:
        """Record an exchange; it replaces the previous one of its kind."""
        exchange = Exchange(request, response, began, ended - began)
        if is_success(response):
            self._newest = exchange
        else:
            self._newest_failure = exchange

    def drain(self) -> list[Exchange]:
        """Return what came since the last call, at most one success and one failure."""
        found = [one for one in (self._newest, self._newest_failure) if one is not None]
        self._newest = self._newest_failure = None
        return found


def is_success(response: HttpResponse) -> bool:
    """Return whether the status is 2xx."""
    return response.status is not None and 200 <= response.status < 300
