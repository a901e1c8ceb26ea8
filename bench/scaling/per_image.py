"""Effects of one image: messages on Kafka and their bytes, writes to MongoDB, documents, polls."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import bson

from bench.samples import (
    JOB_ID,
    TENANT,
    asset_document,
    attempt_document,
    attempt_end,
    body,
    completed,
    job_document,
)
from contracts.base import Message, topic_of
from contracts.catalog import RETENTION_SECONDS
from contracts.generation import GenerationPlanned, GenerationRequested
from contracts.jobs import JobEvent
from contracts.renders import RenderProgressed, RenderRequested, RenderSucceeded, ResultStored
from services.gateways.runtime.lifecycle.intervals import next_interval
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from shared.envelope import encode

TRACE: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LIMITS: Final = ProviderLimits()
MEASURED_PROGRESS: Final = 0
"""Progress messages in the benchmark, whose provider ends before the first poll."""


@dataclass(frozen=True)
class MessageCost:
    """A message, its sender, and its number per image."""

    kind: type[Message]
    example: str
    source: str
    times: int

    @property
    def retention_seconds(self) -> int:
        """Retention of the topic."""
        return RETENTION_SECONDS[self.kind]

    @property
    def topic(self) -> str:
        """Name of the topic, with the provider's name if there is one topic per provider."""
        return topic_of(_message(self.kind, self.example))

    @property
    def bytes(self) -> int:
        """Size of body, key and headers, without Kafka's framing and without compression."""
        envelope = encode(_message(self.kind, self.example), source=self.source, trace=TRACE)
        headers = sum(len(name) + len(value) for name, value in envelope.headers)
        return len(envelope.body) + len(envelope.key) + headers


@dataclass(frozen=True)
class WriteCost:
    """A write to MongoDB, its reason, and its number per image."""

    collection: str
    why: str
    times: int


@cache
def _message(kind: type[Message], example: str) -> Message:
    message = kind.model_validate_json(body(example, JOB_ID, TENANT))
    if isinstance(message, JobEvent):
        return message.model_copy(update={"progress": message.progress[:1]})
    return message


def polls(image_seconds: float) -> int:
    """Return the number of polls for an image of this duration, the last one included."""
    count, pause, requested_at = 1, LIMITS.first_poll_interval, LIMITS.first_poll_interval
    while requested_at < image_seconds:
        pause = next_interval(pause, LIMITS.first_poll_interval, LIMITS.max_poll_interval)
        requested_at += pause
        count += 1
    return count


def progress_of(image_seconds: float) -> int:
    """Return the maximum number of progress messages: one for each poll but the last."""
    return polls(image_seconds) - 1


def messages(progress: int) -> tuple[MessageCost, ...]:
    """Return all messages of a job of one image that Modal draws at the first attempt."""
    dispatcher, gateway = "dispatcher", "gateway-modal"
    return (
        MessageCost(GenerationRequested, "generation.requested.base_image", "api", 1),
        MessageCost(GenerationPlanned, "generation.planned", "prompt-builder", 1),
        MessageCost(JobEvent, "job.events.accepted", dispatcher, 1),
        MessageCost(RenderRequested, "render.requested.modal", dispatcher, 1),
        MessageCost(RenderProgressed, "render.progressed", gateway, progress),
        MessageCost(JobEvent, "job.events.started", dispatcher, 1),
        MessageCost(JobEvent, "job.events.progressed", dispatcher, progress),
        MessageCost(RenderSucceeded, "render.succeeded", gateway, 1),
        MessageCost(ResultStored, "result.stored", "result-store", 1),
        MessageCost(JobEvent, "job.events.image_ready", dispatcher, 1),
        MessageCost(JobEvent, "job.events.completed", dispatcher, 1),
    )


def writes(progress: int) -> tuple[WriteCost, ...]:
    """Return all writes for it: one per message that the dispatcher folds, then ledger and assets."""
    return (
        WriteCost("jobs", "`generation.planned` creates the job", 1),
        WriteCost("jobs", "`render.progressed` updates it", progress),
        WriteCost("jobs", "`result.stored` completes it", 1),
        WriteCost("attempts", "`accept`: the command and the intent to submit it", 1),
        WriteCost("attempts", "`save_ref`: the provider accepted it under this reference", min(1, progress)),
        WriteCost("attempts", "`finish`: the outcome", 1),
        WriteCost("assets", "the stored image and its preview", 1),
    )


def count(each: tuple[MessageCost, ...] | tuple[WriteCost, ...]) -> int:
    """Return the total number."""
    return sum(one.times for one in each)


def kafka_bytes(progress: int) -> int:
    """Return the bytes of all messages of one image, written once."""
    return sum(each.times * each.bytes for each in messages(progress))


def kafka_byte_seconds(progress: int) -> int:
    """Return the bytes of one image times the retention of their topics in seconds."""
    return sum(each.times * each.bytes * each.retention_seconds for each in messages(progress))


@cache
def document_bytes() -> dict[str, int]:
    """Return the BSON size of a finished job's documents, by collection; without indexes, not compressed."""
    attempt = attempt_document(JOB_ID, TENANT) | attempt_end(JOB_ID)["$set"]
    documents = {
        "jobs": completed(job_document(JOB_ID, TENANT)),
        "attempts": attempt,
        "assets": asset_document(JOB_ID, TENANT),
    }
    return {name: len(bson.encode(document)) for name, document in documents.items()}
