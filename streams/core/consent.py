"""Consent: whether a visitor's event may go to a vendor, and on what ground.

Judged when enrichment reads the event, and again before each request with what is known by then.
"""

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


MAX_ROW_DELAY_SECONDS = 5.0
"""A user row acts on every event that is read later than this after it (contract §3)."""
MALFORMED: Final = Malformed.MALFORMED
"""A visitor whose user row is out of shape: no to every vendor until a good row comes."""


def ground_for(
    vendor: str,
    stated: Mapping[str, bool] | None,
    user: User | Malformed | None,
    mode: ConsentMode,
    happened_ms: int,
) -> Ground | None:
    """Return what allows the event to go to the vendor; None: nothing does.

    ``stated`` is the event's own consent. It is asked before the row, but a no in the row wins.
    ``happened_ms`` is the event's time: what is older than the row's ``consent_since`` has no yes
    of the row.
    """
    if user is MALFORMED:
        return None
    of_row = user.consent.get(vendor) if user is not None and user.consent else None
    if of_row is False:
        return None
    if of_row and user is not None and happened_ms < user.yes_from_ms.get(vendor, 0):
        of_row = None
    of_event = stated.get(vendor) if stated else None
    if of_event is not None:
        return "event" if of_event else None
    if of_row:
        return "row"
    return "assumed" if mode == "assumed" else None


class Word(Enum):
    """What a visitor's current user row says of an event; without a row there is none."""

    YES = "yes"
    NO = "no"
    SILENT = "silent"


Said = Word | int
"""What a row says about one vendor; an integer: yes to events from this moment (ms) on."""


def said_about(vendor: str, user: User) -> Said:
    """Return what the row says about the vendor."""
    said = user.consent.get(vendor) if user.consent else None
    if said is None:
        return Word.SILENT
    return (user.yes_from_ms.get(vendor) or Word.YES) if said else Word.NO


def word_for(said: Said, happened_ms: int) -> Word:
    """Return what is said of an event that happened then."""
    if isinstance(said, Word):
        return said
    return Word.YES if happened_ms >= said else Word.SILENT


def still_allows(
    ground: Ground, word: Word | None, forgotten_at_ms: int | None, raw_ms: int
) -> bool:
    """Return whether an event that was allowed on this ground may still be sent.

    ``word`` is what the current row says of it; None: there is no row. A row out of shape says NO.
    ``forgotten_at_ms`` is the Kafka time of the visitor's newest tombstone: what is not newer
    (``raw_ms``, of the raw record) is never sent. A yes of the row holds only as long as the row
    says it; any other ground holds until the row says no.
    """
    if forgotten_at_ms is not None and raw_ms <= forgotten_at_ms:
        return False
    return word is Word.YES or (word is not Word.NO and ground != "row")
