"""Reading all pages of a contact's interactions: a part of request flows, without I/O."""

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TypeVar

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.responses import UNREADABLE, is_html, is_page, read_json
from streams.vendors.voyado.api import NOT_FOUND, SUCCESS, get_interactions, judge
from streams.vendors.voyado.pages import InteractionPage, read_page
from streams.vendors.voyado.settings import VoyadoSettings

T = TypeVar("T")
Step = Generator[HttpRequest, HttpResponse, T]
"""A part of a request flow: the response to one question, or the verdict that ends it all."""


def read_pages(
    contact_id: str,
    schema_id: str,
    settings: VoyadoSettings,
    visit: Callable[[InteractionPage], T | None],
) -> Step[T | Verdict | None]:
    """Show each page to ``visit`` until it returns something; return that, None after the last.

    Returns a verdict where the list cannot be read; REJECTED: there is no such contact or schema.
    """
    seen: set[str | None] = set()
    continuation: str | None = None
    while continuation not in seen:
        seen.add(continuation)
        response = yield get_interactions(contact_id, schema_id, continuation, settings)
        if response.status == NOT_FOUND and not is_page(response):
            return replace(judge(response), outcome=RequestOutcome.REJECTED)
        if response.status not in SUCCESS:
            return judge_look_up(response)
        page = read_page(response.body)
        if page is None:
            cut_off = read_json(response.body) is UNREADABLE and not is_html(response)
            outcome = RequestOutcome.UNAVAILABLE if cut_off else RequestOutcome.MISCONFIGURED
            words = f"{response.status}, but the response is no list of interactions"
            return Verdict(outcome, words, response.status)
        found = visit(page)
        if found is not None:
            return found
        if page.continuation is None:
            return None
        continuation = page.continuation
    return Verdict(RequestOutcome.UNAVAILABLE, "the list of interactions goes in circles")


def judge_look_up(response: HttpResponse) -> Verdict:
    """Return the verdict where a GET's answer does not help: nothing was stored by it."""
    verdict = judge(response)
    if verdict.outcome is RequestOutcome.UNCLEAR:
        return replace(verdict, outcome=RequestOutcome.UNAVAILABLE)
    # A refused look-up would be refused for every event.
    return (
        replace(verdict, outcome=RequestOutcome.MISCONFIGURED)
        if verdict.outcome is RequestOutcome.REJECTED
        else verdict
    )
