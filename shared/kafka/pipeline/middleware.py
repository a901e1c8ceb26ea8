"""Base class of the middlewares: FastStream's hook around a handler, in terms of batches."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any

from faststream import BaseMiddleware, ContextRepo, StreamMessage

from shared.kafka.pipeline.batch import Batch

__all__ = ["BatchMiddleware", "ContextRepo", "Next"]

Next = Callable[[Batch], Awaitable[Any]]
"""The next middleware, or the handler. It may be called several times, with parts of the batch."""


class BatchMiddleware(BaseMiddleware[Any, Any]):
    """Calls `handle` with each decoded batch."""

    async def consume_scope(
        self, call_next: Callable[[StreamMessage[Any]], Awaitable[Any]], msg: StreamMessage[Any]
    ) -> Any:
        """Adapt FastStream's interface."""

        async def proceed(batch: Batch) -> Any:
            return await call_next(_carrying(batch, msg))

        decoded: Any = await msg.decode()
        return await self.handle(proceed, decoded)

    @abstractmethod
    async def handle(self, proceed: Next, batch: Batch) -> Any:
        """Handle a batch by calling the next middleware."""


def _carrying(batch: Batch, message: StreamMessage[Any]) -> StreamMessage[Any]:
    """Return a copy of a FastStream message that is decoded to this batch."""

    async def decoded(_: StreamMessage[Any]) -> Batch:
        return batch

    carrier = copy(message)
    carrier.set_decoder(decoded)
    return carrier
