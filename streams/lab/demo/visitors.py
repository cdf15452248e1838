"""Made-up visitors: who is signed in, who said yes to what, by their place in the sample."""

import uuid
from dataclasses import dataclass, field
from typing import Any

_NAMESPACE = uuid.UUID("6f1d0a3e-1c55-4e0e-9d0b-7a3c1f6f2b84")
"""Makes ids that look random and are the same in every run."""

_YES = {"eightselect": True, "voyado": True, "miso": True}


@dataclass(frozen=True, slots=True)
class Visitor:
    """What the shop knows of the visitor of one session."""

    row: dict[str, Any] | None
    """The row of ``shop.users``; None: there is none."""
    on_events: dict[str, Any] = field(default_factory=dict)
    """What each of the visitor's events carries."""


def made_id(*parts: object) -> str:
    """A UUID that depends on nothing but its parts."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, parts))))


def visitor_of(place: int) -> Visitor:
    """The visitor of the session at this place in the sample, counted from 0."""
    agent = {"user_agent": f"Mozilla/5.0 (demo) Browser/{100 + place}", "locale": "de-DE"}
    # Documentation addresses (RFC 5737): no machine has them.
    agent["ip"] = f"203.0.113.{10 + place}"
    match place:
        case 2 | 13:  # nobody asked them yet
            return Visitor(None, agent)
        case 4:  # said no afterwards: the row wins over what the page still sends
            return Visitor({"consent": dict.fromkeys(_YES, False)}, agent | {"consent": _YES})
        case 5 | 16:  # said yes on this very page
            return Visitor(None, agent | {"consent": _YES})
        case 7:  # signed in, yes to all but Miso
            row = _signed_in(place) | {"consent": _YES | {"miso": False}}
            return Visitor(row, agent)
        case 8:  # known to the shop, but not asked
            return Visitor(_signed_in(place), agent)
    if place % 3 == 0:
        row = _signed_in(place) | {"consent": _YES}
        return Visitor(row, agent | {"eightselect_user_id": made_id("cookie", place)})
    return Visitor({"consent": _YES}, agent)


def _signed_in(place: int) -> dict[str, Any]:
    """A customer; Voyado Engage knows some by contact id, some by key, some by e-mail."""
    row: dict[str, Any] = {"user_id": f"customer-{1000 + place}"}
    match place % 4:
        case 0:
            row["contact_id"] = made_id("contact", place)
        case 1 | 3:
            row["custom_key"] = f"C{7000 + place}"
        case _:
            row["email"] = f"customer-{1000 + place}@shop.example"
    return row
