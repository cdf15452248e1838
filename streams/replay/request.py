"""What a replay may be asked for: the rules and their sentences, for terminal and page. Pure."""

from collections.abc import Iterable
from math import isfinite
from typing import Final

from streams.core.errors import SettingsError
from streams.core.runs import Asked
from streams.replay.only_filter import parse_only

LEAST_RATE: Final = 0.001


def replay_request(
    *,
    from_ms: int | None,
    to_ms: int | None,
    now_ms: int,
    only: Iterable[str] = (),
    visitor: str | None = None,
    sku: str | None = None,
    rate: float | None = None,
    again: bool = False,
) -> Asked:
    """Return the replay that is asked for; its window ends now (``now_ms``) at the latest.

    Raises SettingsError with one sentence for each mistake.
    """
    problems = []
    if to_ms is not None:
        to_ms = min(to_ms, now_ms)
    if from_ms is None or to_ms is None:
        problems.append("--from and --to: both are needed.")
    elif not 0 <= from_ms < to_ms:
        problems.append("--from: must be before --to and in the past.")
    words: tuple[str, ...] = ()
    try:
        words = parse_only(only).words
    except SettingsError as error:
        problems += error.problems
    for name, value in (("--visitor", visitor), ("--sku", sku)):
        if value is not None and not value.strip():
            problems.append(f"{name}: must not be empty.")
    if rate is not None and not (isfinite(rate) and rate >= LEAST_RATE):
        problems.append(f"--rate: must be at least {LEAST_RATE:g} events per second.")
    if problems:
        raise SettingsError(problems)
    return Asked(
        "replay", from_ms, to_ms, only=words, visitor=visitor, sku=sku, again=again, rate=rate
    )
