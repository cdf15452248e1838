"""Waiting for conditions, each with a bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.02


class TooLateError(Exception):
    """What was waited for did not come in time."""


async def until(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float, what: str
) -> float:
    """Poll until the condition holds; return how long that took.

    Raises TooLateError, which names what was waited for.
    """
    began = time.monotonic()
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return time.monotonic() - began
        if time.monotonic() - began > seconds:
            raise TooLateError(f"waited {seconds:g} s for {what}")
        await asyncio.sleep(POLL_SECONDS)
