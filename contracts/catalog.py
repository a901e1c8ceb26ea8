"""All topics, with their partitions and retention."""

from contracts.base import Message, Model, topics_of
from contracts.chains import BaseImageSelected, ChainCancel, ChainResume, LoraFailed, LoraReady, SelectionDue
from contracts.characters import CharacterCreated
from contracts.generation import (
    GenerationCancel,
    GenerationConflicted,
    GenerationPlanned,
    GenerationRejected,
    GenerationRequested,
    GenerationWaiting,
)
from contracts.jobs import CharacterSheetCompleted, JobDue, JobEvent
from contracts.operations import AttemptSettled, DeadLetter, DeadLetterResolved, ProviderHealth
from contracts.renders import (
    RenderCancel,
    RenderFailed,
    RenderProgressed,
    RenderRequested,
    RenderSucceeded,
    ResultStored,
)

PARTITIONS = 6
"""Partitions of every topic. Equal counts put a key's messages of all topics on one consumer."""

HOUR = 3600
DAY = 24 * HOUR

RETENTION_SECONDS: dict[type[Message], int] = {
    GenerationRequested: 7 * DAY,
    GenerationPlanned: 7 * DAY,
    GenerationRejected: 7 * DAY,
    GenerationWaiting: 7 * DAY,
    GenerationConflicted: 7 * DAY,
    GenerationCancel: 7 * DAY,
    RenderRequested: 2 * DAY,
    RenderCancel: 2 * DAY,
    RenderProgressed: 6 * HOUR,
    RenderSucceeded: 7 * DAY,
    RenderFailed: 7 * DAY,
    ResultStored: 7 * DAY,
    JobDue: DAY,
    JobEvent: 30 * DAY,
    CharacterSheetCompleted: 30 * DAY,
    CharacterCreated: 30 * DAY,
    BaseImageSelected: 30 * DAY,
    SelectionDue: DAY,
    ChainCancel: 7 * DAY,
    ChainResume: 7 * DAY,
    LoraReady: 30 * DAY,
    LoraFailed: 30 * DAY,
    AttemptSettled: 30 * DAY,
    ProviderHealth: DAY,
    DeadLetter: 30 * DAY,
    DeadLetterResolved: 60 * DAY,
}

MESSAGES: tuple[type[Message], ...] = tuple(RETENTION_SECONDS)


class Topic(Model):
    """Declaration of a topic on the broker."""

    name: str
    partitions: int
    retention_seconds: int


TOPICS: tuple[Topic, ...] = tuple(
    Topic(name=name, partitions=PARTITIONS, retention_seconds=seconds)
    for kind, seconds in RETENTION_SECONDS.items()
    for name in topics_of(kind)
)
