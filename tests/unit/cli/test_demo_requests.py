"""What the demo asks for is valid, over both ways, and covers every type."""

import json
from collections import Counter
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from clients.cli.demo_requests import FIRST, JOBS, SUBMISSIONS, Wish, then, waiting
from clients.cli.upstream import request_images
from contracts.generation import GenerationRequested
from contracts.http import StudioSubmission
from shared.clock import now
from shared.ids import uuid7
from shared.kafka.decoding import decode

BASE_IMAGE = "0195940a-5b40-7d3e-b0c4-8a6b2d7e9f01/0"
WISHES = [*FIRST, *(wish for first in FIRST for wish in then(first, BASE_IMAGE))]
FOLLOWING = [step for wish in WISHES for step in wish.then]


def test_every_type_is_asked_for_once_each_way_and_one_chain_trains_a_lora() -> None:
    """Four types, two ways; what follows by itself, and what waits for it."""
    assert Counter((wish.type, wish.way) for wish in WISHES).most_common(1)[0][1] == 1
    assert len(WISHES) == 2 * len(SUBMISSIONS)
    everything = [*WISHES, *FOLLOWING, waiting(uuid7())]
    assert len(everything) == JOBS
    assert len({wish.folder for wish in everything}) == JOBS
    assert [step.type for step in FOLLOWING] == ["lora_training", "studio"]


def test_what_waits_for_the_lora_is_a_valid_submission() -> None:
    character_id = uuid7()
    submission = waiting(character_id).submission(uuid7())
    assert isinstance(submission, StudioSubmission)
    assert (submission.character_id, submission.wait_for_lora) == (character_id, True)


class Producer:
    """Takes what an upstream service says."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []

    async def send_and_wait(self, topic: str, **record: Any) -> None:
        self.said.append((topic, record))


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: wish.folder)
async def test_a_wish_is_a_valid_request_over_both_ways(wish: Wish) -> None:
    """Hand-written JSON and headers for Kafka, a submission for HTTP."""
    job_id, producer = uuid7(), Producer()
    whose = {"job_id": job_id, "tenant": "t", "user_id": "u"}
    await request_images(producer, **whose, request=wish.request, then=wish.follow_ups)
    [(topic, record)] = producer.said
    received = decode(a_record(topic, record), {topic: GenerationRequested}, 0, now())
    assert received.id == f"generation.requested:{job_id}"
    assert isinstance(received.message, GenerationRequested)
    assert received.message.job_id == job_id == record["key"].decode()
    assert received.message.request.type == wish.type
    assert [step.type for step in received.message.then] == [step.type for step in wish.then]
    assert json.loads(record["value"])["request"] == wish.request
    assert wish.submission(job_id).job_id == job_id


def a_record(topic: str, record: dict[str, Any]) -> ConsumerRecord:
    return ConsumerRecord(
        topic, 0, 0, 1_900_000_000_000, 0, record["key"], record["value"], None, 0, 0, record["headers"]
    )
