"""The five request types, distinguished by `type`, and their follow-ups."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from contracts.base import (
    AssetId,
    CharacterId,
    Flag,
    Items,
    Line,
    Model,
    Provider,
    Seed,
    Text,
    Whole,
    Workflow,
)
from contracts.characters import Character

Aspect = Literal["square", "portrait", "landscape", "wide", "tall"]
"""1:1, 3:4, 4:3, 16:9, 9:16. The prompt-builder's catalogue holds the pixels."""

Steps = Annotated[Whole, Field(ge=1, le=10_000)]
"""Number of training steps."""

ONE_CHARACTER: dict[str, Any] = {
    "oneOf": [
        {
            "required": ["character"],
            "properties": {"character": {"type": "object"}, "character_id": {"type": "null"}},
        },
        {
            "required": ["character_id"],
            "properties": {"character_id": {"type": "string"}, "character": {"type": "null"}},
        },
    ]
}
"""JSON Schema that requires exactly one of `character` and `character_id`."""


SHEET_MIN_COMPLETED_RATIO: Final = 0.7
"""Share of a character sheet's images that completes it, in its job and in its chain."""


class RequestBase(Model):
    """Fields that every image request may contain.

    An explicit `provider`, `model` or `workflow` takes precedence over the routing policy if that provider
    supports the request. `workflow` is a ComfyUI graph in API format. Its placeholders `{{prompt}}`,
    `{{negative_prompt}}`, `{{seed}}`, `{{width}}` and `{{height}}` are filled in. `{{prompt}}` is prose if
    the graph loads a Flux model, and weighted tags if it loads an SDXL model.
    """

    prompt: Text | None = Field(default=None, examples=["looking over her shoulder, golden hour"])
    """Free text of the user, in addition to the other fields."""
    negative_prompt: Text | None = Field(default=None, examples=["umbrella, crowd"])
    """Things to avoid in the image."""
    style: Line | None = Field(default=None, examples=["photorealistic"])
    """Visual style: a style of the catalogue, or free text."""
    quality: Line | None = Field(default=None, examples=["high"])
    """Level of detail: a quality of the catalogue, or free text."""
    aspect: Aspect | None = Field(default=None, examples=["portrait"])
    """Aspect ratio of the images. Left out: the default of the request's type."""
    seed: Seed | None = Field(default=None, examples=[1234])
    """Seed of the first image, 0 to 2^64-1, as a number or as decimal text. The other seeds are derived
    from it. Left out: derived from the job id, or from the base image of a character sheet."""
    include_nsfw: Flag = Field(default=False, examples=[False])
    """True if the user's settings allow explicit wording."""
    provider: Provider | None = Field(default=None, examples=["comfyui"])
    """Provider to use. Left out: the routing policy decides."""
    model: Line | None = Field(default=None, examples=["fal-ai/flux/dev"])
    """Model id of that provider: an application at Fal, the file name of a checkpoint at ComfyUI
    (`.safetensors`, `.sft`, `.ckpt`). It must be left out with `workflow`, which names its own models."""
    workflow: Workflow | None = Field(default=None, examples=[None])
    """A ComfyUI graph in API format, run once for each image of the request.

    Limits: 256 KiB of JSON, 80 levels, 50 000 values; whole numbers from -2^63 to 2^64-1.

    Rejected: a graph without a node that saves an image, or with a cycle; a `seed` or `noise_seed` that is
    not a whole number from 0 to 2^64-1; a `filename_prefix` outside of the server's output folder; text in
    double braces that is not a placeholder; a `provider` that does not support workflows.

    Placeholders: `{{prefix}}` is filled in too, with a file prefix that is unique to the run. A
    `filename_prefix` without it gets a unique suffix, so that the server does not answer a run from its
    cache with a deleted file. An output node without `filename_prefix` should use `{{prefix}}`.

    Result: one image of each run is delivered. It comes from the node titled `result` (the node's title in
    the editor), else from the saving node at the end of the longest chain of nodes, else from the last one
    listed. The first image of a batch is delivered; previews are not. A notice with code `outputs_dropped`
    reports images that are not delivered: for a `batch_size` above 1 when the job is accepted, and for
    every image with its result. To get four images, request `count` 4 with a `batch_size` of 1.

    Seed: each image has its own seed, filled into `{{seed}}`. The reported `seed` is the value of the
    `seed` and `noise_seed` inputs of the nodes that make the result. It is null if there are several values
    or if a node computes it. A notice with code `same_picture` reports images that would be equal when the
    job is accepted. A notice with code `same_file` reports images that turned out as the same file.
    """


class _OfCharacter(RequestBase):
    """A request for a character that is described inline or stored under an id."""

    model_config = ConfigDict(json_schema_extra=ONE_CHARACTER)

    character: Character | None = None
    """Description of the character. Set either this or `character_id`."""
    character_id: CharacterId | None = Field(default=None, examples=["0b8f7a34-6f0e-4c5a-9a51-2d1c6a7b8c90"])
    """Id of a stored character. Set either this or `character`."""

    @model_validator(mode="after")
    def _names_a_character(self) -> "_OfCharacter":
        if (self.character is None) == (self.character_id is None):
            raise PydanticCustomError("one_character", "set either 'character' or 'character_id'")
        return self


class BaseImageRequest(_OfCharacter):
    """Generate candidates for a character's face from its description. Target: 30 s for 3."""

    type: Literal["base_image"] = "base_image"
    count: Whole = Field(default=3, ge=1, le=3, examples=[3])
    """Number of candidates."""


