"""Checks of a consumer for problems that raise nothing: dead tasks, a group not joined, silence."""

import time
from collections.abc import Callable, Hashable

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.kafka import internals
from shared.kafka.consumer_problems import ConsumerProblems

SILENCE_SECONDS = 15.0
"""How long a partition may go without a good answer from its broker, and a group without assignment."""


class ConsumerChecks:
    """The checks, and what they remember between two runs."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        group: str,
        problems: ConsumerProblems,
        on_broken: Callable[[BaseException], None],
    ) -> None:
        self.waits_since: float | None = None
        """When the consumer began to wait for records; None while a batch is handled."""
        self.has_joined = False
        self._consumer = consumer
        self._group = group
        self._problems = problems
        self._on_broken = on_broken
        self._failed_at: dict[Hashable, float] = {}
        self._assigned: set[TopicPartition] = set()
        self._assigned_at = 0.0
        self._unassigned_since = time.time()

    def failed(self, place: Hashable) -> None:
        """Note a failure that counts as over when it does not come again."""
        self._failed_at[place] = time.time()

    def run(self, now: float, *, forget_after: float) -> None:
        """Check everything once."""
        self._examine_tasks()
        self._examine_group(now)
        self._examine_topics()
        self._examine_silence(now)
        self._resolve_old(now, forget_after)

    def _examine_tasks(self) -> None:
        if error := internals.ended_task(self._consumer):
            self._on_broken(error)

    def _examine_group(self, now: float) -> None:
        """Report a group that stays without its coordinator; a rebalance of some seconds is no problem."""
        is_coordinated = internals.has_coordinator(self._consumer)
        if is_coordinated and not internals.is_rebalancing(self._consumer):
            self.has_joined = True
            self._unassigned_since = now
            self._problems.resolve("group")
        elif now - self._unassigned_since > SILENCE_SECONDS:
            waited = now - self._unassigned_since
            cause = "rebalancing" if is_coordinated else "no group coordinator"
            text = f"group {self._group} has no assignment for {waited:.0f} s: {cause}"
            self._problems.report("group", "GroupNotJoined", text, count_each=False)

    def _examine_topics(self) -> None:
        consumer = self._consumer
        missing = sorted(
            topic for topic in consumer.subscription() if not consumer.partitions_for_topic(topic)
        )
        if missing:
            text = f"the broker has no topic {', '.join(missing)}"
            self._problems.report("topics", "UnknownTopic", text, count_each=False, topics=missing)
        else:
            self._problems.resolve("topics")

    def _examine_silence(self, now: float) -> None:
        consumer = self._consumer
        if self._assigned != consumer.assignment():
            self._assigned, self._assigned_at = consumer.assignment(), now
        if self.waits_since is None:
            return
        since = max(self.waits_since, self._assigned_at)
        silent = sorted(
            tp
            for tp in consumer.assignment() - consumer.paused()
            if now - max(since, (consumer.last_poll_timestamp(tp) or 0) / 1000) > SILENCE_SECONDS
        )
        if silent:
            names = ", ".join(f"{tp.topic}[{tp.partition}]" for tp in silent[:10])
            text = f"no successful fetch for {SILENCE_SECONDS:.0f} s: {names}"
            self._problems.report("silence", "NoAnswer", text, count_each=False, partitions=names)
        else:
            self._problems.resolve("silence")

    def _resolve_old(self, now: float, forget_after: float) -> None:
        """Resolve failures that did not come again while the consumer reads, and those of lost partitions."""
        for place, failed_at in list(self._failed_at.items()):
            waits_since = now if self.waits_since is None else self.waits_since
            if now - max(failed_at, waits_since if place != "consumer" else 0.0) > forget_after:
                del self._failed_at[place]
                self._problems.resolve(place)
        for tp in self._problems.partitions() - self._consumer.assignment():
            self._problems.resolve(tp)
