"""Retry a batch in place when a failure may pass within seconds."""

import asyncio
from typing import Any

import structlog

from shared.errors import Backpressure
from shared.kafka.pipeline.batch import Batch
from shared.kafka.pipeline.middleware import BatchMiddleware, ContextRepo, Next
from shared.transient import is_transient
from shared.waiting import backoff

log = structlog.get_logger()

TRIES = 4
LONGEST_PAUSE = 2.0


class BoundedRetry(BatchMiddleware):
    """Tries a batch up to `TRIES` times. Backpressure and permanent errors are raised at once.

    Args:
        first_pause: seconds before the first retry; each further pause is up to three times as long.
    """

    def __init__(self, msg: Any, /, *, context: ContextRepo, first_pause: float) -> None:
        super().__init__(msg, context=context)
        self._first_pause = first_pause

    async def handle(self, proceed: Next, batch: Batch) -> Any:
        """Return what the handler returns, once it succeeds."""
        left = TRIES if batch.retry else 1
        for pause in backoff(self._first_pause, LONGEST_PAUSE, 3.0):
            left -= 1
            try:
                return await proceed(batch)
            except Backpressure:
                raise
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("batch_attempt_failed", topic=batch.topic, error=_text(error), tries_left=left)
                if not left:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("backoff is endless")


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
