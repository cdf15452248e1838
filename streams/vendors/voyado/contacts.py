"""What a look-up of a contact answers."""

import re

from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpResponse
from streams.vendors.responses import is_page
from streams.vendors.voyado.api import SUCCESS
from streams.vendors.voyado.listing import judge_look_up
from streams.vendors.voyado.memory import Contact

_NO_CONTACT = (400, 404, 409)
_CODES = re.compile(
    rb"\b(ContactNotFound|MultipleMatches|InvalidEmailAddress|InvalidPhoneNumber"
    rb"|InvalidSocialSecurityNumber|InvalidContactType|InvalidSearchQuery)\b"
)
_GUID = re.compile(rb'\s*"?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"?\s*')


def read_contact(response: HttpResponse) -> Contact | Verdict:
    """Return the contact, or that there is none and why; a verdict where it cannot be said."""
    status = response.status
    if status in _NO_CONTACT and not is_page(response):
        # The code only: a 409 lists other people.
        found = _CODES.search(response.body)
        code = found[1].decode() if found is not None else ""
        return Contact(None, status, f"{status} {code}".strip())
    if status not in SUCCESS:
        return judge_look_up(response)
    guid = _GUID.fullmatch(response.body)
    if guid is None:
        words = f"{status}, but the response to the look-up is no contact id"
        return Verdict(RequestOutcome.MISCONFIGURED, f"{words}; check base_url", status)
    return Contact(guid[1].decode(), status or 200, "")
