"""HTTP models: submissions in, jobs, results and problems out."""

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
    """What a posted request may say beside the request itself."""

    job_id: Id | None = Field(default=None, examples=["3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01"])
    """The caller's own id for the job; left out, the answer brings one."""
    notify: Notify = Notify()
    """Where the job's events are sent."""


class BaseImageSubmission(BaseImageRequest, Submission):
    """`POST /v1/base-images`"""


class ChainSubmission(Submission):
    """A posted request that may go on by itself."""

    then: FollowUps = Field(default=(), examples=[[{"type": "lora_training"}]])
    """What is to follow: a chain under the job's id. After a sheet first its training, then pictures."""


class CharacterSheetSubmission(CharacterSheetRequest, ChainSubmission):
    """`POST /v1/character-sheets`"""


class StudioSubmission(StudioRequest, Submission):
    """`POST /v1/studio`"""


class ProfilePicturesSubmission(ProfilePicturesRequest, Submission):
    """`POST /v1/profile-pictures`"""


class LoraTrainingSubmission(LoraTrainingRequest, ChainSubmission):
    """`POST /v1/lora-trainings`"""

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
    """An error of one field, named by its path as the caller wrote it."""

    field: str
    message: str


class Problem(Model):
    """An error, as RFC 9457 says it (`application/problem+json`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()


class JobImage(Model):
    """How far one image is. `percent` counts 0 to 100; `queue_position` 0 is next."""

    index: int
    label: Line
    state: RenderState
    percent: int | None = None
    queue_position: int | None = None
    error: JobError | None = None


class JobView(Model):
    """A job as its owner sees it. Poll until `status` is `completed` or `failed`."""

    id: Id
    type: GenerationType
    user_id: UserId
    status: Status
    phase: Phase | None
    requested: int
    delivered: int
    failed: int
    target_seconds: float | None = None
    """What this type aims at; null until the job is planned."""
    elapsed_seconds: float
    """From the request until now, or until its end."""
    waited_seconds: float = 0.0
    """Part of `elapsed_seconds` before the job's character was stored and its LoRA ready, if it waited for
    them. Target and deadline count from then."""
    deadline_at: Moment | None = None
    created: Moment
    finished_at: Moment | None = None
    chain_id: Id | None = None
    """The chain that it begins, or is a step of."""
    error: JobError | None = None
    notices: tuple[Notice, ...] = ()
    """Remarks for the caller although nothing failed, such as images that were not delivered."""
    images: tuple[JobImage, ...] = ()
    attempts: int = 0
    """Submissions to providers, retries included."""
    cost_usd: float = 0.0
    """Price of all billed attempts so far, in US dollars."""
    cost_estimated: bool = False
    """True when a part of `cost_usd` comes from our price list because the provider reported no price, or
    when it is not known whether an attempt was billed."""

    @property
    def terminal(self) -> bool:
        """True if the job has ended."""
        return self.status in ENDED


class JobPage(Model):
    """Jobs, newest first. `next_cursor` asks for the next page; null on the last."""

    jobs: tuple[JobView, ...]
    next_cursor: str | None = None


class ResultImage(Model):
    """A stored result. Its links are signed for this answer; ask again for fresh ones."""

    index: int
    label: Line
    url: str
    preview_url: str | None = None
    """A small version; null until it is made."""
    placeholder: str | None = None
    """A ThumbHash, to show while the image loads; null until it is made."""
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: str
    seed: Seed | None
    """Null where a caller's workflow did not take ours and has not exactly one of its own."""
    prompt: str
    provider: Provider
    expires_at: Moment
    """When the links end."""


class ResultLora(Model):
    """A trained LoRA. Its links are signed for this answer; ask again for fresh ones."""

    index: int
    label: Line
    key: str
    """What a later request names it by, in `character.lora.key`."""
    url: str
    manifest_url: str
    """How it came about: JSON."""
    content_type: str
    bytes: int
    sha256: str
    trigger_word: Line
    base_model: Line
    steps: int | None = None
    provider: Provider
    expires_at: Moment
    """When the links end."""


class Results(Model):
    """What of a job is ready."""

    job_id: Id
    status: Status
    requested: int
    delivered: int
    images: tuple[ResultImage, ...] = ()
    loras: tuple[ResultLora, ...] = ()


class JobSnapshot(Model):
    """Where a job stands; opens a user's event stream."""

    job_id: Id
    type: GenerationType
    seq: int
    """The job's last numbered event."""
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

    Signed whenever the event is sent; a webhook that is sent again has new ones.
    """

    url: str
    expires_at: Moment
    """An hour after it was sent, unless the service is set otherwise (NOTIFIER_LINK_SECONDS)."""
