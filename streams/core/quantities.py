"""Numbers, rates, lengths of time and lists as people read them. Pure."""

from collections.abc import Sequence


def count(number: float, noun: str = "", plural: str = "") -> str:
    """Return a whole number with separators, and its noun where one is given."""
    shown = f"{number:,.0f}"
    if not noun:
        return shown
    return f"{shown} {noun}" if number == 1 else f"{shown} {plural or noun + 's'}"


def rate(per_second: float) -> str:
    """Return a rate without its unit: ``0``, ``0.4``, ``52``, ``1,204``."""
    if per_second <= 0:
        return "0"
    if per_second < 0.05:
        return "< 0.1"
    return f"{per_second:.1f}" if per_second < 9.95 else f"{per_second:,.0f}"


def span(seconds: float) -> str:
    """Return a length of time in its two largest units at most."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days:,} d {hours} h" if hours and days < 10 else f"{days:,} d"


def size(amount: int) -> str:
    """Return bytes in MB, GB above that."""
    return f"{amount / 1e9:,.1f} GB" if amount >= 1e9 else f"{amount / 1e6:,.0f} MB"


def percent(part: float, whole: float) -> str:
    """Return a share of something; a hyphen where there is nothing."""
    if whole <= 0:
        return "-"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.1f} %" if share < 10 and share else f"{share:.0f} %"


def listing(names: Sequence[str]) -> str:
    """Return names as people list them: ``A, B and C``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
