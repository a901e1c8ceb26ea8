"""The end of the pipeline: a service's handler as FastStream calls it."""

from collections.abc import Awaitable, Callable
from typing import Any

from typing_extensions import TypeForm

from shared.envelope import Outgoing
from shared.kafka.pipeline.batch import Batch
from shared.kafka.subscribe import Handler, M


def described(handler: Handler[M], kinds: TypeForm[M]) -> Callable[[Any], Awaitable[list[Outgoing]]]:
    """Return what FastStream calls. Its name and annotation are those of the AsyncAPI page."""

    async def handle(batch: Batch) -> list[Outgoing]:
        return list(await handler(batch.messages))

    handle.__name__ = getattr(handler, "__name__", "handle")
    handle.__annotations__ = {"batch": kinds}
    return handle
