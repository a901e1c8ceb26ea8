"""Who is drawn: the wizard's answers about a character, and what was made of it since."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from contracts.base import (
    PROVIDERS,
    AssetId,
    CharacterId,
    Id,
    Items,
    Line,
    Model,
    Moment,
    Name,
    Number,
    ObjectKey,
    Provider,
    Text,
    UserId,
    Years,
)
from contracts.strictness import CallerMessage
from contracts.wizard import (
    BodyType,
    DressStyle,
    Ethnicity,
    Expression,
    EyeColor,
    FaceShape,
    FacialHair,
    Gender,
    HairColor,
    HairLength,
    HairStyle,
    Height,
    SkinTone,
)


class Appearance(Model):
    """What the character looks like. Every field may be left out.

    Where values are listed, a wizard offers these; any other short text is understood as well.
    """

    gender: Gender | None = None
    ethnicity: Ethnicity | None = None
    skin_tone: SkinTone | None = None
    hair_color: HairColor | None = None
    hair_style: HairStyle | None = None
    """How it is worn; may say everything about the hair: `long wavy`."""
    hair_length: HairLength | None = None
    eye_color: EyeColor | None = None
    face: Line | None = None
    """Its features: `high cheekbones`, `dimples`."""
    face_shape: FaceShape | None = None
    body_type: BodyType | None = None
    height: Height | None = None
    """A word, or a measure: `175 cm`."""
    facial_hair: FacialHair | None = None
    details: Text | None = None
    """What distinguishes it: freckles, scars, tattoos, piercings, glasses."""


class Identity(Model):
    """Who the character is; it colours expression, clothes and surroundings, never the face."""

    occupation: Line | None = None
    """Drawn where the request names neither shot, clothes nor place."""
    personality: Line | None = None
    """Drawn as an expression where neither the request nor `expression` says one."""
    hobbies: Line | None = None
    """Not drawn."""
    backstory: Text | None = None
    """Not drawn."""
    expression: Expression | None = None
    """How it usually looks into the camera; a request's own expression comes first."""
    dress_style: DressStyle | None = None
    """What it usually wears; a request's own outfit comes first."""


class Lora(Model):
    """A trained LoRA: where its weights are, and the word that wakes it."""

    key: ObjectKey
    """Object key of the weights in our bucket, in the tenant's own part of it: `{tenant}/…`."""
    trigger_word: Line
    base_model: Line = "flux"
    providers: Annotated[tuple[Provider, ...], Items(3)] = PROVIDERS
    """Where the weights can be used as they are."""
    scale: Number = Field(default=1.0, ge=0.0, le=2.0)
    """How strongly it acts."""


class Character(Model):
    """A character as the wizard describes it. Adults only: an age below 18 is rejected.

    `age` is in years, as a number or in words ("27", "twenty-seven").
    """

    name: Line
    age: Years | Line
    appearance: Appearance = Appearance()
    identity: Identity = Identity()
    base_image_id: AssetId | None = None
    """The image that fixes the face."""
    lora: Lora | None = None
    trigger_word: Line | None = None
    """The word that its LoRA will listen to; fixed when the character is stored."""


class ChosenFace(Model):
    """A base image that was chosen as a character's face, and the chain that began with it."""

    base_image_id: AssetId
    chain_id: Id
    at: Moment


class Sheet(Model):
    """The images of a finished character sheet, each with its pose and its caption for a trainer."""

    job_id: Id
    chain_id: Id | None = None
    images: tuple[AssetId, ...]
    labels: tuple[Line, ...] = ()
    captions: tuple[str, ...] = ()
    at: Moment


class Training(Model):
    """A training of a character's LoRA."""

    job_id: Id
    chain_id: Id | None = None
    requested_at: Moment
    state: Literal["training", "ready", "failed"] = "training"
    lora: Lora | None = None
    error: str | None = None
    failed_at: Moment | None = None


class CharacterCreated(CallerMessage):
    """A character was described, before anything is drawn of it.

    Produced by upstream services, api; consumed by characters.

    The description is stored once. A later one under the same id that says something else goes to
    the dead letters (`character_id_conflict`); another face is chosen with `character.base-image-selected`.
    """

    topic: ClassVar[str] = "character.created.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("tenant", "character_id", "created_at")

    character_id: CharacterId
    tenant: Name
    user_id: UserId
    character: Character
    created_at: Moment


def character_key(tenant: str, character_id: str) -> str:
    """The `_id` of a character's document: ids of characters are unique per tenant only."""
    return f"{tenant}/{character_id}"


class CharacterRecord(Model):
    """The `characters` document (`_id` is `{tenant}/{character_id}`).

    Written by characters only; others may read.
    """

    character_id: CharacterId
    tenant: Name
    user_id: UserId
    character: Character
    """With the chosen base image, the trigger word, and the LoRA of the newest training on this face."""
    selected_at: Moment | None = None
    """When the base image was chosen; null where a request described the character."""
    faces: tuple[ChosenFace, ...] = ()
    """The newest choices, the present face last; the first may come from a request's description."""
    sheet: Sheet | None = None
    """The newest; poses that are drawn again (`only`) are added to it, as is what its chain draws."""
    trainings: tuple[Training, ...] = ()
    """The newest ones, in the order in which they were asked for."""
    lora_state: Literal["none", "training", "ready", "failed"] = "none"
    """`training` while any on this face runs; else how the newest ended. An older LoRA of this face
    stays usable meanwhile."""
    lora_error: str | None = None
    lora_failed_at: Moment | None = None
    """When a training failed last; null while any runs. Who began to wait only then waits for another."""
    created_at: Moment
    updated_at: Moment
    version: int = 0
