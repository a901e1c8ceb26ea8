"""What the demo asks for is valid, over both ways, and covers every type."""

import json
from collections import Counter
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from contracts.generation import GenerationRequested
from services.cli.demo_requests import FIRST, JOBS, Wish, then
from services.cli.upstream import request_images
from shared.envelope import decode
from shared.ids import uuid7

WISHES = [*FIRST, *(wish for first in FIRST for wish in then(first, f"{uuid7()}/0"))]


def test_every_type_is_asked_for_once_each_way() -> None:
    """Four types, two ways."""
    assert Counter((wish.type, wish.way) for wish in WISHES).most_common(1)[0][1] == 1
    assert len(WISHES) == JOBS == 8
    assert len({wish.folder for wish in WISHES}) == JOBS


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
    await request_images(producer, job_id=job_id, tenant="t", user_id="u", request=wish.request)
    [(topic, record)] = producer.said
    received = decode(a_record(topic, record), {topic: GenerationRequested}, 0)
    assert received.id == f"generation.requested:{job_id}"
    assert isinstance(received.message, GenerationRequested)
    assert received.message.job_id == job_id == record["key"].decode()
    assert received.message.request.type == wish.type
    assert json.loads(record["value"])["request"] == wish.request
    assert wish.submission(job_id).job_id == job_id


def a_record(topic: str, record: dict[str, Any]) -> ConsumerRecord:
    return ConsumerRecord(
        topic, 0, 0, 1_900_000_000_000, 0, record["key"], record["value"], None, 0, 0, record["headers"]
    )
