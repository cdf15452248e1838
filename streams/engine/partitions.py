"""Topics that get more partitions, are deleted, or come back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka.errors import KafkaError

from streams.engine.errors import BrokersUnavailableError
from streams.engine.failure import DO_NOT_RESTART, RESTART, leave

LOOK_SECONDS = 5.0


class PartitionWatch:
    """Ends a worker whose topics have more partitions than at its start, or do not exist any more.

    A worker opens only the partitions that it knew at its start.
    """

    def __init__(
        self,
        app: Any,
        known: Mapping[str, int],
        problems: Callable[[], Awaitable[list[str]]],
        leave: Callable[..., object] = leave,
        appeared: Callable[[], Awaitable[list[str]]] | None = None,
    ) -> None:
        """``problems`` returns why the stage cannot work with the topics as they are.

        ``appeared`` returns which topics that did not exist at its start exist now; None: all did.
        """
        self._appeared = appeared
        self._app = app
        self._known = dict(known)
        self._problems = problems
        self._leave = leave

    async def run(self) -> None:
        """Check regularly."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            producer = self._app.started_producer
            if producer is None:
                continue
            try:
                if await producer.client.force_metadata_update():
                    await self.check(producer.client.cluster)
                    await self.look_for_new()
                    await self.look_for_lost()
            except (KafkaError, OSError, BrokersUnavailableError):
                continue  # the brokers do not respond: checked again

    async def look_for_new(self) -> None:
        """End the process if a topic exists now that did not at its start.

        Raises BrokersUnavailableError.
        """
        if self._appeared is not None and (names := await self._appeared()):
            self._leave(
                f"{', '.join(names)} did not exist at the start; starting again to read it",
                code=RESTART,
            )

    async def look_for_lost(self) -> None:
        """Let the consumer look for topics that it does not know yet.

        Where a topic was just created, not every broker knows it, and the consumer would ask again
        after minutes. Until then it is assigned none of its partitions, and what needs its rows
        waits.
        """
        consumer = self._app.started_consumer
        if consumer is not None and consumer.thread.unknown_topics():
            await consumer.thread.client.force_metadata_update()

    async def check(self, cluster: Any) -> None:
        """End the process if a topic has more partitions, or was deleted.

        Raises BrokersUnavailableError.
        """
        grown = []
        is_gone = False
        for topic, count in self._known.items():
            found = len(cluster.partitions_for_topic(topic) or ())
            if found > count:
                grown.append(f"{topic} {found} (at the start {count})")
            is_gone |= not found and topic not in cluster.unauthorized_topics
        if not grown and not is_gone:
            return
        problems = await self._problems()
        if is_gone and not grown:
            if problems:
                # The next process reads the shop's topics that are left, or says what is missing.
                self._leave("\n".join(problems), code=RESTART)
            return
        if problems:
            self._leave("\n".join(problems), code=DO_NOT_RESTART)
        else:
            self._leave(
                f"partitions were added to {', '.join(grown)}; starting again to read them",
                code=RESTART,
            )
