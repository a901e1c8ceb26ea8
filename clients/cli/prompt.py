"""imagegen prompt …: what would be sent for a request; nothing is sent"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import ValidationError

from clients.cli.errors import WrongInput
from clients.cli.options import (
    BaseImage,
    Candidates,
    Count,
    Look,
    Only,
    Outfit,
    Person,
    Poses,
    Scene,
    SetId,
    bundled,
)
from clients.cli.requests import read_object, submission
from contracts.generation import GenerationRequested
from contracts.http import AnySubmission, ChainSubmission, Submission
from contracts.requests import (
    BaseImageRequest,
    CharacterSheetRequest,
    ProfilePicturesRequest,
    StudioRequest,
)
from contracts.strictness import read_message
from prompts.preview import NO_JOB, RequestRejected, as_json, as_text, preview
from prompts.refusal import reasons_of
from prompts.renders import ImageRequest

app = typer.Typer(help="Show what would be sent: prompts, seeds, sizes, and what was left out.")

_POSTED: Mapping[str, type[Submission]] = {
    kind.model_fields["type"].default: kind for kind in get_args(AnySubmission)
}


@dataclass(frozen=True)
class Shown:
    """Options for the output."""

    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False


@app.callback(invoke_without_command=True)
@bundled
def from_file(
    ctx: typer.Context,
    shown: Shown,
    request: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A request as JSON, as it is published or alone; - is stdin."),
    ] = None,
) -> None:
    """Show what would be sent: prompts, seeds, sizes, and what was left out.

    imagegen prompt studio --name Mara --age 27 --scene beach

    imagegen prompt --request request.json

    Seeds follow from --seed, else from the request's job_id, else from a job id of zeros.
    """
    if ctx.invoked_subcommand is not None:
        return
    if request is None:
        typer.echo(ctx.get_help())
        return
    asked = _requested(request)
    if not isinstance(asked.request, get_args(ImageRequest)):
        raise WrongInput("a training has no prompt but its trigger word")
    _show(asked.request, shown, asked.job_id)


@app.command()
@bundled
def base_image(person: Person, look: Look, shown: Shown, count: Candidates = 3) -> None:
    """Candidates for a new character's face."""
    _show(submission(BaseImageRequest, person, look, count=count), shown)


@app.command()
@bundled
def character_sheet(
    base_image: Annotated[str, BaseImage],
    person: Person,
    look: Look,
    shown: Shown,
    count: Poses = 7,
    only: Only = None,
) -> None:
    """One character in seven to ten poses, with captions for the trainer."""
    own = {"base_image_id": base_image, "count": count, "only": only}
    _show(submission(CharacterSheetRequest, person, look, **own), shown)


@app.command()
@bundled
def studio(
    person: Person,
    look: Look,
    shown: Shown,
    base_image: Annotated[str | None, BaseImage] = None,
    scene: Scene = None,
    outfit: Outfit = None,
    count: Count = 1,
) -> None:
    """A character in a scene."""
    own = {"base_image_id": base_image, "scene": scene, "outfit": outfit, "count": count}
    _show(submission(StudioRequest, person, look, **own), shown)


@app.command()
@bundled
def profile_pictures(
    set_id: SetId,
    person: Person,
    look: Look,
    shown: Shown,
    base_image: Annotated[str | None, BaseImage] = None,
) -> None:
    """The pictures of one profile-picture set."""
    own = {"base_image_id": base_image, "set_id": set_id}
    _show(submission(ProfilePicturesRequest, person, look, **own), shown)


def _requested(path: Path) -> GenerationRequested:
    """Read a request from a file as the platform would: published on Kafka, or posted over HTTP.

    Raises:
        WrongInput: with the platform's words.
    """
    given = read_object(path)
    published: dict[str, Any] = {"job_id": NO_JOB, "tenant": "nobody", "user_id": "nobody"}
    published |= given if "request" in given else _as_published(given)
    try:
        return read_message(GenerationRequested, json.dumps(published).encode())
    except ValidationError as error:
        raise WrongInput(str(RequestRejected(reasons_of(error)))) from None


def _as_published(posted: dict[str, Any]) -> dict[str, Any]:
    """Put the fields of a posted body where a published message has them."""
    kind = _POSTED.get(str(posted.get("type")), Submission)
    names = ChainSubmission.model_fields.keys() & kind.model_fields.keys()
    beside = {name: value for name, value in posted.items() if name in names}
    return beside | {"request": {name: value for name, value in posted.items() if name not in names}}


def _show(request: ImageRequest, shown: Shown, job_id: str = NO_JOB) -> None:
    if getattr(request, "character_id", None):
        raise WrongInput("a stored character cannot be read here: give the character itself")
    try:
        images = preview(request, job_id)
    except RequestRejected as error:
        raise WrongInput(str(error)) from None
    if shown.as_json:
        typer.echo(json.dumps([as_json(image) for image in images], indent=2, ensure_ascii=False))
    else:
        typer.echo(as_text(images))
