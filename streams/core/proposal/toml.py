"""A proposal as text for ``streams.toml``, each field with how often the sample has it."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from streams.core.masking import masked_json
from streams.core.proposal.model import FoundField, Proposal, ProposedSection
from streams.core.values import id_text

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_MAX_EXAMPLE_CHARS = 60
_SHOWN_AS = {"name": "productName", "email": "", "key": "anonymous_id"}
"""Our fields that masking knows by another name, or must not know."""


def example_of(field: str, found: FoundField, to: str) -> str:
    """Return a masked example of what a field finds; empty where it finds nothing."""
    if found.example is None:
        return ""
    name = field.rpartition(".")[2]
    if to == "products" and field == "key":
        name = "product_id"
    elif name in _SHOWN_AS and not (name == "name" and to != "products" and "." not in field):
        name = _SHOWN_AS[name]
    value = id_text(found.example) if name.endswith("_id") else found.example
    shown = masked_json(value, (), name)
    text = shown if type(shown) is str else msgspec.json.encode(shown).decode()
    return text if len(text) <= _MAX_EXAMPLE_CHARS else f"{text[: _MAX_EXAMPLE_CHARS - 1]}…"


def share_text(share: float) -> str:
    """Return a share in words that do not round to all or nothing what is neither."""
    percent = round(100 * share)
    if share > 0 and percent == 0:
        return "< 1 %"
    return "> 99 %" if share < 1 and percent == 100 else f"{percent} %"


def proposal_toml(proposal: Proposal, on: Collection[str] = ()) -> str:
    """Return the sections, and what was said about consent, as commented TOML.

    ``on`` are the optional sources that need not be switched on.
    """
    lines: list[str] = []
    if proposal.consent_mode == "assumed":
        lines += ["[consent]", 'mode = "assumed"', ""]
    elif proposal.consent_mode == "required":
        lines += [
            "# No expression below gives consent, so nothing will be sent: add consent to the",
            "# fields of events or users, or, where the topics hold only events of visitors who",
            "# have consented, write:",
            "# [consent]",
            '# mode = "assumed"',
            "",
        ]
    for source in (source for source in proposal.sources() if source not in on):
        lines += [f"[source.{source}]", "enabled = true", ""]
    for section in proposal.sections:
        lines += [*_section_lines(section), ""]
    lines += [f"# {remark}" for remark in proposal.remarks]
    return "\n".join(lines).rstrip("\n") + "\n"


def _section_lines(section: ProposedSection) -> Iterator[str]:
    what = "rows" if section.to in {"users", "products"} else "events"
    yield f"# {section.shape}: {section.events:,} {what} of {section.records:,} sampled records."
    for remark in section.remarks:
        yield f"# {remark}"
    settings = section.settings()
    fields = settings.pop("fields")
    yield f"[ingest.{section.name}]"
    for name, value in settings.items():
        yield f"{name} = {_value(value)}"
    if fields:
        yield f"[ingest.{section.name}.fields]"
    for name, found in section.fields.items():
        example = example_of(name, found, section.to)
        comment = share_text(found.share) + (f", as {example}" if example else "")
        yield f"{_key(name)} = {_value(found.expression)}  # {_one_line(comment)}"


def _key(name: str) -> str:
    return ".".join(part if _BARE_KEY.fullmatch(part) else _value(part) for part in name.split("."))


def _value(value: str | Sequence[Any]) -> str:
    if isinstance(value, str):
        # TOML's escapes of basic strings are those of JSON, but for the delete character.
        return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
    return "[" + ", ".join(map(_value, value)) + "]"


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
