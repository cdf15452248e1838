"""Texts as Voyado reads them: contact ids, dates, e-mail addresses; and its error bodies."""

import re
from datetime import datetime
from typing import Any

from streams.lab.sandbox.exchange import SimulatedResponse, json_answer

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_E_MAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s]+")
_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def is_guid(value: Any) -> bool:
    """Whether this is a contact id in its long form."""
    return type(value) is str and _GUID.fullmatch(value) is not None


def is_e_mail(text: str) -> bool:
    """Whether this looks like an e-mail address."""
    return _E_MAIL.fullmatch(text) is not None


def is_date_time(value: Any) -> bool:
    """Whether this is a date and time of ISO 8601 with its offset."""
    if type(value) is not str or _DATE_TIME.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def error(status: int, code: str, message: str, details: Any = None) -> SimulatedResponse:
    """Return an error as the look-up's: a code by name, a sentence, and details."""
    return json_answer(
        status, {"errorCode": code, "message": message, "messageDetails": details or {}}
    )
