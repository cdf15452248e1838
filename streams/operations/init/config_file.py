"""Writing a proposal into the settings file; nothing that stands there is changed."""

import tomllib
from pathlib import Path

from streams.core.errors import SettingsError
from streams.core.proposal.model import Proposal
from streams.core.proposal.toml import proposal_toml
from streams.settings.loading import CONFIG, process_environment


def settings_path() -> Path:
    """Return the settings file that this process reads, whether it is there or not."""
    return Path(process_environment().get(CONFIG) or "streams.toml")


def write_proposal(path: Path, proposal: Proposal) -> None:
    """Append the proposal to the settings file, or make the file.

    Raises SettingsError where the file cannot be read or written, or has one of the sections.
    """
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        existing = tomllib.loads(before)
    except (OSError, ValueError) as error:
        raise SettingsError([f"{path} cannot be read: {error}."]) from error
    names = [s.name for s in proposal.sections if s.name in existing.get("ingest", {})]
    if names:
        sentence = (
            f"{path} already has the section [ingest.{names[0]}]; remove it first, or run without "
            "--write and take over what you need."
        )
        raise SettingsError([sentence])
    if "consent" in existing:
        proposal.consent_mode = None
    sources = existing.get("source", {})
    on = [name for name in proposal.sources() if sources.get(name, {}).get("enabled") is True]
    if off := [name for name in proposal.sources() if name in sources and name not in on]:
        sentence = f"{path} has the section [source.{off[0]}]; write enabled = true into it first."
        raise SettingsError([sentence])
    added = proposal_toml(proposal, on)
    text = f"{before.rstrip()}\n\n{added}" if before.strip() else added
    tomllib.loads(text)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"{path} cannot be written: {error.strerror or error}."]) from error
