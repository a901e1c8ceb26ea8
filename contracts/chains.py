"""A character's way from base image to LoRA."""

from typing import ClassVar

from pydantic import Field

from contracts.base import AssetId, Id, Line, Message, Moment, Name
from contracts.characters import Character, Lora
from contracts.requests import FollowUp


class BaseImageSelected(Message):
    """The user chose a face. Produced by upstream services, api; consumed by characters."""

    topic: ClassVar[str] = "character.base-image-selected.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("character_id", "selected_at")

    character_id: Id
    tenant: Name
    user_id: Name
    base_image_id: AssetId
    include_nsfw: bool = False
    """Whether the user's settings allow explicit wording on the sheet. Never assumed."""
    character: Character | None = None
    """As the wizard describes it; left out: as the job of the base image described it."""
    then: tuple[FollowUp, ...] = Field(default=(), max_length=20)
    """What is to follow the sheet; left out: the training of the LoRA."""
    selected_at: Moment


class LoraReady(Message):
    """A LoRA can be used. Produced by characters; consumed by dispatcher, upstream services."""

    topic: ClassVar[str] = "lora.ready.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("character_id", "job_id")

    character_id: Id
    job_id: Id
    tenant: Name
    lora: Lora
    chain_id: Id | None = None
    at: Moment


class LoraFailed(Message):
    """A LoRA will not come. Produced by characters; consumed by dispatcher, upstream services."""

    topic: ClassVar[str] = "lora.failed.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("character_id", "job_id")

    character_id: Id
    job_id: Id
    tenant: Name
    reason: str
    chain_id: Id | None = None
    at: Moment


class ChainCancel(Message):
    """Stop a whole chain. Produced by upstream services, api; consumed by characters."""

    topic: ClassVar[str] = "chain.cancel.v1"
    key: ClassVar[str] = "chain_id"
    identity: ClassVar[tuple[str, ...]] = ("chain_id", "requested_at")

    chain_id: Id
    tenant: Name
    requested_at: Moment
    reason: Line = "cancelled by the caller"


class ChainResume(Message):
    """Go on at the step that failed. Produced by upstream services, api; consumed by characters."""

    topic: ClassVar[str] = "chain.resume.v1"
    key: ClassVar[str] = "chain_id"
    identity: ClassVar[tuple[str, ...]] = ("chain_id", "requested_at")

    chain_id: Id
    tenant: Name
    requested_at: Moment
