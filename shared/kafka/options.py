"""Options of a subscription: pauses of the pipeline, and FastStream's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Required, TypedDict

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor


@dataclass(frozen=True, slots=True)
class Pauses:
    """Pauses of a subscription, in seconds."""

    retry: float = 0.1
    """Before the first retry of a batch; later ones are longer."""
    paused: float = 5.0
    """Pause of a partition whose batch failed."""
    full: float = 1.0
    """Pause of a partition while the process is full."""
    revoke: float = 10.0
    """Time for the current batch to end when its partitions are revoked."""


DEFAULT_PAUSES = Pauses()


class SubscriberOptions(TypedDict, total=False):
    """Options of FastStream's subscriber that differ between groups, or between real and test brokers."""

    group_id: Required[str]
    auto_offset_reset: Literal["latest", "earliest"]
    max_records: int
    max_partition_fetch_bytes: int
    partition_assignment_strategy: Sequence[type[AbstractPartitionAssignor]]
