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
consumer_errors = Counter(
    "imagegen_consumer_errors", "What kept a consumer from reading", ["service", "group", "cause"]
)
consumer_blocked = Gauge(
    "imagegen_consumer_troubles", "Troubles that keep a consumer from reading now", ["service", "group"]
)
loop_errors = Counter(
    "imagegen_loop_errors", "Failed turns of background loops", ["service", "loop", "cause"]
)
loop_turn = Gauge(
    "imagegen_loop_turn_timestamp_seconds",
    "When a background loop last completed a turn",
    ["service", "loop"],
)
loops_stuck = Gauge(
    "imagegen_loops_stuck", "Background loops that hang or keep failing now", ["service", "loop"]
)
event_loop_blocked = Counter(
    "imagegen_event_loop_blocked_seconds", "Time in which the event loop was blocked", ["service"]
)
