"""Options of a subscription: pauses of the pipeline, and FastStream's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Required, TypedDict

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds before the first retry, of a partition after failures and when the process is full, and for
    a batch in hand to end when partitions are revoked."""

    retry: float = 0.1
    paused: float = 5.0
    full: float = 1.0
    revoke: float = 10.0


DEFAULT_PAUSES = Pauses()


class SubscriberOptions(TypedDict, total=False):
    """Options of FastStream's subscriber that differ between groups, or between real and test brokers."""

    group_id: Required[str]
    auto_offset_reset: Literal["latest", "earliest"]
    max_records: int
    max_partition_fetch_bytes: int
    partition_assignment_strategy: Sequence[type[AbstractPartitionAssignor]]
