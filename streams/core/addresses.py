"""E-mail and IP addresses in texts that somebody will read: taken out wherever they stand. Pure."""

import re

MASK = "***"

_EMAIL = re.compile(r"[^\s@\"'<>,;:()/?&=]{1,64}(?:@|%40)[^\s@\"'<>,;()/?&=]{1,255}", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\d.])(\d{1,3}\.\d{1,3}\.\d{1,3}\.)\d{1,3}(?![\d.]*\d)")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)
_CLOCK = re.compile(r"\d{1,2}:\d\d:\d\d")


def without_emails(text: str) -> str:
    """Return the text with ``***`` for each e-mail address, percent-encoded ones too."""
    return _EMAIL.sub(MASK, text) if "@" in text or "%40" in text else text


def without_addresses(text: str) -> str:
    """Return the text without e-mail addresses; of IPv4 addresses the last part is 0."""
    text = _IPV4.sub(r"\g<1>0", without_emails(text))
    return _IPV6.sub(lambda found: found[0] if _CLOCK.fullmatch(found[0]) else "::", text)
