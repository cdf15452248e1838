"""Contacts of the sandbox: everybody is one, but for those whose key says otherwise.

A ``customKey`` or ``email`` that starts with ``sandbox-unknown`` has no contact (404), one that
starts with ``sandbox-twice`` has two (409); an ``email`` without an ``@`` is answered 400. Every
other value is a contact's, the same value always the same contact's. Of contact ids, those that
start with ``00000000-`` belong to nobody.
"""

import uuid
from collections.abc import Mapping

from streams.lab.sandbox.exchange import SimulatedResponse, json_answer
from streams.lab.sandbox.voyado_texts import error, is_e_mail

UNKNOWN = "sandbox-unknown"
TWICE = "sandbox-twice"
NOBODYS = "00000000-"
_NAMESPACE = uuid.UUID("8d8ac610-566d-4ef0-9c22-186b2a5ed793")
_KEYS = ("email", "mobilePhone", "socialSecurityNumber", "customKey", "any")


def contact_id_of(key: str, value: str) -> str:
    """Return the id of the contact whom this key names."""
    return str(uuid.uuid5(_NAMESPACE, f"{key}:{value.lower()}"))


def is_known(contact_id: str) -> bool:
    """Whether there is a contact with this id."""
    return not contact_id.startswith(NOBODYS)


def look_up(query: Mapping[str, str]) -> SimulatedResponse:
    """Return the answer of ``GET /contacts/id``: the id as a bare JSON string."""
    given = [(key, query[key]) for key in _KEYS if query.get(key)]
    if len(given) != 1:
        return error(400, "InvalidSearchQuery", "Exactly one search parameter is needed.")
    key, value = given[0]
    if query.get("contactType", "contact").lower() not in ("contact", "member"):
        return error(400, "InvalidContactType", "There is no such contact type.")
    if value.startswith(UNKNOWN):
        return error(404, "ContactNotFound", "The contact was not found.")
    if value.startswith(TWICE):
        ids = [contact_id_of(key, value), contact_id_of(key, f"{value}/2")]
        details = {"multipleMatchesFound": ids}
        return error(409, "MultipleMatches", "Several contacts match.", details)
    if key == "email" and not is_e_mail(value):
        return error(400, "InvalidEmailAddress", "This is no e-mail address.")
    return json_answer(200, contact_id_of(key, value))
