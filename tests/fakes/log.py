"""A broker's log in memory that answers the fetches of a real consumer."""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from shared.kafka.batch_consumer import BatchConsumer
from shared.kafka.codecs import CODECS

NUMBERS = {name: number for number, name in CODECS.items()} | {"none": 0}
_CRC_AT, _ATTRIBUTES_AT = 17, 21


def a_batch(*values: bytes, codec: str = "none", headers: Sequence[tuple[str, bytes]] = ()) -> bytes:
    """Return a record batch as a producer sends it, with key `k`."""
    builder = DefaultRecordBatchBuilder(2, NUMBERS[codec], 0, -1, -1, -1, 1 << 30)
    for number, value in enumerate(values):
        builder.append(number, 1_700_000_000_000, b"k", value, list(headers))
    return bytes(builder.build())


def damaged(batch: bytes) -> bytes:
    """Return the batch with one changed byte and a wrong checksum."""
    return batch[:-1] + bytes([batch[-1] ^ 1])


def changed(batch: bytes, *, codec: int | None = None, body: bytes | None = None) -> bytes:
    """Return the batch with another codec or other data, and a correct checksum."""
    changed = bytearray(batch[:61] + (batch[61:] if body is None else body))
    if codec is not None:
        changed[_ATTRIBUTES_AT + 1] = codec
    struct.pack_into(">i", changed, 8, len(changed) - 12)
    struct.pack_into(">I", changed, _CRC_AT, calc_crc32c(bytes(changed[_ATTRIBUTES_AT:])))
    return bytes(changed)


def overwritten(batch: bytes, at: int, field: bytes) -> bytes:
    """Return the batch with other bytes at one place, and its old checksum."""
    return batch[:at] + field + batch[at + len(field) :]


class Log:
    """Partitions with batches. `errors` has error codes that are answered instead of records."""

    def __init__(self, *partitions: TopicPartition) -> None:
        self._batches: dict[TopicPartition, list[tuple[int, int, bytes]]] = {tp: [] for tp in partitions}
        self.errors: dict[TopicPartition, int] = {}
        self.failure: Exception | None = None
        self.fetches = 0

    def append(self, tp: TopicPartition, *batches: bytes) -> None:
        """Append batches at the next offsets."""
        for batch in batches:
            stored = self._batches[tp]
            first = stored[-1][1] + 1 if stored else 0
            last = first + struct.unpack_from(">i", batch, 23)[0]
            stored.append((first, last, struct.pack(">q", first) + batch[8:]))

    def replace(self, tp: TopicPartition, number: int, batch: bytes) -> None:
        """Store other bytes in the place of one batch."""
        first, last, _ = self._batches[tp][number]
        self._batches[tp][number] = first, last, struct.pack(">q", first) + batch[8:]

    def overwrite(self, tp: TopicPartition, number: int, at: int, field: bytes) -> None:
        """Damage one stored batch; its position stays the same."""
        first, last, batch = self._batches[tp][number]
        self._batches[tp][number] = first, last, overwritten(batch, at, field)

    def end(self, tp: TopicPartition) -> int:
        """Return the offset after the last record."""
        return self._batches[tp][-1][1] + 1 if self._batches[tp] else 0

    def read(self, tp: TopicPartition, offset: int) -> bytes:
        """Return all batches from this offset on."""
        return b"".join(batch for _, last, batch in self._batches[tp] if last >= offset)

    async def consumer(self, **options: Any) -> BatchConsumer:
        """Yield a started consumer of all partitions."""
        consumer = BatchConsumer(service="test", group_id=None, auto_offset_reset="earliest", **options)
        consumer._client = FakeClient(self, self._batches)
        consumer.assign(list(self._batches))
        await consumer.start()
        return consumer


class FakeClient:
    """The part of `AIOKafkaClient` that a consumer without a group uses."""

    _metadata_max_age_ms = 300_000

    def __init__(self, log: Log, partitions: Mapping[TopicPartition, object]) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        topics = {tp.topic for tp in partitions}
        self.cluster = _Cluster(
            {topic: {tp.partition for tp in partitions if tp.topic == topic} for topic in topics}
        )

    async def bootstrap(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    def set_topics(self, topics: Sequence[str]) -> None:
        """Do nothing: the metadata is complete."""

    async def _wait_on_metadata(self, topic: str) -> None:
        """Do nothing: the metadata is complete."""

    async def _maybe_wait_metadata(self) -> None:
        """Do nothing: the metadata is complete."""

    def force_metadata_update(self) -> "asyncio.Future[bool]":
        updated: asyncio.Future[bool] = self._loop.create_future()
        updated.set_result(True)
        return updated

    async def send(self, node_id: int, request: Any, **_: Any) -> Any:
        if "Offset" in type(request).__name__:
            topics = [(topic, [(part[0], 0, -1, 0) for part in parts]) for topic, parts in request._topics]
            return SimpleNamespace(API_VERSION=1, topics=topics)
        self._log.fetches += 1
        if self._log.failure:
            raise self._log.failure
        await asyncio.sleep(0.05)
        topics = [
            (topic, [self._answer(TopicPartition(topic, number), offset) for number, offset, _ in parts])
            for topic, parts in request.topics
        ]
        return SimpleNamespace(API_VERSION=4, topics=topics)

    def _answer(self, tp: TopicPartition, offset: int) -> tuple[Any, ...]:
        error = self._log.errors.get(tp, 0)
        end = self._log.end(tp)
        return tp.partition, error, end, end, None, b"" if error else self._log.read(tp, offset)


class _Cluster(ClusterMetadata):  # type: ignore[misc]
    def __init__(self, topics: Mapping[str, set[int]]) -> None:
        super().__init__()
        self._known = topics

    def leader_for_partition(self, partition: TopicPartition) -> int:
        return 0

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self._known.get(topic)
