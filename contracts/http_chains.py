"""HTTP models of characters and chains: creation, choice of a face, progress."""

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
    """`POST /v1/characters`: a character as the wizard describes it.

    The answers lie in `character` or beside `id`. Those about `appearance` and `identity` lie in these
    objects or beside `name` and `age`, under names in snake or camel case.
    """

    id: CharacterId | None = None
    """The caller's own id for the character; left out, the answer brings one."""
    character: Annotated[Character, EitherForm]
    """The wizard's answers."""
    _sent: tuple[dict[str, Any], Path] | None = PrivateAttr(default=None)
    """The answers as the caller wrote them, and where they lie in the body."""

    def sent_as(self, field: str) -> str:
        """Return the path of a field as the caller wrote it."""
        path: Path = tuple(field.split("."))
        return ".".join(map(str, _as_sent(*self._sent, path) if self._sent else path))

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Document both places of the answers."""
        own = super().__get_pydantic_json_schema__(core_schema, handler)
        return {"anyOf": [own, closed_schema(FlatCreation, handler)]}

    @model_validator(mode="wrap")
    @classmethod
    def _take_answers(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Nest the wizard's answers, read them strictly, and say what is wrong where the caller wrote it."""
        if not isinstance(value, dict):
            return read(value)
        flat = "character" not in value and is_answers(value)
        answers = (
            {name: said for name, said in value.items() if name != "id"} if flat else value.get("character")
        )
        if not isinstance(answers, dict):
            return read(value)
        place = () if flat else ("character",)
        if contradiction := contradicting(answers, place):
            raise contradiction
        others = {name: said for name, said in value.items() if not flat or name == "id"}
        try:
            made = read(others | {"character": nested(answers)})
        except ValidationError as error:
            raise relocated(error, partial(_as_sent, answers, place)) from None
        made._sent = (answers, place)
        return made


def _as_sent(answers: dict[str, Any], place: Path, path: Path) -> Path:
    return (*place, *as_written(answers, path[1:])) if path[:1] == ("character",) else path


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


class CharacterPage(Model):
    """Characters, newest first. `next_cursor` asks for the next page; null on the last."""

    characters: tuple[CharacterView, ...]
    next_cursor: str | None = None
