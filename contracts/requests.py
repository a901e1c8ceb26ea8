"""What may be asked for: the five request types, told apart by `type`."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

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
"""How many steps a training takes."""

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
"""JSON Schema for: either a character or the id of one."""


class RequestBase(Model):
    """Fields that every image request may contain.

    An explicit `provider`, `model` or `workflow` wins over the routing policy where that provider
    can do it. `workflow` is a ComfyUI graph in API format; the texts `{{prompt}}`,
    `{{negative_prompt}}`, `{{seed}}`, `{{width}}` and `{{height}}` in it are filled in. `{{prompt}}`
    is prose where the graph loads a Flux model, weighted tags where it loads an SDXL model.
    """

    prompt: Text | None = Field(default=None, examples=["looking over her shoulder, golden hour"])
    """The user's own words, beside what the other fields describe."""
    negative_prompt: Text | None = Field(default=None, examples=["umbrella, crowd"])
    """Things that must not be seen."""
    style: Line | None = Field(default=None, examples=["photorealistic"])
    """How the picture is made: a style of the catalogue, or free text."""
    quality: Line | None = Field(default=None, examples=["high"])
    """How much detail it shows: a quality of the catalogue, or free text."""
    aspect: Aspect | None = Field(default=None, examples=["portrait"])
    """The shape of the images. Left out: the default of the request's type."""
    seed: Seed | None = Field(default=None, examples=[1234])
    """The first image's seed, 0 to 2^64-1, as a number or as decimal text; the others follow from it.
    Left out: derived from the job id, of a character sheet from its base image."""
    include_nsfw: Flag = Field(default=False, examples=[False])
    """Whether the user's settings allow explicit wording. Never assumed."""
    provider: Provider | None = Field(default=None, examples=["comfyui"])
    """The provider to use. Left out: the routing policy chooses."""
    model: Line | None = Field(default=None, examples=["fal-ai/flux/dev"])
    """A model id of that provider."""
    workflow: Workflow | None = Field(default=None, examples=[None])
    """A ComfyUI graph in API format, run once for each image of the request.

    Limits: 256 KiB of JSON, 80 levels, 50 000 values; whole numbers from -2^63 to 2^64-1.

    Holes: `{{prefix}}` is filled in too, with a file prefix that no other run has. A `filename_prefix`
    without it gets a suffix of its own, so that no run is answered from the server's cache with a file
    that is gone; an output node without `filename_prefix` should use `{{prefix}}`.

    Result: one image of each run is delivered. The node titled `result` names it (in the editor: the
    node's title), else the saving node at the end of the longest chain of nodes, else the one that is
    listed last. Of a batch the first image is delivered. Previews never are. What a run saved besides
    is not delivered. A notice with code `outputs_dropped` says so: of a `batch_size` above 1 when the
    job is accepted, of all that was made with the image. For four images ask for `count` 4 with a
    `batch_size` of 1.

    Seed: each image has its own, filled into `{{seed}}`. An image's `seed` is what stands in the `seed`
    and `noise_seed` inputs of the nodes that make the result: ours where it is that hole, else the
    graph's own, null where there are several or a node computes it. Images that would be the same
    picture are announced by a notice with code `same_picture` when the job is accepted, those that came
    out as the same file by one with code `same_file`.
    """


class _OfCharacter(RequestBase):
    """A request about an existing character: inline, or by the id of a stored one."""

    model_config = ConfigDict(json_schema_extra=ONE_CHARACTER)

    character: Character | None = None
    """The character, described here. Give either this or `character_id`."""
    character_id: CharacterId | None = Field(default=None, examples=["0b8f7a34-6f0e-4c5a-9a51-2d1c6a7b8c90"])
    """The id of a stored character. Give either this or `character`."""

    @model_validator(mode="after")
    def _names_a_character(self) -> "_OfCharacter":
        if (self.character is None) == (self.character_id is None):
            raise PydanticCustomError("one_character", "give either 'character' or 'character_id'")
        return self


class BaseImageRequest(_OfCharacter):
    """Candidates for a character's face, from the wizard's answers. Target: 30 s for 3."""

    type: Literal["base_image"] = "base_image"
    count: Whole = Field(default=3, ge=1, le=3, examples=[3])
    """How many candidates."""


class CharacterSheetRequest(_OfCharacter):
    """One character in 7 to 10 poses, the training data of its LoRA. Target: 5 min.

    `only` draws single images again: positions in the whole sheet of `count` poses. Each keeps the
    label, seed and caption that it has there; seeds follow from `seed`, else from `base_image_id`.
    """

    type: Literal["character_sheet"] = "character_sheet"
    base_image_id: AssetId = Field(examples=["3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01/0"])
    """The chosen base image; it keeps the face the same in all poses."""
    count: Whole = Field(default=7, ge=7, le=10, examples=[7])
    """How many poses."""
    only: Annotated[tuple[Annotated[Whole, Field(ge=0, le=9)], ...], Items(10)] = Field(
        default=(), examples=[[2, 5]]
    )
    """The positions to draw again, counted from 0. Left out: all."""


