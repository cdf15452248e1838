"""Why a vendor is not served, from its own answer, as one sentence. Pure."""

import re

_STATUS = re.compile(r"(?:HTTP )?(\d{3})\b[:,]?\s*(.*)", re.DOTALL)


def cause(name: str, reason: str) -> str:
    """Return why a vendor is not served, from what its gate says, as one sentence."""
    found = _STATUS.match(reason)
    if found is None:
        return _sentence(reason)
    status, said = int(found[1]), found[2].strip()
    if status == 401:
        return f"{name} refuses the key (401)."
    if status == 403:
        return f"{name} refuses access (403)."
    if status in {408, 425, 429}:
        return f"{name} asks to slow down ({status})."
    if status >= 500 and status != 501:
        return f"{name} reports a server error ({status})."
    return _sentence(f"{name} answers {status}{f': {said}' if said else ''}")


def _sentence(text: str) -> str:
    text = text.strip()
    if not text or text[-1] in ".!?…":
        return text
    return f"{text}."
