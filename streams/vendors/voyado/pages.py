"""Reading the list of a contact's interactions, in both forms that clients have seen."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from streams.vendors.responses import read_json

_TOKENS = ("continuation", "continuationToken", "nextContinuation")


class InteractionPage(NamedTuple):
    """Up to 50 interactions."""

    items: Sequence[Any]
    continuation: str | None
    """What asks for the next page; None: this was the last."""


def read_page(body: bytes) -> InteractionPage | None:
    """Return the page that a response holds; None where it holds none.

    ``{"items": […], "links": [{"rel", "href", "method"}]}`` or ``{"data": […]}``, each with the
    continuation as a field or within the link ``next``.
    """
    response = read_json(body)
    if type(response) is list:
        return InteractionPage(response, None)
    if type(response) is not dict:
        return None
    items = next(
        (response[name] for name in ("items", "data") if type(response.get(name)) is list), None
    )
    return None if items is None else InteractionPage(items, _continuation(response))


def reference_of(event_id: str, page: InteractionPage) -> str | None:
    """Return Voyado's id of the interaction that carries our event id.

    An empty text where it is there and has no id; None where it is not there.
    """
    for item in page.items:
        if event_id_of(item) == event_id:
            reference = item.get("id")
            return reference if type(reference) is str else ""
    return None


def event_id_of(item: Any) -> Any:
    """Return our event id that an interaction of a list carries; None where it has none."""
    payload = item.get("payload") if type(item) is dict else None
    if type(payload) is str:
        payload = read_json(payload.encode())
    return payload.get("eventId") if type(payload) is dict else None


def _continuation(response: dict[str, Any]) -> str | None:
    for name in _TOKENS:
        token = response.get(name)
        if type(token) is str and token:
            return token
    links = response.get("links")
    for link in links if type(links) is list else ():
        if type(link) is not dict or link.get("rel") != "next" or type(link.get("href")) is not str:
            continue
        try:
            query = parse_qs(urlsplit(link["href"]).query)
        except ValueError:
            continue
        # Only the token is taken: requests go to base_url, whatever a link says.
        if token := next(iter(query.get("continuation", ())), ""):
            return token
    return None
