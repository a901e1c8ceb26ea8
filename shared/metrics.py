"""Prometheus metrics that every process has."""

from prometheus_client import Counter, Gauge, Histogram

messages = Counter("imagegen_messages_handled", "Messages handled", ["service", "topic"])
set_aside = Counter("imagegen_messages_set_aside", "Messages sent to the dead letters", ["service", "reason"])
parked = Gauge("imagegen_partitions_parked", "Partitions waiting to be read again", ["service", "topic"])
batch_seconds = Histogram(
    "imagegen_batch_seconds",
    "From a batch's arrival to the acknowledgement of its outputs",
    ["service"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
