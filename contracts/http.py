"""HTTP models: submissions, jobs, results and problems."""

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from contracts.base import AssetId, GenerationType, Id, Line, Model, Moment, Provider, Seed, UserId
from contracts.generation import Notify
from contracts.jobs import ENDED, JobError, Phase, RenderProgress, RenderState, Status
from contracts.notices import Notice
from contracts.requests import (
    BaseImageRequest,
    CharacterSheetRequest,
    FollowUps,
    LoraTrainingRequest,
    ProfilePicturesRequest,
    StudioRequest,
    captions_error,
    images_error,
)
from contracts.strictness import Body


class Submission(Body):
    """Fields that every posted request may have."""

    job_id: Id | None = Field(default=None, examples=["3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01"])
    """The caller's own id for the job. Left out: the answer contains a new one."""
    notify: Notify = Notify()
    """Receiver of the job's events."""


class BaseImageSubmission(BaseImageRequest, Submission):
    """Body of `POST /v1/base-images`."""


class ChainSubmission(Submission):
    """A posted request that may start a chain."""

    then: FollowUps = Field(default=(), examples=[[{"type": "lora_training"}]])
    """Follow-ups: a chain under the job's id. After a sheet: first its training, then pictures."""


class CharacterSheetSubmission(CharacterSheetRequest, ChainSubmission):
    """Body of `POST /v1/character-sheets`."""


class StudioSubmission(StudioRequest, Submission):
    """Body of `POST /v1/studio`."""


class ProfilePicturesSubmission(ProfilePicturesRequest, Submission):
    """Body of `POST /v1/profile-pictures`."""


class LoraTrainingSubmission(LoraTrainingRequest, ChainSubmission):
    """Body of `POST /v1/lora-trainings`."""

    @field_validator("images")
    @classmethod
    def _different_images(cls, images: tuple[AssetId, ...]) -> tuple[AssetId, ...]:
        if fault := images_error(images):
            raise PydanticCustomError("images", "{fault}", {"fault": fault})
        return images

    @field_validator("captions")
    @classmethod
    def _one_per_image(cls, captions: tuple[str, ...], known: ValidationInfo) -> tuple[str, ...]:
        if fault := captions_error(captions, known.data.get("images", captions)):
            raise PydanticCustomError("captions", "{fault}", {"fault": fault})
        return captions


AnySubmission = (
    BaseImageSubmission
    | CharacterSheetSubmission
    | StudioSubmission
    | ProfilePicturesSubmission
    | LoraTrainingSubmission
)


class FieldError(Model):
    """An error of one field. `field` is its path in the caller's body."""

    field: str
    message: str


class Problem(Model):
    """An error in the format of RFC 9457 (`application/problem+json`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()


class JobImage(Model):
    """Progress of one image. `percent` is 0 to 100; `queue_position` 0 is next."""

    index: int
    label: Line
    state: RenderState
    percent: int | None = None
    queue_position: int | None = None
    error: JobError | None = None


class JobView(Model):
    """State of a job. Poll until `status` is `completed` or `failed`."""

    id: Id
    type: GenerationType
    user_id: UserId
    status: Status
    phase: Phase | None
    requested: int
    delivered: int
    failed: int
    target_seconds: float | None = None
    """Target duration of the job's type. Null until the job is planned."""
    elapsed_seconds: float
    """Seconds from the request until now, or until the end of the job."""
    waited_seconds: float = 0.0
    """Part of `elapsed_seconds` that the job spent waiting for its character to be stored and for its LoRA.
    Target and deadline count from the end of the wait."""
    deadline_at: Moment | None = None
    created: Moment
    finished_at: Moment | None = None
    chain_id: Id | None = None
    """Chain that the job starts or is a step of."""
    error: JobError | None = None
    notices: tuple[Notice, ...] = ()
    """Notices that are not errors, such as images that were not delivered."""
    images: tuple[JobImage, ...] = ()
    attempts: int = 0
    """Number of submissions to providers, including retries."""
    cost_usd: float = 0.0
    """Price of all billed attempts so far, in US dollars."""
    cost_estimated: bool = False
    """True if a part of `cost_usd` comes from the price list because the provider reported no price, or if
    it is unknown whether an attempt was billed."""

    @property
    def terminal(self) -> bool:
        """True if the job has ended."""
        return self.status in ENDED


class JobPage(Model):
    """Jobs, newest first. `next_cursor` requests the next page; null on the last."""

    jobs: tuple[JobView, ...]
    next_cursor: str | None = None


class ResultImage(Model):
    """A stored image. Its links are signed for this answer; request it again for new ones."""

    index: int
    label: Line
    url: str
    preview_url: str | None = None
    """Link to a small version. Null until it exists."""
    placeholder: str | None = None
    """ThumbHash to show while the image loads. Null until it exists."""
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: str
    seed: Seed | None
    """Null if a caller's workflow does not use `{{seed}}` and has no single seed of its own."""
    prompt: str
    provider: Provider
    expires_at: Moment
    """Time at which the links expire."""


class ResultLora(Model):
    """A trained LoRA. Its links are signed for this answer; request it again for new ones."""

    index: int
    label: Line
    key: str
    """Value of `character.lora.key` in later requests."""
    url: str
    manifest_url: str
    """Link to the manifest of the training, as JSON."""
    content_type: str
    bytes: int
    sha256: str
    trigger_word: Line
    base_model: Line
    steps: int | None = None
    provider: Provider
    expires_at: Moment
    """Time at which the links expire."""


class Results(Model):
    """Results of a job that are ready."""

    job_id: Id
    status: Status
    requested: int
    delivered: int
    images: tuple[ResultImage, ...] = ()
    loras: tuple[ResultLora, ...] = ()


class JobSnapshot(Model):
    """State of a job. It is the first event of a user's stream."""

    job_id: Id
    type: GenerationType
    seq: int
    """Number of the job's last event."""
    at: Moment
    status: Status
    phase: Phase | None
    requested: int
    delivered: int
    failed: int
    target_seconds: float
    progress: tuple[RenderProgress, ...] = Field(default=())


class EventLinks(Model):
    """Field `links` of an event with a stored image or LoRA, over Server-Sent Events and in webhooks.

    The links are signed each time the event is sent; a repeated webhook has new ones.
    """

    url: str
    expires_at: Moment
    """Time at which the links expire: an hour after sending by default (NOTIFIER_LINK_SECONDS)."""
