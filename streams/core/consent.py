"""Consent: whether a visitor's event may be sent to a vendor, and where the consent comes from.

It is judged when enrichment reads the event, and again before each request with the newest row.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final, Literal

from streams.core.rows import User

ConsentMode = Literal["required", "assumed"]
Ground = Literal["event", "row", "assumed"]
"""Where a consent comes from; the header ``consent`` of a vendor record."""


class Malformed(Enum):
    """The type of ``NO_TO_ALL``."""

    MALFORMED = "malformed"


MAX_ROW_DELAY_SECONDS = 5.0
"""A user row applies to every event that is read at least this long after it."""
NO_TO_ALL: Final = Malformed.MALFORMED
"""A malformed user row: no to every vendor until a valid row comes."""


def ground_for(
    vendor: str,
    stated: Mapping[str, bool] | None,
    user: User | Malformed | None,
    mode: ConsentMode,
    happened_ms: int,
) -> Ground | None:
    """Return where the consent to send the event comes from; None: there is none.

    ``stated`` is the event's own consent. It counts before the row, but a no in the row wins.
    ``happened_ms`` is the event's time: the row's yes does not count for events before its
    ``consent_since``.
    """
    if user is NO_TO_ALL:
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


class NoConsent(StrEnum):
    """Why there is no consent: the ``detail`` of a receipt with the reason ``no_consent``."""

    NO_ROW = "no_row"
    """The visitor has no row, and nothing else says yes."""
    NOT_SAID = "not_said"
    """The row says nothing about this vendor."""
    SAID_NO = "said_no"
    """The row says no."""
    EVENT_SAYS_NO = "event_says_no"
    YES_ONLY_LATER = "yes_only_later"
    """The row's yes counts from ``consent_since`` on, and the event is older."""
    FORGOTTEN = "forgotten"
    """The visitor's tombstone is newer than the event."""
    MALFORMED_ROW = "malformed_row"


NO_CONSENT_MEANING: Mapping[NoConsent, str] = {
    NoConsent.NO_ROW: "no row in shop.users",
    NoConsent.NOT_SAID: "row does not mention this vendor",
    NoConsent.SAID_NO: "row says no",
    NoConsent.EVENT_SAYS_NO: "event says no",
    NoConsent.YES_ONLY_LATER: "yes only to later events",
    NoConsent.FORGOTTEN: "forgotten",
    NoConsent.MALFORMED_ROW: "malformed row",
}


def why_no_consent(
    vendor: str,
    stated: Mapping[str, bool] | None,
    user: User | Malformed | None,
    *,
    forgotten: bool,
) -> NoConsent:
    """Return why ``ground_for`` found nothing, or that the visitor was forgotten.

    The strongest reason comes first.
    """
    if forgotten:
        return NoConsent.FORGOTTEN
    if user is NO_TO_ALL:
        return NoConsent.MALFORMED_ROW
    said = user.consent.get(vendor) if user is not None and user.consent else None
    if said is False:
        return NoConsent.SAID_NO
    if stated and stated.get(vendor) is False:
        return NoConsent.EVENT_SAYS_NO
    if said:
        return NoConsent.YES_ONLY_LATER
    return NoConsent.NO_ROW if user is None else NoConsent.NOT_SAID


class Word(Enum):
    """What a visitor's current user row says about an event."""

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
    """Return whether an event with this ground may still be sent.

    ``word`` is what the current row says; None: there is no row. A malformed row says NO.
    ``forgotten_at_ms`` is the Kafka time of the visitor's newest tombstone: an event is never sent
    if its raw record (``raw_ms``) is not newer. The ground ``row`` holds only while the row says
    yes; any other ground holds until the row says no.
    """
    if forgotten_at_ms is not None and raw_ms <= forgotten_at_ms:
        return False
    return word is Word.YES or (word is not Word.NO and ground != "row")
