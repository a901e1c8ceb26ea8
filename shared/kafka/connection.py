"""Reach the broker at start-up: topics first, then the publisher."""

import asyncio
from contextlib import AsyncExitStack

import structlog

from shared.errors import StartupError
from shared.kafka.publisher import Publisher
from shared.kafka.topics import ensure_topics
from shared.settings import KafkaSettings
from shared.waiting import Report, unreported

log = structlog.get_logger()

REACH_SECONDS = 2.0
"""How long start-up waits for the broker in services that can start without it."""


class BrokerConnection:
    """The connection of one publisher.

    Topics are created before anything is published: a broker may create a missing topic by itself, with
    settings of its own.
    """

    def __init__(self, kafka: KafkaSettings, publisher: Publisher) -> None:
        self._kafka = kafka
        self._publisher = publisher
        self._stack = AsyncExitStack()

    async def open(self, report: Report = unreported) -> None:
        """Wait for the broker.

        Raises:
            StartupError: if it does not answer in time.
        """
        await ensure_topics(self._kafka, report)
        await self._publisher.enter(report)
        self._stack.push_async_exit(self._publisher)

    async def open_in_background(self) -> None:
        """Return soon, and go on trying until the broker answers."""
        opening = asyncio.create_task(self._open_some_time())
        self._stack.callback(opening.cancel)
        await asyncio.wait([opening], timeout=REACH_SECONDS)

    async def _open_some_time(self) -> None:
        while not self._publisher.entered:
            try:
                await self.open()
            except StartupError as error:
                log.warning("broker_not_reached", error=str(error))

    async def close(self) -> None:
        """Stop trying, and stop the publisher."""
        await self._stack.aclose()

    async def problem(self) -> str | None:
        """For health: whether the broker has been reached."""
        return None if self._publisher.entered else "not reached since the start; requests are kept"
