"""Base classes of all messages and documents, with their topics, keys and ids."""

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
    """A frozen model that ignores unknown fields, so that old readers accept new messages."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Set `additionalProperties: false`, because unknown fields of callers are refused."""
        made = handler(core_schema)
        if handler.mode == "validation":
            handler.resolve_ref_schema(made)["additionalProperties"] = False
        return made


class Message(Model):
    """An event or a command on one topic.

    `topic` may contain `{provider}`: there is then one topic per provider. `key` names the field whose
    value is the Kafka key; messages with equal keys stay in order. `identity` names the fields that,
    with the topic, identify the message: a message with the same identity is a repetition.
    """

    topic: ClassVar[str]
    key: ClassVar[str] = "job_id"
    identity: ClassVar[tuple[str, ...]]


def topic_of(message: Message) -> str:
    """Return the topic of a message, such as `render.requested.fal.v1`."""
    return message.topic.format(provider=getattr(message, "provider", ""))


def topics_of(kind: type[Message]) -> tuple[str, ...]:
    """Return the topics of a message type: one, or one per provider."""
    return tuple(dict.fromkeys(kind.topic.format(provider=name) for name in PROVIDERS))


def key_of(message: Message) -> str:
    """Return the Kafka key. Messages with equal keys share a partition and stay in order."""
    return str(getattr(message, message.key))


def id_of(message: Message) -> str:
    """Return the CloudEvents id, `{topic without version}:{identity}`. Repetitions have the same id."""
    values = (format_id_part(getattr(message, field)) for field in message.identity)
    name = topic_of(message).rpartition(".")[0]
    return f"{name}:{'/'.join(values)}"


def format_id_part(value: object) -> str:
    """Format a value for an id: times in ISO 8601 with milliseconds and `Z`, None as an empty text."""
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
    "format_id_part",
    "id_of",
    "key_of",
    "topic_of",
    "topics_of",
]
