"""Work that reads whole topics, kept away from the worker's own event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return the work's result, done by a loop of its own in a thread.

    Decoding a batch of twenty thousand records would hold up everything else in this worker for
    as long as it takes; a thread gives way every few milliseconds. Raises what the work raises. If
    nobody waits any longer the work still goes on to its end.
    """
    return await asyncio.to_thread(lambda: asyncio.run(work()))
