"""What all messages share: frozen, tolerant of new fields, named by topic, key and identity."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal, get_args
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

Provider = Literal["modal", "comfyui", "fal"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)

GenerationType = Literal["base_image", "character_sheet", "studio", "profile_pictures", "lora_training"]


def _canonical_uuid(value: object) -> str:
    if not isinstance(value, str | UUID):
        raise ValueError("must be a UUID written as text")
    return str(UUID(str(value)))


def _milliseconds(value: datetime) -> datetime:
    """UTC, cut to milliseconds: what MongoDB keeps, so that a stored time equals the sent one."""
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is too far away to be a time in UTC") from None
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def _printable(value: str) -> str:
    for character in value:
        if unicodedata.category(character) == "Cc" and character not in "\n\t\r":
            raise ValueError(f"must not contain the control character U+{ord(character):04X}")
    return value


Id = Annotated[str, BeforeValidator(_canonical_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]
"""A UUID in its canonical text form."""

Moment = Annotated[AwareDatetime, AfterValidator(_milliseconds)]
"""A time in UTC with millisecond precision."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$")]
"""An identifier of the caller's (tenant, user): letters, digits and `._:@-`, at most 128."""

Line = Annotated[str, StringConstraints(max_length=200), AfterValidator(_printable)]
"""A short free text of at most 200 characters."""

Text = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_printable)]
"""A prompt-sized free text of at most 4000 characters."""

UUID_PATTERN = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

MAX_CHARACTER_ID = 128


def _character_id(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("must be printable text without spaces at its ends")
    if "/" in value or "\\" in value or value in (".", ".."):
        raise ValueError("must not contain '/' or '\\', and must not be '.' or '..': it is part of addresses")
    return value.lower() if _WRITTEN_UUID.fullmatch(value) else value


_WRITTEN_UUID = re.compile(UUID_PATTERN, re.IGNORECASE)

CharacterId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_CHARACTER_ID),
    AfterValidator(_character_id),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_CHARACTER_ID,
            "pattern": r"^(?!\.{1,2}$)(?! )[^/\\\u0000-\u001f\u007f]*[^/\\\u0000-\u0020\u007f]$",
        }
    ),
]
"""The caller's own id of a character, such as `char-123` or `auth0|x`; unique per tenant.

At most 128 printable characters without `/` and `\\`, so that it can be part of an address. A UUID
is kept in lower case.
"""

AssetId = Annotated[str, StringConstraints(pattern=rf"^{UUID_PATTERN}/[0-9]{{1,3}}$")]
"""A stored image, `{job_id}/{index}`."""


class Model(BaseModel):
    """Frozen, and deaf to fields it does not know, so that old readers read new bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)


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
    "GenerationType",
    "Id",
    "Line",
    "Message",
    "Model",
    "Moment",
    "Name",
    "Provider",
    "Text",
    "id_of",
    "key_of",
    "topic_of",
    "topics_of",
    "written",
]
