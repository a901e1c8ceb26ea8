"""What all messages share: frozen, tolerant of new fields, named by topic, key and identity."""

from datetime import datetime
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from contracts.bounded import Items, Workflow
from contracts.scalars import (
    UUID_PATTERN,
    AssetId,
    CharacterId,
    Flag,
    Id,
    Line,
    Moment,
    Name,
    Number,
    ObjectKey,
    Seed,
    Text,
    UserId,
    WebAddress,
    Whole,
    Years,
)

Provider = Literal["modal", "comfyui", "fal"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)

GenerationType = Literal["base_image", "character_sheet", "studio", "profile_pictures", "lora_training"]


class Model(BaseModel):
    """Frozen, and deaf to fields it does not know, so that old readers read new bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Close the schema of what a caller sends: unknown fields of it are refused."""
        made = handler(core_schema)
        if handler.mode == "validation":
            handler.resolve_ref_schema(made)["additionalProperties"] = False
        return made


class Message(Model):
    """A fact or a command on one topic.

    `topic` may name a field in braces (one topic per provider). `key` is the field whose value
    keeps messages in order. `identity` are the fields that, with the topic, name this message:
    the same identity is the same message, said again.
    """

    topic: ClassVar[str]
    key: ClassVar[str] = "job_id"
    identity: ClassVar[tuple[str, ...]]


def topic_of(message: Message) -> str:
    """The topic a message belongs to: `render.requested.fal.v1`."""
    return message.topic.format(provider=getattr(message, "provider", ""))


def topics_of(kind: type[Message]) -> tuple[str, ...]:
    """All topics of a message type: one, or one per provider."""
    return tuple(dict.fromkeys(kind.topic.format(provider=name) for name in PROVIDERS))


def key_of(message: Message) -> str:
    """The Kafka key: equal keys share a partition and stay in order."""
    return str(getattr(message, message.key))


def id_of(message: Message) -> str:
    """The CloudEvents id: `{topic without version}:{identity}`, the same whenever it is said."""
    values = (written(getattr(message, field)) for field in message.identity)
    name = topic_of(message).rpartition(".")[0]
    return f"{name}:{'/'.join(values)}"


def written(value: object) -> str:
    """A value in an id, the same in every language: times as ISO 8601, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


__all__ = [
    "PROVIDERS",
    "UUID_PATTERN",
    "AssetId",
    "CharacterId",
    "Field",
    "Flag",
    "GenerationType",
    "Id",
    "Items",
    "Line",
    "Message",
    "Model",
    "Moment",
    "Name",
    "Number",
    "ObjectKey",
    "Provider",
    "Seed",
    "Text",
    "UserId",
    "WebAddress",
    "Whole",
    "Workflow",
    "Years",
    "id_of",
    "key_of",
    "topic_of",
    "topics_of",
    "written",
]
