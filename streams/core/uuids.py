"""UUIDs as shops write them. The nil one, which programs write that have none, is no UUID here."""

import re

_HEX = "[0-9a-fA-F]"
UUID_PATTERN = (
    rf"^(?!0{{8}}-0{{4}}-0{{4}}-0{{4}}-0{{12}})"
    rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\Z"
)
"""Any UUID but the nil one, for msgspec's ``Meta``."""

_match = re.compile(UUID_PATTERN).match


def is_uuid(text: str) -> bool:
    """Return whether this is a UUID that names something."""
    return _match(text) is not None
