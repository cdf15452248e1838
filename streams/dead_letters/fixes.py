"""The sentence that most likely helps, by the words of a dead letter; see ``fixes.toml``."""

import re
import tomllib
from functools import cache
from importlib import resources
from typing import NamedTuple


class _Rule(NamedTuple):
    """The first rule that fits a letter gives its sentence."""

    reason: str
    fix: str
    words: str = ""
    """A pattern that the letter's detail must contain."""
    owner: str = ""
    """A vendor's key, ``enrich`` or ``ingest``; empty: any."""
    status: int = 0
    """HTTP status; 0: any, or none."""


_MAX_WORDS = 1_000
UNKNOWN = "There is no advice for this reason: look at the letter with `streams dead-letters show`."


@cache
def _rules() -> list[tuple[_Rule, re.Pattern[str]]]:
    text = resources.files("streams.dead_letters").joinpath("fixes.toml").read_text("utf-8")
    rules = [_Rule(**rule) for rule in tomllib.loads(text)["rule"]]
    return [(rule, re.compile(rule.words, re.IGNORECASE)) for rule in rules]


def likely_fix(owner: str, reason: str, detail: str, status: int | None = None) -> str:
    """Return the sentence for a letter, whatever its words; ``owner``: a vendor or ``enrich``."""
    words = detail[:_MAX_WORDS]
    fixes = (
        rule.fix
        for rule, pattern in _rules()
        if rule.reason == reason
        and rule.owner in {"", owner}
        and rule.status in {0, status}
        and pattern.search(words)
    )
    return next(fixes, UNKNOWN)
