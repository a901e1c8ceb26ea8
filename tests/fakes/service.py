"""A service without a broker: handlers are called by hand, background loops run until it stops."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast

from fastapi import FastAPI

from contracts.base import Message
from shared.service import Service
from tests.fakes.publisher import FakePublisher, received
from tests.fakes.subscriptions import Handlers
from tests.fakes.waiting import background


class FakeService(Handlers):
    """The part of `Service` that the parts of a process use."""

    def __init__(self, publisher: FakePublisher) -> None:
        super().__init__()
        self.publisher = publisher
        self.http = FastAPI()
        self._stop = asyncio.Event()
        self._loops: list[Callable[[], Awaitable[None]]] = []

    @property
    def service(self) -> Service:
        """Return the service with the type that the code under test expects."""
        return cast(Service, self)

    def background(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        self._loops.append(loop)

    async def deliver(self, *messages: Message) -> list[Any]:
        """Deliver one batch."""
        batch = [received(message, at) for at, message in enumerate(messages)]
        (group,) = self.topics
        return await self.call(group, batch)

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            for loop in self._loops:
                await stack.enter_async_context(background(loop))
            await self._stop.wait()

    def stop(self) -> None:
        """Stop as SIGTERM does."""
        self._stop.set()