class StudioShots(RequestBase):
    """Pictures in a scene, whoever is in them."""

    type: Literal["studio"] = "studio"
    scene: Line | None = Field(default=None, examples=["beach"])
    """Where it takes place: a scene of the catalogue, or free text."""
    outfit: Line | None = Field(default=None, examples=["summer dress"])
    """Clothes of the character: an outfit of the catalogue, or free text."""
    count: Whole = Field(default=1, ge=1, le=10, examples=[2])
    """How many images."""
    mode: Literal["auto", "lora", "face_swap"] = Field(default="auto", examples=["auto"])
    """`auto`: the character's LoRA when it is ready, else a face swap with its base image."""
    wait_for_lora: Flag = Field(default=False, examples=[False])
    """Whether a character without a LoRA is to be waited for, at most as long as a training may take."""


class StudioRequest(StudioShots, _OfCharacter):
    """Pictures of a character in a scene. Target: 15 s."""


class ProfileSet(RequestBase):
    """One profile-picture set, whoever is in it."""

    type: Literal["profile_pictures"] = "profile_pictures"
    set_id: Line = Field(examples=["professional"])
    """The id of a set of the catalogue."""


class ProfilePicturesRequest(ProfileSet, _OfCharacter):
    """The pictures of one profile-picture set. Target: 2 min."""


class LoraTrainingRequest(Model):
    """Train a character's LoRA on 4 to 50 different images."""

    type: Literal["lora_training"] = "lora_training"
    character_id: CharacterId = Field(examples=["0b8f7a34-6f0e-4c5a-9a51-2d1c6a7b8c90"])
    """The character that the LoRA is of."""
    images: Annotated[tuple[AssetId, ...], Items(50, least=4)] = Field(
        json_schema_extra={"uniqueItems": True},
        examples=[[f"3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01/{index}" for index in range(4)]],
    )
    """Stored images, each one once."""
    captions: Annotated[tuple[Text, ...], Items(50)] = Field(
        default=(), examples=[["{trigger}, close-up", "{trigger}, full body", "", "{trigger}, side view"]]
    )
    """One per image in the same order, or none at all. `{trigger}` and `[trigger]` stand for the
    trigger word; an empty caption leaves its image to the trigger word."""
    trigger_word: Line = Field(examples=["qdvm"])
    """The word that wakes the LoRA in a prompt."""
    steps: Steps | None = Field(default=None, examples=[1000])
    """How long to train. Left out: as the provider's settings say."""
    provider: Provider | None = Field(default=None, examples=["fal"])
    """The provider to use. Left out: the routing policy chooses."""


def images_error(images: Sequence[AssetId]) -> str | None:
    """Why a LoRA cannot be trained on these images."""
    for place, image in enumerate(images):
        if image in images[:place]:
            return f"must be different images: number {place + 1} repeats number {images.index(image) + 1}"
    return None


def captions_error(captions: Sequence[str], images: Sequence[AssetId]) -> str | None:
    """Why these captions cannot belong to these images."""
    if captions and len(captions) != len(images):
        return f"must be one per image or none at all: {len(captions)} captions for {len(images)} images"
    return None


GenerationRequest = Annotated[
    BaseImageRequest | CharacterSheetRequest | StudioRequest | ProfilePicturesRequest | LoraTrainingRequest,
    Field(discriminator="type"),
]


def result_count(request: GenerationRequest) -> int:
    """Return the number of results that a request asks for; 0 where the catalogue's set decides."""
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
    """Then train the character's LoRA, on the images of the sheet before it."""

    type: Literal["lora_training"] = "lora_training"
    steps: Steps | None = Field(default=None, examples=[1000])
    """How long to train. Left out: as the provider's settings say."""
    provider: Provider | None = Field(default=None, examples=["fal"])
    """The provider to use. Left out: the routing policy chooses."""


class StudioFollowUp(StudioShots):
    """Then draw the character in a scene."""


class ProfileFollowUp(ProfileSet):
    """Then draw a profile-picture set of the character."""


FollowUp = Annotated[
    TrainingFollowUp | StudioFollowUp | ProfileFollowUp,
    Field(discriminator="type"),
]
"""What is to come after a request, about the same character. Source: the request's own types."""

FOLLOW_UP_TYPES: tuple[str, ...] = tuple(
    kind.model_fields["type"].default for kind in (TrainingFollowUp, StudioFollowUp, ProfileFollowUp)
)

FollowUps = Annotated[tuple[FollowUp, ...], Items(20)]
"""A chain: after a character sheet first its training, then pictures. At most 20."""
