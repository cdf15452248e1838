"""Consent: fields that say it for a vendor, and fields that may say it for all of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from streams.core.proposal.leaves import Leaf, literal

_VENDOR_WORDS: Mapping[str, tuple[str, ...]] = {
    "eightselect": ("eightselect", "8select", "8_select"),
    "voyado": ("voyado",),
    "miso": ("miso",),
}
_CONSENT = re.compile(
    r"consent|opt_?in|newsletter|marketing|einwilligung|permission|tracking|privacy|gdpr|dsgvo"
    r"|(?:^|_)(?:ads?|analytics)_storage|ad_user_data|ad_personali[sz]ation"
)
_REFUSAL = re.compile(
    r"opt(?:ed)?_?out|unsubscri|do_?not|no_track|disabl|reject|refus|declin|denied|withdr|revoke"
    r"|abgelehnt|abgemeldet|widerruf|widerspr"
)
"""Names of fields that say no where they are true."""
_FOR_ADVERTISING = re.compile(r"marketing|advert|(?:^|_)ads?_|personali[sz]|target")
_IAB_STRING = re.compile(r"(?:^|_)(?:tcf?|iab|euconsent|gpp|gdpr_consent)(?:_|$)|tc_?string")
_YES = frozenset({"yes", "true", "granted", "given", "accepted", "allowed", "subscribed", "ja"})
_MOST_ANSWERS = 5


def is_by_vendor(value: Any) -> bool:
    """Return whether this is a consent as events and rows have it."""
    return (
        type(value) is dict
        and value.keys() <= _VENDOR_WORDS.keys()
        and all(type(said) is bool for said in value.values())
    )


def vendors_consent(leaves: Sequence[Leaf]) -> str | None:
    """Return the expression of the consent, where columns name vendors."""
    parts: list[str] = []
    for vendor, words in _VENDOR_WORDS.items():
        leaf = next(
            (
                leaf
                for leaf in leaves
                if any(word in leaf.words for word in words)
                and not _REFUSAL.search(leaf.words)
                and set(leaf.types) <= {bool, int}
                and set(leaf.values) <= {0, 1}
            ),
            None,
        )
        if leaf is not None:
            parts.append(f"{vendor}: {_said(leaf)}")
    return "{" + ", ".join(parts) + "}" if parts else None


def consent_remarks(leaves: Sequence[Leaf]) -> list[str]:
    """Return what to write where a field may say it for all vendors; those of advertising first."""
    found = sorted(
        (
            leaf
            for leaf in leaves
            if _CONSENT.search(leaf.words)
            and not _REFUSAL.search(leaf.words)
            and set(leaf.types) <= {bool, int, str}
            and leaf.distinct <= _MOST_ANSWERS
            and leaf.fits(_is_answer)
        ),
        key=lambda leaf: _FOR_ADVERTISING.search(leaf.words) is None,
    )
    remarks = []
    if found:
        first, *others = found
        said = _said(first)
        so_may = f" (so may {_path(others[0])})" if others else ""
        remarks.append(
            f"consent: {_path(first)} may say it{so_may}, but not for which vendor; if it "
            f'does, write consent = "{{miso: {said}, voyado: {said}, eightselect: {said}}}".'
        )
    remarks += [
        f"consent: {_path(leaf)} looks like a consent string of the IAB, which expressions "
        "cannot read; let the producer write what it says for each vendor."
        for leaf in leaves
        if _IAB_STRING.search(leaf.words) and leaf.fits(_is_long_text)
    ][:1]
    return remarks


def _is_answer(value: Any) -> bool:
    return value in {0, 1} if type(value) is not str else len(value) <= 20


def _is_long_text(value: Any) -> bool:
    return type(value) is str and len(value) >= 20


def _path(leaf: Leaf) -> str:
    """Return the expression of a field; of one in a list that of its first element."""
    return leaf.expression if leaf.list_of is None else f"{leaf.list_of}[0].{leaf.expression}"


def _said(leaf: Leaf) -> str:
    """Return an expression that is true where the field says yes."""
    path = _path(leaf)
    if set(leaf.types) == {bool}:
        return path
    if "|" in path:
        path = f"({path})"
    if set(leaf.types) <= {bool, int}:
        return f"{path} == `1`"
    yes = [value for value in dict.fromkeys(leaf.values) if str(value).lower() in _YES | {"1"}]
    return f"{path} == {literal(yes[0] if yes else 'YES')}"
