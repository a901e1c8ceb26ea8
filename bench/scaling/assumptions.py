"""Assumptions of the model, for quantities that the benchmark does not measure."""

from typing import Final

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt

RATES: Final = (10, 100, 1_000, 10_000)
"""Images per second, constant through the day."""
HOUR: Final = 3600
DAY: Final = 24 * HOUR
MONTH_DAYS: Final = 30


class Assumptions(BaseModel):
    """Assumptions with unit and reason; the text of each field is printed in the page's table."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    cores_per_machine: PositiveInt = 8
    """Cores. A common size of rented machines; twice the size means half as many machines."""
    busy: PositiveFloat = 0.6
    """Share of a core. Above it queueing delays grow fast, and the load of a failed process must fit in."""
    image_seconds: PositiveFloat = 4.0
    """Seconds on one GPU, from start to end. 1024x1024 with a distilled model; a large one takes longer."""
    image_bytes: PositiveInt = 1_500_000
    """Bytes. A PNG of 1024x1024; a photograph compresses badly."""
    preview_bytes: PositiveInt = 60_000
    """Bytes. The WebP preview of 512 pixels."""
    picture_cpu_ms: NonNegativeFloat = 50.0
    """CPU ms. To check, clean and preview such a PNG in the result-store; the benchmark's picture is tiny."""
    replication: PositiveInt = 3
    """Copies. Of Kafka's topics and MongoDB's documents: one machine may fail while another restarts."""
    primary_writes_per_s: PositiveFloat = 10_000.0
    """Writes/s. Of one MongoDB primary, journalled, documents of some kB. Assumed, not measured here."""
    document_writes_per_s: PositiveFloat = 200.0
    """Writes/s. Guarded writes to one document: each waits for the majority's journal (5 ms)."""
    broker_mb_per_s: PositiveFloat = 100.0
    """MB/s. Incoming data of one Kafka broker, as leader and as follower, with a disk of its own."""
    s3_puts_per_prefix: PositiveFloat = 3_500.0
    """PUT/s. Documented limit of S3 for one key prefix before it is split."""
    kept_days: PositiveInt = 30
    """Days. Storage time of pictures and documents that is paid for; the platform deletes neither."""
    gpu_second_usd: PositiveFloat = 0.0006
    """USD. One second of a GPU with 48 GB, billed by the second; in the range of public price lists."""
    core_hour_usd: PositiveFloat = 0.05
    """USD. One core of a rented machine with its memory, without a long-term contract."""
    s3_gb_month_usd: PositiveFloat = 0.023
    """USD. One GB for a month in S3, first tier."""
    s3_1000_puts_usd: PositiveFloat = 0.005
    """USD. 1 000 PUTs to S3."""
    disk_gb_month_usd: PositiveFloat = 0.08
    """USD. One GB of network SSD for a month, under Kafka and MongoDB."""
