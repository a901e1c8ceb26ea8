"""Characters: the description by the wizard, and the stored results for them."""

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
    """Appearance of a character. All fields are optional.

    Listed values are the ones that a wizard offers. Any other short text is accepted too.
    """

    gender: Gender | None = None
    ethnicity: Ethnicity | None = None
    skin_tone: SkinTone | None = None
    hair_color: HairColor | None = None
    hair_style: HairStyle | None = None
    """Hair style. May describe the hair completely: `long wavy`."""
    hair_length: HairLength | None = None
    eye_color: EyeColor | None = None
    face: Line | None = None
    """Facial features: `high cheekbones`, `dimples`."""
    face_shape: FaceShape | None = None
    body_type: BodyType | None = None
    height: Height | None = None
    """A word or a measure: `tall`, `175 cm`."""
    facial_hair: FacialHair | None = None
    details: Text | None = None
    """Distinguishing marks: freckles, scars, tattoos, piercings, glasses."""


class Identity(Model):
    """Personality of a character. It influences expression, clothes and surroundings, never the face."""

    occupation: Line | None = None
    """Used when the request specifies neither shot, clothes nor place."""
    personality: Line | None = None
    """Used as the facial expression when neither the request nor `expression` specifies one."""
    hobbies: Line | None = None
    """Not used in prompts."""
    backstory: Text | None = None
    """Not used in prompts."""
    expression: Expression | None = None
    """Usual facial expression. An expression in the request takes precedence."""
    dress_style: DressStyle | None = None
    """Usual clothes. An outfit in the request takes precedence."""


class Lora(Model):
    """A trained LoRA: the location of its weights and its trigger word."""

    key: ObjectKey
    """Object key of the weights in the bucket, under the tenant's prefix: `{tenant}/…`."""
    trigger_word: Line
    base_model: Line = "flux"
    providers: Annotated[tuple[Provider, ...], Items(3)] = PROVIDERS
    """Providers that can use the weights."""
    scale: Number = Field(default=1.0, ge=0.0, le=2.0)
    """Strength of the LoRA: 0 is off, 1 is full."""


class Character(Model):
    """Description of a character by the wizard. An age below 18 is rejected.

    `age` is in years, as a number or in words ("27", "twenty-seven").
    """

    name: Line
    age: Years | Line
    appearance: Appearance = Appearance()
    identity: Identity = Identity()
    base_image_id: AssetId | None = None
    """The image that defines the face."""
    lora: Lora | None = None
    trigger_word: Line | None = None
    """Trigger word of the future LoRA. Set when the character is stored."""


class ChosenFace(Model):
    """A base image that was selected as a character's face, and the chain that the selection started."""

    base_image_id: AssetId
    chain_id: Id
    at: Moment


class Sheet(Model):
    """Images of a completed character sheet, with their poses and training captions."""

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
    """A character was described. No image of it is needed yet.

    Produced by upstream services, api; consumed by characters.

    The description is stored once. A different description under the same id becomes a dead letter
    (`character_id_conflict`). Another face is selected with `character.base-image-selected`.
    """

    topic: ClassVar[str] = "character.created.v1"
    key: ClassVar[str] = "character_id"
    identity: ClassVar[tuple[str, ...]] = ("tenant", "character_id", "created_at")
    sent_at: ClassVar[str | None] = "created_at"

    character_id: CharacterId
    tenant: Name
    user_id: UserId
    character: Character
    created_at: Moment | None = None
    """By default the record's time."""


def character_key(tenant: str, character_id: str) -> str:
    """Return the `_id` of a character's document. Character ids are unique within a tenant only."""
    return f"{tenant}/{character_id}"


class CharacterRecord(Model):
    """The `characters` document (`_id` is `{tenant}/{character_id}`).

    Written by characters only; others may read.
    """

    character_id: CharacterId
    tenant: Name
    user_id: UserId
    character: Character
    """The description with the selected base image, the trigger word, and the newest LoRA of this face."""
    selected_at: Moment | None = None
    """Time at which the base image was selected. Null if a request described the character inline."""
    faces: tuple[ChosenFace, ...] = ()
    """Selected faces, the current one last. The first may come from a request's description."""
    sheet: Sheet | None = None
    """The newest sheet. Redrawn poses (`only`) and images of later tries in its chain are merged into it."""
    trainings: tuple[Training, ...] = ()
    """The newest trainings, in the order of their requests."""
    lora_state: Literal["none", "training", "ready", "failed"] = "none"
    """`training` while a training on this face runs, else the result of the newest one. An older LoRA of
    this face stays usable meanwhile."""
    lora_error: str | None = None
    lora_failed_at: Moment | None = None
    """Time of the last failed training; null while one runs. Jobs that start to wait later wait for another
    training."""
    created_at: Moment
    updated_at: Moment
    version: int = 0
