"""Requests of the demo are valid over both transports and cover every type."""

import json
from collections import Counter
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from clients.cli.demo_requests import (
    FIRST_REQUESTS,
    JOBS,
    SUBMISSIONS,
    DemoRequest,
    request_waiting_for_lora,
    requests_after,
)
from clients.cli.kafka_request import request_images
from contracts.generation import GenerationRequested
from contracts.http import StudioSubmission
from shared.clock import now
from shared.ids import uuid7
from shared.kafka.decoding import decode

BASE_IMAGE = "0195940a-5b40-7d3e-b0c4-8a6b2d7e9f01/0"
REQUESTS = [
    *FIRST_REQUESTS,
    *(each for first in FIRST_REQUESTS for each in requests_after(first, BASE_IMAGE)),
]
STEPS = [step for request in REQUESTS for step in request.then]


def test_every_type_is_requested_once_per_transport_and_one_chain_trains_a_lora() -> None:
    assert Counter((request.type, request.transport) for request in REQUESTS).most_common(1)[0][1] == 1
    assert len(REQUESTS) == 2 * len(SUBMISSIONS)
    everything = [*REQUESTS, *STEPS, request_waiting_for_lora(uuid7())]
    assert len(everything) == JOBS
    assert len({request.folder for request in everything}) == JOBS
    assert [step.type for step in STEPS] == ["lora_training", "studio"]


def test_the_request_that_waits_for_the_lora_is_a_valid_submission() -> None:
    character_id = uuid7()
    submission = request_waiting_for_lora(character_id).submission(uuid7())
    assert isinstance(submission, StudioSubmission)
    assert (submission.character_id, submission.wait_for_lora) == (character_id, True)


class Producer:
    """Producer that records what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    async def send_and_wait(self, topic: str, **record: Any) -> None:
        self.sent.append((topic, record))


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.folder)
async def test_a_request_is_valid_over_both_transports(request_: DemoRequest) -> None:
    job_id, producer = uuid7(), Producer()
    ids = {"job_id": job_id, "tenant": "t", "user_id": "u"}
    await request_images(producer, **ids, request=request_.request, then=request_.follow_ups)
    [(topic, record)] = producer.sent
    received = decode(a_record(topic, record), {topic: GenerationRequested}, 0, now())
    assert received.id == f"generation.requested:{job_id}"
    assert isinstance(received.message, GenerationRequested)
    assert received.message.job_id == job_id == record["key"].decode()
    assert received.message.request.type == request_.type
    assert [step.type for step in received.message.then] == [step.type for step in request_.then]
    assert json.loads(record["value"])["request"] == request_.request
    assert request_.submission(job_id).job_id == job_id


def a_record(topic: str, record: dict[str, Any]) -> ConsumerRecord:
    return ConsumerRecord(
        topic, 0, 0, 1_900_000_000_000, 0, record["key"], record["value"], None, 0, 0, record["headers"]
    )
