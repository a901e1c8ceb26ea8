"""HTTP models of characters and chains: creation, choice of a face, progress."""

from typing import Literal

from pydantic import Field

from contracts.base import AssetId, CharacterId, Flag, GenerationType, Id, Model, Moment, UserId
from contracts.chains import ChainState, StepState
from contracts.characters import Character, Sheet, Training
from contracts.generation import Notify
from contracts.jobs import JobError
from contracts.requests import FollowUps
from contracts.strictness import Body


class BaseImageSelection(Body):
    """`POST /v1/characters/{id}/base-image`: the face of a new character, or another one for an old."""

    base_image_id: AssetId = Field(examples=["3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01/0"])
    """A stored image of a base-image job."""
    include_nsfw: Flag = Field(default=False, examples=[False])
    """Whether the user's settings allow explicit wording on the sheet. Never assumed."""
    character: Character | None = None
    """Left out: as the job of the base image described it."""
    then: FollowUps = Field(default=(), examples=[[{"type": "lora_training"}]])
    """What is to follow the sheet; left out: the training of the LoRA."""
    notify: Notify = Notify()
    """Where the events of all jobs of the chain are sent."""


class CharacterCreation(Body):
    """`POST /v1/characters`: a character as the wizard describes it."""

    id: CharacterId | None = None
    """The caller's own id for the character; left out, the answer brings one."""
    character: Character
    """The wizard's answers."""


class ChainStepView(Model):
    """A step of a chain, and the jobs by which it was tried: the newest last."""

    type: GenerationType
    state: StepState
    job_ids: tuple[Id, ...] = ()
    images: tuple[AssetId, ...] = ()
    """What is ready, of all tries; links are in each job's results."""
    error: JobError | None = None


class ChainView(Model):
    """A chain as its owner sees it: `running`, until all steps ended or one failed and none runs."""

    id: Id
    character_id: CharacterId
    user_id: UserId
    state: ChainState
    steps: tuple[ChainStepView, ...]
    created: Moment
    finished_at: Moment | None = None


class CharacterView(Model):
    """A character as its owner sees it. `character` has its base image, trigger word and LoRA."""

    id: CharacterId
    state: Literal["pending", "stored"] = "stored"
    """`pending`: it, or the choice of its face, was accepted a moment ago and is about to be stored.
    Requests may name it all the same."""
    user_id: UserId
    character: Character
    selected_at: Moment | None = None
    sheet: Sheet | None = None
    lora_state: Literal["none", "training", "ready", "failed"]
    lora_error: str | None = None
    trainings: tuple[Training, ...] = ()
    created: Moment
    updated: Moment
