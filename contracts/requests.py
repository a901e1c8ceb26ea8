"""What may be asked for: the five request types, told apart by `type`."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from contracts.base import AssetId, CharacterId, Line, Model, Provider, Text
from contracts.characters import Character

Aspect = Literal["square", "portrait", "landscape", "wide", "tall"]
"""1:1, 3:4, 4:3, 16:9, 9:16. The prompt-builder's catalogue holds the pixels."""


class RequestBase(Model):
    """What every image request may say.

    An explicit `provider`, `model` or `workflow` wins over the routing policy where that provider
    can do it. `workflow` is a ComfyUI graph in API format; the texts `{{prompt}}`,
    `{{negative_prompt}}`, `{{seed}}`, `{{width}}` and `{{height}}` in it are filled in. `{{prompt}}`
    is prose where the graph loads a Flux model, weighted tags where it loads an SDXL model.
    """

    prompt: Text | None = None
    negative_prompt: Text | None = None
    style: Line | None = None
    quality: Line | None = None
    aspect: Aspect | None = None
    seed: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    """The first image's seed; the others follow from it. Left out: derived from the job id, of a
    character sheet from its base image."""
    include_nsfw: bool = False
    """Whether the user's settings allow explicit wording. Never assumed."""
    provider: Provider | None = None
    model: Line | None = None
    """A model id of that provider, such as `fal-ai/flux/dev`."""
    workflow: dict[str, Any] | None = None
    """A ComfyUI graph in API format, run once for each image of the request.

    Holes: `{{prefix}}` is filled in too, with a file prefix that no other run has. A `filename_prefix`
    without it gets a suffix of its own, so that no run is answered from the server's cache with a file
    that is gone; an output node without `filename_prefix` should use `{{prefix}}`.

    Result: one image of each run is delivered. The node titled `result` names it (in the editor: the
    node's title), else the saving node at the end of the longest chain of nodes, else the one that is
    listed last. Of a batch the first image is delivered. Previews never are. What a run saved besides
    is not delivered, and a notice with code `outputs_dropped` says so: for four images ask for
    `count` 4 with a `batch_size` of 1.

    Seed: each image has its own, filled into `{{seed}}`. Without that hole an image's `seed` is the one
    seed that the graph itself has, else null. Images that would be the same picture are announced by a
    notice with code `same_picture` when the job is accepted, those that came out as the same file by
    one with code `same_file`.
    """


class _OfCharacter(RequestBase):
    """A request about an existing character: inline, or by the id of a stored one."""

    character: Character | None = None
    character_id: CharacterId | None = None

    @model_validator(mode="after")
    def _names_a_character(self) -> "_OfCharacter":
        if (self.character is None) == (self.character_id is None):
            raise ValueError("give either 'character' or 'character_id'")
        return self


class BaseImageRequest(_OfCharacter):
    """Candidates for a character's face, from the wizard's answers. Target: 30 s for 3."""

    type: Literal["base_image"] = "base_image"
    count: int = Field(default=3, ge=1, le=3)


class CharacterSheetRequest(_OfCharacter):
    """One character in 7 to 10 poses, the training data of its LoRA. Target: 5 min.

    `only` draws single images again: positions in the whole sheet of `count` poses. Each keeps the
    label, seed and caption that it has there; seeds follow from `seed`, else from `base_image_id`.
    """

    type: Literal["character_sheet"] = "character_sheet"
    base_image_id: AssetId
    """The chosen base image; it keeps the face the same in all poses."""
    count: int = Field(default=7, ge=7, le=10)
    only: Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], Field(max_length=10)] = ()
    """Left out: all."""


class StudioShots(RequestBase):
    """Pictures in a scene, whoever is in them."""

    type: Literal["studio"] = "studio"
    scene: Line | None = None
    outfit: Line | None = None
    count: int = Field(default=1, ge=1, le=10)
    mode: Literal["auto", "lora", "face_swap"] = "auto"
    """`auto`: the character's LoRA when it is ready, else a face swap with its base image."""
    wait_for_lora: bool = False
    """Whether a character without a LoRA is to be waited for, at most as long as a training may take."""


class StudioRequest(StudioShots, _OfCharacter):
    """Pictures of a character in a scene. Target: 15 s."""


class ProfileSet(RequestBase):
    """One profile-picture set, whoever is in it."""

    type: Literal["profile_pictures"] = "profile_pictures"
    set_id: Line


class ProfilePicturesRequest(ProfileSet, _OfCharacter):
    """The pictures of one profile-picture set. Target: 2 min."""


class LoraTrainingRequest(Model):
    """Train a character's LoRA on at least four images."""

    type: Literal["lora_training"] = "lora_training"
    character_id: CharacterId
    images: Annotated[tuple[AssetId, ...], Field(min_length=4, max_length=50)]
    captions: tuple[Text, ...] = ()
    trigger_word: Line
    steps: int | None = Field(default=None, ge=1, le=10_000)
    provider: Provider | None = None


GenerationRequest = Annotated[
    BaseImageRequest | CharacterSheetRequest | StudioRequest | ProfilePicturesRequest | LoraTrainingRequest,
    Field(discriminator="type"),
]


class TrainingFollowUp(Model):
    """Then train the character's LoRA, on the images of the sheet before it."""

    type: Literal["lora_training"] = "lora_training"
    steps: int | None = Field(default=None, ge=1, le=10_000)
    provider: Provider | None = None


class StudioFollowUp(StudioShots):
    """Then draw the character in a scene."""


class ProfileFollowUp(ProfileSet):
    """Then draw a profile-picture set of the character."""


FollowUp = Annotated[
    TrainingFollowUp | StudioFollowUp | ProfileFollowUp,
    Field(discriminator="type"),
]
"""What is to come after a request, about the same character. Source: the request's own types."""
