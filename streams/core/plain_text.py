"""Text that is safe to print."""


def plain(text: str) -> str:
    """Return text in which control characters are spelled out; markup is left to the caller."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