class CharacterSheetRequest(_OfCharacter):
    """Generate a character in 7 to 10 poses as training data for its LoRA. Target: 5 min.

    `only` draws single images again. Its values are positions in the sheet of `count` poses. Each image has
    the label, seed and caption of its position; seeds are derived from `seed`, else from `base_image_id`.
    """

    type: Literal["character_sheet"] = "character_sheet"
    base_image_id: AssetId = Field(examples=["3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01/0"])
    """The selected base image. It keeps the face the same in all poses."""
    count: Whole = Field(default=7, ge=7, le=10, examples=[7])
    """Number of poses."""
    only: Annotated[tuple[Annotated[Whole, Field(ge=0, le=9)], ...], Items(10)] = Field(
        default=(), examples=[[2, 5]]
    )
    """Positions to draw again, from 0. Left out: all."""


class StudioShots(RequestBase):
    """Fields of pictures in a scene, without the character."""

    type: Literal["studio"] = "studio"
    scene: Line | None = Field(default=None, examples=["beach"])
    """Location: a scene of the catalogue, or free text."""
    outfit: Line | None = Field(default=None, examples=["summer dress"])
    """Clothes of the character: an outfit of the catalogue, or free text."""
    count: Whole = Field(default=1, ge=1, le=10, examples=[2])
    """Number of images."""
    mode: Literal["auto", "lora", "face_swap"] = Field(default="auto", examples=["auto"])
    """`auto`: the character's LoRA if it is ready, else a face swap with its base image."""
    wait_for_lora: Flag = Field(default=False, examples=[False])
    """True to wait for the LoRA of a character without one, at most until a training's deadline."""


class StudioRequest(StudioShots, _OfCharacter):
    """Generate pictures of a character in a scene. Target: 15 s."""


class ProfileSet(RequestBase):
    """Fields of a profile-picture set, without the character."""

    type: Literal["profile_pictures"] = "profile_pictures"
    set_id: Line = Field(examples=["professional"])
    """Id of a set of the catalogue."""


class ProfilePicturesRequest(ProfileSet, _OfCharacter):
    """Generate the pictures of a profile-picture set. Target: 2 min."""


class LoraTrainingRequest(Model):
    """Train a character's LoRA on 4 to 50 different images."""

    type: Literal["lora_training"] = "lora_training"
    character_id: CharacterId = Field(examples=["0b8f7a34-6f0e-4c5a-9a51-2d1c6a7b8c90"])
    """Id of the character."""
    images: Annotated[tuple[AssetId, ...], Items(50, least=4)] = Field(
        json_schema_extra={"uniqueItems": True},
        examples=[[f"3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01/{index}" for index in range(4)]],
    )
    """Ids of stored images, all different."""
    captions: Annotated[tuple[Text, ...], Items(50)] = Field(
        default=(), examples=[["{trigger}, close-up", "{trigger}, full body", "", "{trigger}, side view"]]
    )
    """One caption per image in the same order, or none. `{trigger}` and `[trigger]` stand for the trigger
    word. For an empty caption the trigger word is used."""
    trigger_word: Line = Field(examples=["qdvm"])
    """Word that activates the LoRA in a prompt."""
    steps: Steps | None = Field(default=None, examples=[1000])
    """Number of training steps. Left out: the provider's setting."""
    provider: Provider | None = Field(default=None, examples=["fal"])
    """Provider to use. Left out: the routing policy decides."""


def images_error(images: Sequence[AssetId]) -> str | None:
    """Return the error of training images that are not all different, or None."""
    for place, image in enumerate(images):
        if image in images[:place]:
            return f"must be different images: number {place + 1} repeats number {images.index(image) + 1}"
    return None


def captions_error(captions: Sequence[str], images: Sequence[AssetId]) -> str | None:
    """Return the error of captions whose number does not match the images, or None."""
    if captions and len(captions) != len(images):
        return f"must be one per image or none at all: {len(captions)} captions for {len(images)} images"
    return None


GenerationRequest = Annotated[
    BaseImageRequest | CharacterSheetRequest | StudioRequest | ProfilePicturesRequest | LoraTrainingRequest,
    Field(discriminator="type"),
]


def result_count(request: GenerationRequest) -> int:
    """Return the number of requested results, or 0 if a set of the catalogue decides."""
    match request:
        case LoraTrainingRequest():
            return 1
        case ProfilePicturesRequest():
            return 0
        case CharacterSheetRequest() if request.only:
            return len(request.only)
        case _:
            return request.count


class TrainingFollowUp(Model):
    """A follow-up that trains the character's LoRA on the images of the preceding sheet."""

    type: Literal["lora_training"] = "lora_training"
    steps: Steps | None = Field(default=None, examples=[1000])
    """Number of training steps. Left out: the provider's setting."""
    provider: Provider | None = Field(default=None, examples=["fal"])
    """Provider to use. Left out: the routing policy decides."""


class StudioFollowUp(StudioShots):
    """A follow-up that draws the character in a scene."""


class ProfileFollowUp(ProfileSet):
    """A follow-up that draws a profile-picture set of the character."""


FollowUp = Annotated[
    TrainingFollowUp | StudioFollowUp | ProfileFollowUp,
    Field(discriminator="type"),
]
"""A step after a request, for the same character. Its fields are those of the request types."""

FOLLOW_UP_TYPES: tuple[str, ...] = tuple(
    kind.model_fields["type"].default for kind in (TrainingFollowUp, StudioFollowUp, ProfileFollowUp)
)

FollowUps = Annotated[tuple[FollowUp, ...], Items(20)]
"""Steps of a chain, at most 20. After a character sheet: first its training, then pictures."""
