"""Messages are traced, counted and logged when they were handled."""

import pytest
from structlog.testing import capture_logs

from shared.errors import TransientError
from shared.kafka.pipeline.telemetry import Telemetry
from shared.observability import metrics
from tests.fakes.builders import TRACE
from tests.unit.shared.pipeline.batches import TOPIC, Next, batch_of, good, invalid, make

BATCH = batch_of(good("a", 7), invalid(8), good("b", 9))


async def test_each_message_continues_its_trace_in_its_own_span() -> None:
    proceed = Next()
    await make(Telemetry, service="test").handle(proceed, BATCH)
    traces = [each.trace for each in proceed.batches[0].messages]
    assert [trace.split("-")[1] for trace in traces if trace] == [TRACE.split("-")[1]] * 2
    assert len(proceed.batches[0].entries) == 3


async def test_handled_messages_are_counted_and_logged_with_their_place() -> None:
    count = metrics.messages.labels("test", TOPIC)._value
    before = count.get()
    with capture_logs() as logs:
        await make(Telemetry, service="test").handle(Next(), BATCH)
    lines = [line for line in logs if line["event"] == "message_handled"]
    assert [(line["partition"], line["offset"], line["batch"]) for line in lines] == [(0, 7, 2), (0, 9, 2)]
    assert count.get() == before + 2


async def test_a_failed_batch_is_not_counted() -> None:
    count = metrics.messages.labels("test", TOPIC)._value
    before = count.get()
    with pytest.raises(TransientError):
        await make(Telemetry, service="test").handle(Next(TransientError("away")), BATCH)
    assert count.get() == before
