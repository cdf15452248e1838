"""What is sampled, what is proposed, and what only a person can say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streams.core.kinds import KINDS


class SampledRecord(NamedTuple):
    """A record as JSON reads it; None where there is none."""

    key: Any
    value: Any


@dataclass(frozen=True, slots=True)
class TopicSample:
    """Records of one topic, or lines of one file."""

    topic: str
    records: Sequence[SampledRecord]
    is_compacted: bool | None = None
    """None: nobody knows."""
    unreadable: int = 0
    """Records that cannot be read."""
    format: str = "json"
    """As in ``[ingest.NAME] format``."""
    needs_registry: bool = False
    """Whether it cannot be read before ``[registry]`` is set."""
    problem: str = ""
    """Why the first unreadable record cannot be read, where more is known than the format."""
    headers: Sequence[str] = ()
    """The names of the records' headers, which expressions cannot see."""


class FoundField(NamedTuple):
    """What an expression finds in the sample."""

    expression: str
    share: float
    """Of the section's events or rows, 0 to 1."""
    example: Any
    """None where nothing is found."""


class OrderLines(NamedTuple):
    """Where the lines of an order are."""

    list_of: str
    """JMESPath to their list."""
    fields: Mapping[str, str]
    """Our field of a line → an expression over an element."""

    def expression(self) -> str:
        """Return the expression of ``lines``."""
        base = self.list_of if self.list_of.endswith("[]") else f"{self.list_of}[]"
        parts = ", ".join(f"{name}: {text}" for name, text in self.fields.items())
        return f"{base}.{{{parts}}}"


@dataclass(slots=True)
class ProposedSection:
    """One proposed ``[ingest.NAME]``."""

    name: str
    topic: str
    to: str
    shape: str
    """What it was recognised as, in a few words."""
    format: str = "json"
    envelope: str = "none"
    when: str | None = None
    each: str | None = None
    key: FoundField | None = None
    """For rows: the key of the row."""
    fields: dict[str, FoundField] = field(default_factory=dict)
    """By our name, parts dotted."""
    lines: OrderLines | None = None
    """Of orders."""
    timestamp_format: tuple[str, ...] = ()
    timezone: str | None = None
    records: int = 0
    """Records of the sample that count for it."""
    events: int = 0
    """Events or rows that they make."""
    remarks: list[str] = field(default_factory=list)
    """What a person should look at, one sentence each."""

    def settings(self) -> dict[str, Any]:
        """Return the section as settings have it."""
        found: dict[str, Any] = {"topic": self.topic, "to": self.to}
        if self.format != "json":
            found["format"] = self.format
        if self.envelope != "none":
            found["envelope"] = self.envelope
        found |= {
            name: text
            for name, text in (("when", self.when), ("each", self.each))
            if text is not None
        }
        if self.key is not None:
            found["key"] = self.key.expression
        if self.timestamp_format:
            formats = self.timestamp_format
            found["timestamp_format"] = formats[0] if len(formats) == 1 else list(formats)
        if self.timezone is not None:
            found["timezone"] = self.timezone
        found["fields"] = {name: one.expression for name, one in self.fields.items()}
        return found


class SetupQuestion(NamedTuple):
    """What the records do not say."""

    name: str
    """By which its answer is given."""
    text: str
    options: tuple[str, ...]
    """None: any text."""
    default: str
    """What counts where nobody answers."""


@dataclass(slots=True)
class Proposal:
    """Sections for all topics."""

    sections: list[ProposedSection] = field(default_factory=list)
    questions: list[SetupQuestion] = field(default_factory=list)
    """All that can be asked; those that were answered, too."""
    remarks: list[str] = field(default_factory=list)
    """What concerns no one section."""
    consent_mode: str | None = None
    """``required`` or ``assumed``, where somebody said so."""

    def sources(self) -> list[str]:
        """Return the sources to which sections write and that are off unless switched on."""
        written = {section.to for section in self.sections}
        return [name for name, kind in KINDS.items() if kind.is_optional and name in written]


Answers = Mapping[str, str]
