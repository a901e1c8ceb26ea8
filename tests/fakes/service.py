"""A service without a broker: handlers are called by hand, background loops run until it stops."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

from fastapi import FastAPI

from contracts.base import Message
from shared.kafka.subscription import Handler
from shared.service import Service
from tests.fakes.publisher import FakePublisher, received
from tests.fakes.waiting import background


class FakeService:
    """As much of `Service` as a process's parts use."""

    def __init__(self, publisher: FakePublisher) -> None:
        self.publisher = publisher
        self.http = FastAPI()
        self.topics: list[str] = []
        self.handle: Handler
        self._stop = asyncio.Event()
        self._loops: list[Callable[[], Awaitable[None]]] = []

    @property
    def service(self) -> Service:
        """As the code under test wants to have it."""
        return cast(Service, self)

    def subscribe(
        self, *kinds: type[Message], group: str, topics: Sequence[str] = ()
    ) -> Callable[[Handler], Handler]:
        self.topics += topics

        def declare(handler: Handler) -> Handler:
            self.handle = handler
            return handler

        return declare

    def background(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        self._loops.append(loop)

    async def deliver(self, *messages: Message) -> list[Any]:
        """One batch."""
        return list(await self.handle([received(message, at) for at, message in enumerate(messages)]))

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            for loop in self._loops:
                await stack.enter_async_context(background(loop))
            await self._stop.wait()

    def stop(self) -> None:
        """As SIGTERM does."""
        self._stop.set()
