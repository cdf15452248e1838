"""Consent: whether a visitor's event may go to a vendor, and on what ground."""

from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal

from streams.core.rows import User

ConsentMode = Literal["required", "assumed"]
Ground = Literal["event", "row", "assumed"]
"""What a yes rests on; the header ``consent`` of a vendor record."""


class Malformed(Enum):
    """The type of ``MALFORMED``."""

    MALFORMED = "malformed"


MALFORMED: Final = Malformed.MALFORMED
"""A visitor whose user row is out of shape: no to every vendor until a good row comes."""


def ground_for(
    vendor: str,
    stated: Mapping[str, bool] | None,
    user: User | Malformed | None,
    mode: ConsentMode,
) -> Ground | None:
    """Return what allows the event to go to the vendor; None: nothing does.

    ``stated`` is the event's own consent. It is asked before the row, but a no in the row wins.
    """
    if user is MALFORMED:
        return None
    of_row = user.consent.get(vendor) if user is not None and user.consent else None
    if of_row is False:
        return None
    of_event = stated.get(vendor) if stated else None
    if of_event is not None:
        return "event" if of_event else None
    if of_row:
        return "row"
    return "assumed" if mode == "assumed" else None
