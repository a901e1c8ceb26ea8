"""A consumer that takes batches: it waits without looking again and again, and fetches when asked.

aiokafka fetches ahead while a batch is handled. The fetch after a batch then comes back with the first
record or two, and the next batch is as small; here it brings all that has come meanwhile.
"""

from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from faststream.kafka import KafkaBroker

LOOK_MS = 1000
"""How often a consumer that waits notices what is not a record: errors of its group, its end."""


class BatchConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """Between two calls of `getmany` it holds its partitions: nothing is fetched from them."""

    def __init__(self, *topics: str, **options: Any) -> None:
        super().__init__(*topics, **options)
        self._held: set[TopicPartition] = set()

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """The records that are there, as soon as there are some."""
        self.resume(*self._held & self.assignment())
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        while not found:
            found = await super().getmany(*partitions, timeout_ms=LOOK_MS, max_records=max_records)
        self._held = set(self.assignment()) - self.paused()
        super().pause(*self._held)  # nothing was awaited since: no fetch goes out
        return found

    def pause(self, *partitions: TopicPartition) -> None:
        """Not to be read until `resume`, whatever is asked for meanwhile."""
        self._held.difference_update(partitions)
        super().pause(*partitions)


async def connect(broker: KafkaBroker) -> None:
    """As the broker does by itself when it starts, but with consumers of this kind."""
    await broker.connect()
    config = broker.config.broker_config
    config.builder = partial(BatchConsumer, **config.builder.keywords)  # type: ignore[attr-defined]
