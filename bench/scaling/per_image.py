"""What one image causes: messages on Kafka and their bytes, writes to MongoDB, documents, polls."""

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
PACE: Final = ProviderLimits()
MEASURED_PROGRESS: Final = 0
"""The benchmark's provider is done before the first poll."""


@dataclass(frozen=True)
class Said:
    """A message, from whom and how often per image."""

    kind: type[Message]
    example: str
    source: str
    times: int

    @property
    def retention_seconds(self) -> int:
        """How long its topic keeps it."""
        return RETENTION_SECONDS[self.kind]

    @property
    def topic(self) -> str:
        """With the provider's name, where there is one topic per provider."""
        return topic_of(_message(self.kind, self.example))

    @property
    def bytes(self) -> int:
        """Body, key and headers of one; Kafka's framing is not counted, nor is anything compressed."""
        envelope = encode(_message(self.kind, self.example), source=self.source, trace=TRACE)
        headers = sum(len(name) + len(value) for name, value in envelope.headers)
        return len(envelope.body) + len(envelope.key) + headers


@dataclass(frozen=True)
class Written:
    """A write to MongoDB, why, and how often per image."""

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
    """How often a gateway asks for an image that takes so long, the last time included."""
    count, pause, asked_at = 1, PACE.first_poll_interval, PACE.first_poll_interval
    while asked_at < image_seconds:
        pause = next_interval(pause, PACE.first_poll_interval, PACE.max_poll_interval)
        asked_at += pause
        count += 1
    return count


def progress_of(image_seconds: float) -> int:
    """Messages of progress, at the most: each poll but the last finds another percentage."""
    return polls(image_seconds) - 1


def messages(progress: int) -> tuple[Said, ...]:
    """All that is said of a job of one image, drawn by Modal at the first attempt."""
    dispatcher, gateway = "dispatcher", "gateway-modal"
    return (
        Said(GenerationRequested, "generation.requested.base_image", "api", 1),
        Said(GenerationPlanned, "generation.planned", "prompt-builder", 1),
        Said(JobEvent, "job.events.accepted", dispatcher, 1),
        Said(RenderRequested, "render.requested.modal", dispatcher, 1),
        Said(RenderProgressed, "render.progressed", gateway, progress),
        Said(JobEvent, "job.events.started", dispatcher, 1),
        Said(JobEvent, "job.events.progressed", dispatcher, progress),
        Said(RenderSucceeded, "render.succeeded", gateway, 1),
        Said(ResultStored, "result.stored", "result-store", 1),
        Said(JobEvent, "job.events.image_ready", dispatcher, 1),
        Said(JobEvent, "job.events.completed", dispatcher, 1),
    )


def writes(progress: int) -> tuple[Written, ...]:
    """All that is written for it: one for each message that the dispatcher folds, then ledger and assets."""
    return (
        Written("jobs", "`generation.planned` begins it", 1),
        Written("jobs", "`render.progressed` moves it", progress),
        Written("jobs", "`result.stored` ends it", 1),
        Written("attempts", "`take_in`: the command is taken, and about to be sent", 1),
        Written("attempts", "`move`: the provider works on it, under this handle", min(1, progress)),
        Written("attempts", "`finish`: the end", 1),
        Written("assets", "`keep`: the image is stored, and its preview", 1),
    )


def count(each: tuple[Said, ...] | tuple[Written, ...]) -> int:
    """How many in all."""
    return sum(one.times for one in each)


def kafka_bytes(progress: int) -> int:
    """Of all messages of one image, written once."""
    return sum(each.times * each.bytes for each in messages(progress))


def kafka_byte_seconds(progress: int) -> int:
    """Bytes of one image times the seconds that its topics keep them."""
    return sum(each.times * each.bytes * each.retention_seconds for each in messages(progress))


@cache
def document_bytes() -> dict[str, int]:
    """BSON of a finished job's documents, by collection; without indexes, not compressed."""
    attempt = attempt_document(JOB_ID, TENANT) | attempt_end(JOB_ID)["$set"]
    documents = {
        "jobs": completed(job_document(JOB_ID, TENANT)),
        "attempts": attempt,
        "assets": asset_document(JOB_ID, TENANT),
    }
    return {name: len(bson.encode(document)) for name, document in documents.items()}
