"""HTTP models of characters and chains: creation, selection of a face, progress."""

from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema

from contracts.base import AssetId, CharacterId, Flag, GenerationType, Id, Model, Moment, UserId
from contracts.chains import ChainState, StepState
from contracts.characters import Character, Sheet, Training
from contracts.generation import Notify
from contracts.jobs import JobError
from contracts.requests import FollowUps
from contracts.strictness import Body, Path, relocated
from contracts.wizard_answers import (
    EitherForm,
    FlatCreation,
    as_written,
    closed_schema,
    contradicting,
    is_answers,
    nested,
)


class BaseImageSelection(Body):
    """Body of `POST /v1/characters/{id}/base-image`: the face of a new character, or a new face."""

    base_image_id: AssetId = Field(examples=["3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01/0"])
    """A stored image of a base-image job."""
    include_nsfw: Flag = Field(default=False, examples=[False])
    """True if the user's settings allow explicit wording on the sheet."""
    character: Character | None = None
    """The description of the character. Left out: the description in the job of the base image."""
    then: FollowUps = Field(default=(), examples=[[{"type": "lora_training"}]])
    """The steps after the sheet. Left out: the training of the LoRA."""
    notify: Notify = Notify()
    """Receiver of the events of all jobs of the chain."""


class CharacterCreation(Body):
    """Body of `POST /v1/characters`: the description of a character by the wizard.

    The answers are in `character` or beside `id`. Fields of `appearance` and `identity` are in these
    objects or beside `name` and `age`. Names are in snake case or camel case.
    """

    id: CharacterId | None = None
    """The caller's own id for the character. Left out: the answer contains a new one."""
    character: Annotated[Character, EitherForm]
    """The wizard's answers."""
    _sent: tuple[dict[str, Any], Path] | None = PrivateAttr(default=None)
    """The answers in the caller's form, and their path in the body."""

    def sent_as(self, field: str) -> str:
        """Return the path of a field in the caller's body."""
        path: Path = tuple(field.split("."))
        return ".".join(map(str, _as_sent(*self._sent, path) if self._sent else path))

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe both forms of the body."""
        own = super().__get_pydantic_json_schema__(core_schema, handler)
        return {"anyOf": [own, closed_schema(FlatCreation, handler)]}

    @model_validator(mode="wrap")
    @classmethod
    def _take_answers(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Nest the wizard's answers and validate them strictly. Errors name paths of the caller's body."""
        if not isinstance(value, dict):
            return read(value)
        flat = "character" not in value and is_answers(value)
        beside = {name: answer for name, answer in value.items() if name != "id"}
        answers = beside if flat else value.get("character")
        if not isinstance(answers, dict):
            return read(value)
        place = () if flat else ("character",)
        if contradiction := contradicting(answers, place):
            raise contradiction
        others = {name: inner for name, inner in value.items() if not flat or name == "id"}
        try:
            made = read(others | {"character": nested(answers)})
        except ValidationError as error:
            raise relocated(error, partial(_as_sent, answers, place)) from None
        made._sent = (answers, place)
        return made


def _as_sent(answers: dict[str, Any], place: Path, path: Path) -> Path:
    return (*place, *as_written(answers, path[1:])) if path[:1] == ("character",) else path


class ChainStepView(Model):
    """A step of a chain, with the jobs that were run for it, the newest last."""

    type: GenerationType
    state: StepState
    job_ids: tuple[Id, ...] = ()
    images: tuple[AssetId, ...] = ()
    """Images of all tries that are ready. The results of each job have their links."""
    error: JobError | None = None


class ChainView(Model):
    """State of a chain. It is `running` until all steps have ended, or one has failed and none runs."""

    id: Id
    character_id: CharacterId
    user_id: UserId
    state: ChainState
    steps: tuple[ChainStepView, ...]
    created: Moment
    finished_at: Moment | None = None


class CharacterView(Model):
    """State of a character. `character` includes its base image, trigger word and LoRA."""

    id: CharacterId
    state: Literal["pending", "stored"] = "stored"
    """`pending`: the character or the selection of its face was accepted and is being stored. Requests may
    already refer to it."""
    user_id: UserId
    character: Character
    selected_at: Moment | None = None
    sheet: Sheet | None = None
    lora_state: Literal["none", "training", "ready", "failed"]
    lora_error: str | None = None
    trainings: tuple[Training, ...] = ()
    created: Moment
    updated: Moment


class CharacterPage(Model):
    """Characters, newest first. `next_cursor` asks for the next page; null on the last."""

    characters: tuple[CharacterView, ...]
    next_cursor: str | None = None
