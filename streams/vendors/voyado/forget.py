"""Forgetting a visitor at Voyado Engage: each interaction of the relay is found and deleted."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from streams.core.outcome import RequestOutcome, Verdict
from streams.core.records import VendorRecord
from streams.vendors.base import Erasure, Forgetting, HttpRequest, HttpResponse, Trail
from streams.vendors.responses import is_page
from streams.vendors.voyado.api import (
    INTERACTIONS,
    NOT_FOUND,
    PrivateRequest,
    get_contact_id,
    headers,
    judge,
)
from streams.vendors.voyado.contacts import read_contact
from streams.vendors.voyado.listing import read_pages
from streams.vendors.voyado.pages import InteractionPage, event_id_of
from streams.vendors.voyado.settings import VoyadoSettings

CONTACT_KEY = "contactId"
"""Of ``Trail.contacts``: the value is the contact's id itself."""


def subjects(record: VendorRecord) -> Sequence[str]:
    """Return the contact of which the interaction is, if the record names it."""
    contact = record.payload.get("contactId") if type(record.payload) is dict else None
    return (contact,) if type(contact) is str and contact else ()


def plan(trail: Trail, settings: VoyadoSettings) -> Erasure:
    """Return one request for each interaction that Voyado confirmed with an id."""
    known = headers(settings)
    requests = tuple(
        PrivateRequest("DELETE", f"{INTERACTIONS}/{quote(reference, safe='')}", known, b"")
        for reference in trail.references
    )
    count = len(requests)
    what = f"{count:,} interaction{'' if count == 1 else 's'}" if requests else ""
    contacts = f" ({', '.join(trail.subjects)})" if trail.subjects else ""
    return Erasure(
        requests,
        what,
        f"Delete interactions of other schemas, and the contact itself{contacts}, in Voyado "
        "Engage.",
    )


def search(
    trail: Trail, settings: VoyadoSettings
) -> Generator[HttpRequest, HttpResponse, Trail | Verdict]:
    """Ask for all interactions of the visitor's contacts, of the schemas that the relay uses.

    The relay's are those with an ``eventId``; receipts do not know them all for ever.
    """
    people = {contact.lower(): contact for contact in trail.subjects}
    for key, value in trail.contacts:
        if key == CONTACT_KEY:
            people[value.lower()] = value
            continue
        found = read_contact((yield get_contact_id(key, value, settings)))
        if isinstance(found, Verdict):
            return found
        if found.contact_id is not None:
            people[found.contact_id.lower()] = found.contact_id
    references = dict.fromkeys(trail.references)

    def visit(page: InteractionPage) -> None:
        references.update(dict.fromkeys(filter(None, map(_reference, page.items))))

    for person in people.values():
        for schema_id in dict.fromkeys((*settings.schema_ids, *trail.voyado_schema_ids)):
            refusal = yield from read_pages(person, schema_id, settings, visit)
            # Where there is no such contact or schema there is nothing to delete.
            if refusal is not None and refusal.outcome is not RequestOutcome.REJECTED:
                return refusal
    return replace(trail, subjects=tuple(people.values()), references=tuple(references))


def _reference(item: Any) -> str | None:
    """Return the id of an interaction that the relay sent; None for any other."""
    found = event_id_of(item)
    reference = item.get("id") if type(item) is dict else None
    return reference if found and type(reference) is str else None


def classify(response: HttpResponse) -> Verdict:
    """Return the verdict on one deletion; an interaction that is not there counts as deleted."""
    verdict = judge(response)
    if response.status == NOT_FOUND and not is_page(response):
        return replace(verdict, outcome=RequestOutcome.ACCEPTED)
    return verdict


FORGETTING = Forgetting(subjects, plan, classify, search)
