"""A consumer that takes batches: it waits without looking again and again, and fetches when asked.

aiokafka fetches ahead while a batch is handled. The fetch after a batch then comes back with the first
record or two, and the next batch is as small; here it brings all that has come meanwhile.

Reading never fails in silence: see `Reading`, and `BoundedRecords` for batches that cannot be unpacked.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import ConsumerStoppedError, KafkaError, UnsupportedCodecError
from faststream.kafka import KafkaBroker

from shared.codecs import bound_codecs
from shared.reading import Reading
from shared.unpacking import BoundedRecords, Budget, UnreadBatch
from shared.waiting import backoff

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""How often a consumer that waits notices what is not a record: errors of its group, its end."""
MOST_RECORDS = 500
"""Default size of a batch."""
RETRY_SECONDS = 5.0
"""Pause before a batch that cannot be unpacked is fetched again."""
TRIES = 6
"""Fetches of a batch with a wrong checksum before it is passed over as a dead letter."""
SILENCE_SECONDS = 15.0
"""How long a partition may go without an answer from its broker, and a group without an assignment."""

Broken = Callable[[BaseException], None]


class BatchConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """Between two calls of `getmany` it holds its partitions: nothing is fetched from them.

    Args:
        service: for logs and metrics.
        on_broken: called when a background task of the consumer has died: it will never read again.
    """

    def __init__(
        self, *topics: str, service: str = "unknown", on_broken: Broken | None = None, **options: Any
    ) -> None:
        super().__init__(*topics, **options)
        self.reading = Reading(service, str(options.get("group_id")))
        self._on_broken = on_broken
        self._held: set[TopicPartition] = set()
        self._budget = Budget()
        self._turn = 0
        self._tries: dict[TopicPartition, tuple[int, int]] = {}
        self._failed_at = 0.0
        self._waits_since: float | None = None
        self._joined = False
        self._assigned: set[TopicPartition] = set()
        self._assigned_at = 0.0
        self._unassigned_since = time.time()

    async def start(self) -> None:
        """Join the group. A broker that is away is waited for, which `problem` tells meanwhile."""
        bound_codecs()
        pauses = backoff(0.2, 5.0)
        while self._fetcher is None:
            try:
                await super().start()
                self.reading.over("consumer")
            except KafkaError as error:
                self._failed(error)
                if self._fetcher is None:
                    await asyncio.sleep(next(pauses))

    async def stop(self) -> None:
        """Leave the group and close, also when a background task has died."""
        try:
            await super().stop()
        except KafkaError as error:
            log.warning("consumer_stopped_broken", group=self._group_id, error=str(error))
            await self._client.close()

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return the records that are there, as soon as there are some. Errors are waited out."""
        self.resume(*self._held & self.assignment())
        self._waits_since = time.time()
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        pauses = backoff(0.5, RETRY_SECONDS)
        with self._subscription.fetch_context():
            while not found:
                if self._closed:
                    raise ConsumerStoppedError
                try:
                    self._coordinator.check_errors()
                    found = await self._read(max_records or MOST_RECORDS)
                    if not found:
                        await self._news()
                except KafkaError as error:
                    self._failed(error)
                    await asyncio.sleep(next(pauses))
        self._waits_since = None
        self._held = set(self.assignment()) - self.paused()
        super().pause(*self._held)  # nothing was awaited since: no fetch goes out
        return found

    def pause(self, *partitions: TopicPartition) -> None:
        """Not to be read until `resume`, whatever is asked for meanwhile."""
        self._held.difference_update(partitions)
        super().pause(*partitions)

    async def _read(self, most: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Take what was fetched, partition by partition: the error of one loses nothing of another."""
        self._budget.renew()
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        for tp in self._in_turn():
            self._bound(tp)
            try:
                records = await self._fetcher.fetched_records([tp], 0, max_records=most)
            except KafkaError as error:
                if not found:
                    raise
                self._failed(error)
                break
            for part in records.values():
                found[tp] = part
                most -= len(part)
                self._has_read(tp, part)
            if most <= 0 or self._budget.left <= 0:
                break
        return found

    def _in_turn(self) -> Iterator[TopicPartition]:
        """The partitions with something fetched, another one first each time."""
        fetched = list(self._fetcher._records)
        self._turn += 1
        start = self._turn % len(fetched) if fetched else 0
        yield from fetched[start:]
        yield from fetched[:start]

    def _bound(self, tp: TopicPartition) -> None:
        fetched = self._fetcher._records.get(tp)
        if isinstance(fetched, FetchResult) and fetched.has_more():
            records = fetched._partition_records
            if not isinstance(records, BoundedRecords):
                fetched._partition_records = BoundedRecords(records, self._budget, self)

    async def _news(self) -> None:
        """Wait until something was fetched, or for a moment."""
        waiter = self._fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=LOOK_SECONDS)
        if done:
            waiter.result()  # errors of the group
        else:
            waiter.cancel()

    def _has_read(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        blocked_at, _ = self._tries.get(tp, (-1, 0))
        if records[-1].offset >= blocked_at:
            self._tries.pop(tp, None)
            self.reading.over(tp)
        for record in records:
            if isinstance(record, UnreadBatch):
                self.reading.passed_over(record)

    def gives_up(self, tp: TopicPartition, offset: int, error: Exception) -> bool:
        """See `Judge`: a damaged batch is fetched some times, a codec that is missing is waited for."""
        at, tries = self._tries.get(tp, (offset, 0))
        tries = tries + 1 if at == offset else 1
        damaged = not isinstance(error, UnsupportedCodecError)
        if damaged and tries >= TRIES:
            return True
        self._tries[tp] = offset, tries
        text = f"{tp.topic}[{tp.partition}] offset {offset} cannot be read: {error}"
        where = {"topic": tp.topic, "partition": tp.partition, "offset": offset}
        self.reading.trouble(tp, type(error).__name__, text, **where)
        super().pause(tp)
        asyncio.get_running_loop().call_later(RETRY_SECONDS, self._retry, tp)
        return False

    def _retry(self, tp: TopicPartition) -> None:
        if not self._closed and tp in self.assignment() and tp not in self._held:
            super().resume(tp)

    def _failed(self, error: KafkaError) -> None:
        self._failed_at = time.time()
        self.reading.trouble("consumer", type(error).__name__, f"{type(error).__name__}: {error}")

    def problem(self, now: float | None = None) -> str | None:
        """For health: what keeps this consumer from reading."""
        self.examine(now)
        if self._fetcher is None or not self._joined:
            trouble = self.reading.problem()
            return f"joining group {self._group_id}" + (f": {trouble}" if trouble else "")
        return self.reading.problem()

    def examine(self, now: float | None = None) -> None:
        """Notice what raises nothing: tasks that died, a group that is not joined, silence."""
        now = time.time() if now is None else now
        if self._fetcher is None or self._closed:
            return
        self._examine_tasks()
        self._examine_group(now)
        self._examine_topics()
        self._examine_silence(now)
        if now - self._failed_at > 2 * RETRY_SECONDS:
            self.reading.over("consumer")
        for tp in self.reading.partitions() - self.assignment():
            self.reading.over(tp)

    def _examine_tasks(self) -> None:
        tasks = [self._fetcher._fetch_task, getattr(self._coordinator, "_coordination_task", None)]
        for task in tasks:
            if task is not None and task.done() and not task.cancelled() and self._on_broken:
                error = task.exception() or RuntimeError("a task of the consumer ended")
                broken, self._on_broken = self._on_broken, None
                self.reading.trouble("task", "ConsumerBroken", f"the consumer is broken: {error!r}")
                broken(error)

    def _examine_group(self, now: float) -> None:
        """A rebalance of some seconds is no trouble; a group that stays without its coordinator is."""
        coordinated = getattr(self._coordinator, "coordinator_id", 0) is not None
        if not self._subscription.reassignment_in_progress and coordinated:
            self._joined = True
            self._unassigned_since = now
            self.reading.over("group")
        elif now - self._unassigned_since > SILENCE_SECONDS:
            waited = now - self._unassigned_since
            cause = "rebalancing" if coordinated else "no group coordinator"
            text = f"group {self._group_id} has no assignment for {waited:.0f} s: {cause}"
            self.reading.trouble("group", "GroupNotJoined", text, again=False)

    def _examine_topics(self) -> None:
        missing = sorted(topic for topic in self.subscription() if not self.partitions_for_topic(topic))
        if missing:
            text = f"the broker has no topic {', '.join(missing)}"
            self.reading.trouble("topics", "UnknownTopic", text, again=False, topics=missing)
        else:
            self.reading.over("topics")

    def _examine_silence(self, now: float) -> None:
        if self._assigned != self.assignment():
            self._assigned, self._assigned_at = self.assignment(), now
        if self._waits_since is None:
            return
        report_silence(self, self.reading, max(self._waits_since, self._assigned_at), now)


def report_silence(consumer: AIOKafkaConsumer, reading: Reading, since: float, now: float) -> None:
    """Report partitions whose broker has not answered, although the consumer waits since then."""
    silent = sorted(
        tp
        for tp in consumer.assignment() - consumer.paused()
        if now - max(since, (consumer.last_poll_timestamp(tp) or 0) / 1000) > SILENCE_SECONDS
    )
    if silent:
        names = ", ".join(f"{tp.topic}[{tp.partition}]" for tp in silent[:10])
        text = f"no answer from the broker for {SILENCE_SECONDS:.0f} s: {names}"
        reading.trouble("silence", "NoAnswer", text, again=False, partitions=names)
    else:
        reading.over("silence")


async def connect(broker: KafkaBroker, service: str, on_broken: Broken) -> None:
    """Connect as the broker does by itself when it starts, but with consumers of this kind."""
    await broker.connect()
    config = broker.config.broker_config
    options = config.builder.keywords  # type: ignore[attr-defined]
    config.builder = partial(BatchConsumer, service=service, on_broken=on_broken, **options)
