"""What commands share: text of strangers shown and never obeyed, and files to read."""

from pathlib import Path

import typer


def plain(text: str) -> str:
    """Return text in which control characters are spelled out; markup is left to the caller."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def file_or_stdin(path: Path | None) -> Path | None:
    """Check an argument that names a file to read, or ``-``; typer's own check refuses the dash."""
    if path is not None and str(path) != "-" and (not path.exists() or path.is_dir()):
        raise typer.BadParameter(f"there is no file {plain(str(path))}")
    return path
