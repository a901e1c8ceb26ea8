"""Load of Kafka, MongoDB and S3 at a rate of images: bytes, writes, objects and costs."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from bench.scaling.assumptions import DAY, MONTH_DAYS, Assumptions
from bench.scaling.per_image import (
    count,
    document_bytes,
    kafka_byte_seconds,
    kafka_bytes,
    progress_of,
    writes,
)

OBJECTS: Final = 2
"""Objects per image in the bucket: the image and its preview."""
MB: Final = 10**6
GB: Final = 10**9
TB: Final = 10**12


@dataclass(frozen=True)
class Stores:
    """Load of Kafka, MongoDB and S3 at a rate of images per second."""

    rate: float
    assumed: Assumptions

    @cached_property
    def progress(self) -> int:
        """Progress messages per image."""
        return progress_of(self.assumed.image_seconds)

    @property
    def kafka_mb_per_s(self) -> float:
        """MB/s from producers; each further replica is written once more."""
        return self.rate * kafka_bytes(self.progress) / MB

    @property
    def kafka_disk_gb(self) -> float:
        """GB on all brokers' disks once the longest retention has passed."""
        return self.rate * kafka_byte_seconds(self.progress) * self.assumed.replication / GB

    @property
    def brokers(self) -> int:
        """Kafka brokers, by incoming bytes."""
        copies = self.assumed.replication
        return max(copies, math.ceil(self.kafka_mb_per_s * copies / self.assumed.broker_mb_per_s))

    @property
    def mongo_writes_per_s(self) -> float:
        """Writes/s on primaries."""
        return self.rate * count(writes(self.progress))

    @property
    def shards(self) -> int:
        """Replica sets, by writes."""
        return math.ceil(self.mongo_writes_per_s / self.assumed.primary_writes_per_s)

    @property
    def mongo_gb_per_day(self) -> float:
        """GB of new documents per day, one copy."""
        return self.rate * sum(document_bytes().values()) * DAY / GB

    @property
    def s3_puts_per_s(self) -> float:
        """PUT/s."""
        return self.rate * OBJECTS

    @property
    def s3_tb_per_month(self) -> float:
        """TB of new objects per month."""
        return self.rate * self._object_bytes * MONTH_DAYS * DAY / TB

    @property
    def result_store_gbit_per_s(self) -> float:
        """Gbit/s through the result-stores: each picture is downloaded and uploaded."""
        return self.rate * (self.assumed.image_bytes + self._object_bytes) * 8 / GB

    @property
    def usd_per_month(self) -> float:
        """Cost of objects, PUTs, and the disks of Kafka and MongoDB."""
        assumed = self.assumed
        objects_gb = self.rate * self._object_bytes * assumed.kept_days * DAY / GB
        thousand_puts = self.s3_puts_per_s * MONTH_DAYS * DAY / 1000
        mongo_gb = self.mongo_gb_per_day * assumed.kept_days * assumed.replication
        disks = (self.kafka_disk_gb + mongo_gb) * assumed.disk_gb_month_usd
        return objects_gb * assumed.s3_gb_month_usd + thousand_puts * assumed.s3_1000_puts_usd + disks

    @property
    def _object_bytes(self) -> int:
        return self.assumed.image_bytes + self.assumed.preview_bytes
