"""Error codes in answers to fetches, which aiokafka only writes to its own log."""

from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    NoError,
    NotLeaderForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest

Report = Callable[[TopicPartition, str | None], None]
"""Takes a partition and the name of its error, or None for a good answer."""

_HANDLED = (
    NotLeaderForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
"""aiokafka acts on these: it raises them, starts again elsewhere, or asks for the topic's state."""


class ObservedClient:
    """Passes everything on to a client, and reports the error codes of fetches."""

    def __init__(self, client: Any, report: Report) -> None:
        self._observed = client
        self._report = report

    def __getattr__(self, name: str) -> Any:
        return getattr(self._observed, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """Send a request; the answer is the client's."""
        answer = await self._observed.send(node_id, request, **options)
        if isinstance(request, FetchRequest):
            for topic, partitions in answer.topics:
                for partition, code, *_ in partitions:
                    error = for_code(code)
                    if error not in _HANDLED:
                        name = None if error is NoError else f"{error.__name__} (code {code})"
                        self._report(TopicPartition(topic, partition), name)
        return answer
