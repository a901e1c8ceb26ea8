"""A consumer of batches: it fetches only between two batches, and its `poll` waits until records are there.

aiokafka fetches ahead while a batch is handled. The next fetch then returns with the first record or
two, and the next batch is small. This consumer fetches everything that was published meanwhile.

It never fails silently: see `ConsumerProblems`, and `BoundedRecords` for batches that cannot be
unpacked.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import ConsumerStoppedError, KafkaError, UnsupportedCodecError

from shared.kafka import internals
from shared.kafka.codecs import bound_codecs
from shared.kafka.consumer_checks import ConsumerChecks
from shared.kafka.consumer_problems import ConsumerProblems
from shared.kafka.fetch_errors import ObservedClient
from shared.kafka.frames import keep_frames
from shared.kafka.pause_reasons import PauseReasons, Reason
from shared.kafka.unpacking import BoundedRecords, Budget, UnreadBatch
from shared.limits import MAX_READ_BYTES
from shared.waiting import backoff

log = structlog.get_logger()

WAIT_SECONDS = 1.0
"""Interval at which a waiting consumer checks for anything but records: errors of its group, its end."""
MAX_RECORDS = 500
"""Default size of a batch."""
RETRY_SECONDS = 5.0
"""Pause before a batch that cannot be unpacked is fetched again."""
TRIES = 6
"""Fetches of a damaged batch before it is skipped and becomes a dead letter."""

OnBroken = Callable[[BaseException], None]


class BatchConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """Between two calls of `getmany` its partitions are paused: nothing is fetched from them.

    Args:
        service: for logs and metrics.
        on_broken: called when the consumer will never read again: a background task of it has died.
        problems: where problems are reported; its own by default.
        read_bytes: size of records after which one read takes no further ones.
    """

    def __init__(
        self,
        *topics: str,
        service: str = "unknown",
        on_broken: OnBroken | None = None,
        problems: ConsumerProblems | None = None,
        read_bytes: int = MAX_READ_BYTES,
        **options: Any,
    ) -> None:
        super().__init__(*topics, **options)
        self._group = str(options.get("group_id"))
        self._stopped = False
        self.problems = problems or ConsumerProblems(service, self._group)
        self._on_broken = on_broken
        self._pauses = PauseReasons(self.paused, super().pause, super().resume)
        self._budget = Budget(read_bytes)
        self._turn = 0
        self._tries: dict[TopicPartition, tuple[int, int]] = {}
        self._skipped: dict[TopicPartition, int] = {}
        self._checks = ConsumerChecks(self, self._group, self.problems, self.broken)

    async def start(self) -> None:
        """Join the group. Wait for a broker that is away, and report that in `problem` meanwhile."""
        bound_codecs()
        keep_frames()
        pauses = backoff(0.2, 5.0)
        while not internals.has_fetcher(self):
            try:
                await super().start()
                self.problems.resolve("consumer")
            except Exception as error:  # an error that nobody expected must be as visible as the others
                self._failed(error)
                if not internals.has_fetcher(self):
                    await asyncio.sleep(next(pauses))
                elif not isinstance(error, KafkaError):
                    self.broken(error)
        internals.wrap_client(self, lambda client: ObservedClient(client, self._fetch_answered))

    async def stop(self) -> None:
        """Leave the group and close, also when a background task has died."""
        self._stopped = True
        try:
            await super().stop()
        except KafkaError as error:
            log.warning("consumer_stopped_broken", group=self._group, error=str(error))
            await internals.close_client(self)

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return records as soon as there are some. Errors are reported and waited out."""
        self._pauses.remove(Reason.HANDLING)
        self._checks.waits_since = time.time()
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        pauses = backoff(0.5, RETRY_SECONDS)
        while not found:
            try:
                found = await self.poll(max_records or MAX_RECORDS)
            except ConsumerStoppedError:
                raise
            except Exception as error:  # an error that nobody expected must be as visible as the others
                self._failed(error)
                await asyncio.sleep(next(pauses))
        self._checks.waits_since = None
        self._pauses.add(Reason.HANDLING, self.assignment())  # nothing was awaited since: no fetch goes out
        return found

    async def poll(self, most: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return records as soon as there are some, or none after `WAIT_SECONDS`.

        Raises:
            ConsumerStoppedError: when the consumer is closed.
            Exception: whatever keeps it from reading, when there is nothing else to return.
        """
        if self._stopped:
            raise ConsumerStoppedError
        internals.raise_group_errors(self)
        found = await self._read(most)
        if not found:
            await internals.wait_for_fetch(self, WAIT_SECONDS)
        return found

    def pause(self, *partitions: TopicPartition) -> None:
        """Fetch nothing from these until `resume`, whatever else pauses and resumes them."""
        self._pauses.add(Reason.REQUESTED, partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """Undo `pause`."""
        self._pauses.remove(Reason.REQUESTED, partitions)

    async def _read(self, most: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Take fetched records partition by partition: the error of one loses nothing of another."""
        self._budget.renew()
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        failure: Exception | None = None
        for tp in self._in_turn():
            try:
                self._bound(tp)
                records = await super().getmany(tp, max_records=most)
            except Exception as error:
                self._fetch_failed(tp, error)
                failure = error
                continue
            for part in records.values():
                found[tp] = part
                most -= len(part)
                self._has_read(tp, part)
            if most <= 0 or self._budget.left <= 0:
                break
        if failure and not found:
            raise _Reported from failure
        return found

    def _in_turn(self) -> Iterator[TopicPartition]:
        """Yield the partitions with something fetched, another one first each time."""
        fetched = internals.fetched_partitions(self)
        self._turn += 1
        start = self._turn % len(fetched) if fetched else 0
        yield from fetched[start:]
        yield from fetched[:start]

    def _bound(self, tp: TopicPartition) -> None:
        def bounded(records: PartitionRecords) -> PartitionRecords:
            if isinstance(records, BoundedRecords):
                return records
            return BoundedRecords(records, self._budget, self)

        internals.wrap_records(self, tp, bounded)

    def _has_read(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        blocked_at, _ = self._tries.get(tp, (-1, 0))
        if records[-1].offset >= blocked_at:
            self._tries.pop(tp, None)
            self.problems.resolve(tp)
        for record in records:
            if isinstance(record, UnreadBatch):
                self.problems.skipped(record)

    def should_skip(self, tp: TopicPartition, offset: int, first: int, error: Exception) -> bool:
        """Fetch a damaged batch some times; wait for a missing codec. See `CorruptBatchPolicy`."""
        at, tries = self._tries.get(tp, (offset, 0))
        tries = tries + 1 if at == offset else 1
        is_damaged = not isinstance(error, UnsupportedCodecError)
        if is_damaged and (tries >= TRIES or self._skipped.get(tp) == first):
            self._skipped[tp] = first  # the rest of it, when its end is unknown, needs no more tries
            return True
        self._tries[tp] = offset, tries
        self._report(tp, type(error).__name__, f"cannot be read: {error}", offset)
        self._pauses.add(Reason.DAMAGED, [tp])
        asyncio.get_running_loop().call_later(RETRY_SECONDS, self._retry, tp)
        return False

    def _retry(self, tp: TopicPartition) -> None:
        if not self._stopped:
            self._pauses.remove(Reason.DAMAGED, [tp])

    def _fetch_failed(self, tp: TopicPartition, error: Exception) -> None:
        self._checks.failed(tp)
        self._report(
            tp, type(error).__name__, f"cannot be read: {type(error).__name__}: {error}", error=error
        )

    def _fetch_answered(self, tp: TopicPartition, error: str | None) -> None:
        place = "answer", tp
        if error is None:
            self.problems.resolve(place)
        else:
            self._checks.failed(place)
            text = f"{tp.topic}[{tp.partition}]: the broker answers fetches with {error}"
            self.problems.report(place, error.split()[0], text, topic=tp.topic, partition=tp.partition)

    def _report(
        self,
        tp: TopicPartition,
        cause: str,
        text: str,
        offset: int | None = None,
        error: Exception | None = None,
    ) -> None:
        if offset is None:
            offset = internals.position(self, tp)
        text = f"{tp.topic}[{tp.partition}] offset {offset} {text}"
        where = {"topic": tp.topic, "partition": tp.partition, "offset": offset}
        self.problems.report(tp, cause, text, **where, exc_info=_unexpected(error))

    def _failed(self, error: Exception) -> None:
        if isinstance(error, _Reported):
            return
        cause = type(error).__name__
        self._checks.failed("consumer")
        self.problems.report("consumer", cause, f"{cause}: {error}", exc_info=_unexpected(error))

    def broken(self, error: BaseException) -> None:
        """Report, once, that this consumer will never read again."""
        self.problems.report("task", "ConsumerBroken", f"the consumer is broken: {error!r}", count_each=False)
        on_broken, self._on_broken = self._on_broken, None
        if on_broken:
            on_broken(error)

    def problem(self, now: float | None = None) -> str | None:
        """For health: all that keeps this consumer from reading."""
        self.examine(now)
        summary = self.problems.summary()
        if not self._checks.has_joined:
            return f"joining group {self._group}" + (f": {summary}" if summary else "")
        return summary

    def examine(self, now: float | None = None) -> None:
        """Notice problems that raise nothing, and the end of others."""
        if internals.has_fetcher(self) and not self._stopped:
            self._checks.run(time.time() if now is None else now, forget_after=2 * RETRY_SECONDS)


class _Reported(Exception):
    """Errors of partitions, which are reported already."""


def _unexpected(error: Exception | None) -> Exception | None:
    """Return the error if its traceback is useful; errors of Kafka are complete in one line."""
    return None if isinstance(error, KafkaError) else error
