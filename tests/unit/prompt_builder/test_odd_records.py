"""Requests over Kafka with an impossible record time, tenant or user."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import ConsumerRecord

from contracts.generation import GenerationPlanned, GenerationRejected, GenerationRequested
from contracts.operations import DeadLetter
from shared.clock import now
from tests.fakes.kafka import raw_record
from tests.unit.prompt_builder.harness import PromptBuilderHarness
from tests.unit.prompts.examples import requested

NOW_MS = int(now().timestamp() * 1000)


def _record(timestamp: int = NOW_MS, **changes: object) -> ConsumerRecord:
    body = json.loads(requested().model_dump_json()) | changes
    return raw_record(GenerationRequested.topic, json.dumps(body).encode(), offset=7, timestamp=timestamp)


def _close_to_now(time: datetime) -> bool:
    return abs(datetime.now(UTC) - time) < timedelta(minutes=1)


TIMES = {
    "none": -1,
    "zero": 0,
    "zero in Go": -62_135_596_800_000,
    "seconds": NOW_MS // 1000,
    "an hour ahead": NOW_MS + 3_600_000,
    "nanoseconds": NOW_MS * 1_000_000,
    "before all time": -(2**62),
}


@pytest.mark.parametrize("kind", TIMES)
@pytest.mark.parametrize("claimed", [None, "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
async def test_a_readable_body_with_impossible_times_is_planned_as_of_now(
    kind: str, claimed: str | None
) -> None:
    harness = PromptBuilderHarness()
    await harness.consume(_record(TIMES[kind], requested_at=claimed))
    (envelope,) = harness.sender.sent
    assert envelope.topic == GenerationPlanned.topic
    assert _close_to_now(GenerationPlanned.model_validate_json(envelope.body).requested_at)


async def test_an_earlier_time_that_the_caller_gave_is_kept() -> None:
    harness = PromptBuilderHarness()
    asked = now() - timedelta(hours=2)
    await harness.consume(_record(requested_at=asked.isoformat()))
    assert GenerationPlanned.model_validate_json(harness.sender.sent[0].body).requested_at == asked


@pytest.mark.parametrize("kind", ["none", "nanoseconds"])
async def test_an_invalid_request_with_an_odd_time_is_rejected(kind: str) -> None:
    harness = PromptBuilderHarness()
    request = {"type": "studio", "count": 99, "character": {"name": "Mia", "age": 27}}
    await harness.consume(_record(TIMES[kind], request=request))
    (envelope,) = harness.sender.sent
    assert envelope.topic == GenerationRejected.topic
    assert _close_to_now(GenerationRejected.model_validate_json(envelope.body).requested_at)


@pytest.mark.parametrize("tenant", [None, "", "a/b"])
async def test_a_request_without_a_readable_tenant_is_a_dead_letter_with_the_reason(
    tenant: str | None,
) -> None:
    harness = PromptBuilderHarness()
    await harness.consume(_record(tenant=tenant))
    assert [envelope.topic for envelope in harness.sender.sent] == [DeadLetter.topic]
    (letter,) = harness.sender.letters()
    assert letter.reason == "invalid"
    assert letter.error.startswith("tenant: ")


@pytest.mark.parametrize("user_id", [None, "", 7, {"name": "unknown"}, "x" * 257])
async def test_a_request_without_a_readable_user_is_a_dead_letter_with_the_reason(user_id: object) -> None:
    harness = PromptBuilderHarness()
    await harness.consume(_record(user_id=user_id))
    [letter] = harness.sender.letters()
    assert letter.reason == "invalid"
    assert "user_id" in letter.error


async def test_a_request_that_does_not_name_its_user_is_a_dead_letter() -> None:
    harness = PromptBuilderHarness()
    body = json.loads(requested().model_dump_json())
    del body["user_id"]
    await harness.consume(raw_record(GenerationRequested.topic, json.dumps(body).encode(), offset=7))
    [letter] = harness.sender.letters()
    assert letter.error == "user_id: is required"
