"""Prometheus metrics that every process has."""

from prometheus_client import Counter, Gauge, Histogram

messages = Counter("imagegen_messages_handled", "Messages handled", ["service", "topic"])
dead_letters = Counter(
    "imagegen_messages_dead_lettered", "Messages sent to the dead-letter topic", ["service", "reason"]
)
partitions_paused = Gauge(
    "imagegen_partitions_paused", "Partitions paused after a failed batch", ["service", "topic"]
)
batch_seconds = Histogram(
    "imagegen_batch_seconds",
    "Seconds from the arrival of a batch to the acknowledgement of its outputs",
    ["service"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
consumer_errors = Counter(
    "imagegen_consumer_errors", "Errors that kept a consumer from reading", ["service", "group", "cause"]
)
consumer_blocked = Gauge(
    "imagegen_consumer_problems", "Current problems that keep a consumer from reading", ["service", "group"]
)
loop_errors = Counter(
    "imagegen_loop_errors", "Failed iterations of background loops", ["service", "loop", "cause"]
)
loop_turn = Gauge(
    "imagegen_loop_last_iteration_timestamp_seconds",
    "Time of the last completed iteration of a background loop",
    ["service", "loop"],
)
loops_stuck = Gauge(
    "imagegen_loops_stuck", "Background loops that currently hang or keep failing", ["service", "loop"]
)
event_loop_blocked = Counter(
    "imagegen_event_loop_blocked_seconds", "Seconds in which the event loop was blocked", ["service"]
)
