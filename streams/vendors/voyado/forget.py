"""Forgetting a visitor at Voyado Engage: each interaction that is known by its id is deleted."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from streams.core.outcome import RequestOutcome, Verdict
from streams.core.records import VendorRecord
from streams.vendors.base import Erasure, Forgetting, HttpResponse, Trail
from streams.vendors.responses import is_page
from streams.vendors.voyado.api import INTERACTIONS, NOT_FOUND, PrivateRequest, headers, judge
from streams.vendors.voyado.settings import VoyadoSettings


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
        "Interactions whose receipts are no longer kept are not known by id, and the contact "
        f"itself{contacts} is not the relay's: delete these in Voyado Engage.",
    )


def classify(response: HttpResponse) -> Verdict:
    """Return the verdict on one deletion; an interaction that is not there counts as deleted."""
    verdict = judge(response)
    if response.status == NOT_FOUND and not is_page(response):
        return replace(verdict, outcome=RequestOutcome.ACCEPTED)
    return verdict


FORGETTING = Forgetting(subjects, plan, classify)
