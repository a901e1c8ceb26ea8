"""Limits of sizes on Kafka, in bytes."""

from typing import Final

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""Largest message, and largest compressed batch of a producer; the broker refuses larger ones."""
MAX_BATCH_BYTES: Final = 2 * MAX_MESSAGE_BYTES
"""Largest batch after decompression. Producers fill batches of at most a few megabytes."""
MAX_READ_BYTES: Final = MAX_BATCH_BYTES
"""Size of records after which a read takes no further ones: the rest comes with the next read."""
