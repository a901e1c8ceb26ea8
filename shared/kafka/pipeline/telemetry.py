"""Spans, metrics and one log line per message."""

import time
from dataclasses import replace
from typing import Any

import structlog
from opentelemetry.trace import Span

from shared.kafka.pipeline.batch import Batch, Entry
from shared.kafka.pipeline.middleware import BatchMiddleware, ContextRepo, Next
from shared.observability import metrics
from shared.observability.tracing import start_span, traceparent

log = structlog.get_logger()


class Telemetry(BatchMiddleware):
    """Traces every message, and counts and logs those of a batch that was published and committed."""

    def __init__(self, msg: Any, /, *, context: ContextRepo, service: str) -> None:
        super().__init__(msg, context=context)
        self._service = service

    async def handle(self, proceed: Next, batch: Batch) -> None:
        """Let the handler's outputs continue the span of their message."""
        started = time.perf_counter()
        spans: list[Span] = []
        traced = replace(batch, entries=[_traced(entry, spans) for entry in batch.entries])
        try:
            await proceed(traced)
        finally:
            for span in spans:
                span.end()
        self._account(traced, time.perf_counter() - started)

    def _account(self, batch: Batch, seconds: float) -> None:
        milliseconds = round(seconds * 1000, 2)
        messages = batch.messages
        for received in messages:
            metrics.messages.labels(self._service, received.topic).inc()
            log.info(
                "message_handled",
                topic=received.topic,
                partition=received.partition,
                offset=received.offset,
                id=received.id,
                trace=received.trace,
                batch=len(messages),
                batch_ms=milliseconds,
            )
        metrics.batch_seconds.labels(self._service).observe(seconds)


def _traced(entry: Entry, spans: list[Span]) -> Entry:
    message = entry.message
    if message is None:
        return entry
    span = start_span(f"process {message.topic}", message.trace, {"messaging.message.id": message.id})
    spans.append(span)
    return Entry(entry.record, message.continued(traceparent(span)))
